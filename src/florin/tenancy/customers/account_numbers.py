"""Numbers of bank accounts in the one spelling under which they are kept and found."""

import re
from typing import Final

_FORM: Final = re.compile(r"[A-Z0-9]{4,34}")
_IBAN: Final = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_SEPARATORS: Final = str.maketrans("", "", " -")
_MODULUS: Final = 97


def normal_account(text: str) -> str:
    """An IBAN or a bank's own number, in capitals and without spaces and hyphens.

    Raises:
        ValueError: it has another form, or is an IBAN whose check digits are wrong (ISO 13616).
    """
    number = text.upper().translate(_SEPARATORS)
    if not _FORM.fullmatch(number):
        raise ValueError("must be an IBAN or an account's number of 4 to 34 letters and digits")
    if _IBAN.fullmatch(number) and _remainder(number) != 1:
        raise ValueError("is written as an IBAN, and its check digits are wrong")
    return number


def _remainder(iban: str) -> int:
    """ISO 7064, MOD 97-10: letters count from 10, the first four characters stand last."""
    return int("".join(str(int(one, 36)) for one in iban[4:] + iban[:4])) % _MODULUS
