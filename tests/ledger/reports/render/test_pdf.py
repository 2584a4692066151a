"""PDFs, read back: figures, page numbers, headings, and text of any script."""

from io import BytesIO
from itertools import pairwise

from pypdf import PdfReader

from florin.ledger.reports.model import Edges, Part, Section, SectionEnd, Totals, TrialRow, Turnover
from florin.ledger.reports.render.fonts import MAIN, runs_of
from florin.ledger.reports.render.pdf import statement_pdf, trial_balance_pdf
from tests.ledger.reports.render.parts import DOLLARS, LETTERHEAD, PARTS, TRIAL_ROWS, line, totals


def pages(document: bytes) -> list[str]:
    """The text of each page, one piece per line."""
    return [page.extract_text() for page in PdfReader(BytesIO(document)).pages]


def test_a_statement_has_its_figures_and_names() -> None:
    [text] = pages(statement_pdf(PARTS, LETTERHEAD))
    pieces = text.splitlines()
    for piece in (
        *("Statement of account", "Page 1 of 1", "Zażółć & Söhne <ltd>", "wallets:1024  =Wallet of Łukasz"),
        *("Opening balance", "5000.00", "12.34", "4987.66", "2.35", "Closing balance", "4990.01"),
        *("2026-11-02 09:15", "tr_01k9600000e008000000000002", '+SUM(A1), "5% & more" <b>'),
        *("-5", "1000", "995", "0.000", "JPY turnover", "USD closing balances"),
    ):
        assert piece in pieces, piece
    assert "recorded time" in text
    assert "(effective" in text


def test_text_of_other_scripts_is_shown_and_breaks_nothing() -> None:
    [text] = pages(statement_pdf(PARTS, LETTERHEAD))
    assert "Привет" in text
    assert "日本" in text
    assert runs_of("abc ДД") == [(MAIN, "abc ДД")]
    assert [font for font, _ in runs_of("a漢ひ한")] == [
        *(MAIN, "STSong-Light", "HeiseiKakuGo-W5", "HYGothic-Medium")
    ]
    # No font here has Devanagari: the reader sees that something stood there.
    assert runs_of("हि") == [(MAIN, "\N{REPLACEMENT CHARACTER}" * 2)]


def test_a_long_statement_goes_over_pages_that_say_how_many_they_are() -> None:
    count = 200
    section = Section(DOLLARS.head, Edges(0, -count, 0, count, count), Turnover(count, 0, count, 0))
    text = "A description that is too long for one line of its column, and goes on"
    lines = [line(1, 1, -number, f"{text} {number}")._replace(seq=number) for number in range(1, count + 1)]
    parts: list[Part] = [section, lines, SectionEnd(section), totals(section)]
    read = pages(statement_pdf(parts, LETTERHEAD))
    assert len(read) > 3
    for number, page in enumerate(read, start=1):
        assert f"Page {number} of {len(read)}" in page.splitlines()
        assert "Balance" in page.splitlines()
        assert (number == 1) or "wallets:1024 (continued)" in page.splitlines() or "Totals" in page
    seen = [
        int(piece)
        for page in read
        for before, piece in pairwise(page.splitlines())
        if piece.isdigit() and before == "2026-11-01 09:15"
    ]
    assert seen == list(range(1, count + 1))


def test_a_figure_that_is_too_long_for_its_column_stays_in_one_piece() -> None:
    edges = Edges(10**18, 10**18, 0, 0, 0)
    section = Section(DOLLARS.head, edges, Turnover(0, 0, 0, 0))
    [text] = pages(statement_pdf([section, SectionEnd(section), totals(section)], LETTERHEAD))
    assert "10000000000000000.00" in text.splitlines()


def test_a_trial_balance_has_its_rows_and_totals() -> None:
    [text] = pages(trial_balance_pdf(TRIAL_ROWS, LETTERHEAD))
    pieces = text.splitlines()
    for piece in ("Trial balance", "wallets:1024", "assets:yen", "4990.01", "995", "Total", "Opening credit"):
        assert piece in pieces, piece


def test_documents_of_nothing_have_a_page() -> None:
    nothing: list[Part] = [Totals()]
    no_rows: list[TrialRow | Totals] = [Totals()]
    assert len(pages(statement_pdf(nothing, LETTERHEAD))) == 1
    assert len(pages(trial_balance_pdf(no_rows, LETTERHEAD))) == 1
