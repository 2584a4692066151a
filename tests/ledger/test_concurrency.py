"""Several processes' worth of callers on few accounts, in random order."""

import asyncio
from random import Random
from typing import Any

from florin.ledger.errors import AlreadyReversed, HoldAmountExceeded, HoldClosed, InsufficientFunds
from florin.ledger.model import AccountType, HoldAction
from florin.ledger.service import Ledger
from tests.ledger.books import Books, holding, posting, reversing, settling

EXPECTED = (InsufficientFunds, HoldClosed, HoldAmountExceeded, AlreadyReversed)


async def test_callers_on_few_accounts_in_random_order_neither_block_nor_lose_anything(books: Books) -> None:
    random = Random(20261120)
    cash = await books.open(AccountType.ASSET)
    accounts = [await books.open(lowest=0) for _ in range(5)]
    processes = [Ledger(books.ledger.database) for _ in range(3)]
    for account in accounts:
        await processes[0].posting.call(books.tenant_id, posting((cash, 1000), (account, -1000)))
    holds: list[Any] = []
    moved: list[Any] = []

    async def caller(ledger: Ledger) -> list[BaseException]:
        refused: list[BaseException] = []
        for _ in range(25):
            first, second, third = random.sample(accounts, 3)
            amount = random.randint(1, 60)
            choice = random.randrange(5)
            try:
                if choice <= 1:
                    item = posting((first, 2 * amount), (second, -amount), (third, -amount))
                    moved.append((await ledger.posting.call(books.tenant_id, item)).transfer_id)
                elif choice == 2:
                    item = holding((first, amount), (second, -amount))
                    holds.append((await ledger.posting.call(books.tenant_id, item)).transfer_id)
                elif choice == 3 and holds:
                    action = random.choice([HoldAction.POST, HoldAction.VOID])
                    part = random.randint(1, 30) if action is HoldAction.POST else None
                    item_ = settling(random.choice(holds), action, amount_minor=part)
                    await ledger.holding.call(books.tenant_id, item_)
                elif moved:
                    await ledger.reversing.call(books.tenant_id, reversing(random.choice(moved)))
            except EXPECTED as error:
                refused.append(error)
        return refused

    refused = await asyncio.gather(*(caller(processes[n % 3]) for n in range(24)))
    assert sum(map(len, refused)) < 24 * 25 / 2
    await books.assert_sound()
    total = sum([(await books.balance(one)).balance_minor for one in accounts])
    assert total == (await books.balance(cash)).balance_minor == 5000
    assert all([(await books.balance(one)).available_minor >= 0 for one in accounts])


async def test_no_more_leaves_an_account_than_it_has(books: Books) -> None:
    cash, wallet, shop = await books.open(AccountType.ASSET), await books.open(lowest=0), await books.open()
    processes = [Ledger(books.ledger.database) for _ in range(4)]
    await processes[0].posting.call(books.tenant_id, posting((cash, 100), (wallet, -100)))
    spends = (
        processes[n % 4].posting.call(books.tenant_id, posting((wallet, 7), (shop, -7))) for n in range(60)
    )
    told = await asyncio.gather(*spends, return_exceptions=True)
    assert sum(isinstance(answer, InsufficientFunds) for answer in told) == 60 - 14
    assert (await books.balance(wallet)).balance_minor == 2
    await books.assert_sound()


async def test_no_more_is_posted_of_a_hold_than_it_reserves(books: Books) -> None:
    cash, shop = await books.open(AccountType.ASSET), await books.open()
    processes = [Ledger(books.ledger.database) for _ in range(4)]
    placed = await processes[0].posting.call(books.tenant_id, holding((cash, 100), (shop, -100)))
    # Another hold's reserve: what this one took too much would be taken from there.
    await processes[0].posting.call(books.tenant_id, holding((cash, 100), (shop, -100)))
    parts = (
        processes[n % 4].holding.call(books.tenant_id, settling(placed.transfer_id, amount_minor=7))
        for n in range(60)
    )
    told = await asyncio.gather(*parts, return_exceptions=True)
    assert sum(isinstance(answer, HoldAmountExceeded) for answer in told) == 60 - 14
    held = await books.balance(shop)
    assert (held.balance_minor, held.pending_credits_minor) == (98, 102)
    await books.assert_sound()
