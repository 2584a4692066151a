"""Projections: found, brought up to date in steps, thrown away and made again, by several workers at once."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from florin.ledger.model import AccountType, Origin
from florin.ledger.service import Ledger, post_transfer
from florin.ledger.times import service, store
from tests.ledger.books import Books, posting
from tests.ledger.times.conftest import Fill, post

TABLES = ("snapshots", "dated_totals", "open_items", "projections")


async def rows(books: Books, table: str) -> list[tuple[Any, ...]]:
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        cursor = await connection.execute(
            f"SELECT * FROM ledger.{table} WHERE tenant_id = %s ORDER BY 1, 2, 3".encode(), (books.tenant_id,)
        )
        return sorted(map(repr, await cursor.fetchall()))  # type: ignore[arg-type]


async def step(books: Books, accounts: list[UUID], limit: int) -> int:
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        return await store.project(connection, books.tenant_id, accounts, limit)


async def declare_clearing(books: Books, account_id: UUID) -> None:
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        await connection.execute(
            "UPDATE ledger.account_details SET clears_within = '1 day', match_by = 'correlation'"
            " WHERE tenant_id = %s AND account_id = %s",
            (books.tenant_id, account_id),
        )


async def correlated(books: Books, debit: UUID, credit: UUID, amount: int, name: str | None) -> datetime:
    asked = replace(posting((debit, amount), (credit, -amount)), origin=Origin(correlation_id=name))
    return (await post_transfer(books.ledger, books.tenant_id, asked)).recorded_at


async def open_items(books: Books, account_id: UUID) -> dict[str, tuple[int, datetime]]:
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT correlation_id, amount, since FROM ledger.open_items"
            " WHERE tenant_id = %s AND account_id = %s",
            (books.tenant_id, account_id),
        )
        return {name: (amount, since) for name, amount, since in await cursor.fetchall()}


async def test_steps_of_any_size_lead_to_the_same_and_so_does_a_rebuild(books: Books, fill: Fill) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    fill(
        books,
        cash,
        wallet,
        n=3000,
        start=datetime.now(UTC) - timedelta(days=9),
        step="4 minutes",
        dated_every=4,
    )
    assert await service.project(books.ledger, books.tenant_id, [cash, wallet]) == 6000
    assert await service.project(books.ledger, books.tenant_id, [cash, wallet]) == 0
    whole = [await rows(books, table) for table in TABLES]
    assert [len(found) > 0 for found in whole] == [True, True, False, True]
    await service.unproject(books.ledger, books.tenant_id, [cash, wallet])
    assert await rows(books, "snapshots") == await rows(books, "dated_totals") == []
    taken = [await step(books, [cash, wallet], 700) for _ in range(6)]
    assert taken == [1400, 1400, 1400, 1400, 400, 0]
    assert [await rows(books, table) for table in TABLES] == whole
    pages = [page async for page in service.account_pages(books.ledger, books.tenant_id, size=1)]
    assert [one for page in pages for one in page] == sorted([cash, wallet])


async def test_the_job_finds_accounts_by_what_was_posted_and_leaves_cold_ones_alone(books: Books) -> None:
    cash, wallet, cold = await books.open(AccountType.ASSET), await books.open(), await books.open()
    quiet = await service.project_due(books.ledger, books.tenant_id)
    assert quiet == (0, 0)
    await asyncio.gather(
        *(post_transfer(books.ledger, books.tenant_id, posting((cash, 1), (wallet, -1))) for _ in range(40))
    )
    await post(books, cash, cold, 1)
    assert await service.project_due(books.ledger, books.tenant_id) == (2, 81)
    assert await service.project_due(books.ledger, books.tenant_id) == (0, 0)
    dated = await post(books, cold, cash, 1, datetime.now(UTC) - timedelta(days=1))
    assert dated.entries
    assert (await service.project_due(books.ledger, books.tenant_id)).accounts == 2


async def test_workers_at_once_take_in_each_entry_once(books: Books, fill: Fill) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    fill(
        books,
        cash,
        wallet,
        n=2000,
        start=datetime.now(UTC) - timedelta(days=9),
        step="5 minutes",
        dated_every=2,
    )
    workers = [Books(Ledger(books.ledger.database), books.tenant_id) for _ in range(4)]

    async def work(worker: Books) -> int:
        done = 0
        for _ in range(40):
            done += await step(worker, [cash, wallet], 100)
        return done

    taken = sum(await asyncio.gather(*map(work, workers)))
    assert taken > 0
    # What all of them left to each other, now that nobody else is at it.
    assert taken + await service.project(books.ledger, books.tenant_id, [cash, wallet]) == 4000
    together = [await rows(books, table) for table in TABLES]
    await service.unproject(books.ledger, books.tenant_id, [cash, wallet])
    await service.project(books.ledger, books.tenant_id, [cash, wallet])
    assert [await rows(books, table) for table in TABLES] == together


async def test_what_returns_to_zero_is_no_open_item_and_what_lingers_is_as_old_as_its_beginning(
    books: Books,
) -> None:
    cash, clearing = await books.open(AccountType.ASSET), await books.open(AccountType.ASSET)
    await declare_clearing(books, clearing)
    expected: list[dict[str, tuple[int, datetime]]] = []
    first = await correlated(books, clearing, cash, 10, "a")
    loose = await correlated(books, clearing, cash, 3, None)
    expected.append({"a": (10, first), "": (3, loose)})
    await correlated(books, cash, clearing, 4, "a")
    second = await correlated(books, clearing, cash, 7, "b")
    expected.append({"a": (6, first), "b": (7, second), "": (3, loose)})
    await correlated(books, cash, clearing, 6, "a")
    again = await correlated(books, clearing, cash, 5, "a")
    await correlated(books, cash, clearing, 7, "b")
    expected.append({"a": (5, again), "": (3, loose)})

    await step(books, [clearing], 2)
    assert await open_items(books, clearing) == expected[0]
    await step(books, [clearing], 2)
    assert await open_items(books, clearing) == expected[1]
    assert (await service.project_due(books.ledger, books.tenant_id)).accounts == 1
    assert await open_items(books, clearing) == expected[2]
    for size in (1, 2, 3, 5):
        await service.unproject(books.ledger, books.tenant_id, [clearing])
        while await step(books, [clearing], size):
            pass
        assert await open_items(books, clearing) == expected[2]
    assert await open_items(books, cash) == {}


async def test_who_declares_that_an_account_clears_says_how_it_is_matched(books: Books) -> None:
    cash, ours, own = await books.open(AccountType.ASSET), await books.open(), await books.open()
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        for statement in (
            "INSERT INTO ledger.chart (tenant_id, code, name, type, clears_within, match_by, created_at)"
            " VALUES (%(tenant)s, 'c', 'Clearing', 'liability', '1 day', 'order', now()),"
            " (%(tenant)s, 'c:cards', 'Cards', 'liability', '1 day', 'correlation', now()),"
            " (%(tenant)s, 'c:car', 'Cars', 'liability', '1 day', 'order', now()),"
            " (%(tenant)s, 'c:cards:visa', 'Visa', 'liability', NULL, 'order', now())",
            "UPDATE ledger.accounts SET code = CASE id WHEN %(own)s THEN 'c:cards:1' ELSE 'c:cards:visa:2' END"
            " WHERE tenant_id = %(tenant)s AND id IN (%(ours)s, %(own)s)",
            "UPDATE ledger.account_details SET clears_within = '2 days'"
            " WHERE tenant_id = %(tenant)s AND account_id = %(own)s",
        ):
            await connection.execute(
                statement.encode(), {"tenant": books.tenant_id, "ours": ours, "own": own}
            )
    await correlated(books, cash, ours, 5, "a")
    await correlated(books, cash, own, 5, "a")
    assert (await service.project_due(books.ledger, books.tenant_id)).accounts == 1
    assert {name: amount for name, (amount, _) in (await open_items(books, ours)).items()} == {"a": -5}
    assert await open_items(books, own) == {}
