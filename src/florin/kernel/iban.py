"""International bank account numbers (ISO 13616): whether a text is one."""

import re
from typing import Final

_FORM: Final = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_MODULUS: Final = 97


def looks_like_iban(number: str) -> bool:
    """Whether it has the form of one: country, two digits, and 11 to 30 more. Capitals, no spaces."""
    return _FORM.fullmatch(number) is not None


def is_iban(number: str) -> bool:
    """Whether the check digits are right too (ISO 7064, MOD 97-10)."""
    if not looks_like_iban(number):
        return False
    return int("".join(str(int(one, 36)) for one in number[4:] + number[:4])) % _MODULUS == 1
