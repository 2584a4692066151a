"""/v1/partners: who calls the API. A partner's key sees itself; the tenant's keys see and change all."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from florin.kernel.http.problem import problems
from florin.kernel.ids import PartnerId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.tenancy import service
from florin.tenancy.errors import PartnerNotFound
from florin.tenancy.http.fields import (
    Body,
    CallsPerPeriod,
    Email,
    Metadata,
    Read,
    Shown,
    TenantWrite,
    Text,
    absent,
)
from florin.tenancy.model import Status
from florin.tenancy.service import Tenancy

router = APIRouter(prefix="/v1/partners", tags=["Partners"])


class PartnerShown(Shown):
    """A partner. The limits are a ceiling over all its keys together, and a new key's. Null: no ceiling."""

    id: PartnerId
    name: str
    email: str
    status: Status
    metadata: dict[str, str]
    limit_per_minute: int | None
    limit_per_hour: int | None
    limit_per_day: int | None
    created_at: datetime
    updated_at: datetime


class NewPartner(Body):
    """A partner to be made."""

    name: Text = Field(examples=["Shop Ltd"])
    email: Email
    metadata: Metadata = Field(default_factory=dict)
    limit_per_minute: CallsPerPeriod | None = None
    limit_per_hour: CallsPerPeriod | None = None
    limit_per_day: CallsPerPeriod | None = None


class PartnerChanges(Body):
    """What to change. A partner that is not ACTIVE is refused with 403 within moments."""

    name: Text = Field(default_factory=absent)
    email: Email = Field(default_factory=absent)
    status: Status = Field(default_factory=absent)
    metadata: Metadata = Field(default_factory=absent, description="Replaces all metadata.")
    limit_per_minute: CallsPerPeriod | None = None
    limit_per_hour: CallsPerPeriod | None = None
    limit_per_day: CallsPerPeriod | None = None


@router.post("", status_code=201, responses=problems(409))
async def create_partner(call: TenantWrite, body: NewPartner) -> PartnerShown:
    """Makes a partner. Give it a key with POST /v1/api-keys."""
    partner = await service.create_partner(call.rooms[Tenancy], call.tenant_id, **body.given())
    return PartnerShown.model_validate(partner)


@router.get("", responses=problems())
async def list_partners(
    call: Read,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[PartnerId | None, Query()] = None,
    status: Annotated[Status | None, Query()] = None,
) -> Page[PartnerShown]:
    """Partners, newest first."""
    partners = await service.list_partners(
        call.rooms[Tenancy],
        call.tenant_id,
        only=call.principal.partner_id,
        status=status,
        after=starting_after,
        count=limit + 1,
    )
    return page(partners, limit, PartnerShown.model_validate)


@router.get("/{partner_id}", responses=problems(404))
async def read_partner(call: Read, partner_id: PartnerId) -> PartnerShown:
    """One partner."""
    if call.principal.partner_id not in (None, partner_id):
        raise PartnerNotFound
    partner = await service.get_partner(call.rooms[Tenancy], call.tenant_id, partner_id)
    return PartnerShown.model_validate(partner)


@router.patch("/{partner_id}", responses=problems(404, 409))
async def patch_partner(call: TenantWrite, partner_id: PartnerId, body: PartnerChanges) -> PartnerShown:
    """Changes a partner."""
    partner = await service.change_partner(call.rooms[Tenancy], call.tenant_id, partner_id, body.given())
    return PartnerShown.model_validate(partner)


@router.delete("/{partner_id}", status_code=204, responses=problems(404))
async def delete_partner(call: TenantWrite, partner_id: PartnerId) -> None:
    """Deletes a partner: its keys stop; its payments, customers and events stay."""
    await service.delete_partner(call.rooms[Tenancy], call.tenant_id, partner_id)
