"""What no log may hold, and the search for it.

Tests in every room make their users, customers and keys of these values, where it does not matter which. At
the end of the run all logs of all processes are searched for them, and for whatever has the form of a secret.
"""

import re
from typing import Final

from florin.kernel import redaction

PASSWORD: Final = "Planted-horse-battery-9-staple"
NAME: Final = "Plantagenet Planted"
EMAIL: Final = "planted.person@shop.example"
PHONE: Final = "+27115550188"
IBAN: Final = "DE89370400440532013000"
ACCOUNT_NUMBER: Final = "6200100777"
CARD: Final = "4242424242424242"
CARD_TOKEN: Final = "tok_planted_5d1f0c7e"
ONE_TIME_CODE: Final = "914273"
RECOVERY_CODE: Final = "plnt-7k2m-x9qd"
TOTP_SECRET: Final = "PLANTEDJBSWY3DPEHPK3PXPQQ"
API_KEY: Final = "fl_test_1_PLANTEDplantedPLANTEDplantedPLANTEDplanted0"
REFRESH_TOKEN: Final = "fl_rt_1_PLANTEDplantedPLANTEDplantedPLANTEDplanted0"
CLIENT_SECRET: Final = "fl_cs_test_1_PLANTEDplantedPLANTEDplantedPLANTEDpl0"
JWT: Final = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJwbGFudGVkIn0.cGxhbnRlZHNpZ25hdHVyZQ"
WEBHOOK_SECRET: Final = "whsec_UExBTlRFRHBsYW50ZWRQTEFOVEVEcGxhbnRlZA=="
IDEMPOTENCY_KEY: Final = "planted-idempotency-key"

VALUES: Final = {
    name.lower().replace("_", " "): value
    for name, value in list(globals().items())
    if name.isupper() and isinstance(value, str) and name != "ONE_TIME_CODE"
} | {"secret part of a key": "PLANTEDplantedPLANTEDplanted"}
"""By what they are. The one-time code is searched for where it stands alone: times have six digits too."""

_FORMS: Final = {
    "key or token of ours": re.compile(redaction.KEYS),
    "JWT": re.compile(redaction.JWTS),
    "e-mail address": re.compile(redaction.EMAILS),
    "telephone number": re.compile(redaction.PHONES),
    "password in a connection string": re.compile(r"postgres(?:ql)?://[^@\s:]+:[^@\s*]+@"),
    "one-time code": re.compile(rf"(?<!\d){ONE_TIME_CODE}(?!\d)"),
}


def findings(text: str) -> list[str]:
    """What should not be there, each with the beginning of its line; at most twenty."""
    found: list[str] = []
    for line in text.splitlines():
        kinds = [name for name, value in VALUES.items() if value in line]
        kinds += [name for name, form in _FORMS.items() if form.search(line)]
        if kinds:
            found.append(f"{', '.join(kinds)}: {line[:300]}")
        if len(found) == 20:
            break
    return found
