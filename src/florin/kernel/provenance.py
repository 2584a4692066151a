"""Who acts in a transaction, and why: what the database writes into the audit log with each change.

The triggers of migration 0013 read it from the transaction's settings; nothing is passed along by hand.
"""

from dataclasses import dataclass, fields
from typing import Final

from psycopg import AsyncConnection

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


async def set_provenance(connection: AsyncConnection[tuple[object, ...]], by: Provenance) -> None:
    """Gives the present transaction its provenance."""
    said = [(f"app.{field.name}", (getattr(by, field.name) or "")[:_MAX_LENGTH]) for field in fields(by)]
    await connection.execute(
        "SELECT set_config(s.name, s.value, true) FROM unnest(%s::text[], %s::text[]) AS s (name, value)",
        ([name for name, _ in said], [value for _, value in said]),
    )
