"""/v1/payments.

A declined payment is answered with 201: the request was fine and the payment exists, with its history.
Its status is `failed`, and `decline_code` and `message` say why. So a retry of the request hears the
same decline, and does not charge a second time.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query
from fastapi.responses import Response

from florin.kernel.dates import Instant
from florin.kernel.events import public_event
from florin.kernel.http.call import Call, requires
from florin.kernel.http.headers import IDEMPOTENCY
from florin.kernel.http.lean import LeanRoute
from florin.kernel.http.problem import problems
from florin.kernel.ids import CustomerId, EventId, PaymentId
from florin.kernel.money import CurrencyCode
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page
from florin.payments import store
from florin.payments.errors import PaymentNotFound
from florin.payments.http.answers import body_of, bound_to, json, json_page
from florin.payments.model import NewOperation, OperationKind, PaymentStatus, Snapshot
from florin.payments.operations import operate
from florin.payments.requests import CaptureRequest, PaymentRequest
from florin.payments.room import Payments
from florin.payments.service import confirm_payment, create_payment
from florin.payments.views import EventView, PaymentView, render_payment

router = APIRouter(prefix="/v1/payments", tags=["Payments"])
lean = APIRouter(prefix="/v1/payments", tags=["Payments"], route_class=LeanRoute)

Read = Annotated[Call, Depends(requires("payments:read"))]
Write = Annotated[Call, Depends(requires("payments:write"))]


@lean.post(
    "",
    status_code=201,
    summary="Take a payment",
    response_model=PaymentView,
    responses=problems(404, 409),
    openapi_extra=IDEMPOTENCY,
)
async def take(call: Write, body: PaymentRequest) -> dict[str, Any]:
    """Takes a payment, or records it for a later confirmation.

    A decline is no error: the payment exists, its status is `failed`, `decline_code` says why. When the
    provider does not answer in time the status is `processing`, and an event tells the outcome.
    """
    answered = await create_payment(
        call.rooms[Payments],
        call.tenant_id,
        call.principal.partner_id,
        body.payment(),
        call.idempotency(),
    )
    return body_of(call, answered, render_payment)


@lean.get("/{payment_id}", summary="Read a payment", response_model=PaymentView, responses=problems(404))
async def read(call: Read, payment_id: PaymentId) -> dict[str, Any]:
    """The payment as it is now."""
    return render_payment(await _visible(call, payment_id))


@router.get("", summary="List payments", response_model=Page[PaymentView], responses=problems())
async def list_payments(
    call: Read,
    status: Annotated[PaymentStatus | None, Query()] = None,
    currency: Annotated[CurrencyCode | None, Query()] = None,
    customer: Annotated[CustomerId | None, Query()] = None,
    created_from: Annotated[Instant | None, Query(description="Made at or after this.")] = None,
    created_to: Annotated[Instant | None, Query(description="Made before this.")] = None,
    metadata_key: Annotated[
        str | None, Query(max_length=40, pattern=r"^[^\x00]+$", description="Has this key.")
    ] = None,
    metadata_value: Annotated[
        str | None, Query(max_length=500, pattern=r"^[^\x00]*$", description="With this value at that key.")
    ] = None,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[
        PaymentId | None, Query(description="The last payment of the page before.")
    ] = None,
) -> Response:
    """Payments, newest first."""
    async with call.rooms[Payments].database.tenant(call.tenant_id) as connection:
        rows = await store.payments_page(
            connection,
            tenant_id=call.tenant_id,
            partner_id=call.principal.partner_id,
            customer_id=customer,
            status=status,
            currency=currency,
            metadata_key=metadata_key,
            metadata_value=metadata_value,
            created_from=created_from,
            created_to=created_to,
            starting_after=starting_after,
            limit=limit + 1,
        )
    return json_page(rows, limit, render_payment)


@router.post(
    "/{payment_id}/confirm",
    summary="Confirm a payment",
    response_model=PaymentView,
    responses=problems(404, 409),
    openapi_extra=IDEMPOTENCY,
)
async def confirm(call: Write, payment_id: PaymentId) -> Response:
    """Charges a pending payment; or completes one after its customer has acted."""
    answered = await confirm_payment(
        call.rooms[Payments],
        call.tenant_id,
        call.principal.partner_id,
        payment_id,
        bound_to(call, payment_id),
    )
    return json(body_of(call, answered, render_payment))


@router.post(
    "/{payment_id}/capture",
    summary="Capture an authorized payment",
    response_model=PaymentView,
    responses=problems(404, 409),
    openapi_extra=IDEMPOTENCY,
)
async def capture(
    call: Write, payment_id: PaymentId, body: Annotated[CaptureRequest | None, Body()] = None
) -> Response:
    """Takes all or part of what is authorized; several parts are possible, up to the authorized amount.

    The payment stays `authorized` until all of it is captured, or until a capture says that it is final.
    """
    request = (body or CaptureRequest(amount=None, final=False)).operation(payment_id)
    return await _operate(call, request)


@router.post(
    "/{payment_id}/cancel",
    summary="Cancel a payment",
    response_model=PaymentView,
    responses=problems(404, 409),
    openapi_extra=IDEMPOTENCY,
)
async def cancel(call: Write, payment_id: PaymentId) -> Response:
    """Gives up a payment of which nothing is captured: what is authorized is released."""
    return await _operate(call, NewOperation(OperationKind.CANCEL, payment_id))


@router.get(
    "/{payment_id}/events",
    summary="Read a payment's history",
    response_model=Page[EventView],
    responses=problems(404),
)
async def history(
    call: Read,
    payment_id: PaymentId,
    limit: Annotated[Limit, Query()] = DEFAULT_LIMIT,
    starting_after: Annotated[EventId | None, Query(description="The last event of the page before.")] = None,
) -> Response:
    """What happened to a payment and to its refunds, oldest first."""
    await _visible(call, payment_id)
    async with call.rooms[Payments].database.tenant(call.tenant_id) as connection:
        rows = await store.payment_history(
            connection,
            tenant_id=call.tenant_id,
            payment_id=payment_id,
            starting_after=starting_after,
            limit=limit + 1,
        )
    return json_page(rows, limit, public_event)


async def _visible(call: Call, payment_id: PaymentId) -> Snapshot:
    row = await call.rooms[Payments].reading.call(call.tenant_id, payment_id)
    partner = call.principal.partner_id
    if row is None or (partner is not None and row.get("partner_id") != str(partner)):
        raise PaymentNotFound
    return row


async def _operate(call: Call, request: NewOperation) -> Response:
    answered = await operate(
        call.rooms[Payments],
        call.tenant_id,
        call.principal.partner_id,
        request,
        bound_to(call, request.payment_id),
    )
    return json(body_of(call, answered, render_payment))
