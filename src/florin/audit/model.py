"""The audit log as data. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

Row = Mapping[str, Any]

PREFIXES: Final[dict[str, str]] = {
    "account": "acct",
    "limit": "lim",
    "user": "user",
    "role": "role",
    "assignment": "asg",
    "legal_hold": "lgh",
}
"""By type of entity: the prefix under which the API shows its UUID. Other ids are shown as they are."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change: who made it, when, from where and why, and what stood there before and after."""

    id: UUID
    seq: int
    """The number in the tenant's chain, from 1 without a gap."""

    at: datetime
    actor: str
    """`key_...`, `cli:...`, `job:...`; `database:<role>` for whoever came past the API."""

    action: str
    """`created`, `changed` or `deleted`; or what a feature calls it."""

    entity_type: str
    entity_id: str
    before: Row | None
    """The row's columns; None: there was none."""

    after: Row | None
    reason: str | None
    address: str | None
    user_agent: str | None
    request_id: str | None
    session_id: str | None

    @property
    def changed(self) -> list[str]:
        """The names of the columns that differ, sorted."""
        before, after = self.before or {}, self.after or {}
        return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


class Fault(StrEnum):
    """What can be wrong with a row of the chain."""

    GAP = "gap"
    """A number is missing before it, or stands twice."""

    PREVIOUS = "previous"
    """It does not name the digest of the row before it."""

    DIGEST = "digest"
    """It is not the row that its digest was made of."""

    HEAD = "head"
    """The chain ends elsewhere than its head says: rows are missing at the end, or were added."""


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """The first row that is not what it was when it was written."""

    fault: Fault
    seq: int
    """The row's number; of HEAD, the number at which the chain should end."""

    id: UUID | None
    """None where there is no row to name."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What walking the chain has shown."""

    rows: int
    broken: BrokenRow | None
    """None: every row is what it was."""
