"""What clients may send, field by field."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from florin.kernel.errors import InvalidRequest
from florin.kernel.ids import CustomerId, PaymentId
from florin.kernel.money import AmountMinor, CurrencyCode
from florin.payments.model import CaptureMethod, NewOperation, NewPayment, OperationKind
from florin.providers.provider import Method

_MAX_METADATA = 50
_NO_NUL = r"^[^\x00]*$"  # PostgreSQL keeps no NUL character

Text = Annotated[str, Field(max_length=500, pattern=_NO_NUL)]


def _few(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > _MAX_METADATA:
        raise ValueError(f"has {len(metadata)} keys; {_MAX_METADATA} are allowed")
    return metadata


Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=40, pattern=_NO_NUL)], Text],
    Field(
        description=f"Up to {_MAX_METADATA} keys of your own, kept and shown, never looked into.",
        examples=[{"order": "6735"}],
        json_schema_extra={"maxProperties": _MAX_METADATA},
    ),
    AfterValidator(_few),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)


class MethodRequest(_Request):
    """What to charge: the provider's token of a card, or a UPI address. Never a card number."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": [
                {
                    "properties": {
                        "type": {"const": "card"},
                        "vpa": {"type": "null"},
                        "token": {"type": "string"},
                    },
                    "required": ["token"],
                },
                {
                    "properties": {
                        "type": {"const": "upi"},
                        "token": {"type": "null"},
                        "vpa": {"type": "string"},
                    },
                    "required": ["vpa"],
                },
            ]
        },
    )

    type: Literal["card", "upi"]
    token: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,255}$", examples=["tok_success"])
    vpa: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._-]{2,256}@[A-Za-z][A-Za-z0-9.-]{1,63}$", examples=["success@sandbox"]
    )

    def method(self) -> Method:
        """Raises InvalidRequest when the type's own member is missing, or another's is there."""
        needed, other = ("token", "vpa") if self.type == "card" else ("vpa", "token")
        if getattr(self, needed) is None:
            raise InvalidRequest(
                f"method.{needed}: required for the type {self.type}", param=f"method.{needed}"
            )
        if getattr(self, other) is not None:
            raise InvalidRequest(
                f"method.{other}: not allowed for the type {self.type}", param=f"method.{other}"
            )
        return Method(self.type, self.token, self.vpa)


class PaymentRequest(_Request):
    """A payment to take."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "amount": 1999,
                    "currency": "USD",
                    "method": {"type": "card", "token": "tok_success"},
                    "description": "Order 6735",
                    "metadata": {"order": "6735"},
                }
            ]
        },
    )

    amount: AmountMinor
    currency: CurrencyCode
    method: MethodRequest
    capture_method: CaptureMethod = Field(
        CaptureMethod.AUTOMATIC, description="`manual`: authorize now, capture later."
    )
    confirm: bool = Field(True, strict=True, description="`false`: only record it; charge with `/confirm`.")
    customer: CustomerId | None = None
    description: Text | None = None
    statement_descriptor: str | None = Field(
        None,
        min_length=1,
        max_length=22,
        pattern=r"^[\x20-\x7e]+$",
        description="On the customer's statement.",
    )
    return_url: str | None = Field(
        None,
        max_length=2048,
        pattern=r"^https?://[\x21-\x7e]+$",
        description="Where the customer comes back to after acting.",
    )
    metadata: Metadata | None = None

    def payment(self) -> NewPayment:
        """What the service takes. Raises InvalidRequest for a method that does not fit its type."""
        return NewPayment(
            amount_minor=self.amount,
            currency=self.currency,
            method=self.method.method(),
            capture_method=self.capture_method,
            confirm=self.confirm,
            customer_id=self.customer,
            description=self.description,
            statement_descriptor=self.statement_descriptor,
            return_url=self.return_url,
            metadata=self.metadata,
        )


class CaptureRequest(_Request):
    """How much to capture."""

    amount: AmountMinor | None = Field(None, description="All that is left, when absent.")
    final: bool = Field(
        False, strict=True, description="No other capture will follow: what is left is released."
    )

    def operation(self, payment_id: PaymentId) -> NewOperation:
        """What the service takes."""
        return NewOperation(OperationKind.CAPTURE, payment_id, self.amount, final=self.final)


class RefundRequest(_Request):
    """What to give back."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"payment": "pay_01h455vb4pex5vsknk084sn02q", "amount": 500}]},
    )

    payment: PaymentId
    amount: AmountMinor | None = Field(None, description="All that is left, when absent.")
    reason: Text | None = None
    metadata: Metadata | None = None

    def operation(self) -> NewOperation:
        """What the service takes."""
        return NewOperation(
            OperationKind.REFUND,
            self.payment,
            self.amount,
            reason=self.reason,
            metadata=self.metadata,
        )
