"""Sets in one group, under one key, and against others."""

import asyncio
from typing import Any

import pytest

from florin.kernel.idempotency import Idempotency
from florin.ledger.errors import InsufficientFunds
from florin.ledger.model import AccountType, Posting, Transfer
from florin.ledger.sets.service import key_of_member, post_set
from tests.ledger.books import Books, fresh_key, posting


def members(key: Idempotency, *asked: list[Any]) -> list[Posting]:
    return [posting(*pairs, key=key_of_member(key, index)) for index, pairs in enumerate(asked)]


async def test_sets_of_one_group_stand_and_fall_each_on_its_own(books: Books) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open(lowest=0)
    fill = members(fresh_key(), [(cash, 50), (wallet, -50)])
    drain = [members(fresh_key(), [(wallet, 20), (cash, -20)], [(wallet, 10), (cash, -10)]) for _ in range(3)]
    answers = await asyncio.gather(
        *(post_set(books.ledger, books.tenant_id, one) for one in (fill, *drain)), return_exceptions=True
    )
    assert [isinstance(one, list) for one in answers] == [True, True, False, False]
    assert all(isinstance(one, InsufficientFunds) for one in answers[2:])
    assert (await books.balance(wallet)).balance_minor == 20
    await books.assert_sound()


async def test_the_same_set_sent_many_times_at_once_is_posted_once(books: Books) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open(lowest=0)
    key = fresh_key()

    async def send() -> list[Transfer]:
        asked = members(key, [(wallet, 20), (cash, -20)], [(cash, 50), (wallet, -50)])
        return await post_set(books.ledger, books.tenant_id, asked)

    answers = await asyncio.gather(*(send() for _ in range(8)))
    assert all(one == answers[0] for one in answers)
    assert sum(one[0].replayed for one in answers) == 7
    assert (await books.balance(wallet)).balance_minor == 30


async def test_a_set_of_a_thousand_is_one_call(books: Books) -> None:
    cash, wallet = await books.open(AccountType.ASSET), await books.open(lowest=0)
    asked = members(fresh_key(), *([[(cash, 1), (wallet, -1)]] * 999), [(wallet, 1000), (cash, -1000)])
    with pytest.raises(InsufficientFunds) as refused:
        await post_set(books.ledger, books.tenant_id, asked)
    assert refused.value.param == "transfers[999].legs[0].amount"
    posted = await post_set(
        books.ledger, books.tenant_id, members(fresh_key(), *([[(cash, 1), (wallet, -1)]] * 1000))
    )
    assert [one.entries[1].balance_after_minor for one in posted] == list(range(1, 1001))


def test_members_of_a_set_have_keys_of_their_own_and_the_bodys_digest() -> None:
    key = fresh_key()
    keys = [key_of_member(key, index) for index in range(3)]
    assert len({one.slot for one in keys} | {key.slot}) == 4
    assert {one.digest for one in keys} == {key.digest}
