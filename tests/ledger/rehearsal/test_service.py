"""What must hold of dry runs, sets and reversals, whatever is posted."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from florin.kernel.errors import Refusal
from florin.kernel.ids import new_id
from florin.ledger import service
from florin.ledger.corrections.service import correct_transfer
from florin.ledger.errors import AccountFrozen, InsufficientFunds
from florin.ledger.model import AccountStatus, AccountType, Correcting, Posting, Reversing, Transfer
from florin.ledger.rehearsal.model import Refused, Rehearsal
from florin.ledger.rehearsal.service import dry_correction, dry_reversal, dry_run
from florin.ledger.sets.service import post_set
from tests.ledger.books import Books, fresh_key, holding, legs, posting

KINDS = [
    (AccountType.ASSET, "USD", None, None),
    (AccountType.LIABILITY, "USD", 0, None),
    (AccountType.LIABILITY, "USD", 0, 60),
    (AccountType.INCOME, "USD", -20, 100),
    (AccountType.ASSET, "EUR", 0, 80),
]
ACCOUNTS = st.integers(0, len(KINDS))  # the last one does not exist
ITEM = st.tuples(
    st.lists(ACCOUNTS, min_size=2, max_size=3, unique=True),
    st.integers(1, 40),
    st.sampled_from([0, 0, 0, 0, 1]),
    st.sampled_from([None, None, None, "USD"]),
)
ITEMS = st.lists(ITEM, min_size=1, max_size=6)
TIMES = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
async def accounts(books: Books) -> list[UUID]:
    """One of each kind, and one that is nobody's."""
    opened = [
        await books.open(kind, currency, lowest=lowest, highest=highest)
        for kind, currency, lowest, highest in KINDS
    ]
    return [*opened, new_id()]


def postings(
    accounts: Sequence[UUID], items: Sequence[tuple[list[int], int, int, str | None]]
) -> list[Posting]:
    made = []
    for at, amount, imbalance, currency in items:
        rest = [(accounts[one], -amount) for one in at[1:]]
        made.append(posting((accounts[at[0]], amount * len(rest) + imbalance), *rest, currency=currency))
    return made


Told = tuple[str, str | None] | tuple[tuple[int | None, int | None], ...]


def said(answer: Transfer | Refused | Refusal) -> Told:
    """A refusal's code and field, or balances before and after."""
    if isinstance(answer, Refused):
        answer = answer.refusal
    if isinstance(answer, Refusal):
        return answer.code, answer.param
    return tuple((leg.balance_before_minor, leg.balance_after_minor) for leg in answer.entries)


async def held(books: Books) -> dict[UUID, tuple[int, int]]:
    found = [await books.balance(one) for one in books.opened]
    return {one.account_id: (one.balance_minor, one.entry_seq) for one in found}


def foretold(rehearsal: Rehearsal) -> dict[UUID, tuple[int, int]]:
    return {
        one.balance.account_id: (one.balance.balance_minor, one.balance.entry_seq)
        for one in rehearsal.standings
    }


@TIMES
@given(items=ITEMS)
async def test_a_dry_run_of_a_batch_equals_the_real_one(
    books: Books, accounts: list[UUID], items: list[tuple[list[int], int, int, str | None]]
) -> None:
    asked = postings(accounts, items)
    before = await held(books)
    tried = await dry_run(books.ledger, books.tenant_id, asked)
    assert await held(books) == before
    real = await service.post_transfers(books.ledger, books.tenant_id, asked)
    assert [said(one) for one in tried.answers] == [said(one) for one in real]
    assert foretold(tried).items() <= (await held(books)).items()
    for one in tried.answers:
        if isinstance(one, Refused) and one.rule is not None:
            assert one.refusal.code in ("insufficient_funds", "balance_above_maximum")
            broken = one.rule.balance_minor - one.rule.value_minor
            assert broken < 0 if one.rule.bound == "min_balance" else broken > 0


