"""People as privacy sees them. No I/O."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Kind(StrEnum):
    """What a person is here."""

    CUSTOMER = "customer"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Subject:
    """A customer or a user, and the person whose key seals what is personal of them."""

    kind: Kind
    id: UUID
    person_id: UUID | None
    """None: a customer of whom nothing was ever sealed."""

    erased_at: datetime | None
    active_at: datetime | None
    """The last payment of a customer, the last sign-in of a user."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased, and when."""

    kind: Kind
    id: UUID
    person_id: UUID | None
    erased_at: datetime


@dataclass(frozen=True, slots=True)
class LegalHold:
    """Why a person's data have to stay."""

    id: UUID
    person_id: UUID
    customer_id: UUID | None
    user_id: UUID | None
    reason: str
    placed_at: datetime
    placed_by: str
    released_at: datetime | None
    released_by: str | None
