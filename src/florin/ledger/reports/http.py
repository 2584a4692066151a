"""Statements, journal, general ledger and trial balance over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response, StreamingResponse

from florin.kernel.clock import now
from florin.kernel.dates import Instant
from florin.kernel.http.call import Call
from florin.kernel.http.problem import problems
from florin.kernel.ids import AccountId, encode_id, new_id
from florin.ledger.http.accounts import ReadAll
from florin.ledger.http.schemas import AccountCode
from florin.ledger.reports import service
from florin.ledger.reports.model import Period, Scope
from florin.ledger.reports.render.camt053 import statement_camt053
from florin.ledger.reports.render.csv_ import journal_csv, statement_csv, trial_balance_csv
from florin.ledger.reports.render.json_ import journal_json, statement_json, trial_balance_json
from florin.ledger.reports.render.pdf import statement_pdf, trial_balance_pdf
from florin.ledger.reports.render.text import Letterhead, file_name
from florin.ledger.reports.schemas import (
    GeneralLedgerResponse,
    JournalResponse,
    PeriodTrialBalanceResponse,
    StatementResponse,
)
from florin.ledger.reports.service import MAX_CAMT053_LINES, MAX_PDF_LINES
from florin.ledger.service import Ledger
from florin.ledger.times.model import TimeAxis
from florin.tenancy.service import Tenancy, get_tenant

router = APIRouter(tags=["Reports"])

JSON: Final = "application/json"
CSV: Final = "text/csv; charset=utf-8; header=present"
XML: Final = "application/xml"
PDF: Final = "application/pdf"


class StatementFormat(StrEnum):
    """How a statement is written."""

    JSON = "json"
    CSV = "csv"
    CAMT053 = "camt053"
    PDF = "pdf"


class TrialBalanceFormat(StrEnum):
    """How a trial balance is written."""

    JSON = "json"
    CSV = "csv"
    PDF = "pdf"


class TableFormat(StrEnum):
    """How journal and general ledger are written: they are too long for paper."""

    JSON = "json"
    CSV = "csv"


class Asked(NamedTuple):
    """What every report is asked for."""

    scope: Scope
    since: datetime
    until: datetime | None
    by: TimeAxis
    known_at: datetime | None


def _asked(
    since: Annotated[Instant, Query(alias="from", description="The beginning of the period.")],
    until: Annotated[
        Instant | None, Query(alias="to", description="Its end, which is not part of it. Default: now.")
    ] = None,
    account: Annotated[AccountId | None, Query(description="Only this account.")] = None,
    under: Annotated[AccountCode | None, Query(description="Only accounts at or below this code.")] = None,
    by: Annotated[
        TimeAxis, Query(description="Which time puts an entry into the period.")
    ] = TimeAxis.RECORDED,
    known_at: Annotated[
        Instant | None, Query(description="As the books were known then: later records are left out.")
    ] = None,
) -> Asked:
    return Asked(Scope(account, None, under), since, until, by, known_at)


Question = Annotated[Asked, Depends(_asked)]


def _also(*media_types: str) -> dict[int | str, dict[str, Any]]:
    content = {
        media_type.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}
        for media_type in media_types
    }
    return {200: {"content": content}, **problems(404)}


async def _open(call: Call, asked: Asked) -> Period:
    return await service.open_report(
        call.rooms[Ledger],
        call.tenant_id,
        asked.scope,
        since=asked.since,
        until=asked.until,
        by=asked.by,
        known_at=asked.known_at,
    )


async def _letterhead(call: Call, asked: Asked, period: Period) -> Letterhead:
    tenant = await get_tenant(call.rooms[Tenancy], call.tenant_id)
    return Letterhead(tenant.name, asked.scope, period, now())


def _sent(
    content: AsyncIterator[bytes] | Iterator[bytes] | bytes,
    media_type: str,
    kind: str,
    asked: Asked,
    period: Period,
    extension: str,
) -> Response:
    """A download; JSON is shown rather than saved."""
    account = None if asked.scope.account_id is None else encode_id("acct", asked.scope.account_id)
    name = file_name(kind, asked.scope.under or account, period, extension)
    headers = {} if media_type == JSON else {"content-disposition": f'attachment; filename="{name}"'}
    if isinstance(content, bytes):
        return Response(content, media_type=media_type, headers=headers)
    return StreamingResponse(content, media_type=media_type, headers=headers)


@router.get(
    "/v1/statements",
    summary="Read statements",
    response_model=StatementResponse,
    responses=_also(CSV, XML, PDF),
)
async def read_statement(
    call: ReadAll, asked: Question, format: StatementFormat = StatementFormat.JSON
) -> Response:
    """Statements of one account, of a subtree or of all: opening balance, entries, closing balance.

    JSON and CSV stream at any length; camt.053.001.08 takes 50,000 lines and PDF 5,000.
    """
    period = await _open(call, asked)
    ledger, tenant_id = call.rooms[Ledger], call.tenant_id
    parts = service.statement(ledger, tenant_id, asked.scope, period)
    match format:
        case StatementFormat.JSON:
            return _sent(statement_json(parts, period), JSON, "statement", asked, period, "json")
        case StatementFormat.CSV:
            return _sent(statement_csv(parts), CSV, "statement", asked, period, "csv")
        case StatementFormat.CAMT053:
            collected = await service.collected(parts, max_lines=MAX_CAMT053_LINES, format="camt053")
            message = statement_camt053(
                collected, await _letterhead(call, asked, period), message_id=new_id().hex[:26]
            )
            return _sent(message, XML, "camt053", asked, period, "xml")
        case StatementFormat.PDF:
            collected = await service.collected(parts, max_lines=MAX_PDF_LINES, format="pdf")
            letterhead = await _letterhead(call, asked, period)
            document = await asyncio.to_thread(statement_pdf, collected, letterhead)
            return _sent(document, PDF, "statement", asked, period, "pdf")


@router.get(
    "/v1/reports/journal", summary="Read the journal", response_model=JournalResponse, responses=_also(CSV)
)
async def read_journal(call: ReadAll, asked: Question, format: TableFormat = TableFormat.JSON) -> Response:
    """All transfers of a period that moved money, with their legs, in the order of the log.

    TimeAxis effective time, those with a time of their own stand at that time.
    """
    period = await _open(call, asked)
    batches = service.journal(call.rooms[Ledger], call.tenant_id, asked.scope, period)
    if format is TableFormat.CSV:
        return _sent(journal_csv(batches), CSV, "journal", asked, period, "csv")
    return _sent(journal_json(batches, period), JSON, "journal", asked, period, "json")


@router.get(
    "/v1/reports/general-ledger",
    summary="Read the general ledger",
    response_model=GeneralLedgerResponse,
    responses=_also(CSV),
)
async def read_general_ledger(
    call: ReadAll, asked: Question, format: TableFormat = TableFormat.JSON
) -> Response:
    """Every account of a period: opening balance, entries and the accounts on their other side, closing."""
    period = await _open(call, asked)
    parts = service.statement(call.rooms[Ledger], call.tenant_id, asked.scope, period, against=True)
    if format is TableFormat.CSV:
        return _sent(statement_csv(parts, against=True), CSV, "general-ledger", asked, period, "csv")
    body = statement_json(parts, period, against=True)
    return _sent(body, JSON, "general-ledger", asked, period, "json")


@router.get(
    "/v1/reports/trial-balance",
    summary="Read the trial balance of a period",
    response_model=PeriodTrialBalanceResponse,
    responses=_also(CSV, PDF),
)
async def read_period_trial_balance(
    call: ReadAll,
    asked: Question,
    depth: Annotated[
        int | None,
        Query(ge=1, le=20, description="Rows are nodes of the chart down to this depth, not accounts."),
    ] = None,
    format: TrialBalanceFormat = TrialBalanceFormat.JSON,
) -> Response:
    """Opening balances, turnover and closing balances, per account or node of the chart.

    Over all accounts, each pair of totals is equal. JSON and CSV stream at any length; PDF takes 5,000 rows,
    and rows by depth are 10,000 at most.
    """
    period = await _open(call, asked)
    rows = await service.trial_balance(call.rooms[Ledger], call.tenant_id, asked.scope, period, depth=depth)
    match format:
        case TrialBalanceFormat.JSON:
            body = trial_balance_json(rows, period)
            return _sent(body, JSON, "trial-balance", asked, period, "json")
        case TrialBalanceFormat.CSV:
            return _sent(trial_balance_csv(rows), CSV, "trial-balance", asked, period, "csv")
        case TrialBalanceFormat.PDF:
            collected = await service.collected_rows(rows, max_lines=MAX_PDF_LINES)
            letterhead = await _letterhead(call, asked, period)
            document = await asyncio.to_thread(trial_balance_pdf, collected, letterhead)
            return _sent(document, PDF, "trial-balance", asked, period, "pdf")
