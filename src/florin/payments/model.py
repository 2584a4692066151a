"""A payment's life as data, and the shapes that travel between the parts of this room."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from florin.kernel.idempotency import Idempotency
from florin.kernel.ids import MalformedId, decode_id, encode_id
from florin.providers.provider import Charge, Method

Snapshot = Mapping[str, Any]
"""A row as jsonb shows it: plain UUIDs, ISO timestamps, nulls left out."""


class PaymentStatus(StrEnum):
    """Where a payment stands."""

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    AUTHORIZED = "authorized"
    COMPLETED = "completed"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REVERSED = "reversed"


MOVES: Final[Mapping[PaymentStatus, frozenset[PaymentStatus]]] = {
    PaymentStatus.PENDING: frozenset(
        {PaymentStatus.PROCESSING, PaymentStatus.FAILED, PaymentStatus.CANCELLED}
    ),
    PaymentStatus.REQUIRES_ACTION: frozenset(
        {
            PaymentStatus.PROCESSING,
            PaymentStatus.AUTHORIZED,
            PaymentStatus.COMPLETED,
            PaymentStatus.FAILED,
            PaymentStatus.CANCELLED,
        }
    ),
    PaymentStatus.PROCESSING: frozenset(
        {
            PaymentStatus.REQUIRES_ACTION,
            PaymentStatus.AUTHORIZED,
            PaymentStatus.COMPLETED,
            PaymentStatus.FAILED,
        }
    ),
    PaymentStatus.AUTHORIZED: frozenset({PaymentStatus.COMPLETED, PaymentStatus.CANCELLED}),
    PaymentStatus.COMPLETED: frozenset(
        {PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED, PaymentStatus.REVERSED}
    ),
    PaymentStatus.PARTIALLY_REFUNDED: frozenset({PaymentStatus.REFUNDED, PaymentStatus.REVERSED}),
    PaymentStatus.REFUNDED: frozenset(),
    PaymentStatus.FAILED: frozenset(),
    PaymentStatus.CANCELLED: frozenset(),
    PaymentStatus.REVERSED: frozenset(),
}
"""Which status may follow which. The database holds the same table (payments.may_move)."""


class AttemptStatus(StrEnum):
    """Where a try at a provider stands. The first four still wait for an outcome."""

    SENT = "sent"
    UNKNOWN = "unknown"
    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN_ATTEMPTS: Final = frozenset(
    {AttemptStatus.SENT, AttemptStatus.UNKNOWN, AttemptStatus.PENDING, AttemptStatus.REQUIRES_ACTION}
)


class OperationKind(StrEnum):
    """What can be asked of a provider about a charge that it made."""

    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"


class OperationStatus(StrEnum):
    """Where a capture, a cancellation or a refund stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


OPERATION_MOVES: Final[Mapping[OperationStatus, frozenset[OperationStatus]]] = {
    OperationStatus.PENDING: frozenset(
        {OperationStatus.PROCESSING, OperationStatus.COMPLETED, OperationStatus.FAILED}
    ),
    OperationStatus.PROCESSING: frozenset({OperationStatus.COMPLETED, OperationStatus.FAILED}),
    OperationStatus.COMPLETED: frozenset(),
    OperationStatus.FAILED: frozenset(),
}


class CaptureMethod(StrEnum):
    """Whether the money is taken at once, or authorized now and captured later."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class NewPayment:
    """What a client asks for."""

    amount_minor: int
    currency: str
    method: Method
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    confirm: bool = True
    customer_id: UUID | None = None
    description: str | None = None
    statement_descriptor: str | None = None
    return_url: str | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class NewOperation:
    """A capture, a cancellation or a refund that a client asks for."""

    kind: OperationKind
    payment_id: UUID
    amount_minor: int | None = None
    """None: all that is left."""

    final: bool = False
    reason: str | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """An item of payments.open."""

    id: UUID
    idempotency: Idempotency
    partner_id: UUID | None
    provider: str
    payment: NewPayment


@dataclass(frozen=True, slots=True)
class OperationOpening:
    """An item of payments.open_operations."""

    id: UUID
    idempotency: Idempotency
    partner_id: UUID | None
    operation: NewOperation


@dataclass(frozen=True, slots=True)
class Posting:
    """Money that moves with an outcome: from one account to another."""

    transfer_id: UUID
    debit: UUID
    credit: UUID
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of an attempt or operation: a provider's outcome, or that there is none yet."""

    status: str
    """An OutcomeStatus, or `unknown`."""

    inquire_s: float | None
    """After how long to ask the provider; None: it has spoken its last word."""

    provider_reference: str | None = None
    code: str | None = None
    message: str | None = None
    redirect_url: str | None = None


