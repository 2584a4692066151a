"""Fonts of the PDF, and which of them has which character.

DejaVu Sans Condensed lies here (LICENSE beside it: it may be embedded and passed on). It has Latin, Greek,
Cyrillic, Armenian, Georgian, Hebrew and Arabic letters. Chinese, Japanese and Korean are set in fonts that
PDF readers bring along, and are not embedded. What none of them has becomes the replacement character: the
reader sees that something stood there, and CSV and JSON have it whole. Hebrew and Arabic are not joined or
turned around.
"""

from functools import cache
from pathlib import Path
from typing import Final

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont

MAIN: Final = "DejaVuSansCondensed"

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_EAST_ASIAN: Final = (
    # First and last code point, and the font: kana, hangul, then what all three write.
    (0x3040, 0x30FF, "HeiseiKakuGo-W5"),
    (0x1100, 0x11FF, "HYGothic-Medium"),
    (0xAC00, 0xD7A3, "HYGothic-Medium"),
    (0x3000, 0x303F, "STSong-Light"),
    (0x3400, 0x9FFF, "STSong-Light"),
    (0xFF01, 0xFF60, "STSong-Light"),
)


@cache
def _main() -> TTFont:
    font = TTFont(MAIN, str(Path(__file__).with_name(f"{MAIN}.ttf")))
    pdfmetrics.registerFont(font)
    for name in sorted({name for _, _, name in _EAST_ASIAN}):
        pdfmetrics.registerFont(UnicodeCIDFont(name))
    return font


@cache
def _font_of(character: str) -> str | None:
    point = ord(character)
    if point in _main().face.charToGlyph:
        return MAIN
    return next((name for first, last, name in _EAST_ASIAN if first <= point <= last), None)


def runs_of(text: str) -> list[tuple[str, str]]:
    """The text cut where the font changes: (font, characters) pairs that have a glyph each."""
    runs: list[tuple[str, str]] = []
    for character in text:
        font = _font_of(character)
        shown = character if font is not None else _REPLACEMENT
        if runs and runs[-1][0] == (font or MAIN):
            runs[-1] = (runs[-1][0], runs[-1][1] + shown)
        else:
            runs.append((font or MAIN, shown))
    return runs


def width_of(text: str, size: float) -> float:
    """How wide the text is, in points."""
    return float(sum(pdfmetrics.stringWidth(part, font, size) for font, part in runs_of(text)))
