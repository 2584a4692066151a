"""CSV as it is written, against files that were checked by hand."""

import csv
from io import StringIO

from florin.ledger.reports.render.csv_ import journal_csv, statement_csv, trial_balance_csv
from tests.ledger.reports.render.parts import GOLDEN, JOURNAL, PARTS, TRIAL_ROWS, joined, stream


async def test_a_statement_is_written_as_the_golden_file() -> None:
    written = await joined(statement_csv(stream(PARTS)))
    assert written == (GOLDEN / "statement.csv").read_bytes()


async def test_a_general_ledger_has_the_other_side_in_its_last_column() -> None:
    rows = list(csv.DictReader(StringIO((await joined(statement_csv(stream(PARTS), against=True))).decode())))
    assert {row["row"]: row["against"] for row in rows} == {
        "opening": "",
        "entry": "assets:bank",
        "closing": "",
        "total_opening": "",
        "total": "",
        "total_closing": "",
    }


async def test_no_cell_that_people_wrote_is_a_formula() -> None:
    for chunks in (statement_csv(stream(PARTS)), journal_csv(stream([JOURNAL]))):
        rows = list(csv.DictReader(StringIO((await joined(chunks)).decode())))
        for row in rows:
            for column in ("account", "account_name", "description", "correlation_id"):
                assert not row[column].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


async def test_a_journal_and_a_trial_balance_are_written_as_the_golden_files() -> None:
    assert await joined(journal_csv(stream([JOURNAL]))) == (GOLDEN / "journal.csv").read_bytes()
    assert await joined(trial_balance_csv(stream(TRIAL_ROWS))) == (GOLDEN / "trial_balance.csv").read_bytes()
