"""Card numbers (PANs) never come in: a request that holds one is refused, whatever field it is in.

PCI DSS 4.0.1, requirement 3: what is not received need not be protected. Only names and texts are looked
at, not JSON numbers: an amount of sixteen digits is an amount. A number counts as a card's when it has
13 to 19 digits, starts like those of the card networks (ISO/IEC 7812: 2 to 6) and its check digit
(Luhn) is right; spaces, dashes and dots between its groups do not hide it.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from florin.kernel.errors import InvalidRequest

_SHORTEST: Final = 13
_LONGEST: Final = 19
_MAYBE: Final = re.compile(rb"[0-9](?:[ .-]?[0-9]){12}")
_RUN: Final = re.compile(r"\d(?:[\s.\-\u2010-\u2015]?\d){12,}")
_IDS: Final = re.compile(
    r"(?<![0-9a-z])(?=[0-9-]*[a-f])"
    r"(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})"
    r"(?![0-9a-z])",
    re.IGNORECASE,
)
"""UUIDs and digests: one in a thousand holds thirteen digits that would pass for a card's number."""

_GROUP: Final = re.compile(r"\d+")
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


class CardNumberRefused(InvalidRequest):
    """A full card number may not be sent here: send the provider's token of it."""

    code = "card_number_refused"


def refuse_card_numbers(body: bytes) -> None:
    """Raises CardNumberRefused when a text or a name anywhere in this JSON holds a card number.

    Costs one scan where there is no long run of digits. Bytes that are not JSON are searched as text.
    The refusal does not repeat the number.
    """
    if _MAYBE.search(body) is None and body.isascii() and b"\\u" not in body:
        return
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = body.decode("utf-8", "replace")
    for path, text in texts(document):
        if holds_card_number(text):
            raise CardNumberRefused(param=path or None)


def holds_card_number(text: str) -> bool:
    """Whether the text has a card number in it, in whole groups of digits."""
    for run in _RUN.finditer(_IDS.sub(" ", text)):
        groups = _GROUP.findall(run.group())
        for start in range(len(groups)):
            digits = ""
            for group in groups[start:]:
                digits += group
                if len(digits) > _LONGEST:
                    break
                if len(digits) >= _SHORTEST and _is_card_number(digits):
                    return True
    return False


def mask_card_numbers(text: str) -> str:
    """The text with `***` for what may be a card number."""
    return _RUN.sub(lambda run: "***" if holds_card_number(run.group()) else run.group(), text)


def _is_card_number(text: str) -> bool:
    digits = [int(digit) for digit in text]  # int() also reads the digits of other scripts
    if not 2 <= digits[0] <= 6:  # noqa: PLR2004 - the first digits of the card networks
        return False
    return (sum(digits[-1::-2]) + sum(_DOUBLED[digit] for digit in digits[-2::-2])) % 10 == 0


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a JSON document with the path to it; a name is found at its object's path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from texts(item, f"{path}[{position}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield path, name
            yield from texts(item, f"{path}.{name}" if path else name)
