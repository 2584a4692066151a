"""The upkeep sees to whoever has posted, and to nobody else."""

import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg
import pytest

from florin.app.upkeep import Upkeep, newest_transfers
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.kernel.jobs import SomeTenantsFailed
from florin.ledger.model import AccountType
from florin.ledger.seals.service import Seals
from florin.ledger.service import Ledger
from florin.ledger.times.service import project_due
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, posting
from tests.ledger.conftest import new_tenant


@pytest.fixture(scope="module")
async def ledger(database_urls: AllDatabaseUrls) -> AsyncIterator[Ledger]:
    async with Database(database_urls.app) as database:
        yield Ledger(database)


def an_id_of(seconds_ago: float) -> UUID:
    """A UUIDv7 as it was made then."""
    made_ms = int((time.time() - seconds_ago) * 1000)
    return UUID(int=made_ms << 80 | 7 << 76 | 2 << 62 | uuid4().int & (1 << 62) - 1)


async def post(books: Books, seconds_ago: float) -> UUID:
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    item = replace(posting((cash, 5), (wallet, -5)), id=an_id_of(seconds_ago))
    return (await books.ledger.posting.call(books.tenant_id, item)).transfer_id


def standing(urls: AllDatabaseUrls, tenant_id: int) -> tuple[object, ...]:
    """Transfers proved and leaves sealed."""
    with psycopg.connect(urls.root) as root:
        row = root.execute(
            "SELECT (SELECT transfers FROM ledger.proofs WHERE tenant_id = %(tenant)s),"
            " (SELECT max(size) FROM ledger.checkpoints WHERE tenant_id = %(tenant)s)",
            {"tenant": tenant_id},
        ).fetchone()
    assert row is not None
    return row


async def test_what_was_posted_is_proved_and_sealed_and_then_left_alone(
    ledger: Ledger, database_urls: AllDatabaseUrls
) -> None:
    busy, idle = (Books(ledger, new_tenant(database_urls.root)) for _ in range(2))
    newest = await post(busy, 120)
    tenants = [busy.tenant_id, idle.tenant_id]
    assert await newest_transfers(ledger.database, tenants) == {busy.tenant_id: newest}

    async def all_tenants() -> list[int]:
        return tenants

    upkeep = Upkeep(ledger, Seals(ledger, KeyRing({"k": os.urandom(32)})), all_tenants)
    await upkeep.run()
    assert standing(database_urls, busy.tenant_id) == (1, 1)
    assert standing(database_urls, idle.tenant_id) == (None, None)
    assert upkeep._settled == {busy.tenant_id: newest}

    await post(busy, 0)  # too young to be sealed: the tenant is not settled
    await upkeep.run()
    assert upkeep._settled == {busy.tenant_id: newest}


async def test_a_tenant_that_fails_does_not_keep_the_others_from_theirs(
    ledger: Ledger, database_urls: AllDatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (Books(ledger, new_tenant(database_urls.root)) for _ in range(2))
    for books in (first, second):
        await post(books, 120)

    async def both() -> list[int]:
        return [first.tenant_id, second.tenant_id]

    async def broken(ledger_: Ledger, tenant_id: int) -> object:
        if tenant_id == first.tenant_id:
            raise RuntimeError("broken")
        return await project_due(ledger_, tenant_id)

    monkeypatch.setattr("florin.app.upkeep.project_due", broken)
    upkeep = Upkeep(ledger, Seals(ledger, KeyRing({"k": os.urandom(32)})), both)
    with pytest.raises(SomeTenantsFailed):
        await upkeep.run()
    assert standing(database_urls, first.tenant_id) == (None, None)
    assert standing(database_urls, second.tenant_id) == (1, 1)
