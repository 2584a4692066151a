"""Reports as JSON streams. Amounts are minor units, as everywhere in the API."""

from collections.abc import AsyncIterator
from typing import Any

import orjson

from florin.kernel.clock import rfc3339
from florin.kernel.ids import encode_id
from florin.ledger.reports.model import (
    JournalTransfer,
    Line,
    Part,
    Period,
    Section,
    SectionEnd,
    Total,
    Totals,
    TrialRow,
)
from florin.ledger.reports.render.text import period_json


async def statement_json(
    parts: AsyncIterator[Part], period: Period, *, against: bool = False
) -> AsyncIterator[bytes]:
    """A StatementResponse; with `against` a GeneralLedgerResponse."""
    yield b'{"period":%s,"accounts":[' % orjson.dumps(period_json(period))
    between_accounts = between_lines = b""
    async for part in parts:
        match part:
            case Section():
                # An object that stays open: its entries follow.
                yield between_accounts + orjson.dumps(_section(part))[:-1] + b',"entries":['
                between_accounts, between_lines = b",", b""
            case SectionEnd():
                yield b"]}"
            case Totals():
                yield b'],"totals":%s}' % orjson.dumps([_total(total) for total in part])
            case list():
                yield between_lines + orjson.dumps([_line(line, against=against) for line in part])[1:-1]
                between_lines = b","


def _section(section: Section) -> dict[str, Any]:
    head = section.head
    return {
        "account": encode_id("acct", head.id),
        "code": head.code,
        "name": head.name,
        "type": head.type,
        "currency": head.currency,
        "opening": section.opening_minor,
        "debits": section.turnover.debits_minor,
        "credits": section.turnover.credits_minor,
        "closing": section.closing_minor,
    }


def _line(line: Line, *, against: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "seq": line.seq,
        "transfer": encode_id("tr", line.transfer_id),
        "kind": line.kind,
        "direction": "debit" if line.amount_minor > 0 else "credit",
        "amount": abs(line.amount_minor),
        "balance": line.balance_minor,
        "recorded_at": rfc3339(line.recorded_at),
        "effective_at": rfc3339(line.effective_at),
        "description": line.description,
        "correlation_id": line.correlation_id,
    }
    return shown | {"against": line.against} if against else shown


def _total(total: Total) -> dict[str, Any]:
    names = (
        "opening_debits",
        "opening_credits",
        "debits",
        "credits",
        "closing_debits",
        "closing_credits",
    )
    return {"currency": total.currency, **dict(zip(names, total.figures_minor, strict=True))}


async def journal_json(batches: AsyncIterator[list[JournalTransfer]], period: Period) -> AsyncIterator[bytes]:
    """A JournalResponse. Its totals come last: they are counted on the way."""
    yield b'{"period":%s,"transfers":[' % orjson.dumps(period_json(period))
    between = b""
    debits: dict[str, int] = {}
    credits_: dict[str, int] = {}
    async for batch in batches:
        for one in batch:
            for leg in one.legs:
                side = debits if leg.amount_minor > 0 else credits_
                side[leg.currency] = side.get(leg.currency, 0) + abs(leg.amount_minor)
        yield between + orjson.dumps([_journal_transfer(one) for one in batch])[1:-1]
        between = b","
    totals = [
        {"currency": currency, "debits": debits.get(currency, 0), "credits": credits_.get(currency, 0)}
        for currency in sorted(debits.keys() | credits_.keys())
    ]
    yield b'],"totals":%s}' % orjson.dumps(totals)


def _journal_transfer(one: JournalTransfer) -> dict[str, Any]:
    return {
        "id": encode_id("tr", one.id),
        "kind": one.kind,
        "recorded_at": rfc3339(one.recorded_at),
        "effective_at": rfc3339(one.effective_at),
        "description": one.description,
        "correlation_id": one.correlation_id,
        "legs": [
            {
                "code": leg.code,
                "name": leg.name,
                "currency": leg.currency,
                "direction": "debit" if leg.amount_minor > 0 else "credit",
                "amount": abs(leg.amount_minor),
            }
            for leg in one.legs
        ],
    }


async def trial_balance_json(rows: AsyncIterator[TrialRow | Totals], period: Period) -> AsyncIterator[bytes]:
    """A PeriodTrialBalanceResponse."""
    yield b'{"period":%s,"rows":[' % orjson.dumps(period_json(period))
    between = b""
    async for row in rows:
        if isinstance(row, Totals):
            yield b'],"totals":%s}' % orjson.dumps([_total(total) for total in row])
        else:
            yield between + orjson.dumps(_trial_row(row))
            between = b","


def _trial_row(row: TrialRow) -> dict[str, Any]:
    return {
        "code": row.code,
        "name": row.name,
        "account": None if row.account_id is None else encode_id("acct", row.account_id),
        "type": row.type,
        **_total(row.total),
    }
