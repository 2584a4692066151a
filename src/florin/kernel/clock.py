"""The time. One place, so that nothing else asks the machine for it."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present instant, in UTC."""
    return datetime.now(UTC)


def rfc3339(at: datetime) -> str:
    """`2026-11-20T13:07:41.123456Z`: how the API writes an instant."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
