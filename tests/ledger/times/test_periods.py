"""The closing of periods: for good, between two postings, whoever is racing."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.errors import InsufficientPrivilege

from florin.kernel.ids import new_id
from florin.kernel.provenance import Provenance
from florin.ledger.errors import PeriodClosed
from florin.ledger.model import AccountType, Correcting, Leg, Reversing
from florin.ledger.posting import POST
from florin.ledger.service import Ledger, post_transfer, reverse_transfer
from florin.ledger.times import service
from florin.ledger.times.errors import PeriodAlreadyClosed, PeriodNotOver
from florin.ledger.times.model import PeriodClosing
from tests.ledger.books import Books, fresh_key, posting
from tests.ledger.times.conftest import post

BY = Provenance(actor="cli:ada", reason="month end")
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)


async def close(books: Books, closed_before: datetime, name: str = "month") -> PeriodClosing:
    return await service.close_period(
        books.ledger, books.tenant_id, closed_before=closed_before, name=name, by=BY
    )


async def test_nothing_more_counts_in_a_closed_period(books: Books) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    within = await post(books, cash, wallet, 100, MARCH)
    await close(books, APRIL)
    with pytest.raises(PeriodClosed):
        await post(books, cash, wallet, 1, APRIL - timedelta(microseconds=1))
    with pytest.raises(PeriodClosed):
        await reverse_transfer(
            books.ledger,
            books.tenant_id,
            Reversing(new_id(), fresh_key(), within.id, effective_at=MARCH),
        )
    await post(books, cash, wallet, 2, APRIL)
    await post(books, cash, wallet, 4)
    await reverse_transfer(books.ledger, books.tenant_id, Reversing(new_id(), fresh_key(), within.id))
    held = await service.balance_at(books.ledger, books.tenant_id, wallet, at=APRIL)
    assert held.balance_minor == 102
    assert (await books.balance(wallet)).balance_minor == 6
    await books.assert_sound()


async def test_in_a_batch_only_what_would_count_in_the_closed_period_is_refused(books: Books) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    await close(books, APRIL)
    items = [
        replace(posting((cash, amount), (wallet, -amount)), effective_at=at)
        for amount, at in ((1, MARCH), (2, None), (4, APRIL), (8, MARCH))
    ]
    answers = await asyncio.gather(
        *(post_transfer(books.ledger, books.tenant_id, item) for item in items), return_exceptions=True
    )
    assert [isinstance(one, PeriodClosed) for one in answers] == [True, False, False, True]
    assert (await books.balance(wallet)).balance_minor == 6


async def test_a_set_with_one_transfer_in_the_closed_period_is_refused_whole(books: Books) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    await close(books, APRIL)
    items = [
        replace(posting((cash, 1), (wallet, -1)), effective_at=at, idempotency=None)
        for at in (APRIL, MARCH, None)
    ]
    encoded = list(POST.encode(items))
    encoded[7] = "{7,7,NULL}"  # the third stands alone
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        cursor = await connection.execute(POST.statement.encode(), (books.tenant_id, *encoded))
        told = sorted((row[0], row[1]) for row in await cursor.fetchall())
    assert told == [(1, "set_refused"), (2, "period_closed"), (3, None)]
    assert (await books.balance(wallet)).balance_minor == 1


async def test_a_correction_of_what_is_closed_counts_in_the_open_period(books: Books) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    wrong = await post(books, cash, wallet, 100, MARCH)
    await close(books, APRIL)
    asked = Correcting(new_id(), new_id(), fresh_key(), wrong.id, (Leg(cash, 90), Leg(wallet, -90)))
    told = []
    for at in (MARCH, None):
        async with books.ledger.database.tenant(books.tenant_id) as connection:
            cursor = await connection.execute(
                "SELECT refusal FROM ledger.correct(%s, %s, %s, NULL, NULL, %s, 'USD', %s, NULL, %s, %s)",
                (
                    books.tenant_id,
                    new_id(),
                    new_id(),
                    asked.transfer_id,
                    at,
                    [leg.account_id for leg in asked.legs],
                    [leg.amount_minor for leg in asked.legs],
                ),
            )
            told += await cursor.fetchall()
    assert told == [("period_closed",), (None,)]
    assert (await service.balance_at(books.ledger, books.tenant_id, wallet, at=APRIL)).balance_minor == 100
    assert (await books.balance(wallet)).balance_minor == 90


async def test_a_closing_goes_forward_and_not_beyond_now(books: Books, other_books: Books) -> None:
    first = await close(books, MARCH, "february")
    with pytest.raises(PeriodAlreadyClosed):
        await close(books, MARCH)
    with pytest.raises(PeriodAlreadyClosed):
        await close(books, MARCH - timedelta(days=1))
    with pytest.raises(PeriodNotOver):
        await close(books, datetime.now(UTC) + timedelta(minutes=1))
    second = await close(books, APRIL, "march")
    assert await service.closings(books.ledger, books.tenant_id, limit=5) == [second, first]
    older = await service.closings(books.ledger, books.tenant_id, limit=5, starting_after=second.id)
    assert older == [first]
    assert await service.closings(other_books.ledger, other_books.tenant_id, limit=5) == []


async def test_a_closing_stays_and_says_who_did_it_and_why(books: Books) -> None:
    closing = await close(books, MARCH)
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT actor, reason, after ->> 'name' FROM audit.log"
            " WHERE tenant_id = %s AND entity_type = 'period'",
            (books.tenant_id,),
        )
        assert await cursor.fetchall() == [("cli:ada", "month end", "month")]
    with pytest.raises(InsufficientPrivilege):
        async with books.ledger.database.tenant(books.tenant_id) as connection:
            await connection.execute("DELETE FROM ledger.period_closings WHERE id = %s", (closing.id,))


async def test_what_counts_in_a_period_when_its_closing_returns_is_what_counts_there_for_ever(
    books: Books,
) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    processes = [Ledger(books.ledger.database) for _ in range(3)]
    stop = asyncio.Event()
    landed = 0

    async def poster(number: int) -> None:
        nonlocal landed
        while not stop.is_set():
            back = datetime.now(UTC) - timedelta(milliseconds=number % 5)
            at = None if number % 3 == 0 else back
            asked = replace(posting((cash, 1), (wallet, -1)), effective_at=at)
            try:
                await post_transfer(processes[number % 3], books.tenant_id, asked)
                landed += 1
            except PeriodClosed:
                await asyncio.sleep(0.001)

    posters = [asyncio.create_task(poster(number)) for number in range(12)]
    seen = []
    for _ in range(8):
        await asyncio.sleep(0.02)
        edge = (await close(books, datetime.now(UTC))).closed_before
        last = edge - timedelta(microseconds=1)
        seen.append((last, await service.balance_at(books.ledger, books.tenant_id, wallet, at=last)))
    stop.set()
    await asyncio.gather(*posters)
    for last, then in seen:
        now = await service.balance_at(books.ledger, books.tenant_id, wallet, at=last)
        assert now.balance_minor == then.balance_minor
    assert seen[0][1].balance_minor < (await books.balance(wallet)).balance_minor == landed
    times = [entry.recorded_at for entry in await books.entries(wallet)]
    assert times == sorted(times)
    await books.assert_sound()
