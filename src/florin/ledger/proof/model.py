"""What is said about the books when they are proved. No I/O."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that must hold and does not."""

    rule: str
    """The rule's stable name."""

    detail: str
    """What was found, in one sentence."""

    transfer_id: UUID | None = None
    account_id: UUID | None = None
    seq: int | None = None
    """The number of the account's entry."""


def fault_of(
    rule: str, detail: str, transfer_id: str | None, account_id: str | None, seq: int | None
) -> Fault:
    """A fault of its members in JSON."""
    return Fault(
        rule,
        detail,
        None if transfer_id is None else UUID(transfer_id),
        None if account_id is None else UUID(account_id),
        seq,
    )


class LegSum(NamedTuple):
    """A range of the log: its transfers, the entries that they speak of, the sum of these entries' hashes."""

    transfers: int
    entries: int
    total: int
    balanced: bool
    """Whether debits equal credits in each of them."""


class EntrySum(NamedTuple):
    """The entries that some accounts have of a range of the log."""

    part: int
    """Which range: its place among the bounds, from 1; 0 is before the first."""

    entries: int
    total: int
    follows: bool
    """Whether each goes on where the one before it ended."""


class AccountRange(NamedTuple):
    """Some accounts, or some entries of one; each range without its end."""

    from_account: UUID
    to_account: UUID
    from_seq: int
    to_seq: int


class Proven(NamedTuple):
    """What a run of the proof has verified, and the faults that nobody had noted before."""

    transfers: int
    entries: int
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """How the proof of some books stands."""

    transfers: int
    """How many have been verified."""

    entries: int
    last_transfer_id: UUID | None
    """The last transfer that has been verified: it, and all before it."""

    last_recorded_at: datetime | None
    proven_at: datetime | None
    behind_transfers: int
    """How many wait for it, as far as they were counted."""

    behind_s: float
    """How long the first of these has waited; 0: none waits."""

    fault_count: int
    faults: tuple[Fault, ...]
    """What has been found, the first found first; at most a hundred."""
