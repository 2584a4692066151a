"""Shared limits: the sums follow their members, and nobody passes a limit, together or apart."""

import asyncio
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest

from florin.kernel.ids import new_id
from florin.ledger import service as ledger_service
from florin.ledger.errors import (
    AccountNotFound,
    BoundsOutOfOrder,
    CurrencyUnknown,
    LimitCurrencyMismatch,
    LimitNotFound,
    LimitSideMismatch,
    SharedLimitExceeded,
)
from florin.ledger.limits import service
from florin.ledger.limits.errors import LimitNameTaken
from florin.ledger.limits.model import LimitMismatch, NewLimit, SharedLimit
from florin.ledger.model import AccountType, Direction
from florin.ledger.service import Ledger
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, holding, posting

ASSET = AccountType.ASSET


async def limit_of(books: Books, *members: UUID, **bounds: Any) -> SharedLimit:
    made = await service.create_limit(
        books.ledger, books.tenant_id, NewLimit(f"l{new_id()}", Direction.CREDIT, "USD", **bounds)
    )
    await service.share(books.ledger, books.tenant_id, members, made.id)
    return made


async def move(books: Books, debit: UUID, credit: UUID, amount: int, ledger: Ledger | None = None) -> None:
    item = posting((debit, amount), (credit, -amount))
    await ledger_service.post_transfer(ledger or books.ledger, books.tenant_id, item)


async def sums(books: Books, limit_id: UUID) -> tuple[int, int, int, int]:
    found = await service.limit(books.ledger, books.tenant_id, limit_id)
    return found.balance_minor, found.pending_debits_minor, found.pending_credits_minor, found.available_minor


async def test_sums_move_with_the_accounts_that_join_and_leave(books: Books) -> None:
    cash, first, second = await books.open(ASSET), await books.open(), await books.open()
    await move(books, cash, first, 100)
    await move(books, cash, second, 30)
    await ledger_service.place_hold(books.ledger, books.tenant_id, holding((second, 10), (cash, -10)))
    limit = await limit_of(books, first, second)
    other = await limit_of(books)
    assert await sums(books, limit.id) == (130, 10, 0, 120)
    await service.share(books.ledger, books.tenant_id, [first, second], limit.id)
    assert await sums(books, limit.id) == (130, 10, 0, 120)
    await service.share(books.ledger, books.tenant_id, [second], other.id)
    assert await sums(books, limit.id) == (100, 0, 0, 100)
    assert await sums(books, other.id) == (30, 10, 0, 20)
    members = await service.members(books.ledger, books.tenant_id, other.id, limit=10)
    assert [(member.id, member.limit_id) for member in members] == [(second, other.id)]
    change = ledger_service.change_account
    changed = await change(books.ledger, books.tenant_id, second, limit_id=None)
    assert changed.limit_id is None
    assert await sums(books, other.id) == (0, 0, 0, 0)
    assert await service.mismatches(books.ledger, books.tenant_id) == []


async def test_an_account_that_does_not_fit_a_limit_does_not_join_it_nor_do_its_companions(
    books: Books,
) -> None:
    fits = await books.open()
    limit = await limit_of(books)
    share = service.share
    for wrong, refusal in (
        (await books.open(currency="EUR"), LimitCurrencyMismatch),
        (await books.open(ASSET), LimitSideMismatch),
        (new_id(), AccountNotFound),
    ):
        with pytest.raises(refusal):
            await share(books.ledger, books.tenant_id, [fits, wrong], limit.id)
    with pytest.raises(LimitNotFound):
        await share(books.ledger, books.tenant_id, [fits], new_id())
    assert await service.members(books.ledger, books.tenant_id, limit.id, limit=10) == []


