"""How long a clearing account may take: whole days or hours, as ISO 8601 writes them."""

import re
from datetime import timedelta
from typing import Final

PATTERN: Final = r"^(P[1-9][0-9]{0,3}D|PT[1-9][0-9]{0,3}H)$"
"""`P7D`, `PT36H`. No months: they have no length."""

_DURATION: Final = re.compile(r"P(?:([1-9][0-9]{0,3})D|T([1-9][0-9]{0,3})H)")
_HOUR: Final = timedelta(hours=1)


def parse_duration(text: object) -> timedelta:
    """The time that `P7D` or `PT36H` means. Raises ValueError for anything else."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not days such as P7D, nor hours such as PT36H")
    days, hours = match.groups()
    return timedelta(days=int(days or 0), hours=int(hours or 0))


def duration_text(time: timedelta) -> str:
    """`P7D` of seven days, `PT36H` of one and a half; in seconds, `PT90S`, what is neither."""
    if not time % timedelta(days=1):
        return f"P{time.days}D"
    if not time % _HOUR:
        return f"PT{time // _HOUR}H"
    return f"PT{int(time.total_seconds())}S"
