"""Reversals: in full, once, and never of a reversal."""

import asyncio
from uuid import UUID

import pytest

from florin.kernel.ids import new_id
from florin.ledger import service
from florin.ledger.errors import AlreadyReversed, InsufficientFunds, NotReversible, TransferNotFound
from florin.ledger.model import AccountType, HoldAction, Transfer, TransferKind
from tests.ledger.books import Books, holding, posting, reversing, settling


async def post(books: Books, *pairs: tuple[UUID, int]) -> Transfer:
    return await service.post_transfer(books.ledger, books.tenant_id, posting(*pairs))


async def reverse(books: Books, transfer_id: UUID) -> Transfer:
    return await service.reverse_transfer(books.ledger, books.tenant_id, reversing(transfer_id))


async def test_post_and_reverse_is_identity(books: Books) -> None:
    cash, wallet, fees = [
        await books.open(kind) for kind in (AccountType.ASSET, AccountType.LIABILITY, AccountType.INCOME)
    ]
    posted = await post(books, (cash, 100), (wallet, -97), (fees, -3))
    reversal = await reverse(books, posted.id)
    assert (reversal.kind, reversal.related_id) == (TransferKind.REVERSAL, posted.id)
    assert [leg.amount_minor for leg in reversal.entries] == [-100, 97, 3]
    assert [(await books.balance(one)).balance_minor for one in (cash, wallet, fees)] == [0, 0, 0]
    now = await service.transfer(books.ledger, books.tenant_id, posted.id)
    assert now.reversal_ids == (reversal.id,)
    await books.assert_sound()


async def test_a_second_reversal_and_the_reversal_of_a_reversal_are_refused(books: Books) -> None:
    a, b = await books.open(), await books.open()
    posted = await post(books, (a, 5), (b, -5))
    reversal = await reverse(books, posted.id)
    with pytest.raises(AlreadyReversed):
        await reverse(books, posted.id)
    with pytest.raises(NotReversible):
        await reverse(books, reversal.id)
    with pytest.raises(TransferNotFound):
        await reverse(books, new_id())
    assert (await books.balance(b)).entry_seq == 2


async def test_a_posted_hold_can_be_reversed_but_not_the_hold_or_its_void(books: Books) -> None:
    a, b = await books.open(), await books.open()
    held = await service.place_hold(books.ledger, books.tenant_id, holding((a, 9), (b, -9)))
    posted = await service.settle_hold(books.ledger, books.tenant_id, settling(held.id, amount_minor=4))
    voided = await service.settle_hold(books.ledger, books.tenant_id, settling(held.id, HoldAction.VOID))
    for transfer_id in (held.id, voided.id):
        with pytest.raises(NotReversible):
            await reverse(books, transfer_id)
    await reverse(books, posted.id)
    assert (await books.balance(b)).balance_minor == 0
    await books.assert_sound()


async def test_a_reversal_that_breaks_a_bound_is_refused_and_can_be_asked_for_later(books: Books) -> None:
    cash, wallet, other = await books.open(AccountType.ASSET), await books.open(lowest=0), await books.open()
    posted = await post(books, (cash, 10), (wallet, -10))
    spent = await post(books, (wallet, 10), (other, -10))
    with pytest.raises(InsufficientFunds):
        await reverse(books, posted.id)
    await reverse(books, spent.id)
    await reverse(books, posted.id)
    assert (await books.balance(cash)).balance_minor == 0


async def test_many_callers_reverse_once(books: Books) -> None:
    a, b = await books.open(), await books.open()
    posted = await post(books, (a, 5), (b, -5))
    processes = [service.Ledger(books.ledger.database) for _ in range(4)]
    told = await asyncio.gather(
        *(processes[n % 4].reversing.call(books.tenant_id, reversing(posted.id)) for n in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, AlreadyReversed) for answer in told) == 19
    assert (await books.balance(b)).balance_minor == 0


async def test_the_same_key_replays_the_reversal(books: Books) -> None:
    a, b = await books.open(), await books.open()
    posted = await post(books, (a, 5), (b, -5))
    asked = reversing(posted.id)
    first = await service.reverse_transfer(books.ledger, books.tenant_id, asked)
    assert await service.reverse_transfer(books.ledger, books.tenant_id, asked) == first


async def test_of_two_reversals_in_one_batch_the_second_meets_what_the_first_left(books: Books) -> None:
    cash, wallet, other = await books.open(AccountType.ASSET), await books.open(lowest=0), await books.open()
    posted = await post(books, (cash, 10), (wallet, -10))
    spent = await post(books, (wallet, 10), (other, -10))
    batch = [posted.id, posted.id, spent.id, posted.id, posted.id]
    told = await asyncio.gather(
        *(books.ledger.reversing.call(books.tenant_id, reversing(one)) for one in batch),
        return_exceptions=True,
    )
    kinds = [type(answer).__name__ for answer in told]
    assert kinds == ["InsufficientFunds", "InsufficientFunds", "Recorded", "Recorded", "AlreadyReversed"]
    await books.assert_sound()
