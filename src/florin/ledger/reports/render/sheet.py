"""Tables on A4: laid out first, so that every page can say how many there are, then drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final, Literal

from reportlab.lib.pagesizes import A4, landscape
from reportlab.pdfgen.canvas import Canvas

from florin.ledger.reports.render.fonts import runs_of, width_of

_SIZE: Final = 7.5
_HEADING: Final = 10.0
_LEADING: Final = 10.0
_MARGIN: Final = 40.0
_GAP: Final = 6.0
"""Between columns."""

_MAX_CELL_LINES: Final = 4
_TOP: Final = 62.0
"""From the upper edge to the titles of the columns: the page's head stands above."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `width` is its share of the page. What stands at its right (figures) is never broken."""

    title: str
    width: float
    right: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Cells, one per column; `ruled` ones have a line above."""

    cells: tuple[str, ...]
    ruled: bool = False


@dataclass(frozen=True, slots=True)
class Heading:
    """What a group of rows is about: a title and smaller lines. Continued on the next page under `again`."""

    title: str
    lines: tuple[str, ...]
    again: str


Block = Row | Heading


@dataclass(frozen=True, slots=True)
class Sheet:
    """A document: its head stands on every page."""

    title: str
    subtitle: str
    issuer: str
    columns: tuple[Column, ...]
    wide: bool = False


@dataclass(slots=True)
class _Placed:
    """A line of text or of cells at its height on a page."""

    kind: Literal["title", "small", "cells", "rule"]
    y: float
    texts: tuple[str, ...] = ()


@dataclass(slots=True)
class _Layout:
    """Blocks put on pages, from the top down."""

    sheet: Sheet
    width: float
    height: float
    pages: list[list[_Placed]] = field(default_factory=list)
    y: float = 0
    again: str | None = None
    widths: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        share = (self.width - 2 * _MARGIN) / sum(column.width for column in self.sheet.columns)
        self.widths = [column.width * share - _GAP for column in self.sheet.columns]
        self.turn()

    def turn(self) -> None:
        """A new page; a group that goes on says so at its top."""
        self.pages.append([])
        self.y = self.height - _TOP - 2 * _LEADING
        if self.again is not None:
            self._put("small", self.again)

    def add(self, block: Block) -> None:
        """Puts a block where there is room for the whole of it."""
        if isinstance(block, Heading):
            # With the row after it: a heading alone at the foot of a page helps nobody.
            self._make_room(_HEADING + _LEADING * (len(block.lines) + 3), again=None)
            self.y -= _LEADING
            self._put("title", block.title)
            for line in block.lines:
                self._put("small", line)
            self.again = block.again
            return
        wrapped = [
            [text] if column.right else _wrapped(text, width)
            for text, width, column in zip(block.cells, self.widths, self.sheet.columns, strict=True)
        ]
        depth = max(len(lines) for lines in wrapped)
        self._make_room(_LEADING * depth, again=self.again)
        if block.ruled:
            self.pages[-1].append(_Placed("rule", self.y + _LEADING - 2))
        for place in range(depth):
            self._put("cells", *(lines[place] if place < len(lines) else "" for lines in wrapped))

    def _make_room(self, needed: float, *, again: str | None) -> None:
        if self.y - needed < _MARGIN + _LEADING:
            self.again = again
            self.turn()

    def _put(self, kind: Literal["title", "small", "cells"], *texts: str) -> None:
        self.pages[-1].append(_Placed(kind, self.y, texts))
        self.y -= _LEADING + (_HEADING - _SIZE if kind == "title" else 0)


def drawn(sheet: Sheet, blocks: Sequence[Block]) -> bytes:
    """The document as PDF."""
    width, height = landscape(A4) if sheet.wide else A4
    layout = _Layout(sheet, width, height)
    for block in blocks:
        layout.add(block)
    buffer = BytesIO()
    canvas = Canvas(buffer, pagesize=(width, height), pageCompression=1)
    canvas.setTitle(sheet.title)
    canvas.setAuthor(sheet.issuer)
    canvas.setCreator("Florin")
    for number, page in enumerate(layout.pages, start=1):
        _draw_head(canvas, layout, f"Page {number} of {len(layout.pages)}")
        for placed in page:
            _draw(canvas, layout, placed)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _draw_head(canvas: Canvas, layout: _Layout, page_text: str) -> None:
    sheet, right = layout.sheet, layout.width - _MARGIN
    top = layout.height - _MARGIN
    _text(canvas, _MARGIN, top, sheet.title, size=_HEADING)
    _text(canvas, right, top, page_text, right=True)
    _text(canvas, _MARGIN, top - _LEADING - 2, sheet.subtitle)
    _text(canvas, right, top - _LEADING - 2, sheet.issuer, right=True)
    y = layout.height - _TOP - _LEADING / 2
    _cells(canvas, layout, y, tuple(column.title for column in sheet.columns))
    canvas.setLineWidth(0.6)
    canvas.line(_MARGIN, y - 3, right, y - 3)


def _draw(canvas: Canvas, layout: _Layout, placed: _Placed) -> None:
    match placed.kind:
        case "title":
            _text(canvas, _MARGIN, placed.y, placed.texts[0], size=_HEADING)
        case "small":
            _text(canvas, _MARGIN, placed.y, placed.texts[0])
        case "cells":
            _cells(canvas, layout, placed.y, placed.texts)
        case "rule":
            canvas.setLineWidth(0.3)
            canvas.line(_MARGIN, placed.y, layout.width - _MARGIN, placed.y)


def _cells(canvas: Canvas, layout: _Layout, y: float, texts: tuple[str, ...]) -> None:
    x = _MARGIN
    for text, width, column in zip(texts, layout.widths, layout.sheet.columns, strict=True):
        if text:
            # A figure that is too long for its column is set smaller.
            size = min(_SIZE, _SIZE * width / width_of(text, _SIZE)) if column.right else _SIZE
            _text(canvas, x + width if column.right else x, y, text, size=size, right=column.right)
        x += width + _GAP


def _text(canvas: Canvas, x: float, y: float, text: str, *, size: float = _SIZE, right: bool = False) -> None:
    at = x - width_of(text, size) if right else x
    for font, run in runs_of(text):
        canvas.setFont(font, size)
        canvas.drawString(at, y, run)
        at += canvas.stringWidth(run, font, size)


def _wrapped(text: str, width: float) -> list[str]:
    """The text in lines of a width, broken at spaces, within words where it must be; a few lines at most."""
    text = " ".join(text.split())
    if width_of(text, _SIZE) <= width:
        return [text]
    lines: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if width_of(joined, _SIZE) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        *full, line = _broken(word, width)
        lines += full
        if len(lines) > _MAX_CELL_LINES:
            break
    lines.append(line)
    if len(lines) > _MAX_CELL_LINES:
        lines = lines[:_MAX_CELL_LINES]
        lines[-1] = lines[-1][:-1] + "\N{HORIZONTAL ELLIPSIS}"
    return lines


def _broken(word: str, width: float) -> list[str]:
    pieces = [""]
    for character in word:
        if pieces[-1] and width_of(pieces[-1] + character, _SIZE) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces
