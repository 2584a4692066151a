"""Monitors on accounts of a test's books, and the events that they made."""

from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

from florin.kernel.provenance import Provenance
from florin.ledger.model import AccountType, Posting
from florin.ledger.monitors import service
from florin.ledger.monitors.model import Comparison, Metric, Monitor, NewMonitor
from florin.ledger.posting import POST
from florin.ledger.service import Ledger
from tests.ledger.books import Books

BY = Provenance(actor="test")


class Crossing(NamedTuple):
    """One event of a monitor."""

    type: str
    was: int
    value: int


async def watch(
    books: Books,
    account_id: UUID,
    threshold_minor: int = 100,
    comparison: Comparison = Comparison.BELOW,
    metric: Metric = Metric.BALANCE,
) -> Monitor:
    """A new monitor."""
    new = NewMonitor(account_id, "low", metric, comparison, threshold_minor)
    return await service.create_monitor(books.ledger, books.tenant_id, new, BY)


async def rows(books: Books, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """What a query finds; `%s` first is the tenant."""
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        return await (await connection.execute(statement.encode(), (books.tenant_id, *parameters))).fetchall()


async def crossings(books: Books, monitor: Monitor) -> list[Crossing]:
    """The monitor's events in order. Each is owed to the endpoints, and nothing else is."""
    found = await rows(
        books,
        "SELECT id, type, data FROM kernel.events WHERE tenant_id = %s AND object_id = %s ORDER BY id",
        monitor.id,
    )
    owed = await rows(
        books,
        "SELECT o.event_id FROM kernel.outbox o JOIN kernel.events e ON e.tenant_id = o.tenant_id"
        " AND e.id = o.event_id WHERE o.tenant_id = %s AND e.object_id = %s ORDER BY 1",
        monitor.id,
    )
    assert owed == [row[:1] for row in found]
    return [
        Crossing(kind.partition(".")[2], data["previous_value"], data["value"]) for _, kind, data in found
    ]


def expected(values: list[int], threshold_minor: int, comparison: Comparison) -> list[Crossing]:
    """The crossings among values that follow each other."""
    made = []
    for was, value in pairwise(values):
        held, holds = (
            (was < threshold_minor, value < threshold_minor)
            if comparison is Comparison.BELOW
            else (was > threshold_minor, value > threshold_minor)
        )
        if held != holds:
            made.append(Crossing("triggered" if holds else "cleared", was, value))
    return made


async def cash_and_wallet(books: Books, *, lowest: int | None = None) -> tuple[UUID, UUID]:
    """An asset without bounds, and a liability."""
    return await books.open(AccountType.ASSET), await books.open(lowest=lowest)


async def post_as_one_set(books: Books, *postings: Posting) -> list[str | None]:
    """Posts transfers that stand or fall together; the refusal of each."""
    parameters = list(POST.encode(postings))
    parameters[7] = "{" + ",".join("1" * len(postings)) + "}"
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        cursor = await connection.execute(POST.statement.encode(), (books.tenant_id, *parameters))
        return [row[1] for row in await cursor.fetchall()]


def another_process(books: Books) -> Ledger:
    """A ledger whose calls travel apart from those of the first."""
    return Ledger(books.ledger.database)
