"""What follows a charge: captures, cancellations, refunds. The three steps are those of service.py."""

from uuid import UUID

from florin.kernel.idempotency import Idempotency
from florin.kernel.ids import new_id
from florin.payments.errors import refusal_of
from florin.payments.model import (
    Answer,
    NewOperation,
    OperationKind,
    OperationOpening,
    OperationStatus,
    PaymentStatus,
    Snapshot,
    charge_of,
    operation_reference,
)
from florin.payments.room import Payments
from florin.payments.service import UNREACHABLE, replayed
from florin.providers.provider import NotSent, Outcome, OutcomeStatus, OutcomeUnknown


async def operate(
    payments: Payments,
    tenant_id: int,
    partner_id: UUID | None,
    request: NewOperation,
    idempotency: Idempotency,
) -> Answer:
    """Captures, cancels or refunds. The answer is the refund, or the payment that was captured or cancelled.

    Raises:
        PaymentNotFound, PaymentNotRefundable, PaymentNotCapturable, PaymentNotCancellable,
        CaptureInProgress, RefundExceedsRemaining, CaptureExceedsRemaining: nothing was asked of the
            provider; the key remembers the refusal.
        CaptureFailed, CancelFailed: the provider said no. A refund that it refuses is an answer: `failed`.
        IdempotencyKeyReused, RequestInFlight.
    """
    item = OperationOpening(new_id(), idempotency, partner_id, request)
    opened = await payments.operation_opening.call(tenant_id, item)
    if opened.refusal in ("replay", "idempotency_key_reused"):
        return replayed(opened.refusal, opened.answer)
    if opened.refusal is not None:
        raise refusal_of(opened.refusal, {"remaining": opened.remaining_minor})
    operation, payment = opened.operation, opened.payment
    assert operation is not None
    assert payment is not None
    outcome = await ask(payments, tenant_id, operation, payment)
    settled = await payments.settle_operation(
        tenant_id, payment, operation, payments.operation_finding(outcome)
    )
    if request.kind is OperationKind.REFUND:
        return Answer(settled.operation)
    if settled.operation["status"] == OperationStatus.FAILED:
        raise refusal_of(
            f"{request.kind}_failed",
            {
                "failure_code": settled.operation.get("failure_code"),
                "message": settled.operation.get("failure_message"),
            },
        )
    return Answer(settled.payment)


async def ask(
    payments: Payments,
    tenant_id: int,
    operation: Snapshot,
    payment: Snapshot,
    *,
    unsent: Outcome | None = UNREACHABLE,
) -> Outcome | None:
    """Asks the provider for it; None when no answer came and only inquiry can tell.

    Safe to repeat: the reference is the provider's idempotency key. `unsent` as in `send`.
    """
    if operation["kind"] == OperationKind.CANCEL and payment["status"] == PaymentStatus.PENDING:
        return Outcome(OutcomeStatus.SUCCEEDED, None, None, None, None)  # no provider has heard of it yet
    provider = payments.providers[payment["provider"]]
    charge = charge_of(tenant_id, payment)
    reference = operation_reference(tenant_id, operation["kind"], UUID(operation["id"]))
    theirs = payment.get("provider_reference") or charge.reference
    try:
        match operation["kind"]:
            case OperationKind.CAPTURE:
                return await provider.capture(reference, charge, theirs, operation["amount"])
            case OperationKind.CANCEL:
                return await provider.cancel(reference, charge, theirs)
            case _:
                return await provider.refund(reference, charge, theirs, operation["amount"])
    except OutcomeUnknown:
        return None
    except NotSent:
        return unsent
