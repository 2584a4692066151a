"""/v1/events: everything that webhooks tell, to be read again."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from florin.kernel.events import public_event
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import EventId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page
from florin.payments import store
from florin.payments.errors import EventNotFound
from florin.payments.http.answers import json, json_page
from florin.payments.room import Payments
from florin.payments.views import EventView

router = APIRouter(prefix="/v1/events", tags=["Events"])

Read = Annotated[Call, Depends(requires("events:read"))]


@router.get("", summary="List events", response_model=Page[EventView], responses=problems())
async def list_events(
    call: Read,
    type: Annotated[
        str | None, Query(max_length=100, pattern=r"^[a-z_]+(\.[a-z_]+)+$", examples=["payment.completed"])
    ] = None,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[EventId | None, Query(description="The last event of the page before.")] = None,
) -> Response:
    """Events, newest first."""
    async with call.rooms[Payments].database.tenant(call.tenant_id) as connection:
        rows = await store.events_page(
            connection,
            tenant_id=call.tenant_id,
            partner_id=call.principal.partner_id,
            type=type,
            object_id=None,
            starting_after=starting_after,
            limit=limit + 1,
        )
    return json_page(rows, limit, public_event)


@router.get("/{event_id}", summary="Read an event", response_model=EventView, responses=problems(404))
async def read(call: Read, event_id: EventId) -> Response:
    """One event."""
    async with call.rooms[Payments].database.tenant(call.tenant_id) as connection:
        row = await store.event(connection, call.tenant_id, event_id, call.principal.partner_id)
    if row is None:
        raise EventNotFound
    return json(public_event(row))
