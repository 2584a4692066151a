"""The audit log as data. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypedDict
from uuid import UUID

Row = Mapping[str, Any]

READ: Final = "read"
"""The action of what changed nothing: something privileged was shown."""

PREFIXES: Final[dict[str, str]] = {
    "account": "acct",
    "api_key": "key",
    "assignment": "asg",
    "audit": "aud",
    "business_unit": "bu",
    "customer": "cus",
    "endpoint": "we",
    "import": "imp",
    "limit": "lim",
    "monitor": "mon",
    "partner": "ptnr",
    "person": "prs",
    "role": "role",
    "session": "ses",
    "user": "user",
    "legal_hold": "lgh",
}
"""By type of entity: the prefix under which the API shows its UUID. Other ids are shown as they are."""

TYPES: Final[dict[str, str]] = {prefix: entity_type for entity_type, prefix in PREFIXES.items()}


class Filters(TypedDict, total=False):
    """Which entries are asked for; what is missing or None does not matter."""

    entity_type: str | None
    entity_id: str | None
    """As the API shows it (`acct_...`) or as the row has it."""

    actor: str | None
    action: str | None
    request_id: str | None
    session_id: str | None
    address: str | None
    field: str | None
    """A column that differs between before and after."""

    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change: who made it, when, from where and why, and what stood there before and after."""

    id: UUID
    seq: int
    """The number in the tenant's chain, from 1 without a gap."""

    at: datetime
    actor: str
    """`key_...`, `user_...`, `cli:...`, `job:...`; `database:<role>` for whoever came past the API."""

    action: str
    """`created`, `changed`, `deleted`, `read`; or what a feature calls it."""

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
        """The names of the columns that differ, sorted. A read changes none."""
        if self.action == READ:
            return []
        before, after = self.before or {}, self.after or {}
        return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


@dataclass(frozen=True, slots=True)
class ChainedEntry:
    """An entry with what chains it: the digests of the row before it and of its own."""

    entry: AuditEntry
    previous: bytes
    digest: bytes


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

    START = "start"
    """The chain begins elsewhere than its last pruning says: rows are missing at the beginning."""

    ANCHOR = "anchor"
    """It is not the row that was kept elsewhere: the log was written anew."""


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """The first row that is not what it was when it was written."""

    fault: Fault
    seq: int
    """The row's number; of HEAD and START, the number at which the chain should end or begin."""

    id: UUID | None
    """None where there is no row to name."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What walking the chain has shown."""

    rows: int
    broken: BrokenRow | None
    """None: every row is what it was."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends, and where it begins since its beginning was removed."""

    seq: int
    digest: bytes
    pruned_seq: int
    """The last number that was removed; 0: none was."""

    pruned_digest: bytes
    """What the first row that remains follows on."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a chain has been walked: the last row that was whole."""

    seq: int
    id: UUID
    digest: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """The end of a chain at some moment, to be kept where nobody who can write the log can write."""

    seq: int
    digest: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One change of the database's schema."""

    id: UUID
    at: datetime
    login: str
    """Who was connected."""

    role: str
    """As whom."""

    application: str | None
    address: str | None
    """None: over a local socket."""

    command: str
    object_type: str | None
    object: str | None
    statement: str | None
    """Its beginning, without literals and comments."""

    reason: str | None
    """The migration, for one."""
