"""What is shown of personal data to those who may not read it: enough to tell one from another.

Three stars stand for whatever is hidden, so that not even its length shows.
"""

from typing import Final

_HIDDEN: Final = "***"
_SHORTEST_LOCAL_PART: Final = 3
_SHORTEST_NUMBER: Final = 8
_SHOWN_DIGITS: Final = 4


def mask_email(email: str) -> str:
    """`a***@shop.example`; of a very short name not even the first letter."""
    local_part, _, domain = email.rpartition("@")
    shown = local_part[:1] if len(local_part) >= _SHORTEST_LOCAL_PART else ""
    return f"{shown}{_HIDDEN}@{domain}"


def mask_phone(phone: str) -> str:
    """`+***0100` of a number in E.164."""
    return f"+{_HIDDEN}{_end_of(phone)}"


def mask_name(name: str) -> str:
    """`A*** S***`: the first letter of each word."""
    return " ".join(f"{word[0]}{_HIDDEN}" for word in name.split()) or _HIDDEN


def mask_account(number: str) -> str:
    """`***6819` of an account's number or IBAN."""
    return f"{_HIDDEN}{_end_of(number)}"


def _end_of(number: str) -> str:
    return number[-_SHOWN_DIGITS:] if len(number) >= _SHORTEST_NUMBER else ""