@TIMES
@given(items=ITEMS)
async def test_a_dry_run_of_a_set_equals_the_real_one_and_a_refused_set_changes_nothing(
    books: Books, accounts: list[UUID], items: list[tuple[list[int], int, int, str | None]]
) -> None:
    asked = postings(accounts, items)
    before = await held(books)
    tried = await dry_run(books.ledger, books.tenant_id, asked, atomic=True)
    assert await held(books) == before
    refusals = [one.refusal for one in tried.answers if isinstance(one, Refused)]
    try:
        real = await post_set(books.ledger, books.tenant_id, asked)
    except Refusal as refused:
        assert len(refusals) == len(asked)
        codes = [one.code for one in refusals if one.code != "set_refused"]
        assert refused.code == codes[0]
        assert await held(books) == before
        return
    assert not refusals
    assert [said(one) for one in tried.answers] == [said(one) for one in real]
    assert foretold(tried).items() <= (await held(books)).items()


@TIMES
@given(items=ITEMS)
async def test_a_batch_equals_its_singles_and_a_set_whose_singles_pass_equals_them(
    books: Books, items: list[tuple[list[int], int, int, str | None]]
) -> None:
    told: list[list[Told]] = []
    for way in ("singles", "batch", "set"):
        opened = [
            await books.open(kind, currency, lowest=lowest, highest=highest)
            for kind, currency, lowest, highest in KINDS
        ]
        asked = postings([*opened, new_id()], items)
        if way == "batch":
            told.append(
                [said(one) for one in await service.post_transfers(books.ledger, books.tenant_id, asked)]
            )
        elif way == "singles":
            singles = []
            for one in asked:
                singles += await service.post_transfers(books.ledger, books.tenant_id, [one])
            told.append([said(one) for one in singles])
        elif all(isinstance(one, Transfer) for one in singles):
            told.append([said(one) for one in await post_set(books.ledger, books.tenant_id, asked)])
    assert all(one == told[0] for one in told)


@TIMES
@given(amount=st.integers(1, 50), parts=st.lists(st.integers(1, 50), max_size=4), seed=st.integers(0, 99))
async def test_post_then_reverse_in_parts_is_identity_and_each_part_was_foretold(
    books: Books, accounts: list[UUID], amount: int, parts: list[int], seed: int
) -> None:
    cash, income = accounts[0], await books.open(AccountType.EQUITY)
    before = await held(books)
    third = random.Random(seed).randint(0, amount - 1)
    other = await books.open(AccountType.EXPENSE)
    pairs = [(cash, amount), (income, third - amount), *([(other, -third)] if third else [])]
    posted = await service.post_transfer(books.ledger, books.tenant_id, posting(*pairs))
    for part in parts:
        asked = Reversing(new_id(), fresh_key(), posted.id, legs=legs((cash, part), (income, -part)))
        tried = await dry_reversal(books.ledger, books.tenant_id, asked)
        try:
            real = await service.reverse_transfer(books.ledger, books.tenant_id, asked)
        except Refusal as refused:
            assert said(tried.answers[0]) == (refused.code, refused.param)
        else:
            assert said(tried.answers[0]) == said(real)
    now = await service.transfer(books.ledger, books.tenant_id, posted.id)
    if any(leg.amount_minor != leg.reversed_minor for leg in now.entries):
        rest = Reversing(new_id(), fresh_key(), posted.id)
        await service.reverse_transfer(books.ledger, books.tenant_id, rest)
    assert {one: balance for one, (balance, _) in (await held(books)).items() if one in before} == {
        one: balance for one, (balance, _) in before.items()
    }
    await books.assert_sound()


async def test_a_dry_run_tells_the_bound_of_a_balance_that_others_in_the_batch_have_moved(
    books: Books,
) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open(lowest=10)
    tried = await dry_run(
        books.ledger,
        books.tenant_id,
        [
            posting((cash, 50), (wallet, -50)),
            posting((wallet, 45), (cash, -45)),
            posting((wallet, 40), (cash, -40)),
        ],
    )
    refused = tried.answers[1]
    assert isinstance(refused, Refused)
    assert refused.rule is not None
    assert (refused.rule.bound, refused.rule.value_minor, refused.rule.balance_minor) == (
        "min_balance",
        10,
        5,
    )
    assert refused.account_id == wallet
    assert isinstance(tried.answers[2], Transfer)


