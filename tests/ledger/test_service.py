"""Transfers and accounts on a real database; holds and reversals have files of their own."""

import asyncio
from uuid import UUID

import pytest

from florin.kernel.errors import IdempotencyKeyReused, Refusal
from florin.kernel.idempotency import Idempotency
from florin.kernel.ids import new_id
from florin.ledger import service
from florin.ledger.errors import (
    AccountClosed,
    AccountCodeReserved,
    AccountCodeTaken,
    AccountFrozen,
    AccountNotEmpty,
    AccountNotFound,
    AmountOutOfRange,
    BalanceAboveMaximum,
    BoundsOutOfOrder,
    CurrencyMismatch,
    CurrencyUnknown,
    InsufficientFunds,
    TransferNotFound,
    Unbalanced,
)
from florin.ledger.model import (
    AccountStatus,
    AccountType,
    NewAccount,
    Posting,
    SystemAccount,
    Transfer,
    TransferKind,
)
from tests.ledger.books import Books, fresh_key, posting


async def post(books: Books, *pairs: tuple[UUID, int], **options: str) -> Transfer:
    return await service.post_transfer(books.ledger, books.tenant_id, posting(*pairs, **options))  # type: ignore[arg-type]


async def among_neighbours(books: Books, wrong: Posting) -> Refusal:
    """What the wrong item is refused with, in one batch with good ones before and after it."""
    a, b = await books.open(), await books.open()
    batch = [posting((a, 1), (b, -1)), wrong, posting((a, 2), (b, -2))]
    first, refused, last = await asyncio.gather(
        *(books.ledger.posting.call(books.tenant_id, item) for item in batch), return_exceptions=True
    )
    assert not isinstance(first, BaseException)
    assert not isinstance(last, BaseException)
    assert (first.seqs, last.seqs) == ([1, 1], [2, 2])
    assert (await books.balance(b)).balance_minor == 3
    with pytest.raises(TransferNotFound):
        await service.transfer(books.ledger, books.tenant_id, wrong.id)
    again = await asyncio.gather(books.ledger.posting.call(books.tenant_id, wrong), return_exceptions=True)
    assert type(again[0]) is type(refused)
    assert isinstance(refused, Refusal)
    assert isinstance(again[0], Refusal)
    assert again[0].param == refused.param
    await books.assert_sound()
    return refused


async def test_a_transfer_moves_balances_on_their_normal_sides(books: Books) -> None:
    cash = await books.open(AccountType.ASSET)
    wallet = await books.open(AccountType.LIABILITY)
    fees = await books.open(AccountType.INCOME)
    posted = await post(books, (cash, 1000), (wallet, -950), (fees, -50))
    assert [leg.balance_after_minor for leg in posted.entries] == [1000, 950, 50]
    assert [leg.balance_before_minor for leg in posted.entries] == [0, 0, 0]
    assert {leg.currency for leg in posted.entries} == {"USD"}
    assert await service.transfer(books.ledger, books.tenant_id, posted.id) == posted
    await books.assert_sound()


async def test_legs_of_two_currencies_balance_each(books: Books) -> None:
    dollars, more_dollars = await books.open(), await books.open()
    yen, more_yen = await books.open(currency="JPY"), await books.open(currency="JPY")
    exchanged = await post(books, (dollars, 7), (yen, -1000), (more_dollars, -7), (more_yen, 1000))
    assert [leg.currency for leg in exchanged.entries] == ["USD", "JPY", "USD", "JPY"]
    refused = await among_neighbours(books, posting((dollars, 7), (yen, -7)))
    assert isinstance(refused, Unbalanced)
    await books.assert_sound()


async def test_an_unknown_account_is_refused_at_its_leg(books: Books) -> None:
    known = await books.open()
    refused = await among_neighbours(books, posting((known, 5), (new_id(), -5)))
    assert isinstance(refused, AccountNotFound)
    assert refused.param == "legs[1].account"


async def test_another_tenants_account_is_unknown(books: Books, other_books: Books) -> None:
    known, foreign = await books.open(), await other_books.open()
    assert isinstance(await among_neighbours(books, posting((known, 5), (foreign, -5))), AccountNotFound)
    assert (await other_books.balance(foreign)).entry_seq == 0


async def test_unbalanced_legs_are_refused(books: Books) -> None:
    a, b = await books.open(), await books.open()
    assert isinstance(await among_neighbours(books, posting((a, 5), (b, -4))), Unbalanced)


async def test_a_wrong_claimed_currency_is_refused(books: Books) -> None:
    a, b = await books.open(), await books.open()
    assert isinstance(
        await among_neighbours(books, posting((a, 5), (b, -5), currency="EUR")), CurrencyMismatch
    )


@pytest.mark.parametrize("amount", [0, 10**15 + 1, 2**63 - 1, -(2**63)])
async def test_amounts_out_of_range_are_refused_by_the_database_too(books: Books, amount: int) -> None:
    a, b = await books.open(), await books.open()
    wrong = posting((a, amount), (b, -5))
    assert isinstance(await among_neighbours(books, wrong), AmountOutOfRange)


