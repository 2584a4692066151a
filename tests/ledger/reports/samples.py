"""Books with something to report, and short ways to ask for reports."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from florin.kernel.ids import new_id
from florin.ledger import service as ledger_service
from florin.ledger.model import AccountType, NewAccount, Origin, Posting, Transfer
from florin.ledger.reports import service, store
from florin.ledger.reports.model import WHOLE_BOOKS, Line, Period, Scope, Section, Total, Totals
from florin.ledger.times.model import TimeAxis
from tests.ledger.books import Books, fresh_key, legs

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
END = datetime(2199, 12, 31, tzinfo=UTC)

T = TypeVar("T")


async def opened(books: Books, code: str, type_: AccountType, currency: str = "USD") -> UUID:
    """An account with this code, named after it."""
    new = NewAccount(code, code.title(), type_, currency)
    return (await ledger_service.open_account(books.ledger, books.tenant_id, new)).id


async def moved(
    books: Books,
    debit: UUID,
    credit: UUID,
    amount_minor: int,
    *,
    at: datetime | None = None,
    text: str | None = None,
    correlation_id: str | None = None,
) -> Transfer:
    """A transfer of two legs; `at` is when it counts."""
    return await ledger_service.post_transfer(
        books.ledger,
        books.tenant_id,
        Posting(
            id=new_id(),
            idempotency=fresh_key(),
            legs=legs((debit, amount_minor), (credit, -amount_minor)),
            description=text,
            effective_at=at,
            origin=Origin(correlation_id=correlation_id),
        ),
    )


async def instant(books: Books) -> datetime:
    """After all that was posted, before all that will be."""
    async with books.ledger.database.tenant(books.tenant_id) as connection:
        return await store.present(connection, books.tenant_id)


async def period(
    books: Books,
    since: datetime = BEGINNING,
    until: datetime | None = None,
    *,
    scope: Scope = WHOLE_BOOKS,
    by: TimeAxis = TimeAxis.RECORDED,
    known_at: datetime | None = None,
) -> Period:
    """A period of the books."""
    return await service.open_report(
        books.ledger, books.tenant_id, scope, since=since, until=until, by=by, known_at=known_at
    )


async def listed(stream: AsyncIterator[T]) -> list[T]:
    """All of it."""
    return [one async for one in stream]


async def sections_of(books: Books, scope: Scope, when: Period) -> dict[str, Section]:
    """Figures by code."""
    found = await listed(service.sections(books.ledger, books.tenant_id, scope, when))
    return {section.head.code: section for section in found}


async def lines_of(books: Books, scope: Scope, when: Period) -> list[Line]:
    """All lines of a statement."""
    parts = await listed(service.statement(books.ledger, books.tenant_id, scope, when))
    return [line for part in parts if isinstance(part, list) for line in part]


async def totals_of(books: Books, scope: Scope, when: Period) -> dict[str, Total]:
    """A statement's totals by currency."""
    totals = (await listed(service.statement(books.ledger, books.tenant_id, scope, when)))[-1]
    assert isinstance(totals, Totals)
    return {total.currency: total for total in totals}