async def test_a_limit_is_made_changed_and_listed(books: Books) -> None:
    made = await limit_of(books, min_balance_minor=0)
    change = service.change_limit
    changed = await change(
        books.ledger, books.tenant_id, made.id, name="Credit of A and B", max_balance_minor=5
    )
    assert (changed.name, changed.min_balance_minor, changed.max_balance_minor) == ("Credit of A and B", 0, 5)
    unbound = await change(books.ledger, books.tenant_id, made.id, min_balance_minor=None)
    assert (unbound.min_balance_minor, unbound.max_balance_minor) == (None, 5)
    other = await limit_of(books)
    listed = await service.limits(books.ledger, books.tenant_id, limit=10)
    assert [one.id for one in listed] == [other.id, made.id]
    for wrong, refusal in (
        ({"name": other.name}, LimitNameTaken),
        ({"min_balance_minor": 6}, BoundsOutOfOrder),
    ):
        with pytest.raises(refusal):
            await change(books.ledger, books.tenant_id, made.id, **wrong)
    for missing in (
        change(books.ledger, books.tenant_id, new_id()),
        service.limit(books.ledger, 0, new_id()),
    ):
        with pytest.raises(LimitNotFound):
            await missing
    create = service.create_limit
    for new, wrong_new in (
        (NewLimit(other.name, Direction.CREDIT, "USD"), LimitNameTaken),
        (NewLimit("x", Direction.CREDIT, "XAU"), CurrencyUnknown),
        (NewLimit("x", Direction.CREDIT, "USD", 2, 1), BoundsOutOfOrder),
    ):
        with pytest.raises(wrong_new):
            await create(books.ledger, books.tenant_id, new)


async def test_a_sum_beyond_its_bounds_moves_only_towards_them(books: Books) -> None:
    cash, wallet = await books.open(ASSET), await books.open()
    await move(books, cash, wallet, 100)
    await limit_of(books, wallet, max_balance_minor=50)
    with pytest.raises(SharedLimitExceeded):
        await move(books, cash, wallet, 1)
    await move(books, wallet, cash, 40)


async def test_two_that_share_a_limit_cannot_pass_it_together_through_two_clients(books: Books) -> None:
    """Write skew: each may take what is left, and both looked before either took."""
    cash, first, second = await books.open(ASSET), await books.open(), await books.open()
    await move(books, cash, first, 100)
    await move(books, cash, second, 100)
    limit = await limit_of(books, first, second, min_balance_minor=100)
    clients = [Ledger(books.ledger.database) for _ in range(2)]
    answers = await asyncio.gather(
        move(books, first, cash, 100, clients[0]),
        move(books, second, cash, 100, clients[1]),
        return_exceptions=True,
    )
    assert [type(one) for one in answers if one is not None] == [SharedLimitExceeded]
    assert (await sums(books, limit.id))[0] == 100


async def test_sums_stay_right_while_accounts_join_leave_and_post_at_once(books: Books) -> None:
    random = Random(7)
    cash = await books.open(ASSET)
    wallets = [await books.open() for _ in range(4)]
    for wallet in wallets:
        await move(books, cash, wallet, 1000)
    limits = [await limit_of(books, min_balance_minor=0) for _ in range(2)]
    clients = [Ledger(books.ledger.database) for _ in range(3)]

    async def client(ledger: Ledger) -> None:
        for _ in range(15):
            wallet, other = random.sample(wallets, 2)
            if random.random() < 0.4:
                to = random.choice([limits[0].id, limits[1].id, None])
                await service.share(ledger, books.tenant_id, random.sample(wallets, 2), to)
            elif random.random() < 0.5:
                await move(books, wallet, other, random.randint(1, 9), ledger)
            else:
                item = holding((wallet, 3), (cash, -3))
                await ledger_service.place_hold(ledger, books.tenant_id, item)

    await asyncio.gather(*(client(clients[number % 3]) for number in range(9)))
    assert await service.mismatches(books.ledger, books.tenant_id) == []
    await books.assert_sound()


async def test_a_sum_that_somebody_tampered_with_is_named(
    books: Books, other_books: Books, database_urls: AllDatabaseUrls
) -> None:
    cash, wallet = await books.open(ASSET), await books.open()
    limit = await limit_of(books, wallet)
    await limit_of(books)
    await move(books, cash, wallet, 100)
    with psycopg.connect(database_urls.root, autocommit=True) as root:
        root.execute("UPDATE ledger.limits SET balance = 99 WHERE id = %s", (limit.id,))
    found = await service.mismatches(books.ledger, books.tenant_id)
    assert found == [LimitMismatch(limit.id, 99, 0, 0, 100, 0, 0)]
    assert await service.mismatches(other_books.ledger, other_books.tenant_id) == []
