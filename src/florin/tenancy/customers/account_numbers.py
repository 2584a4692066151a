"""Numbers of bank accounts in the one spelling under which they are kept and found."""

import re
from typing import Final

from florin.kernel.iban import is_iban, looks_like_iban

_FORM: Final = re.compile(r"[A-Z0-9]{4,34}")
_SEPARATORS: Final = str.maketrans("", "", " -")


def normal_account(text: str) -> str:
    """An IBAN or a bank's own number, in capitals and without spaces and hyphens.

    Raises:
        ValueError: it has another form, or is an IBAN whose check digits are wrong.
    """
    number = text.upper().translate(_SEPARATORS)
    if not _FORM.fullmatch(number):
        raise ValueError("must be an IBAN or an account's number of 4 to 34 letters and digits")
    if looks_like_iban(number) and not is_iban(number):
        raise ValueError("is written as an IBAN, and its check digits are wrong")
    return number
