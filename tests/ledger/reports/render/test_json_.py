"""JSON that streams is JSON, and what the API says it is."""

import json
from typing import Any

from florin.ledger.reports.model import Part, Totals, TrialRow
from florin.ledger.reports.render.json_ import journal_json, statement_json, trial_balance_json
from florin.ledger.reports.schemas import (
    GeneralLedgerResponse,
    JournalResponse,
    PeriodTrialBalanceResponse,
    StatementResponse,
)
from tests.ledger.reports.render.parts import JOURNAL, PARTS, PERIOD, TRIAL_ROWS, joined, stream


async def test_a_statement_reads_as_its_schema() -> None:
    body: dict[str, Any] = json.loads(await joined(statement_json(stream(PARTS), PERIOD)))
    StatementResponse.model_validate(body)
    assert body["period"] == {
        "from": "2026-11-01T00:00:00Z",
        "to": "2026-12-01T00:00:00Z",
        "by": "recorded",
        "known_at": "2026-12-01T06:30:00.123456Z",
    }
    dollars, yen, dinars = body["accounts"]
    assert (dollars["opening"], dollars["debits"], dollars["credits"], dollars["closing"]) == (
        *(500_000, 1_234, 235, 499_001),
    )
    first = dollars["entries"][0]
    assert (first["direction"], first["amount"], first["balance"]) == ("debit", 1_234, 498_766)
    assert first["description"] == '+SUM(A1), "5% & more" <b>'
    assert [len(account["entries"]) for account in (dollars, yen, dinars)] == [2, 1, 0]
    assert [total["currency"] for total in body["totals"]] == ["JPY", "KWD", "USD"]
    assert body["totals"][0]["opening_credits"] == 5


async def test_batches_of_lines_are_joined() -> None:
    (section, lines, end, *_) = PARTS
    assert isinstance(lines, list)
    parts: list[Part] = [section, lines[:1], lines[1:], end, Totals()]
    body = json.loads(await joined(statement_json(stream(parts), PERIOD)))
    assert [entry["seq"] for entry in body["accounts"][0]["entries"]] == [2, 3]


async def test_a_general_ledger_names_the_other_side() -> None:
    body = json.loads(await joined(statement_json(stream(PARTS), PERIOD, against=True)))
    GeneralLedgerResponse.model_validate(body)
    assert body["accounts"][0]["entries"][0]["against"] == ["assets:bank"]


async def test_a_journal_and_a_trial_balance_read_as_their_schemas() -> None:
    journal = json.loads(await joined(journal_json(stream([JOURNAL, JOURNAL]), PERIOD)))
    JournalResponse.model_validate(journal)
    assert journal["totals"] == [{"currency": "USD", "debits": 2_468, "credits": 2_468}]
    assert len(journal["transfers"]) == 2
    rows: list[TrialRow | Totals] = TRIAL_ROWS
    trial = json.loads(await joined(trial_balance_json(stream(rows), PERIOD)))
    PeriodTrialBalanceResponse.model_validate(trial)
    assert [row["closing_credits"] for row in trial["rows"]] == [499_001, 0]


async def test_reports_of_nothing_are_whole_documents() -> None:
    nothing: list[Part] = [Totals()]
    no_rows: list[TrialRow | Totals] = [Totals()]
    statement = json.loads(await joined(statement_json(stream(nothing), PERIOD)))
    assert (statement["accounts"], statement["totals"]) == ([], [])
    assert json.loads(await joined(journal_json(stream([]), PERIOD)))["transfers"] == []
    assert json.loads(await joined(trial_balance_json(stream(no_rows), PERIOD)))["rows"] == []
