"""Clearing accounts of a test's books, and what a plain model says lingers on them."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from florin.kernel.ids import new_id
from florin.ledger.clearing import service
from florin.ledger.clearing.model import Item
from florin.ledger.model import AccountType, Leg, NewAccount, Origin, Posted, Posting
from florin.ledger.service import open_account
from tests.ledger.books import Books, fresh_key

DAY = timedelta(days=1)


async def execute(books: Books, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """What a statement in the tenant's context finds or returns."""
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        cursor = await connection.execute(statement.encode(), parameters)
        return await cursor.fetchall() if cursor.description else []


async def clears(books: Books, account_id: UUID, within: timedelta = DAY, match_by: str = "order") -> UUID:
    """Declares the account to return to zero."""
    await execute(
        books,
        "UPDATE ledger.account_details SET clears_within = %s, match_by = %s WHERE account_id = %s",
        within,
        match_by,
        account_id,
    )
    return account_id


async def coded(books: Books, code: str, type_: AccountType = AccountType.ASSET) -> UUID:
    """A new account with this code."""
    opened = await open_account(books.ledger, books.tenant_id, NewAccount(code, code, type_, "USD"))
    books.opened.append(opened.id)
    return opened.id


async def node(books: Books, code: str, within: timedelta | None, match_by: str = "order") -> None:
    """A node of the chart."""
    await execute(
        books,
        "INSERT INTO ledger.chart (tenant_id, code, name, type, clears_within, match_by, created_at)"
        " VALUES (%s, %s, 'Node', 'asset', %s, %s, now())",
        books.tenant_id,
        code,
        within,
        match_by,
    )


async def move(
    books: Books,
    debit: UUID,
    credit: UUID,
    amount: int,
    correlation: str | None = None,
    cause: str | None = None,
) -> Posted:
    """Posts a transfer; a negative amount goes the other way."""
    return await books.ledger.posting.call(
        books.tenant_id,
        Posting(
            id=new_id(),
            idempotency=fresh_key(),
            legs=(Leg(debit, amount), Leg(credit, -amount)),
            origin=Origin(correlation, cause),
        ),
    )


async def items(books: Books, account_id: UUID, **asked: Any) -> list[Item]:
    """All that is open."""
    return await service.open_items(books.ledger, books.tenant_id, account_id, **{"limit": 10_000} | asked)


class Moved(NamedTuple):
    """An entry, as the model sees it."""

    transfer_id: UUID
    amount: int
    correlation: str | None = None


Open = list[tuple[UUID, int]]


def by_order(entries: Iterable[Moved]) -> Open:
    """First in, first out, done the slow way: a queue of what is open, from the first entry on."""
    queue: list[list[Any]] = []
    for entry in entries:
        left = entry.amount
        while left and queue and queue[0][1] * left < 0:
            cleared = min(abs(left), abs(queue[0][1]))
            queue[0][1] += cleared if left > 0 else -cleared
            left += -cleared if left > 0 else cleared
            if queue[0][1] == 0:
                queue.pop(0)
        if left:
            queue.append([entry.transfer_id, left])
    return [(transfer_id, amount) for transfer_id, amount in queue]


def by_correlation(entries: list[Moved]) -> Open:
    """Each correlation by itself; the rest in order. In the order in which they were opened."""
    opened: dict[str, tuple[UUID, int]] = {}
    for entry in entries:
        if entry.correlation is None:
            continue
        first, amount = opened.get(entry.correlation, (entry.transfer_id, 0))
        after = amount + entry.amount
        if after == 0:
            del opened[entry.correlation]
        elif amount * after <= 0:
            opened[entry.correlation] = (entry.transfer_id, after)
        else:
            opened[entry.correlation] = (first, after)
    rest = by_order(entry for entry in entries if entry.correlation is None)
    position = {entry.transfer_id: at for at, entry in enumerate(entries)}
    return sorted([*opened.values(), *rest], key=lambda one: position[one[0]])
