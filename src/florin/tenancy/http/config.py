"""/v1/config: settings of the tenant and its units, each in force from an instant on."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from florin.kernel.dates import Instant
from florin.kernel.errors import InvalidRequest
from florin.kernel.http.problem import problems
from florin.kernel.ids import BusinessUnitId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.tenancy import configuration
from florin.tenancy.http.fields import Body, Shown, UnitRead, UnitWrite, check_reach
from florin.tenancy.model import SettingType
from florin.tenancy.service import Tenancy

router = APIRouter(prefix="/v1/config", tags=["Configuration"])

_OWN_ENDPOINT = "retention."
"""Settings that are checked elsewhere, against what the platform allows."""

_KEY = r"^[a-z][a-z0-9_.]{0,99}$"
Key = Annotated[str, Path(pattern=_KEY, examples=["fraud.enabled"])]
Unit = Annotated[BusinessUnitId | None, Query(description="As this unit sees it; else the tenant.")]
At = Annotated[Instant | None, Query(description="As of this instant; now if left out.")]


class SettingShown(Shown):
    """A value in force. Encrypted ones are not shown."""

    key: str
    business_unit_id: BusinessUnitId | None = Field(description="Whose value it is; null: the tenant's.")
    type: SettingType
    value: Any = Field(description="A NUMBER is a decimal in a string. Null where encrypted.")
    encrypted: bool
    effective_from: datetime
    created_at: datetime
    created_by: str


class NewValue(Body):
    """A value from an instant on."""

    type: SettingType
    value: Any = Field(
        description='As the type says; a NUMBER is a whole number or a string like "0.25".'
        " Null withdraws the setting.",
        examples=[True],
    )
    encrypted: bool = Field(False, description="Keep the value encrypted; it is never shown again.")
    business_unit_id: BusinessUnitId | None = None
    effective_from: Instant | None = Field(None, description="Now, if left out. Not in the past.")


@router.get("", responses=problems())
async def list_settings(
    call: UnitRead,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[str | None, Query(pattern=_KEY, description="The last item's key.")] = None,
    business_unit_id: Unit = None,
    at: At = None,
) -> Page[SettingShown]:
    """The settings in force, in order of their keys."""
    check_reach(call, business_unit_id)
    settings = await configuration.in_force(
        call.rooms[Tenancy],
        call.tenant_id,
        business_unit_id=business_unit_id,
        at=at,
        after=starting_after,
        count=limit + 1,
    )
    return page(settings, limit, SettingShown.model_validate)


@router.get("/{key}", responses=problems(404))
async def read_setting(
    call: UnitRead, key: Key, business_unit_id: Unit = None, at: At = None
) -> SettingShown:
    """One setting in force."""
    check_reach(call, business_unit_id)
    setting = await configuration.get_setting(
        call.rooms[Tenancy], call.tenant_id, key, business_unit_id=business_unit_id, at=at
    )
    return SettingShown.model_validate(setting)


@router.put("/{key}", responses=problems(409))
async def put_setting(call: UnitWrite, key: Key, body: NewValue) -> SettingShown:
    """Records a value from an instant on. Earlier values stay on record."""
    if key.startswith(_OWN_ENDPOINT):
        raise InvalidRequest("key: rules of retention are set with PUT /v1/retention", param="key")
    check_reach(call, body.business_unit_id)
    setting = await configuration.set_value(
        call.rooms[Tenancy],
        call.tenant_id,
        key,
        type=body.type,
        value=body.value,
        encrypted=body.encrypted,
        business_unit_id=body.business_unit_id,
        effective_from=body.effective_from,
        by=call.principal.name,
    )
    return SettingShown.model_validate(setting)
