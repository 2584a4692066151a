"""Who acts in a transaction, and why: what the database writes into the audit log with each change.

The triggers of migration 0013 read it from the transaction's settings. The gate says once per request who
acts, a job and the command line say it once for all they do, and every transaction of a tenant that is opened
meanwhile carries it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from typing import Any, Final

_MAX_LENGTH: Final = 500
"""What a client says about itself is kept no longer than this."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Whom a change is put down to. Unset: the database's role, as for whoever comes past the API."""

    actor: str
    """`key_01...`, `job:ledger.prove`, `cli:<login>`."""

    reason: str | None = None
    address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    session_id: str | None = None


Acting = Callable[[], Provenance]

_acting: ContextVar[Acting | None] = ContextVar("florin_acting", default=None)


def acting() -> Provenance | None:
    """Who acts here and now, if somebody has said so."""
    who = _acting.get()
    return None if who is None else who()


@contextmanager
def acting_as(who: Acting) -> Iterator[None]:
    """Says who acts within the block, and in tasks that it starts. Asked only where something is changed."""
    token = _acting.set(who)
    try:
        yield
    finally:
        _acting.reset(token)


def words_of(by: Provenance) -> dict[str, str | None]:
    """What the audit log keeps of it, by name: bounded, and without characters that rule terminals."""
    return {one.name: clean(getattr(by, one.name)) for one in fields(by)}


def clean(text: str | None) -> str | None:
    """At most 500 characters, those that cannot be printed replaced; None of nothing."""
    if not text:
        return None
    text = text[:_MAX_LENGTH]
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def settings_of(by: Provenance) -> dict[str, Any]:
    """The transaction's settings that say so, by their names."""
    return {f"app.{name}": word or "" for name, word in words_of(by).items()}
