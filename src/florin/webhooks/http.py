"""Endpoints and deliveries over HTTP: parse, call one use case, render."""

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, status

from florin.kernel.clock import now
from florin.kernel.errors import InvalidRequest
from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import DeliveryId, EndpointId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.webhooks import service
from florin.webhooks.model import DeliveryStatus, EndpointStatus
from florin.webhooks.policy import RETRY_DELAYS_S
from florin.webhooks.service import EndpointSettings, Webhooks
from florin.webhooks.views import (
    DeliveryView,
    DeliveryWithAttempts,
    EndpointChanges,
    EndpointView,
    EndpointWithSecret,
    NewEndpoint,
    NewReplay,
    ReplayView,
    SecretRotation,
    SecretView,
    attempt_view,
)

router = APIRouter(prefix="/v1", tags=["Webhooks"])

Reader = Annotated[Call, Depends(requires("webhooks:read"))]
Writer = Annotated[Call, Depends(requires("webhooks:write"))]

REPLAY_HORIZON: Final = timedelta(days=30)


@router.post(
    "/webhook-endpoints",
    status_code=status.HTTP_201_CREATED,
    responses=problems(409),
    description="The answer shows the secret, this once. A webhook that fails is sent again after "
    + ", ".join(f"{delay:,} s" for delay in RETRY_DELAYS_S)
    + ", each a tenth more or less.",
)
async def create_endpoint(call: Writer, body: NewEndpoint) -> EndpointWithSecret:
    """Makes an endpoint. The answer shows its secret, this once."""
    partner_id = call.principal.partner_id
    _check_include_partners(call, body.include_partners)
    endpoint, secret = await service.create_endpoint(
        call.rooms[Webhooks], call.tenant_id, partner_id, EndpointSettings(**body.model_dump())
    )
    return EndpointWithSecret(**EndpointView.model_validate(endpoint).model_dump(), secret=secret)


def _check_include_partners(call: Call, wish: object) -> None:
    if wish and call.principal.partner_id is not None:
        raise InvalidRequest(
            "include_partners: only the tenant's own endpoints hear its partners' events",
            param="include_partners",
        )


@router.get("/webhook-endpoints", responses=problems())
async def list_endpoints(
    call: Reader,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[EndpointId | None, Query()] = None,
) -> Page[EndpointView]:
    """Endpoints, newest first, disabled ones included."""
    rows = await service.list_endpoints(
        call.rooms[Webhooks], call.tenant_id, call.principal.partner_id, starting_after, limit + 1
    )
    return page(rows, limit, EndpointView.model_validate)


@router.get("/webhook-endpoints/{endpoint_id}", responses=problems(404))
async def get_endpoint(call: Reader, endpoint_id: EndpointId) -> EndpointView:
    """One endpoint."""
    return EndpointView.model_validate(
        await service.get_endpoint(
            call.rooms[Webhooks], call.tenant_id, call.principal.partner_id, endpoint_id
        )
    )


@router.patch("/webhook-endpoints/{endpoint_id}", responses=problems(404))
async def change_endpoint(call: Writer, endpoint_id: EndpointId, body: EndpointChanges) -> EndpointView:
    """Changes what is given. `status` `enabled` starts with a clean slate; replay sends what was missed."""
    changes = body.model_dump(exclude_unset=True)
    _check_include_partners(call, changes.get("include_partners"))
    return EndpointView.model_validate(
        await service.change_endpoint(
            call.rooms[Webhooks], call.tenant_id, call.principal.partner_id, endpoint_id, changes
        )
    )


@router.delete("/webhook-endpoints/{endpoint_id}", responses=problems(404))
async def disable_endpoint(call: Writer, endpoint_id: EndpointId) -> EndpointView:
    """Disables it and discards what it was still owed. Its history stays."""
    return EndpointView.model_validate(
        await service.change_endpoint(
            call.rooms[Webhooks],
            call.tenant_id,
            call.principal.partner_id,
            endpoint_id,
            {"status": EndpointStatus.DISABLED},
        )
    )


@router.post("/webhook-endpoints/{endpoint_id}/rotate-secret", responses=problems(404, 409))
async def rotate_secret(call: Writer, endpoint_id: EndpointId, body: SecretRotation) -> SecretView:
    """A new secret. Until the former ones expire, webhooks carry a signature of each."""
    secret, expire_at = await service.rotate_secret(
        call.rooms[Webhooks],
        call.tenant_id,
        call.principal.partner_id,
        endpoint_id,
        timedelta(hours=body.overlap_hours),
    )
    return SecretView(secret=secret, previous_expire_at=expire_at)


@router.post(
    "/webhook-endpoints/{endpoint_id}/test",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(404, 409),
)
async def send_test(call: Writer, endpoint_id: EndpointId) -> DeliveryView:
    """Sends a `webhook.test` event to this endpoint."""
    return DeliveryView.model_validate(
        await service.send_test(call.rooms[Webhooks], call.tenant_id, call.principal.partner_id, endpoint_id)
    )


@router.get("/webhook-endpoints/{endpoint_id}/deliveries", responses=problems(404))
async def list_deliveries(
    call: Reader,
    endpoint_id: EndpointId,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[DeliveryId | None, Query()] = None,
    delivery_status: Annotated[DeliveryStatus | None, Query(alias="status")] = None,
) -> Page[DeliveryView]:
    """An endpoint's deliveries, newest event first."""
    rows = await service.list_deliveries(
        call.rooms[Webhooks],
        call.tenant_id,
        call.principal.partner_id,
        endpoint_id,
        status=delivery_status,
        starting_after=starting_after,
        limit=limit + 1,
    )
    return page(rows, limit, DeliveryView.model_validate)


@router.post(
    "/webhook-endpoints/{endpoint_id}/replay",
    summary="Replay events",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(404, 409),
)
async def replay(call: Writer, endpoint_id: EndpointId, body: NewReplay) -> ReplayView:
    """Sends again what happened since a time and did not reach the endpoint, 10,000 events at most."""
    if not now() - REPLAY_HORIZON <= body.since <= now():
        raise InvalidRequest("since: must be a time in the last 30 days", param="since")
    done = await service.replay(
        call.rooms[Webhooks],
        call.tenant_id,
        call.principal.partner_id,
        endpoint_id,
        since=body.since,
        delivered=body.include_delivered,
    )
    return ReplayView(queued=done.queued, next_since=done.next_since)


@router.get("/webhook-deliveries/{delivery_id}", responses=problems(404))
async def get_delivery(call: Reader, delivery_id: DeliveryId) -> DeliveryWithAttempts:
    """One delivery, with its attempts."""
    delivery, attempts = await service.get_delivery(
        call.rooms[Webhooks], call.tenant_id, call.principal.partner_id, delivery_id
    )
    return DeliveryWithAttempts(
        **DeliveryView.model_validate(delivery).model_dump(),
        attempts=[attempt_view(attempt) for attempt in attempts],
    )


@router.post(
    "/webhook-deliveries/{delivery_id}/retry",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(404, 409),
)
async def retry_delivery(call: Writer, delivery_id: DeliveryId) -> DeliveryView:
    """Sends it now, or once more if it has ended."""
    return DeliveryView.model_validate(
        await service.retry_delivery(
            call.rooms[Webhooks], call.tenant_id, call.principal.partner_id, delivery_id
        )
    )


routers = (router,)
