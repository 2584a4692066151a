"""Use cases of tenancy. Each opens its transaction and names the locks that it takes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from florin.kernel.clock import now
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database, set_tenant
from florin.kernel.errors import InvalidRequest
from florin.kernel.ids import new_id
from florin.kernel.notify import Notifier
from florin.kernel.vault import Vault
from florin.tenancy import store
from florin.tenancy.errors import (
    BusinessUnitNotFound,
    ParentBelowUnit,
    PartnerNotFound,
    PlatformStaysActive,
    TenantNotFound,
    UnknownReference,
)
from florin.tenancy.model import (
    CALLERS_CHANGED,
    PLATFORM,
    BusinessUnit,
    BusinessUnitType,
    Partner,
    Status,
    Tenant,
    TenantDetails,
    TenantStatus,
)

_CODE: Final = re.compile(r"[A-Z][A-Z0-9_-]{1,19}")


@dataclass(frozen=True, slots=True)
class Tenancy:
    """What this room has open."""

    database: Database
    notifier: Notifier
    key_ring: KeyRing
    vault: Vault


async def create_tenant(
    tenancy: Tenancy, code: str, details: TenantDetails, *, status: TenantStatus = TenantStatus.ACTIVE
) -> tuple[Tenant, Tenant]:
    """A new tenant's live and test twin, made together.

    Args:
        code: 2 to 20 of A-Z, 0-9, `_` and `-`, a letter first.
        details: what both twins begin with.
        status: of the live twin. The test twin is active at once: trying needs no approval.

    Raises:
        InvalidRequest: the code has another form.
        TenantCodeTaken: there is such a tenant.
        UnknownReference: money cannot be kept in the currency.
    """
    if not _CODE.fullmatch(code):
        raise InvalidRequest(
            "a tenant's code is 2 to 20 of A-Z, 0-9, _ and -, beginning with a letter", param="code"
        )
    at = now()
    with store.refusing():
        async with tenancy.database.platform() as connection:
            await store.check_currency(connection, details.currency)
            twins = []
            for live in (True, False):
                tenant_id = await store.register(connection, code, live=live)
                await connection.execute(set_tenant(tenant_id))
                await store.insert_tenant(
                    connection, tenant_id, status if live else TenantStatus.ACTIVE, details, at
                )
                twins.append(await store.tenant(connection, tenant_id))
    live_twin, test_twin = twins
    assert live_twin is not None
    assert test_twin is not None
    return live_twin, test_twin


async def list_tenants(tenancy: Tenancy, code: str | None = None) -> list[Tenant]:
    """All tenants, or the twins of one code: each read in its own context."""
    async with tenancy.database.platform() as connection:
        registered = await store.registry(connection, code)
    found = []
    for tenant_id, _, _ in registered:
        async with tenancy.database.tenant(tenant_id) as connection:
            found.append(await store.tenant(connection, tenant_id))
    # A tenant that is registered without details is not one of ours to show (a test's, an import's).
    return [tenant for tenant in found if tenant is not None]


async def tenant_ids(tenancy: Tenancy) -> list[int]:
    """The ids of all twins that are registered."""
    async with tenancy.database.platform() as connection:
        return [tenant_id for tenant_id, _, _ in await store.registry(connection)]


async def get_tenant(tenancy: Tenancy, tenant_id: int) -> Tenant:
    """One twin. Raises TenantNotFound."""
    async with tenancy.database.tenant(tenant_id) as connection:
        found = await store.tenant(connection, tenant_id)
    if found is None:
        raise TenantNotFound
    return found


async def change_tenant(tenancy: Tenancy, tenant_id: int, changes: Mapping[str, Any]) -> Tenant:
    """Changes details of one twin; the row is locked. Status is not among them: see `set_status`.

    Raises:
        TenantNotFound: no such tenant.
        UnknownReference: money cannot be kept in the currency.
    """
    with store.refusing():
        async with tenancy.database.tenant(tenant_id) as connection:
            if "currency" in changes:
                await store.check_currency(connection, changes["currency"])
            await store.update_tenant(connection, tenant_id, changes, now())
    return await get_tenant(tenancy, tenant_id)


async def set_status(
    tenancy: Tenancy, code: str, status: TenantStatus, *, live: bool | None = None
) -> list[Tenant]:
    """The operator's word on a tenant: both twins, or one. Keys feel it within moments.

    Raises:
        TenantNotFound: nobody has this code.
        PlatformStaysActive: it is PLATFORM, whose administrators could not undo it.
    """
    if code == PLATFORM and status is not TenantStatus.ACTIVE:
        raise PlatformStaysActive
    return await _change_twins(tenancy, code, {"status": status}, live=live)


async def set_limits(
    tenancy: Tenancy, code: str, limits: Mapping[str, int | None], *, live: bool | None = None
) -> list[Tenant]:
    """The operator's ceiling over all calls of a tenant: both twins, or one. Felt within moments.

    Args:
        limits: of `limit_per_minute`, `limit_per_hour`, `limit_per_day` those that change; None is the
            platform's default.

    Raises:
        TenantNotFound: nobody has this code.
    """
    return await _change_twins(tenancy, code, limits, live=live)


async def _change_twins(
    tenancy: Tenancy, code: str, changes: Mapping[str, Any], *, live: bool | None
) -> list[Tenant]:
    twins = [t for t in await list_tenants(tenancy, code) if live is None or t.live == live]
    if not twins:
        raise TenantNotFound(f"there is no tenant {code}")
    async with tenancy.database.platform() as connection:
        for twin in twins:
            await connection.execute(set_tenant(twin.tenant_id))
            await store.update_tenant(connection, twin.tenant_id, changes, now())
    for twin in twins:
        tenancy.notifier.say(CALLERS_CHANGED, str(twin.tenant_id))
    return [await get_tenant(tenancy, twin.tenant_id) for twin in twins]


async def create_business_unit(
    tenancy: Tenancy, tenant_id: int, *, name: str, type: BusinessUnitType, parent_id: UUID | None
) -> BusinessUnit:
    """A new unit, on top or below a parent. Locks the tenant, so that the tree stands still.

    Raises:
        UnknownReference: no such parent.
        TreeTooDeep: the parent is on the tenth level.
    """
    at = now()
    with store.refusing():
        async with tenancy.database.tenant(tenant_id) as connection:
            await store.lock_tenant(connection, tenant_id)
            level = 1
            if parent_id is not None:
                parent = await store.business_unit(connection, tenant_id, parent_id)
                if parent is None:
                    raise UnknownReference("no such business unit", param="parent_id")
                level = parent.level + 1
            unit = BusinessUnit(new_id(), name, type, Status.ACTIVE, parent_id, level, at, at)
            await store.insert_business_unit(connection, tenant_id, unit)
    tenancy.notifier.say(CALLERS_CHANGED, str(tenant_id))  # who may do what above, may do it here
    return unit


async def get_business_unit(tenancy: Tenancy, tenant_id: int, unit_id: UUID) -> BusinessUnit:
    """One unit. Raises BusinessUnitNotFound."""
    async with tenancy.database.tenant(tenant_id) as connection:
        unit = await store.business_unit(connection, tenant_id, unit_id)
    if unit is None:
        raise BusinessUnitNotFound
    return unit


async def change_business_unit(
    tenancy: Tenancy, tenant_id: int, unit_id: UUID, changes: Mapping[str, Any]
) -> BusinessUnit:
    """Changes name, type, status, or moves the unit and all below it (`parent_id`; None: to the top).

    Locks the tenant: two moves at once could otherwise each be right and together make a ring.

    Raises:
        BusinessUnitNotFound: no such unit.
        UnknownReference: no such parent.
        ParentBelowUnit: the parent is the unit itself or stands below it.
        TreeTooDeep: some unit would come to stand below the tenth level.
    """
    at = now()
    with store.refusing():
        async with tenancy.database.tenant(tenant_id) as connection:
            await store.lock_tenant(connection, tenant_id)
            unit = await store.business_unit(connection, tenant_id, unit_id)
            if unit is None:
                raise BusinessUnitNotFound
            changed = replace(unit, **{**changes, "updated_at": at})
            await store.update_business_unit(connection, tenant_id, changed, at)
            if changed.parent_id != unit.parent_id:
                level = 1
                below = await store.subtree(connection, tenant_id, unit_id)
                if changed.parent_id is not None:
                    parent = await store.business_unit(connection, tenant_id, changed.parent_id)
                    if parent is None:
                        raise UnknownReference("no such business unit", param="parent_id")
                    if parent.id in below:
                        raise ParentBelowUnit(param="parent_id")
                    level = parent.level + 1
                await store.move_subtree(
                    connection, tenant_id, unit_id, changed.parent_id, list(below), level - unit.level, at
                )
                changed = replace(changed, level=level)
    tenancy.notifier.say(CALLERS_CHANGED, str(tenant_id))
    return changed


async def list_business_units(
    tenancy: Tenancy,
    tenant_id: int,
    *,
    parent_id: UUID | None = None,
    only: frozenset[UUID] | None = None,
    status: Status | None = None,
    after: UUID | None = None,
    count: int,
) -> list[BusinessUnit]:
    """Up to `count` units, newest first, `after` one of them; `only`: of these."""
    async with tenancy.database.tenant(tenant_id) as connection:
        return await store.business_units(
            connection, tenant_id, parent_id=parent_id, only=only, status=status, after=after, count=count
        )


async def create_partner(
    tenancy: Tenancy,
    tenant_id: int,
    *,
    name: str,
    email: str,
    metadata: Mapping[str, str] | None = None,
    limit_per_minute: int | None = None,
    limit_per_hour: int | None = None,
    limit_per_day: int | None = None,
) -> Partner:
    """A new partner. Raises EmailTaken."""
    at = now()
    partner = Partner(
        id=new_id(),
        name=name,
        email=email.lower(),
        status=Status.ACTIVE,
        metadata=dict(metadata or {}),
        limit_per_minute=limit_per_minute,
        limit_per_hour=limit_per_hour,
        limit_per_day=limit_per_day,
        created_at=at,
        updated_at=at,
        deleted_at=None,
    )
    with store.refusing():
        async with tenancy.database.tenant(tenant_id) as connection:
            await store.insert_partner(connection, tenant_id, partner)
    return partner


async def get_partner(tenancy: Tenancy, tenant_id: int, partner_id: UUID) -> Partner:
    """One partner that is not deleted. Raises PartnerNotFound."""
    async with tenancy.database.tenant(tenant_id) as connection:
        partner = await store.partner(connection, tenant_id, partner_id)
    if partner is None or partner.deleted_at is not None:
        raise PartnerNotFound
    return partner


async def list_partners(
    tenancy: Tenancy,
    tenant_id: int,
    *,
    only: UUID | None = None,
    status: Status | None = None,
    after: UUID | None = None,
    count: int,
) -> list[Partner]:
    """Up to `count` partners that are not deleted, newest first; `only`: the one that asks."""
    async with tenancy.database.tenant(tenant_id) as connection:
        return await store.partners(connection, tenant_id, only=only, status=status, after=after, count=count)


async def change_partner(
    tenancy: Tenancy, tenant_id: int, partner_id: UUID, changes: Mapping[str, Any]
) -> Partner:
    """Changes a partner; its row is locked. Its keys feel a change of status within moments.

    Raises:
        PartnerNotFound: no such partner, or deleted.
        EmailTaken: another partner has the address.
    """
    at = now()
    with store.refusing():
        async with tenancy.database.tenant(tenant_id) as connection:
            partner = await store.lock_partner(connection, tenant_id, partner_id)
            if partner is None:
                raise PartnerNotFound
            changed = replace(partner, **{**changes, "updated_at": at})
            changed = replace(changed, email=changed.email.lower())
            await store.update_partner(connection, tenant_id, changed, at)
    tenancy.notifier.say(CALLERS_CHANGED, str(tenant_id))
    return changed


async def delete_partner(tenancy: Tenancy, tenant_id: int, partner_id: UUID) -> None:
    """Marks a partner deleted: its keys stop, its past stays. Raises PartnerNotFound."""
    await change_partner(tenancy, tenant_id, partner_id, {"deleted_at": now(), "status": Status.INACTIVE})
