"""Who may manage whom. Pure: facts in, a refusal or nothing out.

Three rules keep anybody from reaching what he was never given:

- He gives only what he has himself, where he has it.
- He changes only those who may do nothing that he may not: whoever could write himself into a stronger user's
  e-mail address could sign in as that user.
- He assigns nothing to himself, so that what he has until Friday ends on Friday.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from florin.access.people.errors import (
    BeyondOwnPermissions,
    LastAdministrator,
    OwnAssignments,
    UnknownPermission,
    UserStateConflict,
)
from florin.access.people.model import MOVES, User, UserStatus
from florin.kernel.errors import Forbidden, InvalidRequest
from florin.kernel.http.call import Call, PrincipalKind
from florin.kernel.permissions import EVERYTHING, PERMISSIONS, beyond, unknown
from florin.tenancy.errors import UnknownReference

_FARTHEST: Final = timedelta(days=36_500)

Held = tuple[UUID | None, frozenset[str]]
"""A business unit (None: the whole tenant), and the permissions of one role there."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who manages people: what he may do himself, and what he is confined to."""

    name: str
    """`user_...`, `key_...` or `cli:...`."""

    held: frozenset[str]
    """Permissions in the whole tenant."""

    held_in_units: Mapping[UUID, frozenset[str]] = field(default_factory=dict)
    """Permissions in business units, those below included."""

    within: frozenset[UUID] | None = None
    """The units whose people he sees and changes; None: the whole tenant's."""

    partner_id: UUID | None = None
    """He sees and makes this partner's users only."""

    user_id: UUID | None = None
    """Himself, if he is a user."""

    @classmethod
    def of(cls, call: Call) -> "Actor":
        """Whoever calls."""
        who = call.principal
        return cls(
            name=who.name,
            held=who.scopes,
            held_in_units=who.unit_scopes,
            within=call.units,
            partner_id=who.partner_id,
            user_id=who.id if who.kind is PrincipalKind.USER else None,
        )

    def held_at(self, unit_id: UUID | None) -> frozenset[str]:
        """His permissions in a unit (None: in the whole tenant)."""
        return self.held if unit_id is None else self.held | self.held_in_units.get(unit_id, frozenset())


def operator(name: str) -> Actor:
    """Somebody with the `florin` command, who has the database in his hands anyway."""
    return Actor(name, frozenset({EVERYTHING, "platform:*"}))


def sees(actor: Actor, user: User) -> bool:
    """Whether a user is one of his: of his partner, and with roles in his units and nowhere else."""
    if actor.partner_id is not None and user.partner_id != actor.partner_id:
        return False
    if actor.within is None:
        return True
    return bool(user.homes) and all(home in actor.within for home in user.homes)


def check_place(actor: Actor, unit_id: UUID | None) -> None:
    """Refuses a place for a role that is not his to give roles in.

    Raises:
        Forbidden: the whole tenant, for somebody confined to units.
        UnknownReference: a unit that he does not see.
    """
    if actor.partner_id is not None and unit_id is not None:
        raise UnknownReference("no such business unit", param="business_unit_id")
    if actor.within is None:
        return
    if unit_id is None:
        raise Forbidden("you give roles in your business units only", param="business_unit_id")
    if unit_id not in actor.within:
        raise UnknownReference("no such business unit", param="business_unit_id")


def check_gives(actor: Actor, permissions: Iterable[str], unit_id: UUID | None, *, param: str) -> None:
    """Refuses to give what he does not have there. Raises BeyondOwnPermissions."""
    missing = beyond(actor.held_at(unit_id), permissions)
    if missing:
        raise BeyondOwnPermissions(f"you do not have {', '.join(missing)} there yourself", param=param)


def check_not_himself(actor: Actor, user_id: UUID) -> None:
    """Raises OwnAssignments."""
    if actor.user_id == user_id:
        raise OwnAssignments


def check_outranks(actor: Actor, held: Iterable[Held]) -> None:
    """Refuses to change a user who may do more, given the user's roles. Raises BeyondOwnPermissions."""
    for unit_id, permissions in held:
        missing = beyond(actor.held_at(unit_id), permissions)
        if missing:
            raise BeyondOwnPermissions(f"the user may do what you may not: {', '.join(missing)}")


def check_move(user: User, to: UserStatus) -> None:
    """Raises UserStateConflict unless the user can go there."""
    if to not in MOVES[user.status]:
        raise UserStateConflict(f"the user is {user.status}, and cannot become {to}")


def check_permissions(permissions: Collection[str], *, platform: bool) -> tuple[str, ...]:
    """The permissions of a role, sorted and each once.

    Raises:
        UnknownPermission: one that there is not; or one of the platform's in another tenant.
    """
    wrong = unknown(permissions)
    if wrong:
        there_are = ", ".join(sorted(PERMISSIONS))
        raise UnknownPermission(
            f"permissions: there is no {', '.join(wrong)}; there are {there_are}, whole areas such as "
            f"payments:*, and * for all that is a tenant's",
            param="permissions",
        )
    of_platform = sorted({one for one in permissions if one.startswith("platform:")})
    if of_platform and not platform:
        raise UnknownPermission(
            f"permissions: {', '.join(of_platform)} is for the tenant PLATFORM alone", param="permissions"
        )
    return tuple(sorted(set(permissions)))


def check_expiry(expires_at: datetime | None, at: datetime) -> None:
    """Raises InvalidRequest for an expiry in the past, or more than 100 years ahead."""
    if expires_at is not None and not at < expires_at <= at + _FARTHEST:
        raise InvalidRequest("expires_at: between now and 100 years ahead", param="expires_at")


def check_administrators(losing: datetime | None, others: Collection[datetime | None]) -> None:
    """Refuses to take the last tenant administrator of a live tenant away.

    Args:
        losing: when the assignment that is to go would expire by itself; None: never.
        others: the same of the other assignments in force.

    Raises:
        LastAdministrator: none is left; or only such as expire, and this one does not.
    """
    if not others or (losing is None and None not in others):
        raise LastAdministrator