async def test_a_frozen_and_a_closed_account_refuse(books: Books) -> None:
    frozen, closed, open_ = [await books.open() for _ in range(3)]
    change = service.change_account
    await change(books.ledger, books.tenant_id, frozen, status=AccountStatus.FROZEN)
    await change(books.ledger, books.tenant_id, closed, status=AccountStatus.CLOSED)
    assert isinstance(await among_neighbours(books, posting((open_, 5), (frozen, -5))), AccountFrozen)
    assert isinstance(await among_neighbours(books, posting((closed, 5), (open_, -5))), AccountClosed)


async def test_bounds_stand_in_the_way_of_what_moves_towards_them(books: Books) -> None:
    cash = await books.open(AccountType.ASSET)
    wallet = await books.open(lowest=0, highest=100)
    refused = await among_neighbours(books, posting((cash, -1), (wallet, 1)))
    assert isinstance(refused, InsufficientFunds)
    assert refused.param == "legs[1].amount"
    await post(books, (cash, 100), (wallet, -100))
    assert isinstance(await among_neighbours(books, posting((cash, 1), (wallet, -1))), BalanceAboveMaximum)
    await service.change_account(
        books.ledger, books.tenant_id, wallet, min_balance_minor=500, max_balance_minor=None
    )
    await post(books, (cash, 1), (wallet, -1))  # away from the bound that it already breaks
    assert (await books.balance(wallet)).balance_minor == 101


