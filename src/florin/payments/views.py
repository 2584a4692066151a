"""How payments, refunds and events are shown: one renderer each, and the models that document it."""

from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from florin.kernel.events import instant, register
from florin.kernel.ids import CustomerId, EventId, PartnerId, PaymentId, RefundId, encode_id
from florin.kernel.money import CurrencyCode
from florin.payments.model import CaptureMethod, OperationStatus, PaymentStatus, Snapshot


class MethodView(BaseModel):
    """What was charged. A UPI address is masked."""

    type: str = Field(examples=["card"])
    token: str | None = Field(None, description="The provider's token of a card.", examples=["tok_success"])
    vpa: str | None = Field(None, description="A UPI address, masked.", examples=["su***@sandbox"])


class PaymentView(BaseModel):
    """A payment. Amounts are minor units."""

    id: PaymentId
    object: Literal["payment"]
    status: PaymentStatus
    amount: int
    currency: CurrencyCode
    amount_authorized: int
    amount_captured: int
    amount_refunded: int
    amount_refundable: int = Field(description="Captured, less what is refunded or about to be.")
    capture_method: CaptureMethod
    method: MethodView
    partner: PartnerId | None
    customer: CustomerId | None
    provider: str
    provider_reference: str | None
    description: str | None
    statement_descriptor: str | None
    return_url: str | None
    redirect_url: str | None = Field(description="Where the customer has to go when action is required.")
    metadata: dict[str, str]
    decline_code: str | None = Field(description="Why the payment failed, for programs.")
    message: str | None = Field(description="Why the payment failed, for people.")
    created_at: AwareDatetime
    updated_at: AwareDatetime
    authorized_at: AwareDatetime | None
    completed_at: AwareDatetime | None
    failed_at: AwareDatetime | None
    cancelled_at: AwareDatetime | None


class RefundView(BaseModel):
    """A refund. The amount is in minor units."""

    id: RefundId
    object: Literal["refund"]
    payment: PaymentId
    status: OperationStatus
    amount: int
    currency: CurrencyCode
    reason: str | None
    metadata: dict[str, str]
    provider_reference: str | None
    failure_code: str | None
    message: str | None
    created_at: AwareDatetime
    updated_at: AwareDatetime
    completed_at: AwareDatetime | None
    failed_at: AwareDatetime | None


class EventData(BaseModel):
    """The object as it was right after the event."""

    object: dict[str, Any]


class EventView(BaseModel):
    """What happened, as webhooks tell it too."""

    id: EventId
    object: Literal["event"]
    type: str = Field(examples=["payment.completed"])
    created_at: AwareDatetime
    data: EventData


class CurrencyView(BaseModel):
    """A currency of ISO 4217."""

    code: CurrencyCode
    numeric_code: str = Field(examples=["840"])
    name: str
    exponent: int = Field(description="Digits after the point: the minor unit.", examples=[2])


class PaymentMethodView(BaseModel):
    """A kind of payment method."""

    code: str = Field(examples=["card"])
    name: str


def render_payment(row: Snapshot) -> dict[str, Any]:
    """A payment's snapshot in the public shape."""
    get = row.get
    partner, customer = get("partner_id"), get("customer_id")
    captured, refunded = row["captured"], row["refunded"]
    return {
        "id": encode_id("pay", UUID(row["id"])),
        "object": "payment",
        "status": row["status"],
        "amount": row["amount"],
        "currency": row["currency"],
        "amount_authorized": row["authorized"],
        "amount_captured": captured,
        "amount_refunded": refunded,
        "amount_refundable": captured - refunded - row["refund_pending"],
        "capture_method": row["capture_method"],
        "method": _method(row["method_type"], row["method"]),
        "partner": None if partner is None else encode_id("ptnr", UUID(partner)),
        "customer": None if customer is None else encode_id("cus", UUID(customer)),
        "provider": row["provider"],
        "provider_reference": get("provider_reference"),
        "description": get("description"),
        "statement_descriptor": get("statement_descriptor"),
        "return_url": get("return_url"),
        "redirect_url": get("redirect_url"),
        "metadata": get("metadata") or {},
        "decline_code": get("decline_code"),
        "message": get("decline_message"),
        "created_at": instant(row["created_at"]),
        "updated_at": instant(row["updated_at"]),
        "authorized_at": instant(get("authorized_at")),
        "completed_at": instant(get("completed_at")),
        "failed_at": instant(get("failed_at")),
        "cancelled_at": instant(get("cancelled_at")),
    }


def _method(kind: str, detail: Snapshot) -> dict[str, str]:
    if "token" in detail:
        return {"type": kind, "token": detail["token"]}
    if "vpa" not in detail:
        return {"type": kind}  # forgotten after the years that transactions are kept
    name, _, handle = detail["vpa"].partition("@")
    return {"type": kind, "vpa": f"{name[:2]}***@{handle}"}


def render_refund(row: Snapshot) -> dict[str, Any]:
    """A refund's snapshot in the public shape."""
    get = row.get
    return {
        "id": encode_id("re", UUID(row["id"])),
        "object": "refund",
        "payment": encode_id("pay", UUID(row["payment_id"])),
        "status": row["status"],
        "amount": row["amount"],
        "currency": row["currency"],
        "reason": get("reason"),
        "metadata": get("metadata") or {},
        "provider_reference": get("provider_reference"),
        "failure_code": get("failure_code"),
        "message": get("failure_message"),
        "created_at": instant(row["created_at"]),
        "updated_at": instant(row["updated_at"]),
        "completed_at": instant(get("completed_at")),
        "failed_at": instant(get("failed_at")),
    }


register("payment", render_payment)
register("refund", render_refund)
