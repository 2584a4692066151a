"""Past balances, statements and restatements on a real database."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from florin.kernel.ids import new_id
from florin.ledger.errors import AccountNotFound
from florin.ledger.model import AccountType, Origin, Reversing, TransferKind, TrialBalanceLine
from florin.ledger.service import post_transfer, reverse_transfer
from florin.ledger.times import service
from florin.ledger.times.errors import PeriodOutOfOrder
from florin.ledger.times.model import StatementLine, TimeAxis
from tests.ledger.books import Books, fresh_key, posting
from tests.ledger.times.conftest import Fill, post

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)


async def test_a_balance_is_asked_for_by_when_it_counts_and_by_when_it_was_known(books: Books) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    first = await post(books, cash, wallet, 100)
    later = await post(books, cash, wallet, 30, first.recorded_at - 2 * DAY)
    ahead = await post(books, cash, wallet, 5, first.recorded_at + 2 * DAY)

    async def held(at: datetime | None = None, known_at: datetime | None = None) -> int:
        found = await service.balance_at(books.ledger, books.tenant_id, wallet, at=at, known_at=known_at)
        return found.balance_minor

    assert await held() == 130
    assert await held(known_at=first.recorded_at) == 100
    assert await held(first.recorded_at - TICK) == 30
    assert await held(first.recorded_at - 2 * DAY - TICK) == 0
    assert await held(first.recorded_at - DAY, first.recorded_at) == 0
    assert await held(first.recorded_at + 3 * DAY) == 135
    assert await held(first.recorded_at + 3 * DAY, later.recorded_at) == 130
    assert await held(known_at=first.recorded_at - TICK) == 0
    assert (await books.balance(wallet)).balance_minor == 135
    answer = await service.balance_at(books.ledger, books.tenant_id, wallet, at=ahead.recorded_at)
    assert (answer.currency, answer.entry_seq, answer.known_seq) == ("USD", 3, 3)


async def test_an_account_of_somebody_else_is_not_found(books: Books, other_books: Books) -> None:
    theirs = await other_books.open()
    ours = await books.open()
    answers = await asyncio.gather(
        *(service.balance_at(books.ledger, books.tenant_id, one) for one in (theirs, ours, new_id())),
        return_exceptions=True,
    )
    assert [isinstance(one, AccountNotFound) for one in answers] == [True, False, True]
    now = datetime.now(UTC)
    with pytest.raises(AccountNotFound):
        await service.statement(books.ledger, books.tenant_id, theirs, since=now, until=now)
    with pytest.raises(PeriodOutOfOrder):
        await service.statement(books.ledger, books.tenant_id, ours, since=now, until=now - TICK)


async def test_long_histories_are_answered_alike_before_during_and_after_projecting(
    books: Books, fill: Fill
) -> None:
    cash, bank = await books.open(AccountType.ASSET), await books.open(AccountType.LIABILITY)
    start = datetime.now(UTC) - timedelta(days=20)
    fill(books, cash, bank, n=5000, start=start, step="5 minutes", dated_every=3)
    entries = [
        (
            start + n * timedelta(minutes=5),
            n % 7 + 1,
            -(n * 7919 % 50) * timedelta(hours=7) if n % 3 == 0 else None,
        )
        for n in range(1, 5001)
    ]

    def brute(at: datetime, known_at: datetime) -> int:
        return sum(
            amount
            for recorded, amount, shift in entries
            if recorded <= known_at and recorded + (shift or timedelta(0)) <= at
        )

    chance = Random(5)
    asked = [
        (start + chance.uniform(-20, 20) * DAY, start + chance.uniform(0, 18) * DAY) for _ in range(40)
    ] + [(entries[n][0], entries[m][0]) for n, m in ((127, 127), (128, 4095), (1023, 1024), (4999, 4999))]
    for limit in (0, 700, 700, 5000):
        async with books.ledger.database.tenant(books.tenant_id) as connection:
            await connection.execute(
                "SELECT ledger.project(%s, %s, %s)", (books.tenant_id, [cash, bank], limit)
            )
        for account in (cash, bank):
            answers = await asyncio.gather(
                *(
                    service.balance_at(books.ledger, books.tenant_id, account, at=at, known_at=known_at)
                    for at, known_at in asked
                )
            )
            assert [one.balance_minor for one in answers] == [brute(*one) for one in asked]


@pytest.mark.parametrize(
    ("axis", "expected"), [(TimeAxis.RECORDED, [1, 1, 1, 1]), (TimeAxis.EFFECTIVE, [1, 50, 1, 1, 1])]
)
async def test_a_statement_is_one_statement_however_much_is_posted_while_it_is_read(
    books: Books, axis: TimeAxis, expected: list[int]
) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    moments = [(await post(books, cash, wallet, 1)).recorded_at for _ in range(5)]
    await post(books, cash, wallet, 50, moments[1])
    found = await service.statement(
        books.ledger, books.tenant_id, wallet, since=moments[1], until=moments[4] + TICK, by=axis
    )
    read: list[StatementLine] = []
    async for page in service.pages(books.ledger, books.tenant_id, found, size=2):
        read += page
        await post(books, cash, wallet, 900, moments[2])
    assert [-line.amount_minor for line in read] == expected
    assert (found.opening_balance_minor, found.closing_balance_minor) == (1, 1 + sum(expected))
    assert read[-1].balance_after_minor == found.closing_balance_minor


async def test_a_line_says_what_its_transfer_says(books: Books) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    asked = replace(
        posting((cash, 5), (wallet, -5)),
        description="Top-up",
        metadata={"order": "1"},
        origin=Origin(correlation_id="order-1"),
    )
    first = await post_transfer(books.ledger, books.tenant_id, asked)
    back = await reverse_transfer(books.ledger, books.tenant_id, Reversing(new_id(), fresh_key(), first.id))
    for axis in TimeAxis:
        found = await service.statement(
            books.ledger,
            books.tenant_id,
            wallet,
            since=first.recorded_at,
            until=back.recorded_at + TICK,
            by=axis,
        )
        ((top_up, reversal),) = [page async for page in service.pages(books.ledger, books.tenant_id, found)]
        assert (top_up.description, top_up.metadata) == ("Top-up", {"order": "1"})
        assert (top_up.correlation_id, reversal.correlation_id) == ("order-1", "order-1")
        assert (reversal.kind, reversal.related_id) == (TransferKind.REVERSAL, first.id)
        assert (top_up.recorded_at, top_up.effective_at) == (first.recorded_at, first.effective_at)


async def test_a_restatement_names_the_entries_that_made_the_difference(books: Books) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    first = await post(books, cash, wallet, 100)
    closing = first.recorded_at + TICK
    wrong = await post(books, cash, wallet, 40, first.recorded_at - DAY)
    known = wrong.recorded_at
    await reverse_transfer(
        books.ledger,
        books.tenant_id,
        Reversing(new_id(), fresh_key(), wrong.id, effective_at=first.recorded_at - DAY),
    )
    late = await post(books, cash, wallet, 7, first.recorded_at - DAY)
    await post(books, cash, wallet, 1000)

    told = await service.restatement(
        books.ledger, books.tenant_id, wallet, at=closing, known_at=known, limit=1
    )
    assert (told.then.balance_minor, told.now.balance_minor, told.difference_minor) == (140, 107, -33)
    assert [line.amount_minor for line in told.lines] == [40]
    assert told.has_more
    rest = await service.restatement(
        books.ledger,
        books.tenant_id,
        wallet,
        at=closing,
        known_at=known,
        limit=5,
        after_seq=told.lines[0].seq,
    )
    assert [line.transfer_id for line in rest.lines] == [late.id]
    assert not rest.has_more


async def test_the_trial_balance_of_any_moment_is_even(books: Books) -> None:
    assert await service.trial_balance_at(books.ledger, books.tenant_id, at=datetime.now(UTC)) == []
    cash, wallet = await books.open(AccountType.ASSET), await books.open()
    first = await post(books, cash, wallet, 100)
    await post(books, wallet, cash, 30, first.recorded_at - DAY)
    for at, known_at, expected in (
        (first.recorded_at, None, 70),
        (first.recorded_at, first.recorded_at, 100),
        (first.recorded_at - TICK, None, -30),
    ):
        lines = await service.trial_balance_at(books.ledger, books.tenant_id, at=at, known_at=known_at)
        positive, negative = max(expected, 0), max(-expected, 0)
        assert lines == [
            TrialBalanceLine("USD", AccountType.ASSET, positive, negative),
            TrialBalanceLine("USD", AccountType.LIABILITY, negative, positive),
        ]