async def test_no_balance_grows_beyond_what_a_bigint_holds(books: Books) -> None:
    a, b = await books.open(), await books.open()
    batch = [posting((a, 10**15), (b, -(10**15))) for _ in range(4001)]
    answers = await asyncio.gather(
        *(books.ledger.posting.call(books.tenant_id, item) for item in batch), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert [type(one) for one in refused] == [InsufficientFunds]
    assert (await books.balance(b)).balance_minor == 4 * 10**18


async def test_the_same_key_and_body_replay_the_same_answer(books: Books) -> None:
    a, b = await books.open(), await books.open()
    key = fresh_key()
    first = await service.post_transfer(books.ledger, books.tenant_id, posting((a, 5), (b, -5), key=key))
    await post(books, (a, 1), (b, -1))
    again = await service.post_transfer(books.ledger, books.tenant_id, posting((a, 5), (b, -5), key=key))
    assert again == first
    assert (await books.balance(b)).balance_minor == 6


async def test_the_same_key_with_another_body_is_refused(books: Books) -> None:
    a, b = await books.open(), await books.open()
    key = fresh_key()
    await service.post_transfer(books.ledger, books.tenant_id, posting((a, 5), (b, -5), key=key))
    other = Idempotency(key.slot, fresh_key().digest)
    with pytest.raises(IdempotencyKeyReused):
        await service.post_transfer(books.ledger, books.tenant_id, posting((a, 6), (b, -6), key=other))
    assert (await books.balance(b)).balance_minor == 5


async def test_a_refusal_is_replayed_even_when_it_would_pass_by_now(books: Books) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open(lowest=0)
    wrong = posting((cash, -5), (wallet, 5))
    with pytest.raises(InsufficientFunds):
        await service.post_transfer(books.ledger, books.tenant_id, wrong)
    await post(books, (cash, 50), (wallet, -50))
    with pytest.raises(InsufficientFunds) as refused:
        await service.post_transfer(books.ledger, books.tenant_id, wrong)
    assert refused.value.param == "legs[1].amount"
    assert (await books.balance(wallet)).balance_minor == 50


async def test_one_key_from_twenty_callers_makes_one_transfer(books: Books) -> None:
    a, b = await books.open(), await books.open()
    key = fresh_key()
    told = await asyncio.gather(
        *(
            service.post_transfer(books.ledger, books.tenant_id, posting((a, 5), (b, -5), key=key))
            for _ in range(20)
        )
    )
    assert len({one.id for one in told}) == 1
    assert all(one == told[0] for one in told)
    assert (await books.balance(b)).balance_minor == 5


async def test_of_two_bodies_with_one_key_in_a_batch_the_first_has_it(books: Books) -> None:
    a, b = await books.open(), await books.open()
    key = fresh_key()
    other = Idempotency(key.slot, fresh_key().digest)
    first, second = await service.post_transfers(
        books.ledger,
        books.tenant_id,
        [posting((a, 5), (b, -5), key=key), posting((a, 6), (b, -6), key=other)],
    )
    assert isinstance(first, Transfer)
    assert isinstance(second, IdempotencyKeyReused)


async def test_lists_page_newest_first_and_filter(books: Books) -> None:
    a, b, c = [await books.open() for _ in range(3)]
    made = [await post(books, (a, n), (b if n % 2 else c, -n)) for n in range(1, 8)]
    newest_first = [one.id for one in made][::-1]
    listed = await service.transfers(books.ledger, books.tenant_id, limit=3)
    assert [one.id for one in listed] == newest_first[:3]
    rest = await service.transfers(books.ledger, books.tenant_id, limit=10, starting_after=listed[-1].id)
    assert [one.id for one in rest] == newest_first[3:]
    of_c = await service.transfers(books.ledger, books.tenant_id, limit=2, account_id=c)
    assert [one.id for one in of_c] == [made[5].id, made[3].id]
    more = await service.transfers(
        books.ledger, books.tenant_id, limit=2, account_id=c, starting_after=made[3].id
    )
    assert [one.id for one in more] == [made[1].id]
    assert not await service.transfers(books.ledger, books.tenant_id, limit=9, kind=TransferKind.HOLD)
    later = await service.transfers(
        books.ledger, books.tenant_id, limit=9, since=made[5].recorded_at, until=made[6].recorded_at
    )
    assert [one.id for one in later] == [made[5].id]
    entries = await service.entries(books.ledger, books.tenant_id, a, limit=2, before_seq=7)
    assert [entry.seq for entry in entries] == [6, 5]
    since = await service.entries(books.ledger, books.tenant_id, a, limit=9, since=made[5].recorded_at)
    assert [entry.transfer_id for entry in since] == newest_first[:2]
    with pytest.raises(AccountNotFound):
        await service.entries(books.ledger, books.tenant_id, new_id(), limit=2)


async def test_an_account_is_opened_listed_changed_and_closed(books: Books) -> None:
    tenant = (books.ledger, books.tenant_id)
    opened = await service.open_account(
        *tenant, NewAccount("a:1", "One", AccountType.ASSET, "KWD", -5, 5, {"k": "v"})
    )
    assert await service.account(*tenant, opened.id) == opened
    other = await books.open()
    listed = await service.accounts(
        *tenant, limit=9, starting_after=None, type=None, currency=None, status=None, code_prefix="a:"
    )
    assert listed == [opened]
    changed = await service.change_account(
        *tenant, opened.id, name="Two", metadata={}, max_balance_minor=None
    )
    assert (changed.name, changed.metadata) == ("Two", {})
    assert (changed.min_balance_minor, changed.max_balance_minor) == (-5, None)
    with pytest.raises(BoundsOutOfOrder):
        await service.change_account(*tenant, opened.id, max_balance_minor=-6)
    await post(books, (other, 1), (await books.open(), -1))
    with pytest.raises(AccountNotEmpty):
        await service.change_account(*tenant, other, status=AccountStatus.CLOSED)
    await service.change_account(*tenant, opened.id, status=AccountStatus.CLOSED)
    with pytest.raises(AccountClosed):
        await service.change_account(*tenant, opened.id, status=AccountStatus.ACTIVE)
    with pytest.raises(AccountNotFound):
        await service.change_account(*tenant, new_id(), name="x")


async def test_wrong_new_accounts_are_refused_by_name(books: Books) -> None:
    async def refuses(kind: type[Refusal], param: str, *new: str | int | AccountType | None) -> None:
        with pytest.raises(kind) as refused:
            await service.open_account(books.ledger, books.tenant_id, NewAccount(*new))  # type: ignore[arg-type]
        assert refused.value.param == param

    await service.open_account(books.ledger, books.tenant_id, NewAccount("x", "X", AccountType.ASSET, "USD"))
    await refuses(AccountCodeTaken, "code", "x", "X", AccountType.ASSET, "USD")
    await refuses(AccountCodeReserved, "code", "partner:x", "X", AccountType.ASSET, "USD")
    await refuses(CurrencyUnknown, "currency", "y", "X", AccountType.ASSET, "QQQ")
    await refuses(CurrencyUnknown, "currency", "y", "X", AccountType.ASSET, "XAU")
    await refuses(BoundsOutOfOrder, "min_balance", "y", "X", AccountType.ASSET, "USD", 6, 5)


async def test_system_accounts_are_made_once_by_whoever_comes_first(books: Books) -> None:
    wanted = [
        SystemAccount("provider:sandbox:receivable:USD", "Sandbox", AccountType.ASSET, "USD"),
        SystemAccount("partner:tenant:payable:USD", "Payable", AccountType.LIABILITY, "USD"),
    ]
    processes = [service.Ledger(books.ledger.database) for _ in range(4)]
    found = await asyncio.gather(
        *(
            service.account_ids(process, books.tenant_id, wanted[:: 1 if n % 2 else -1])
            for n, process in enumerate(processes)
        )
    )
    assert {frozenset(ids) for ids in found} == {frozenset(found[0])}
    assert found[0] == found[1][::-1]
    opened = await service.account(books.ledger, books.tenant_id, found[1][0])
    assert (opened.code, opened.type) == (wanted[0].code, AccountType.ASSET)
    assert await service.account_ids(processes[0], books.tenant_id, wanted) == found[1]
