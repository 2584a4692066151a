"""The array functions' encoding, and the plans of the statements inside them."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pytest

from florin.kernel.errors import IdempotencyKeyReused
from florin.ledger.errors import AccountFrozen, InsufficientFunds
from florin.ledger.model import Metadata, Posting
from florin.ledger.posting import POST, refusal
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import fresh_key, legs, posting
from tests.ledger.conftest import new_tenant

A, B = UUID(int=1), UUID(int=2)


def test_accounts_are_encoded_once_and_ascending() -> None:
    items = [posting((B, 5), (A, -5)), posting((A, 1), (B, -1))]
    encoded = POST.encode(items)
    assert encoded[9:] == (f"{{{A},{B}}}", "{1,1,2,2}", "{2,1,1,2}", "{5,-5,1,-1}")
    assert encoded[8] is None


def test_details_keep_text_that_needs_quoting() -> None:
    metadata: Metadata = {"k": '"},{\\'}
    item = Posting(A, fresh_key(), legs((A, 5), (B, -5)), description='it\'s, {"x"}', metadata=metadata)
    encoded = POST.encode([posting((A, 5), (B, -5)), item])
    assert orjson.loads(str(encoded[8])) == [None, {"description": item.description, "metadata": metadata}]


def test_a_refusal_names_the_leg_of_the_account_that_caused_it() -> None:
    parts = legs((A, 5), (B, -5))
    assert refusal(AccountFrozen.code, B, parts).param == "legs[1].account"
    assert refusal(InsufficientFunds.code, A, parts).param == "legs[0].amount"
    assert refusal(IdempotencyKeyReused.code, None, parts).param is None


@pytest.fixture(scope="module")
def logged(database_urls: AllDatabaseUrls) -> Iterator[tuple[psycopg.Connection[Any], list[str]]]:
    """A superuser's connection, on a tenant with many accounts, that hears the plan of every statement."""
    tenant_id = new_tenant(database_urls.root)
    with psycopg.connect(database_urls.root, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO ledger.accounts (tenant_id, id, code, type, currency)"
            " SELECT %s, uuidv7(), 'p' || n, 'liability', 'USD' FROM generate_series(1, 20000) n",
            (tenant_id,),
        )
        connection.execute("ANALYZE ledger.accounts")
        connection.execute("LOAD 'auto_explain'")
        for setting in (
            "auto_explain.log_min_duration = 0",
            "auto_explain.log_nested_statements = on",
            "client_min_messages = log",
            f"app.tenant_id = {tenant_id}",
        ):
            connection.execute(f"SET {setting}".encode())
        notices: list[str] = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        yield connection, notices


@pytest.mark.parametrize("count", [10, 1000])
def test_posting_reaches_accounts_through_their_key(
    logged: tuple[psycopg.Connection[Any], list[str]], count: int
) -> None:
    connection, notices = logged
    row = connection.execute("SHOW app.tenant_id").fetchone()
    assert row is not None
    tenant_id = int(row[0])
    ids = [
        found[0]
        for found in connection.execute(
            "SELECT id FROM ledger.accounts WHERE tenant_id = %s ORDER BY code LIMIT %s",
            (tenant_id, count * 2),
        )
    ]
    items = [posting((ids[2 * n], 5), (ids[2 * n + 1], -5)) for n in range(count)]
    notices.clear()
    rows = connection.execute(POST.statement.encode(), (tenant_id, *POST.encode(items))).fetchall()
    assert [answer for answer in POST.decode(items, rows) if isinstance(answer, Exception)] == []
    plans = [plan for plan in notices if "accounts" in plan and "ledger.accounts" in plan]
    assert len(plans) == 2  # the lock and the update
    for plan in plans:
        assert "accounts_pkey" in plan
        assert "Seq Scan on accounts" not in plan
