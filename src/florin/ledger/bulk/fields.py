"""What the texts of a file's fields mean, or why they mean nothing."""

import re
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from florin.kernel.money import MAX_AMOUNT_MINOR
from florin.kernel.pan import holds_card_number
from florin.ledger.model import MAX_BOUND_MINOR

LONGEST: Final = {
    "code": 120,
    "name": 200,
    "description": 500,
    "correlation_id": 255,
    "causation_id": 255,
    "reference": 255,
    "metadata": 20_000,
}
"""Characters, as the API allows them."""

_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_DIGITS: Final = re.compile(r"[0-9](?:[ .-]?[0-9]){12}", re.ASCII)
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


class Misread(Exception):
    """A field of a row is refused."""

    def __init__(self, field: str | None, code: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.code = code
        self.message = message
        self.row: int | None = None
        """Which of several rows, where they belong together."""


def amount_minor(text: str, *, signed: bool = False) -> int:
    """A whole number of minor units, 1 to 10**15; with `signed` 0 and less, too. Raises Misread."""
    if text.isdigit() and text.isascii() and 1 <= (amount := _int(text)) <= MAX_AMOUNT_MINOR:
        return amount
    if signed and _WHOLE.fullmatch(text) and abs(amount := int(text)) <= MAX_AMOUNT_MINOR:
        return amount
    raise Misread(
        "amount",
        "amount_out_of_range",
        f"{text[:40]!r} is not a whole number of minor units "
        f"{f'within {MAX_AMOUNT_MINOR}' if signed else f'from 1 to {MAX_AMOUNT_MINOR}'}",
    )


def _int(text: str) -> int:
    return int(text) if len(text) < 20 else MAX_AMOUNT_MINOR + 1  # noqa: PLR2004 - digits of a bigint


def bound_minor(field: str, text: str) -> int | None:
    """A bound on a balance; "" is none. Raises Misread."""
    if not text:
        return None
    if _WHOLE.fullmatch(text) and abs(bound := int(text)) <= MAX_BOUND_MINOR:
        return bound
    raise Misread(field, "field_malformed", f"{text[:40]!r} is not a whole number within {MAX_BOUND_MINOR}")


def instant(field: str, text: str) -> datetime:
    """RFC 3339 with an offset, or a day, which begins at midnight UTC. Raises Misread."""
    try:
        at = datetime.fromisoformat(text)
        if len(text) == len("2026-11-20"):
            at = at.replace(tzinfo=UTC)
        if at.tzinfo is not None and _EARLIEST <= at < _LATEST:
            return at.astimezone(UTC)
    except ValueError:
        pass  # told below, with everything else that is no instant
    raise Misread(
        field,
        "field_malformed",
        f"{text[:40]!r} is no instant of 1900 to 2200 with an offset, as 2026-11-20T13:07:41Z, nor a day",
    )


def check_text(field: str, text: str) -> None:
    """Raises Misread where a text is too long, holds a NUL or a card number."""
    if len(text) > LONGEST[field]:
        raise Misread(field, "field_malformed", f"{len(text)} characters; {LONGEST[field]} are allowed")
    if "\x00" in text:
        raise Misread(field, "field_malformed", "holds the character NUL")
    if _DIGITS.search(text) and holds_card_number(text):
        raise Misread(field, "card_number_refused", "holds a full card number")


def metadata(text: str) -> dict[str, Any]:
    """A JSON object. Raises Misread."""
    check_text("metadata", text)
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Misread("metadata", "field_malformed", f"not JSON: {error}") from None
    if not isinstance(found, dict) or "\\u0000" in text:
        raise Misread("metadata", "field_malformed", "must be a JSON object without the character NUL")
    return found


def copied(text: str) -> str:
    """The text as COPY reads it (PostgreSQL manual, COPY, text format)."""
    if "\\" in text or "\n" in text or "\t" in text or "\r" in text:
        text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return text
