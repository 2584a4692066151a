"""/v1/monitors."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from florin.kernel.http.problem import problems
from florin.kernel.ids import AccountId, MonitorId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.ledger.http.accounts import Read, Write
from florin.ledger.monitors import service, views
from florin.ledger.monitors.model import NewMonitor
from florin.ledger.monitors.views import MonitorChange, MonitorResponse, NewMonitorRequest
from florin.ledger.service import Ledger

router = APIRouter(prefix="/v1/monitors", tags=["Monitors"])


@router.post(
    "",
    status_code=201,
    summary="Watch a balance",
    response_model=MonitorResponse,
    responses=problems(404, 409),
)
async def create_monitor(call: Write, body: NewMonitorRequest) -> Any:
    """Makes a `balance_monitor.triggered` whenever the condition begins to hold, from now on, and a
    `balance_monitor.cleared` when it ceases to, once each. The answer says whether it holds already."""
    made = await service.create_monitor(
        call.rooms[Ledger],
        call.tenant_id,
        NewMonitor(
            account_id=body.account,
            name=body.name,
            metric=body.metric,
            comparison=body.comparison,
            threshold_minor=body.threshold,
        ),
        call.provenance(body.reason),
    )
    return views.monitor(made)


@router.get("", summary="List monitors", responses=problems())
async def list_monitors(
    call: Read,
    account: Annotated[AccountId | None, Query(description="Only those that look at this account.")] = None,
    active: Annotated[bool | None, Query(description="Only those that are active, or that are not.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    starting_after: MonitorId | None = None,
) -> Page[MonitorResponse]:
    """Monitors, newest first, each with how it stands now."""
    found = await service.monitors(
        call.rooms[Ledger],
        call.tenant_id,
        limit=limit + 1,
        account_id=account,
        active=active,
        starting_after=starting_after,
    )
    return page(found, limit, lambda one: MonitorResponse(**views.monitor(one)))


@router.get(
    "/{monitor_id}", summary="Read a monitor", response_model=MonitorResponse, responses=problems(404)
)
async def read_monitor(call: Read, monitor_id: MonitorId) -> Any:
    """The monitor, and whether its condition holds now."""
    return views.monitor(await service.monitor(call.rooms[Ledger], call.tenant_id, monitor_id))


@router.patch(
    "/{monitor_id}", summary="Change a monitor", response_model=MonitorResponse, responses=problems(404, 409)
)
async def change_monitor(call: Write, monitor_id: MonitorId, body: MonitorChange) -> Any:
    """Changes name or threshold, or ends and resumes it with `active`. A change itself makes no event."""
    changed = await service.change_monitor(
        call.rooms[Ledger],
        call.tenant_id,
        monitor_id,
        call.provenance(body.reason),
        name=body.name,
        threshold_minor=body.threshold,
        active=body.active,
    )
    return views.monitor(changed)
