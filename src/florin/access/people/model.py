"""Users, roles and assignments. No I/O. Fields stand in the order in which the queries name columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

TENANT_ADMIN: Final = "tenant_admin"
"""The built-in role of which every live tenant keeps one user..."""

PLATFORM_ADMIN: Final = "platform_admin"
"""... and that of the tenant PLATFORM."""


class UserStatus(StrEnum):
    """A user's states."""

    INVITED = "INVITED"
    """Has not signed in yet."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    """Cannot sign in, and has no permissions meanwhile."""

    DELETED = "DELETED"
    """Stays as a row, because the audit log names it. Its names are free."""


MOVES: Final[Mapping[UserStatus, frozenset[UserStatus]]] = {
    UserStatus.INVITED: frozenset({UserStatus.ACTIVE, UserStatus.DELETED}),
    UserStatus.ACTIVE: frozenset({UserStatus.SUSPENDED, UserStatus.DELETED}),
    UserStatus.SUSPENDED: frozenset({UserStatus.ACTIVE, UserStatus.DELETED}),
    UserStatus.DELETED: frozenset(),
}
"""Where a user can go from each state. The database has the same table: migration 0025."""


@dataclass(frozen=True, slots=True)
class Names:
    """By what a user signs in and is called, normalised: see florin.kernel.contacts."""

    user_name: str | None = None
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    """E.164."""

    @property
    def can_sign_in(self) -> bool:
        """Whether there is one to sign in with."""
        return any((self.user_name, self.email, self.phone))


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who signs in. Personal fields are None too once the person is erased."""

    id: UUID
    person_id: UUID
    partner_id: UUID | None
    """A partner's own user; None: the tenant's."""

    status: UserStatus
    names: Names
    email_verified_at: datetime | None
    phone_verified_at: datetime | None
    created_at: datetime
    created_by: str
    updated_at: datetime
    deleted_at: datetime | None
    homes: tuple[UUID | None, ...]
    """Where he has roles in force: business units, and None for the whole tenant."""


@dataclass(frozen=True, slots=True)
class Role:
    """Permissions under a name: built in, or one of a tenant's own."""

    id: UUID | None
    """None: built in."""

    code: str
    name: str
    description: str
    permissions: tuple[str, ...]
    platform: bool
    """Only for users of the tenant PLATFORM."""

    created_at: datetime | None
    created_by: str | None
    updated_at: datetime | None

    @property
    def built_in(self) -> bool:
        """Whether every tenant has it, and none can change it."""
        return self.id is None


@dataclass(frozen=True, slots=True)
class Assignment:
    """A role that a user has, somewhere and until some time."""

    id: UUID
    user_id: UUID
    role: str
    """The role's code."""

    business_unit_id: UUID | None
    """With all below it; None: the whole tenant."""

    expires_at: datetime | None
    assigned_at: datetime
    assigned_by: str
    ended_at: datetime | None
    ended_by: str | None

    def in_force(self, at: datetime) -> bool:
        """Whether it counts at an instant."""
        return self.ended_at is None and (self.expires_at is None or self.expires_at > at)


@dataclass(frozen=True, slots=True)
class Grant:
    """A role to be given: which, where, until when."""

    role: str
    business_unit_id: UUID | None = None
    expires_at: datetime | None = None
