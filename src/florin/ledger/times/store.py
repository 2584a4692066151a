"""The only caller of `queries.sql` and of the array functions of the two times."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import aiosql
from psycopg.rows import TupleRow

from florin.kernel.coalescer import ArrayFunction, array
from florin.kernel.db import Connection
from florin.ledger.errors import AccountNotFound
from florin.ledger.model import AccountType, TransferKind, TrialBalanceLine
from florin.ledger.times.model import BalanceAt, Moment, PeriodClosing, Statement, StatementLine, TimeAxis

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")


class Period(NamedTuple):
    """What a statement is asked for."""

    account_id: UUID
    axis: TimeAxis
    since: datetime
    until: datetime
    known_at: datetime | None


class RecordedPage(NamedTuple):
    """Entries `first_seq` to `last_seq`, none recorded outside `since` to `until`."""

    account_id: UUID
    first_seq: int
    last_seq: int
    since: datetime
    until: datetime


class EffectivePage(NamedTuple):
    """Up to `limit` entries in the order in which they count.

    Ordinary ones from `first_seq` to `last_seq`; dated ones after (`after`, `after_seq`) and before `until`,
    recorded up to `known_seq`.
    """

    account_id: UUID
    first_seq: int
    last_seq: int
    after: datetime
    after_seq: int
    until: datetime
    known_seq: int
    limit: int


class RestatedPage(NamedTuple):
    """Up to `limit` entries after `known_seq`, up to `last_seq`, that count by `effective_at`.

    `last_ordinary`: the last that was recorded by then. `since`: none was recorded before.
    """

    account_id: UUID
    known_seq: int
    last_ordinary: int
    last_seq: int
    effective_at: datetime
    since: datetime
    limit: int


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _encode_moments(items: Sequence[Moment]) -> tuple[Any, ...]:
    return (
        array([item.account_id for item in items]),
        array([_instant(item.effective_at) for item in items]),
        array([_instant(item.known_at) for item in items]),
    )


def _decode_moments(items: Sequence[Moment], rows: list[TupleRow]) -> list[BalanceAt | Exception]:
    answers: list[BalanceAt | Exception] = [AccountNotFound()] * len(items)
    for item, type_, *rest in rows:
        answers[item - 1] = BalanceAt(items[item - 1].account_id, AccountType(type_), *rest)
    return answers


BALANCES_AT: ArrayFunction[Moment, BalanceAt] = ArrayFunction(
    """SELECT item, type, currency, balance, seq, known_seq
       FROM ledger.balances_at(%s, %s::uuid[], %s::timestamptz[], %s::timestamptz[])""",
    _encode_moments,
    _decode_moments,
)
"""Reads past balances: callers of one moment share one query."""


def _decode_statement(items: Sequence[Period], rows: list[TupleRow]) -> list[Statement | Exception]:
    if not rows:
        return [AccountNotFound()]
    (item,) = items
    ((code, name, type_, currency, *figures),) = rows
    return [
        Statement(
            item.account_id,
            code,
            name,
            AccountType(type_),
            currency,
            item.axis,
            item.since,
            item.until,
            item.known_at,
            *figures,
        )
    ]


def _encode_alone(items: Sequence[NamedTuple]) -> tuple[Any, ...]:
    (item,) = items
    return tuple(item)


STATEMENT: ArrayFunction[Period, Statement] = ArrayFunction(
    """SELECT code, name, type, currency, opening_balance, closing_balance, first_seq, last_seq,
              known_seq, dated
       FROM ledger.statement(%s, %s, %s, %s, %s, %s)""",
    _encode_alone,
    _decode_statement,
)
"""Reads a statement without its lines: one at a time."""

_KINDS = {kind.value: kind for kind in TransferKind}


def _decode_lines(items: Sequence[NamedTuple], rows: list[TupleRow]) -> list[list[StatementLine] | Exception]:
    kinds = _KINDS
    return [
        [
            StatementLine(
                seq, transfer_id, kinds[kind], amount, after, recorded_at, effective_at or recorded_at, *rest
            )
            for seq, transfer_id, kind, amount, after, recorded_at, effective_at, *rest in rows
        ]
    ]


RECORDED_PAGE: ArrayFunction[RecordedPage, list[StatementLine]] = ArrayFunction(
    """SELECT seq, transfer_id, kind, amount, balance_after, recorded_at, effective_at, related_id,
              description, correlation_id, metadata
       FROM ledger.lines_recorded(%s, %s, %s, %s, %s, %s)""",
    _encode_alone,
    _decode_lines,
)
"""Reads a page of lines in the order of recording: one page at a time."""


EFFECTIVE_PAGE: ArrayFunction[EffectivePage, list[StatementLine]] = ArrayFunction(
    """SELECT seq, transfer_id, kind, amount, balance_after, recorded_at, effective_at, related_id,
              description, correlation_id, metadata
       FROM ledger.lines_effective(%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
    _encode_alone,
    _decode_lines,
)
"""Reads a page of lines in the order in which they count: one page at a time."""


