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
    By,
    Head,
    JournalLeg,
    JournalTransfer,
    Period,
    Scope,
    Turnover,
)

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


async def openings(
    connection: Connection, tenant_id: int, heads_: Sequence[Head], period: Period
) -> dict[UUID, int]:
    """Where accounts stood when the period began, on their normal sides."""
    ids = [head.id for head in heads_]
    at = min(period.since, period.known_at)
    found: dict[UUID, int] = dict.fromkeys(ids, 0)
    async for account_id, balance in _queries.balances_recorded(
        connection, tenant_id=tenant_id, ids=ids, at=at
    ):
        found[account_id] = balance
    if period.by is By.EFFECTIVE:
        sign = {head.id: head.sign for head in heads_}
        async for account_id, shift in _queries.dated_shifts(
            connection, tenant_id=tenant_id, ids=ids, at=period.since, known_at=period.known_at
        ):
            found[account_id] += sign[account_id] * int(shift)
    return found


async def turnovers(
    connection: Connection, tenant_id: int, ids: Sequence[UUID], period: Period
) -> dict[UUID, Turnover]:
    """What the period moved on each account; those on which nothing moved are left out."""
    if period.by is By.RECORDED:
        rows = _queries.turnover_recorded(
            connection,
            tenant_id=tenant_id,
            ids=list(ids),
            since=period.since,
            until=period.recorded_until,
        )
    else:
        rows = _queries.turnover_effective(
            connection, tenant_id=tenant_id, ids=list(ids), **_effective(period)
        )
    return {row[0]: Turnover(int(row[1]), int(row[2]), row[3], row[4]) async for row in rows}


async def lines(
    connection: Connection,
    tenant_id: int,
    account_id: UUID,
    period: Period,
    *,
    after: Cursor | None,
    limit: int,
) -> tuple[list[RawLine], Cursor]:
    """A page of an account's entries of a period in the order of its time, and where the next page begins."""
    seq, counts_at, undated_seq = after or Cursor(0, period.since, 0)
    if period.by is By.RECORDED:
        rows = _queries.lines_recorded(
            connection,
            tenant_id=tenant_id,
            account_id=account_id,
            since=period.since,
            until=period.recorded_until,
            after_seq=seq,
            limit=limit,
        )
        found = [RawLine(*row) async for row in rows]
        return found, Cursor(found[-1].seq if found else seq, counts_at, 0)
    rows = _queries.lines_effective(
        connection,
        tenant_id=tenant_id,
        account_id=account_id,
        after_undated=undated_seq,
        after_at=counts_at,
        after_seq=seq,
        limit=limit,
        **_effective(period),
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
    if period.by is By.RECORDED:
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
            **_effective(period),
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


def _effective(period: Period) -> dict[str, Any]:
    return {
        "since": period.since,
        "until": period.until,
        "recorded_until": period.recorded_until,
        "known_at": period.known_at,
    }
