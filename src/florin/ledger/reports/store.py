"""The only caller of `queries.sql`: rows in, model out. The caller's transaction is its tenant's."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import aiosql

from florin.kernel.db import Connection
from florin.ledger.model import AccountType, TransferKind
from florin.ledger.reports.model import (
    Edges,
    Head,
    JournalLeg,
    JournalTransfer,
    Period,
    Scope,
    Section,
    Turnover,
)
from florin.ledger.times.model import TimeAxis

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")

_NO_ID = UUID(int=0)


class RawLine(NamedTuple):
    """An entry as it is kept, without what the log says of its transfer."""

    seq: int
    transfer_id: UUID
    recorded_at: datetime
    effective_at: datetime
    amount_minor: int


class Note(NamedTuple):
    """What the log says of a transfer."""

    kind: TransferKind
    description: str | None
    correlation_id: str | None
    account_ids: list[UUID]


class Cursor(NamedTuple):
    """How far an account's lines have been read."""

    seq: int
    """Of the last line."""

    counts_at: datetime
    """Of the last line, on the period's time."""

    undated_seq: int
    """Of the last line that counts when it was recorded."""


class Place(NamedTuple):
    """How far the journal has been read."""

    place: UUID = _NO_ID
    id: UUID = _NO_ID


async def present(connection: Connection, tenant_id: int) -> datetime:
    """An instant after all that is committed and before all that is not yet; waits for whoever is posting."""
    at: datetime = await _queries.present(connection, tenant_id=tenant_id)
    return at


async def accounts(
    connection: Connection, tenant_id: int, scope: Scope, *, after: str | None, limit: int
) -> list[Head]:
    """Accounts of the scope in the order of their codes, after the code `after`."""
    rows = _queries.accounts(connection, tenant_id=tenant_id, after=after, limit=limit, **_scope(scope))
    return [_head(row) async for row in rows]


async def has_accounts(connection: Connection, tenant_id: int, under: str) -> bool:
    """Whether any account lies at or below this code."""
    return bool(await _queries.has_accounts(connection, tenant_id=tenant_id, under=under))


async def heads(connection: Connection, tenant_id: int, ids: Sequence[UUID]) -> dict[UUID, Head]:
    """Accounts by id."""
    rows = _queries.heads(connection, tenant_id=tenant_id, ids=list(ids))
    return {row[0]: _head(row) async for row in rows}


async def names(connection: Connection, tenant_id: int, codes: Sequence[str]) -> dict[str, str]:
    """What the chart calls those of these codes that it knows."""
    return {
        code: name async for code, name in _queries.names(connection, tenant_id=tenant_id, codes=list(codes))
    }


async def edges(
    connection: Connection, tenant_id: int, ids: Sequence[UUID], period: Period
) -> dict[UUID, Edges]:
    """Where accounts stood before the period and at its end."""
    if period.by is TimeAxis.RECORDED:
        # A period that begins after `known_at` has nothing in it: it ends where it begins.
        rows = _queries.edges_recorded(
            connection,
            tenant_id=tenant_id,
            ids=list(ids),
            since=min(period.since, period.known_at),
            until=period.recorded_until,
        )
    else:
        rows = _queries.edges_effective(
            connection,
            tenant_id=tenant_id,
            ids=list(ids),
            since=period.since,
            until=period.until,
            known_at=period.known_at,
        )
    return {row[0]: Edges(*row[1:]) async for row in rows}


async def turnovers(
    connection: Connection, tenant_id: int, found: Mapping[UUID, Edges], period: Period
) -> dict[UUID, Turnover]:
    """What the period moved on each account; those on which nothing moved may be left out."""
    numbers = {
        "ids": list(found),
        "after_seqs": [one.after_seq for one in found.values()],
        "last_seqs": [one.last_seq for one in found.values()],
    }
    if period.by is TimeAxis.RECORDED:
        rows = _queries.turnover_recorded(
            connection, tenant_id=tenant_id, since=period.since, until=period.recorded_until, **numbers
        )
    else:
        rows = _queries.turnover_effective(
            connection,
            tenant_id=tenant_id,
            known_seqs=[one.known_seq for one in found.values()],
            since=period.since,
            until=period.until,
            recorded_until=period.recorded_until,
            **numbers,
        )
    return {row[0]: Turnover(int(row[1]), int(row[2]), row[3], row[4]) async for row in rows}


