"""/v1/usage: what the tenant used, by day."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from florin.kernel.clock import now
from florin.kernel.dates import Day
from florin.kernel.errors import InvalidRequest
from florin.kernel.http.problem import problems
from florin.tenancy.http.fields import Shown, TenantRead
from florin.tenancy.model import Metric
from florin.tenancy.service import Tenancy
from florin.tenancy.usage import get_usage

router = APIRouter(prefix="/v1/usage", tags=["Tenant"])

MAX_DAYS = 366
DEFAULT_DAYS = 30


class UsageShown(Shown):
    """One metric of one day (UTC). Storage is in bytes and estimated; the others are counts."""

    day: date
    metric: Metric
    value: int


class UsageList(BaseModel):
    """Days without use are left out."""

    data: list[UsageShown]


@router.get("", responses=problems())
async def read_usage(
    call: TenantRead,
    first: Annotated[Day | None, Query(description="First day; 30 days back if left out.")] = None,
    last: Annotated[Day | None, Query(description="Last day; today if left out.")] = None,
    metric: Annotated[Metric | None, Query()] = None,
) -> UsageList:
    """Daily usage between two days, both included, oldest first."""
    end = last or now().date()
    start = first or max(date.min, end - timedelta(days=min(DEFAULT_DAYS, end.toordinal() - 1)))
    if not 0 <= (end - start).days < MAX_DAYS:
        raise InvalidRequest(
            f"first: between `last` and {MAX_DAYS - 1} days before it, not {start}", param="first"
        )
    found = await get_usage(call.rooms[Tenancy], call.tenant_id, start, end, metric)
    return UsageList(data=[UsageShown.model_validate(usage) for usage in found])
