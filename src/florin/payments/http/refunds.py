"""/v1/refunds. A refund that the provider refuses is answered with 201 and the status `failed`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from florin.kernel.http.call import Call, requires
from florin.kernel.http.headers import IDEMPOTENCY
from florin.kernel.http.lean import LeanRoute
from florin.kernel.http.problem import problems
from florin.kernel.ids import PaymentId, RefundId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page
from florin.payments import store
from florin.payments.errors import RefundNotFound
from florin.payments.http.answers import body_of, json, json_page
from florin.payments.model import OperationStatus
from florin.payments.operations import operate
from florin.payments.requests import RefundRequest
from florin.payments.room import Payments
from florin.payments.views import RefundView, render_refund

router = APIRouter(prefix="/v1/refunds", tags=["Refunds"])
lean = APIRouter(prefix="/v1/refunds", tags=["Refunds"], route_class=LeanRoute)

Read = Annotated[Call, Depends(requires("refunds:read"))]
Write = Annotated[Call, Depends(requires("refunds:write"))]


@lean.post(
    "",
    status_code=201,
    summary="Refund a payment",
    response_model=RefundView,
    responses=problems(404, 409),
    openapi_extra=IDEMPOTENCY,
)
async def give_back(call: Write, body: RefundRequest) -> dict[str, Any]:
    """Gives back all or part of what was captured; several refunds are possible, up to that.

    Refunds that are still under way count. When the provider does not answer in time the status is
    `processing`, and an event tells the outcome.
    """
    answered = await operate(
        call.rooms[Payments],
        call.tenant_id,
        call.principal.partner_id,
        body.operation(),
        call.idempotency(),
    )
    return body_of(call, answered, render_refund)


@router.get("", summary="List refunds", response_model=Page[RefundView], responses=problems())
async def list_refunds(
    call: Read,
    payment: Annotated[PaymentId | None, Query()] = None,
    status: Annotated[OperationStatus | None, Query()] = None,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[
        RefundId | None, Query(description="The last refund of the page before.")
    ] = None,
) -> Response:
    """Refunds, newest first."""
    async with call.rooms[Payments].database.tenant(call.tenant_id) as connection:
        rows = await store.refunds_page(
            connection,
            tenant_id=call.tenant_id,
            partner_id=call.principal.partner_id,
            payment_id=payment,
            status=status,
            starting_after=starting_after,
            limit=limit + 1,
        )
    return json_page(rows, limit, render_refund)


@router.get("/{refund_id}", summary="Read a refund", response_model=RefundView, responses=problems(404))
async def read(call: Read, refund_id: RefundId) -> Response:
    """The refund as it is now."""
    async with call.rooms[Payments].database.tenant(call.tenant_id) as connection:
        row = await store.refund(connection, call.tenant_id, refund_id, call.principal.partner_id)
    if row is None:
        raise RefundNotFound
    return json(render_refund(row))