RESTATED_PAGE: ArrayFunction[RestatedPage, list[StatementLine]] = ArrayFunction(
    """SELECT seq, transfer_id, kind, amount, balance_after, recorded_at, effective_at, related_id,
              description, correlation_id, metadata
       FROM ledger.lines_restated(%s, %s, %s, %s, %s, %s, %s, %s)""",
    _encode_alone,
    _decode_lines,
)
"""Reads what has been added to a moment since it was known: one page at a time."""


async def trial_balance_at(
    connection: Connection, tenant_id: int, *, effective_at: datetime | None, known_at: datetime | None
) -> list[TrialBalanceLine]:
    """Sums of past balances by currency, type and side."""
    rows = _queries.trial_balance_at(
        connection, tenant_id=tenant_id, effective_at=effective_at, known_at=known_at
    )
    return [
        TrialBalanceLine(currency, AccountType(type_), int(debits), int(credits_))
        async for currency, type_, debits, credits_ in rows
    ]


async def due_projections(
    connection: Connection, tenant_id: int, limit: int
) -> tuple[list[UUID], UUID | None, bool]:
    """Accounts to project, the mark to keep once that is done, and whether there are more to look for."""
    accounts, mark, more = await _queries.due_projections(connection, tenant_id=tenant_id, limit=limit)
    return accounts, mark, more


async def project(connection: Connection, tenant_id: int, account_ids: Sequence[UUID], limit: int) -> int:
    """How many entries were taken in, at most `limit` per account."""
    taken: int = await _queries.project(
        connection, tenant_id=tenant_id, account_ids=list(account_ids), limit=limit
    )
    return int(taken)


async def unproject(connection: Connection, tenant_id: int, account_ids: Sequence[UUID]) -> None:
    """Empties the accounts' projections."""
    await _queries.unproject(connection, tenant_id=tenant_id, account_ids=list(account_ids))


async def mark_projected(connection: Connection, tenant_id: int, mark: UUID | None) -> None:
    """Keeps a mark of `due_projections`."""
    await _queries.mark_projected(connection, tenant_id=tenant_id, mark=mark)


async def account_page(
    connection: Connection, tenant_id: int, *, starting_after: UUID | None, limit: int
) -> list[UUID]:
    """Ids of accounts, ascending."""
    rows = _queries.account_page(connection, tenant_id=tenant_id, starting_after=starting_after, limit=limit)
    return [row[0] async for row in rows]


async def account_id_of_code(connection: Connection, tenant_id: int, code: str) -> UUID | None:
    """The id of the account with this code, if there is one."""
    found: UUID | None = await _queries.account_id_of_code(connection, tenant_id=tenant_id, code=code)
    return found


async def close_period(
    connection: Connection, tenant_id: int, closing_id: UUID, closed_before: datetime, name: str
) -> tuple[str | None, datetime | None, datetime]:
    """A refusal or None, how far the books are closed, and when that was."""
    row = await _queries.close_period(
        connection, tenant_id=tenant_id, id=closing_id, closed_before=closed_before, name=name
    )
    refusal, reaches, closed_at = row
    return refusal, reaches, closed_at


async def closings(
    connection: Connection, tenant_id: int, *, limit: int, starting_after: UUID | None
) -> list[PeriodClosing]:
    """Closings, newest first."""
    rows = _queries.closings(connection, tenant_id=tenant_id, starting_after=starting_after, limit=limit)
    return [PeriodClosing(*row) async for row in rows]
