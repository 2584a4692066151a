"""Use cases of erasure. A person's key is destroyed: what it sealed opens no more, wherever it stands in the
database, the audit log included. The books name people by id and stay whole.
"""

from datetime import datetime
from uuid import UUID

from florin.access.people.assignments import facts_of, keep_administrator
from florin.access.people.errors import UserNotFound
from florin.kernel.clock import now
from florin.kernel.db import Connection
from florin.kernel.ids import new_id
from florin.kernel.provenance import Provenance
from florin.privacy import store
from florin.privacy.errors import (
    AlreadyReleased,
    LegalHoldNotFound,
    MustBeKept,
    PersonErased,
    UnderLegalHold,
)
from florin.privacy.model import Erased, Kind, LegalHold, Subject
from florin.privacy.retention.policy import years_before
from florin.privacy.retention.rules import in_force
from florin.privacy.room import Privacy
from florin.tenancy.errors import CustomerNotFound
from florin.tenancy.model import CALLERS_CHANGED
from florin.tenancy.store import lock_tenant


async def erase(privacy: Privacy, tenant_id: int, kind: Kind, id: UUID, *, by: Provenance) -> Erased:
    """Erases a customer or user: key destroyed, personal columns emptied, sessions and roles ended.

    Locks the tenant for a user, then the subject, then the person. Twice is as once. `by` carries the reason.

    Raises:
        CustomerNotFound, UserNotFound: no such subject.
        UnderLegalHold: a legal hold stands on the person.
        MustBeKept: the tenant keeps people for some years after their last payment or sign-in.
        LastAdministrator: nobody would be left who may manage the tenant.
    """
    kept_years = (await in_force(privacy, tenant_id)).erasure_waits_years
    at = now()
    async with privacy.database.tenant(tenant_id, by=by) as connection:
        if kind is Kind.USER:
            await _keep_administrator(connection, tenant_id, id, at)
        subject = await _locked(connection, tenant_id, kind, id)
        if subject.erased_at is not None:
            return Erased(kind, id, subject.person_id, subject.erased_at)
        if subject.active_at is not None and subject.active_at > years_before(at, kept_years):
            raise MustBeKept(f"this person was active less than {kept_years} years ago, and is kept so long")
        if subject.person_id is not None:
            await store.lock_person(connection, tenant_id, subject.person_id)
            if await store.is_held(connection, tenant_id, subject.person_id):
                raise UnderLegalHold
            await privacy.vault.erase(connection, tenant_id, subject.person_id, by=by.actor)
        await store.empty(connection, tenant_id, subject, at, by.actor)
        await store.record(
            connection,
            tenant_id,
            "erased",
            kind,
            str(id),
            {"person_id": subject.person_id and str(subject.person_id)},
        )
    if kind is Kind.USER:
        privacy.notifier.say(CALLERS_CHANGED, str(tenant_id))
    return Erased(kind, id, subject.person_id, at)


async def place_hold(
    privacy: Privacy, tenant_id: int, kind: Kind, id: UUID, *, reason: str, by: str
) -> LegalHold:
    """Forbids that a person is erased, until it is released. Several may stand.

    Raises:
        CustomerNotFound, UserNotFound: no such subject.
        PersonErased: there is nothing left to hold.
    """
    async with privacy.database.tenant(tenant_id) as connection:
        subject = await _locked(connection, tenant_id, kind, id, param=f"{kind}_id")
        if subject.erased_at is not None:
            raise PersonErased
        person_id = subject.person_id
        if person_id is None:
            person_id = (await privacy.vault.new_person(connection, tenant_id, "customer")).id
            await store.set_customer_person(connection, tenant_id, id, person_id)
        await store.lock_person(connection, tenant_id, person_id)
        customer_id, user_id = (id, None) if kind is Kind.CUSTOMER else (None, id)
        hold = LegalHold(new_id(), person_id, customer_id, user_id, reason, now(), by, None, None)
        await store.insert_hold(connection, tenant_id, hold)
    return hold


async def release_hold(privacy: Privacy, tenant_id: int, hold_id: UUID, *, by: Provenance) -> LegalHold:
    """Ends a legal hold.

    Raises:
        LegalHoldNotFound: no such hold.
        AlreadyReleased: it does not stand any more.
    """
    async with privacy.database.tenant(tenant_id, by=by) as connection:
        released = await store.release_hold(connection, tenant_id, hold_id, now(), by.actor)
        found = await store.holds(connection, tenant_id, id=hold_id)
    if not found:
        raise LegalHoldNotFound
    if not released:
        raise AlreadyReleased
    return found[0]


async def list_holds(
    privacy: Privacy,
    tenant_id: int,
    *,
    subject: tuple[Kind, UUID] | None = None,
    in_force: bool | None = None,
    after: UUID | None = None,
    count: int,
) -> list[LegalHold]:
    """Up to `count` legal holds, newest first; a subject's, or those in force.

    Raises:
        CustomerNotFound, UserNotFound: no such subject.
    """
    async with privacy.database.tenant(tenant_id) as connection:
        person_id = None
        if subject is not None:
            person_id = (await _locked(connection, tenant_id, *subject)).person_id
            if person_id is None:
                return []
        return await store.holds(
            connection, tenant_id, person_id=person_id, in_force=in_force, after=after, count=count
        )


async def _keep_administrator(connection: Connection, tenant_id: int, user_id: UUID, at: datetime) -> None:
    facts = await facts_of(connection, tenant_id)
    await lock_tenant(connection, tenant_id)
    await keep_administrator(connection, tenant_id, facts, at, losing=lambda one: one.user_id == user_id)


async def _locked(
    connection: Connection, tenant_id: int, kind: Kind, id: UUID, *, param: str | None = None
) -> Subject:
    subject = await store.lock_subject(connection, tenant_id, kind, id)
    if subject is None:
        missing = CustomerNotFound if kind is Kind.CUSTOMER else UserNotFound
        raise missing(param=param)
    return subject