def beginning(section: Section, period: Period) -> Cursor:
    """Before the first line of a section."""
    after_seq = section.edges.after_seq if period.by is TimeAxis.RECORDED else 0
    return Cursor(after_seq, period.since, section.edges.after_seq)


async def lines(
    connection: Connection, tenant_id: int, section: Section, period: Period, *, after: Cursor, limit: int
) -> tuple[list[RawLine], Cursor]:
    """A page of an account's entries of a period in the order of its time, and where the next page begins."""
    seq, counts_at, undated_seq = after
    asked = {
        "tenant_id": tenant_id,
        "account_id": section.head.id,
        "since": period.since,
        "last_seq": section.edges.last_seq,
        "after_seq": seq,
        "limit": limit,
    }
    if period.by is TimeAxis.RECORDED:
        rows = _queries.lines_recorded(connection, until=period.recorded_until, **asked)
        found = [RawLine(*row) async for row in rows]
        return found, after._replace(seq=found[-1].seq if found else seq)
    rows = _queries.lines_effective(
        connection,
        until=period.until,
        recorded_until=period.recorded_until,
        after_undated=undated_seq,
        after_at=counts_at,
        known_seq=section.edges.known_seq,
        **asked,
    )
    found = []
    async for *row, undated in rows:
        line = RawLine(*row)
        found.append(line)
        seq, counts_at = line.seq, line.effective_at
        if undated:
            undated_seq = line.seq
    return found, Cursor(seq, counts_at, undated_seq)


async def notes(connection: Connection, tenant_id: int, ids: Sequence[UUID]) -> dict[UUID, Note]:
    """What the log says of some transfers."""
    rows = _queries.notes(connection, tenant_id=tenant_id, ids=list(ids))
    return {row[0]: Note(TransferKind(row[1]), *row[2:]) async for row in rows}


async def journal(
    connection: Connection, tenant_id: int, scope: Scope, period: Period, *, after: Place, limit: int
) -> tuple[list[JournalTransfer], Place]:
    """A page of the journal in its order, and where the next page begins."""
    if period.by is TimeAxis.RECORDED:
        query = _queries.journal_recorded(
            connection,
            tenant_id=tenant_id,
            since=period.since,
            until=period.recorded_until,
            after=after.id,
            limit=limit,
            **_scope(scope),
        )
    else:
        query = _queries.journal_effective(
            connection,
            tenant_id=tenant_id,
            after_place=after.place,
            after=after.id,
            limit=limit,
            since=period.since,
            until=period.until,
            recorded_until=period.recorded_until,
            known_at=period.known_at,
            **_scope(scope),
        )
    rows = [row async for row in query]
    touched = await heads(connection, tenant_id, list({one for row in rows for one in row[6]}))
    found = [_journal_transfer(row, touched) for row in rows]
    return found, Place(rows[-1][8], rows[-1][0]) if rows else after


def _journal_transfer(row: Sequence[Any], touched: Mapping[UUID, Head]) -> JournalTransfer:
    (transfer_id, kind, recorded_at, effective_at, description, correlation_id, ids, amounts, _) = row
    legs = [
        JournalLeg(head.code, head.name, head.currency, head.exponent, amount)
        for head, amount in zip((touched[one] for one in ids), amounts, strict=True)
    ]
    return JournalTransfer(
        transfer_id,
        TransferKind(kind),
        recorded_at,
        effective_at,
        description,
        correlation_id,
        tuple(legs),
    )


def _head(row: Sequence[Any]) -> Head:
    account_id, code, name, type_, currency, exponent = row
    return Head(account_id, code, name, AccountType(type_), currency, exponent)


def _scope(scope: Scope) -> dict[str, Any]:
    return {
        "account_id": scope.account_id,
        "account_code": scope.account_code,
        "under": scope.under,
    }
