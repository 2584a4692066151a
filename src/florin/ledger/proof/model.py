"""What is said about the books when they are proved. No I/O."""

from dataclasses import dataclass
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
