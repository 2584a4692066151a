"""A small statement in three currencies, as the services stream it; its figures can be checked by hand."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from florin.ledger.model import AccountType, TransferKind
from florin.ledger.reports.model import (
    Edges,
    Head,
    JournalLeg,
    JournalTransfer,
    Line,
    Part,
    Period,
    Scope,
    Section,
    SectionEnd,
    Totals,
    TrialRow,
    Turnover,
)
from florin.ledger.reports.render.text import Letterhead
from florin.ledger.times.model import TimeAxis

T = TypeVar("T")

GOLDEN = Path(__file__).with_name("golden")

PERIOD = Period(
    datetime(2026, 11, 1, tzinfo=UTC),
    datetime(2026, 12, 1, tzinfo=UTC),
    TimeAxis.RECORDED,
    datetime(2026, 12, 1, 6, 30, 0, 123456, tzinfo=UTC),
)
LETTERHEAD = Letterhead("Zażółć & Söhne <ltd>", Scope(), PERIOD, datetime(2026, 12, 2, 8, tzinfo=UTC))


def uuid(number: int) -> UUID:
    """A UUIDv7 that reads the same every time."""
    return UUID(f"019a4c00-0000-7000-8000-{number:012x}")


def line(
    seq: int,
    amount_minor: int,
    balance_minor: int,
    text: str | None,
    *,
    kind: TransferKind = TransferKind.TRANSFER,
    correlation_id: str | None = None,
    effective_at: datetime | None = None,
    against: tuple[str, ...] = ("assets:bank",),
) -> Line:
    """An entry of the seq-th of November."""
    at = datetime(2026, 11, seq, 9, 15, tzinfo=UTC)
    return Line(
        seq,
        uuid(seq),
        kind,
        at,
        effective_at or at,
        amount_minor,
        balance_minor,
        text,
        correlation_id,
        against,
    )


DOLLARS = Section(
    Head(uuid(101), "wallets:1024", "=Wallet of Łukasz", AccountType.LIABILITY, "USD", 2),
    Edges(500_000, 499_001, 1, 3, 3),
    Turnover(1_234, 235, 1, 1),
)
YEN = Section(
    Head(uuid(102), "assets:yen", "Yen", AccountType.ASSET, "JPY", 0),
    Edges(-5, 995, 0, 1, 1),
    Turnover(1000, 0, 1, 0),
)
DINARS = Section(
    Head(uuid(103), "equity:kwd", "الكويت", AccountType.EQUITY, "KWD", 3),
    Edges(0, 0, 0, 0, 0),
    Turnover(0, 0, 0, 0),
)


def totals(*sections: Section) -> Totals:
    """Sums over sections."""
    found = Totals()
    for section in sections:
        found.add(section)
    return found


PARTS: list[Part] = [
    DOLLARS,
    [
        line(2, 1_234, 498_766, '+SUM(A1), "5% & more" <b>', correlation_id="order-7"),
        line(
            3,
            -235,
            499_001,
            "Привет, 日本\x01",
            kind=TransferKind.REVERSAL,
            effective_at=datetime(2026, 10, 30, tzinfo=UTC),
        ),
    ],
    SectionEnd(DOLLARS),
    YEN,
    [line(1, 1000, 995, None, correlation_id="x" * 36)],
    SectionEnd(YEN),
    DINARS,
    SectionEnd(DINARS),
    totals(DOLLARS, YEN, DINARS),
]

JOURNAL = [
    JournalTransfer(
        uuid(2),
        TransferKind.TRANSFER,
        datetime(2026, 11, 2, tzinfo=UTC),
        datetime(2026, 10, 30, tzinfo=UTC),
        "@cmd",
        None,
        (
            JournalLeg("assets:bank", "Bank", "USD", 2, 1_234),
            JournalLeg("wallets:1024", "-Wallet", "USD", 2, -1_234),
        ),
    )
]

TRIAL_ROWS: list[TrialRow | Totals] = [
    TrialRow(
        section.head.code,
        section.head.name,
        section.head.id,
        section.head.type,
        next(iter(totals(section))),
    )
    for section in (DOLLARS, YEN)
] + [totals(DOLLARS, YEN)]


async def stream(items: Iterable[T]) -> AsyncIterator[T]:
    """As the services give it."""
    for item in items:
        yield item


async def joined(chunks: AsyncIterator[bytes]) -> bytes:
    """All chunks in one."""
    return b"".join([chunk async for chunk in chunks])
