"""What this room refuses. The docstring is the message."""

from typing import Final

from florin.kernel.errors import Conflict, IdempotencyKeyReused, InvalidRequest, NotFound, Refusal
from florin.payments.model import Snapshot


class PaymentNotFound(NotFound):
    """There is no such payment, or it belongs to somebody else."""

    code = "payment_not_found"


class RefundNotFound(NotFound):
    """There is no such refund, or it belongs to somebody else."""

    code = "refund_not_found"


class EventNotFound(NotFound):
    """There is no such event, or it belongs to somebody else."""

    code = "event_not_found"


class ProviderNotFound(NotFound):
    """This process reaches no provider of that name."""

    code = "provider_not_found"


class CurrencyNotSupported(InvalidRequest):
    """The currency is not one of ISO 4217 that money is kept in."""

    code = "currency_not_supported"


class MethodNotSupported(InvalidRequest):
    """The payment method is not one that is taken here."""

    code = "payment_method_not_supported"


class PaymentNotConfirmable(Conflict):
    """Only a pending payment, or one that waits for its customer, can be confirmed."""

    code = "payment_not_confirmable"


class PaymentNotCapturable(Conflict):
    """Only an authorized payment that is not being cancelled can be captured."""

    code = "payment_not_capturable"


class PaymentNotCancellable(Conflict):
    """Only a payment of which nothing is captured, and that is not under way, can be cancelled."""

    code = "payment_not_cancellable"


class PaymentNotRefundable(Conflict):
    """Only a completed payment can be refunded."""

    code = "payment_not_refundable"


class CaptureInProgress(Conflict):
    """Another capture is still under way: a final one has to wait for it."""

    code = "capture_in_progress"


class RefundExceedsRemaining(InvalidRequest):
    """More than what is left to refund."""

    code = "refund_exceeds_remaining"


class CaptureExceedsRemaining(InvalidRequest):
    """More than what is left to capture."""

    code = "capture_exceeds_remaining"


class CaptureFailed(Conflict):
    """The provider did not capture."""

    code = "capture_failed"


class CancelFailed(Conflict):
    """The provider did not cancel."""

    code = "cancel_failed"


class LedgerRefused(Conflict):
    """The outcome is known but cannot be booked: an account of the ledger refuses it. It is tried again."""

    code = "ledger_refused"


_PARAMS: Final = {
    "refund_exceeds_remaining": "amount",
    "capture_exceeds_remaining": "amount",
    "payment_not_found": "payment",
}

_BY_CODE: Final[dict[str, type[Refusal]]] = {
    refusal.code: refusal
    for refusal in (
        PaymentNotFound,
        PaymentNotCapturable,
        PaymentNotCancellable,
        PaymentNotRefundable,
        CaptureInProgress,
        RefundExceedsRemaining,
        CaptureExceedsRemaining,
        CaptureFailed,
        CancelFailed,
        IdempotencyKeyReused,
    )
}


def refusal_of(code: str, detail: Snapshot) -> Refusal:
    """The refusal that a SQL function named, or that a key's stored answer repeats.

    `detail` may hold `remaining` (minor units that are left), `failure_code` and `message`.
    """
    kind = _BY_CODE[code]
    text = None
    extra = {}
    if code in ("refund_exceeds_remaining", "capture_exceeds_remaining"):
        extra["remaining"] = detail["remaining"]
        verb = code.partition("_")[0]
        text = f"only {detail['remaining']} minor units are left to {verb}"
    elif detail.get("failure_code"):
        extra["decline_code"] = detail["failure_code"]
        text = detail.get("message")
    return kind(text, param=_PARAMS.get(code), **extra)
