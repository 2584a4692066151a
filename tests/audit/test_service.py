"""The audit log is read by what, who and when, and its chain shows whoever tampers with it."""

from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from florin.audit import chain, service
from florin.audit.model import Fault
from florin.audit.service import kept_id, shown_id
from florin.kernel.ids import encode_id
from florin.kernel.provenance import Provenance
from florin.ledger import service as ledger_service
from florin.ledger.model import AccountStatus, AccountType, SystemAccount
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books

BY = Provenance("key_1", reason="ticket 4711", address="192.0.2.7", user_agent="curl/8", request_id="req_1")


async def audited(books: Books) -> UUID:
    """An account that somebody opened, froze and unfroze."""
    account_id = await books.open()
    for status, by in ((AccountStatus.FROZEN, BY), (AccountStatus.ACTIVE, Provenance("cli:ada"))):
        await ledger_service.change_account(books.ledger, books.tenant_id, account_id, status=status, by=by)
    return account_id


async def test_a_change_tells_who_what_why_and_from_where(books: Books) -> None:
    account_id = await audited(books)
    database = books.ledger.database
    shown = encode_id("acct", account_id)
    entries = await service.entries(database, books.tenant_id, limit=10, entity_id=shown)
    unfrozen, frozen, opened = entries
    assert [one.seq for one in entries] == [3, 2, 1]
    assert (frozen.actor, frozen.reason, frozen.address) == ("key_1", "ticket 4711", "192.0.2.7")
    assert (frozen.user_agent, frozen.request_id, frozen.session_id) == ("curl/8", "req_1", None)
    assert (frozen.action, frozen.changed, shown_id(frozen)) == ("changed", ["status"], shown)
    assert frozen.before is not None
    assert frozen.after is not None
    assert (frozen.before["status"], frozen.after["status"]) == ("active", "frozen")
    assert "balance" not in frozen.after
    assert (opened.action, opened.before, opened.actor) == ("created", None, "database:florin_app")
    assert (unfrozen.actor, unfrozen.reason) == ("cli:ada", None)


async def test_the_log_is_filtered_by_type_actor_and_time_and_goes_on_after_an_entry(
    books: Books, other_books: Books
) -> None:
    await audited(books)
    database, tenant_id = books.ledger.database, books.tenant_id

    async def seqs(**filters: object) -> list[int]:
        found = await service.entries(database, tenant_id, limit=10, **filters)  # type: ignore[arg-type]
        return [one.seq for one in found]

    newest, middle, oldest = await service.entries(database, tenant_id, limit=10)
    assert await seqs(actor="key_1") == [2]
    assert await seqs(entity_type="account") == [3, 2, 1]
    assert await seqs(entity_type="limit") == []
    assert await seqs(since=middle.at) == [3, 2]
    assert await seqs(until=middle.at) == [1]
    assert await seqs(since=oldest.at - timedelta(days=9), until=newest.at) == [2, 1]
    assert await seqs(starting_after=middle.id) == [1]
    assert await service.entries(database, other_books.tenant_id, limit=10) == []


@pytest.mark.parametrize("text", ["acct_1", "nonsense", "a_b", "acct_" + "z" * 26, ""])
def test_an_id_that_is_none_of_ours_is_looked_for_as_it_is(text: str) -> None:
    assert kept_id(text) == text


async def test_an_untouched_chain_is_whole_in_batches_of_any_size(books: Books, other_books: Books) -> None:
    await audited(books)
    told: list[tuple[int, int]] = []
    for batch in (1, 2, 3, 100):
        verdict = await chain.verify(
            books.ledger.database,
            books.tenant_id,
            batch=batch,
            on_progress=lambda done, total: told.append((done, total)),
        )
        assert (verdict.rows, verdict.broken) == (3, None)
        assert told[-1] == (3, 3)
    nothing = await chain.verify(other_books.ledger.database, other_books.tenant_id)
    assert (nothing.rows, nothing.broken) == (0, None)


async def test_rows_made_by_one_statement_are_links_of_their_own(books: Books) -> None:
    wanted = [SystemAccount(f"s:{number}", "x", AccountType.ASSET, "USD") for number in range(50)]
    made = await ledger_service.account_ids(books.ledger, books.tenant_id, wanted)
    entries = await service.entries(books.ledger.database, books.tenant_id, limit=100)
    assert sorted(one.seq for one in entries) == list(range(1, 51))
    assert {UUID(one.entity_id) for one in entries} == set(made)
    assert all(one.after and one.after["account_id"] == one.entity_id for one in entries)
    verdict = await chain.verify(books.ledger.database, books.tenant_id)
    assert (verdict.rows, verdict.broken) == (50, None)


TAMPERED = {
    "UPDATE audit.log SET reason = 'other' WHERE tenant_id = %(tenant)s AND seq = 2": (Fault.DIGEST, 2),
    "UPDATE audit.log SET after = jsonb_set(after, '{status}', '\"active\"')"
    " WHERE tenant_id = %(tenant)s AND seq = 2": (Fault.DIGEST, 2),
    "UPDATE audit.log SET at = at + interval '1 microsecond' WHERE tenant_id = %(tenant)s AND seq = 1": (
        Fault.DIGEST,
        1,
    ),
    "DELETE FROM audit.log WHERE tenant_id = %(tenant)s AND seq = 1": (Fault.GAP, 2),
    "DELETE FROM audit.log WHERE tenant_id = %(tenant)s AND seq = 2": (Fault.GAP, 3),
    "DELETE FROM audit.log WHERE tenant_id = %(tenant)s AND seq = 3": (Fault.HEAD, 3),
    "UPDATE audit.log l SET reason = 'other', digest ="
    " audit.digest(jsonb_populate_record(l, jsonb_build_object('reason', 'other')))"
    " WHERE tenant_id = %(tenant)s AND seq = 2": (Fault.PREVIOUS, 3),
    "INSERT INTO audit.log SELECT (jsonb_populate_record(l, jsonb_build_object('id', kernel.uuidv7()))).*"
    " FROM audit.log l WHERE tenant_id = %(tenant)s AND seq = 2": (Fault.GAP, 2),
}


@pytest.mark.parametrize("statement", TAMPERED)
@pytest.mark.parametrize("batch", [1, 100])
async def test_a_tampered_row_is_named(
    books: Books, database_urls: AllDatabaseUrls, statement: str, batch: int
) -> None:
    await audited(books)
    with psycopg.connect(database_urls.root) as root:
        root.execute("SET LOCAL session_replication_role = replica")
        done = root.execute(statement.encode(), {"tenant": books.tenant_id})
        assert done.rowcount == 1
    verdict = await chain.verify(books.ledger.database, books.tenant_id, batch=batch)
    assert verdict.broken is not None
    assert (verdict.broken.fault, verdict.broken.seq) == TAMPERED[statement]
    assert (verdict.broken.id is None) == (verdict.broken.fault is Fault.HEAD)