async def test_a_shared_limit_is_named_with_what_its_accounts_would_hold_together(books: Books) -> None:
    cash, one, two = await books.open(AccountType.ASSET), await books.open(), await books.open()
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        limit_id = new_id()
        await connection.execute(
            "INSERT INTO ledger.limits (tenant_id, id, name, side, currency, min_balance, created_at)"
            " VALUES (%s, %s, 'family', 'credit', 'USD', -100, now())",
            (books.tenant_id, limit_id),
        )
        await connection.execute(
            "UPDATE ledger.accounts SET limit_id = %s WHERE tenant_id = %s AND id = ANY (%s)",
            (limit_id, books.tenant_id, [one, two]),
        )
    asked = [posting((one, 70), (cash, -70)), posting((two, 40), (cash, -40))]
    tried = await dry_run(books.ledger, books.tenant_id, asked)
    refused = tried.answers[1]
    assert isinstance(refused, Refused)
    assert refused.rule is not None
    assert (refused.rule.limit, refused.rule.value_minor, refused.rule.balance_minor) == (
        "family",
        -100,
        -110,
    )
    real = await service.post_transfers(books.ledger, books.tenant_id, asked)
    assert [said(answer) for answer in real] == [said(answer) for answer in tried.answers]


async def test_a_dry_run_uses_no_key_and_tells_nobody(books: Books) -> None:
    a, b = await books.open(), await books.open()
    asked = posting((a, 5), (b, -5))
    for _ in range(2):
        await dry_run(books.ledger, books.tenant_id, [asked])
    assert (await service.post_transfer(books.ledger, books.tenant_id, asked)).replayed is False
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT (SELECT count(*) FROM kernel.idempotency_keys WHERE tenant_id = %(t)s),"
            " (SELECT count(*) FROM kernel.events WHERE tenant_id = %(t)s),"
            " (SELECT count(*) FROM ledger.transfers WHERE tenant_id = %(t)s)",
            {"t": books.tenant_id},
        )
        assert await cursor.fetchone() == (1, 0, 1)


async def test_a_hold_is_tried_against_what_is_available(books: Books) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open(lowest=0)
    await service.post_transfer(books.ledger, books.tenant_id, posting((cash, 50), (wallet, -50)))
    passing = await dry_run(books.ledger, books.tenant_id, [holding((wallet, 30), (cash, -30))])
    assert [one.balance.available_minor for one in passing.standings] == [20, 20]
    tried = await dry_run(books.ledger, books.tenant_id, [holding((wallet, 51), (cash, -51))])
    refused = tried.answers[0]
    assert isinstance(refused, Refused)
    assert refused.rule is not None
    assert refused.rule.balance_minor == -1


async def test_a_correction_is_foretold_with_the_account_that_stands_in_the_way(books: Books) -> None:
    cash, wallet, other = await books.open(AccountType.ASSET), await books.open(lowest=0), await books.open()
    posted = await service.post_transfer(books.ledger, books.tenant_id, posting((cash, 10), (wallet, -10)))
    asked = Correcting(new_id(), new_id(), fresh_key(), posted.id, legs((cash, 4), (other, -4)))
    tried = await dry_correction(books.ledger, books.tenant_id, asked)
    real = await correct_transfer(books.ledger, books.tenant_id, asked)
    assert [said(one) for one in tried.answers] == [said(real)]
    await service.change_account(books.ledger, books.tenant_id, cash, status=AccountStatus.FROZEN)
    again = replace(
        asked, reversal_id=new_id(), repost_id=new_id(), idempotency=fresh_key(), transfer_id=real.id
    )
    [refused] = (await dry_correction(books.ledger, books.tenant_id, again)).answers
    assert isinstance(refused, Refused)
    assert (refused.refusal.code, refused.account_id) == (AccountFrozen.code, cash)
    with pytest.raises(AccountFrozen):
        await correct_transfer(books.ledger, books.tenant_id, again)


async def test_a_back_dated_posting_is_tried_at_its_time(books: Books) -> None:
    a, b = await books.open(), await books.open(lowest=0)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    [told] = (
        await dry_run(books.ledger, books.tenant_id, [replace(posting((a, 5), (b, -5)), effective_at=at)])
    ).answers
    assert isinstance(told, Transfer)
    assert told.effective_at == at
    with pytest.raises(InsufficientFunds):
        await service.post_transfer(books.ledger, books.tenant_id, posting((b, 5), (a, -5)))