@dataclass(frozen=True, slots=True)
class Settling:
    """An item of payments.settle."""

    payment_id: UUID
    number: int
    finding: Finding
    posting: Posting | None


@dataclass(frozen=True, slots=True)
class OperationSettling:
    """An item of payments.settle_operations."""

    id: UUID
    payment_id: UUID
    finding: Finding
    posting: Posting | None


@dataclass(frozen=True, slots=True)
class Opened:
    """What payments.open says of an item."""

    verdict: str | None
    """None: opened; `answered`: opened and answered; else `replay` or `idempotency_key_reused`."""

    opened_at: datetime
    answer: Snapshot | None


@dataclass(frozen=True, slots=True)
class OperationOpened:
    """What payments.open_operations says of an item."""

    refusal: str | None
    remaining_minor: int | None
    operation: Snapshot | None
    payment: Snapshot | None
    answer: Snapshot | None


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling says of an item: a verdict (None: done now) and the rows as they are."""

    verdict: str | None
    payment: Snapshot
    operation: Snapshot = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered: a snapshot to render, and whether it was given before."""

    snapshot: Snapshot
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """What a provider knows us by: a charge's `att_..._1_7` (payment, number, tenant), or an operation's.

    It carries the tenant, so that a provider's message finds its books without a look across tenants.
    """

    tenant_id: int
    id: UUID
    """Of the payment for a charge, else of the operation."""

    number: int | None
    """Of the attempt; None: an operation."""

    prefix: str

    def __str__(self) -> str:
        head = encode_id(self.prefix, self.id)
        return f"{head}_{self.tenant_id}" if self.number is None else f"{head}_{self.number}_{self.tenant_id}"

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """The parts of a reference.

        Raises:
            MalformedId: not one of ours.
        """
        prefix, _, _ = text.partition("_")
        if prefix not in ("att", "op", "re"):
            raise MalformedId("not a reference of ours")
        parts = text.split("_")
        numbers = [int(part) for part in parts[2:] if part.isdecimal() and part.isascii()]
        if len(numbers) != len(parts) - 2 or len(numbers) != (2 if prefix == "att" else 1):
            raise MalformedId("not a reference of ours")
        if max(numbers) > 2**31 - 1 or (prefix == "att" and numbers[0] > 2**15 - 1):
            raise MalformedId("not a reference of ours")
        return cls(
            tenant_id=numbers[-1],
            id=decode_id(prefix, f"{parts[0]}_{parts[1]}"),
            number=numbers[0] if prefix == "att" else None,
            prefix=prefix,
        )


def attempt_reference(tenant_id: int, payment_id: UUID, number: int) -> str:
    """The reference of a try to charge."""
    return str(Reference(tenant_id, payment_id, number, "att"))


def operation_reference(tenant_id: int, kind: str, operation_id: UUID) -> str:
    """The reference of a capture, a cancellation or a refund."""
    return str(Reference(tenant_id, operation_id, None, "re" if kind == OperationKind.REFUND else "op"))


def charge_of(tenant_id: int, payment: Snapshot, number: int | None = None) -> Charge:
    """The charge that a payment's attempt stands for, rebuilt from the row exactly as it was first sent."""
    method = payment["method"]
    return Charge(
        reference=attempt_reference(tenant_id, UUID(payment["id"]), number or payment["attempts"]),
        amount_minor=payment["amount"],
        currency=payment["currency"],
        method=Method(payment["method_type"], method.get("token"), method.get("vpa")),
        capture=payment["capture_method"] == CaptureMethod.AUTOMATIC,
        return_url=payment.get("return_url"),
        description=payment.get("description"),
        created_at=datetime.fromisoformat(payment["created_at"]),
    )
