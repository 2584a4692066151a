"""Addresses, numbers and names in the one spelling under which they are kept, found and unique.

Each function takes what somebody typed and raises ValueError with a sentence for him where it is none. The
sentence does not repeat what he typed: it may be personal, or a password in the wrong field.
"""

import re
from typing import Final
from unicodedata import normalize

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

_PHONE_TYPED: Final = re.compile(r"\+?[0-9 ()./-]{3,40}")
_USER_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{2,29}")
_LETTER: Final = re.compile(r"[a-z]")


def normal_email(text: str) -> str:
    """The address in lower case, its domain as IDNA writes it (`xn--...`).

    What stands before the @ has to be ASCII: no gateway reaches other addresses for certain, and letters that
    look alike would make two addresses of one. RFC 5321 would let the case of it matter; nobody does.

    Raises:
        ValueError: it is no address, or its domain is one that no mail reaches (RFC 6761).
    """
    text = text.strip()
    if not text.rpartition("@")[0].isascii():
        raise ValueError("must be an e-mail address with plain letters before the @")
    try:
        found = validate_email(text, check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError:
        raise ValueError("must be an e-mail address, such as ann@shop.example") from None
    return f"{found.local_part}@{found.ascii_domain}".casefold()


def normal_phone(text: str, country: str | None) -> str:
    """The number as E.164 has it: `+27115550100`.

    Args:
        text: international with `+`, or national in that country, with spaces, brackets, dots and hyphens.
        country: ISO 3166-1 alpha-2; None: only international ones are taken.

    Raises:
        ValueError: it is no number, or not as long as numbers there are. Whether somebody answers it, only a
            message shows: numbering plans gain ranges faster than any list of them.
    """
    text = normalize("NFKC", text).strip()
    if not _PHONE_TYPED.fullmatch(text):
        raise ValueError("must be a telephone number: digits, and + in front of the country's code")
    try:
        number = phonenumbers.parse(text, country)
    except NumberParseException as error:
        if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
            raise ValueError("must begin with + and the country's code, such as +27 11 555 0100") from None
        raise ValueError("must be a telephone number, such as +27 11 555 0100") from None
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        raise ValueError("has not the length of a telephone number of its country")
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def normal_user_name(text: str) -> str:
    """The name case-folded, 3 to 30 of a-z, 0-9, dot, underscore and hyphen.

    It has a letter, so that it is never taken for a telephone number.

    Raises:
        ValueError: it has another form.
    """
    name = normalize("NFKC", text).strip().casefold()
    if not _USER_NAME.fullmatch(name) or not _LETTER.search(name):
        raise ValueError(
            "must be 3 to 30 of a-z, 0-9, dot, underscore and hyphen, begin with a letter or a digit, "
            "and have a letter"
        )
    return name
