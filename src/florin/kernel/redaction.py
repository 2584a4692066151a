"""What must not stand in a log: by the name of a field, and by the look of a value inside other text.

What is recognised has a form of its own: keys and tokens of ours, JWTs, e-mail addresses, telephone numbers
with a +, IBANs, card numbers. A bank's own account number, a password or a name has none: they are masked in
fields that are named for them, and code does not put them into sentences.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from florin.kernel.iban import is_iban
from florin.kernel.pan import mask_card_numbers

HIDDEN: Final = "***"

SECRET_NAMES: Final = re.compile(
    r"authorization|cookie|passw|passphrase|secret|token|api[_-]?key|private_?key|idempotency|signature|body|vpa|pan$|cvv"
    r"|otp|one_?time|recovery|jwt|assertion|e_?mail|phone|msisdn|iban"
    r"|account_?number|(?:user|given|family|full)_?name|wrapped|sealed",
    re.IGNORECASE,
)
"""Names of fields whose values are masked whatever they are."""

_ONE_TIME_CODE: Final = re.compile(r"\d{6}")
KEYS: Final = r"\bfl_[a-z]{2,4}_[0-9A-Za-z_-]{6,}|\bwhs[ek]c?_[A-Za-z0-9+/=]{4,}"
JWTS: Final = r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"
EMAILS: Final = r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
PHONES: Final = r"(?<![\w.:+-])\+[1-9](?:[ ().-]{0,2}\d){6,14}(?![\d:])"

_VALUES: Final = re.compile(
    rf"{KEYS}|{JWTS}|postgres(?:ql)?://[^@\s]+@|otpauth://\S+|{EMAILS}|{PHONES}"
    r"|(?<=password=)[^\s&]+|\btok_[A-Za-z0-9_-]+|(?i:(?<=bearer )|(?<=basic ))\S+"
    r"|(?i:(?<=code )|(?<=code: )|(?<=code=))\d{6}\b"
    r"|(?<=\nDETAIL:).*"  # PostgreSQL repeats the row that it refuses
)
_IBANS: Final = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
_PLAIN: Final = (bool, int, float, Decimal, UUID, datetime, date, time, timedelta, type(None))


def redact_text(text: str) -> str:
    """The text with three stars in the place of what opens a door or names a person."""
    return _IBANS.sub(_iban, mask_card_numbers(_VALUES.sub(HIDDEN, text)))


def redact_value(value: Any) -> Any:
    """The same of a value of any kind: containers with all in them, other objects as what they print."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return {str(name): redact_field(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(item) for item in value]
    return redact_text(repr(value))


def redact_field(name: str, value: Any) -> Any:
    """A value under its name."""
    if value is None or isinstance(value, bool):
        return value
    if name.endswith("code") and _ONE_TIME_CODE.fullmatch(str(value)):
        return HIDDEN
    return HIDDEN if SECRET_NAMES.search(name) else redact_value(value)


def _iban(found: re.Match[str]) -> str:
    return HIDDEN if is_iban(found[0].replace(" ", "")) else found[0]
