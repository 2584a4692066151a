"""Taking payments: create and confirm.

Every use case has the same three steps: a transaction that records the intent, the provider's call with
no transaction open, a transaction that records the outcome. A time-out is unknown, never failed: the
attempt stays open and recovery.py asks the provider.
"""

from typing import Final
from uuid import UUID

from florin.kernel.errors import IdempotencyKeyReused, RequestInFlight
from florin.kernel.idempotency import Idempotency
from florin.kernel.ids import new_id
from florin.payments import store
from florin.payments.errors import (
    CurrencyNotSupported,
    MethodNotSupported,
    PaymentNotConfirmable,
    PaymentNotFound,
    refusal_of,
)
from florin.payments.model import (
    Answer,
    NewPayment,
    Opening,
    PaymentStatus,
    Snapshot,
    attempt_reference,
    charge_of,
)
from florin.payments.room import Payments
from florin.providers.provider import Charge, NotSent, Outcome, OutcomeStatus, OutcomeUnknown, Provider
from florin.tenancy.customers.service import check_customer
from florin.tenancy.errors import CustomerNotFound

METHODS: Final = frozenset({"card", "upi"})

UNREACHABLE: Final = Outcome(
    OutcomeStatus.FAILED, None, "provider_unreachable", "The provider could not be reached.", None
)


async def create_payment(
    payments: Payments,
    tenant_id: int,
    partner_id: UUID | None,
    request: NewPayment,
    idempotency: Idempotency,
) -> Answer:
    """Takes a payment, or only records it when it is not to be confirmed yet.

    A declined payment is an answer like any other: its status is `failed`, with the decline code. A
    provider that does not answer leaves it `processing`.

    Raises:
        CurrencyNotSupported, MethodNotSupported, CustomerNotFound: nothing was written.
        IdempotencyKeyReused, RequestInFlight.
    """
    if request.currency not in await payments.currencies():
        raise CurrencyNotSupported(
            f"{request.currency} is not a currency of ISO 4217 with minor units", param="currency"
        )
    if request.method.type not in METHODS:
        raise MethodNotSupported(
            f"{request.method.type} is not taken here: card and upi are", param="method.type"
        )
    if request.customer_id is not None:
        await _check_customer(payments, tenant_id, partner_id, request.customer_id)
    payment_id = new_id()
    item = Opening(payment_id, idempotency, partner_id, payments.default_provider, request)
    opened = await payments.opening.call(tenant_id, item)
    if opened.verdict == "answered" and opened.answer is not None:
        payments.told(tenant_id)
        return Answer(opened.answer)
    if opened.verdict is not None:
        return replayed(opened.verdict, opened.answer)
    charge = Charge(
        reference=attempt_reference(tenant_id, payment_id, 1),
        amount_minor=request.amount_minor,
        currency=request.currency,
        method=request.method,
        capture=request.capture_method == "automatic",
        return_url=request.return_url,
        description=request.description,
        created_at=opened.opened_at,
    )
    outcome = await send(payments.providers[item.provider], charge)
    known: Snapshot = {
        "id": str(payment_id),
        "amount": request.amount_minor,
        "currency": request.currency,
        "provider": item.provider,
        "partner_id": None if partner_id is None else str(partner_id),
    }
    settled = await payments.settle(tenant_id, known, 1, payments.finding(outcome))
    return Answer(settled.payment)


async def _check_customer(
    payments: Payments, tenant_id: int, partner_id: UUID | None, customer_id: UUID
) -> None:
    try:
        await check_customer(payments.tenancy, tenant_id, customer_id, partner_id)
    except CustomerNotFound:
        raise CustomerNotFound(param="customer") from None


async def send(provider: Provider, charge: Charge, *, unsent: Outcome | None = UNREACHABLE) -> Outcome | None:
    """The provider's answer to a charge; None when none came and only inquiry can tell.

    What certainly never left is a failure that the client hears of at once and may repeat; or
    whatever `unsent` says.
    """
    try:
        return await provider.charge(charge)
    except OutcomeUnknown:
        return None
    except NotSent:
        return unsent


def replayed(verdict: str, answer: Snapshot | None) -> Answer:
    """The stored answer of a key that was used before.

    Raises:
        IdempotencyKeyReused: with another body.
        RequestInFlight: it is still being worked on.
        Refusal: the answer was this refusal.
    """
    if verdict == "idempotency_key_reused":
        raise IdempotencyKeyReused
    if answer is None:
        raise RequestInFlight
    if "refusal" in answer:
        raise refusal_of(answer["refusal"], answer.get("detail") or {})
    return Answer(answer, replayed=True)


async def confirm_payment(
    payments: Payments,
    tenant_id: int,
    partner_id: UUID | None,
    payment_id: UUID,
    idempotency: Idempotency,
) -> Answer:
    """Charges a pending payment; or asks the provider what became of one that its customer had to act on.

    Raises:
        PaymentNotFound, PaymentNotConfirmable: nothing was written.
        IdempotencyKeyReused, RequestInFlight.
    """
    async with payments.database.tenant(tenant_id) as connection:
        # Locks in the order of the house: the slot, then the payment.
        claim = await store.claim_slot(connection, tenant_id, idempotency, payment_id)
        if claim.verdict is not None:
            return replayed(claim.verdict, claim.answer)
        locked = await store.lock_payment(connection, tenant_id, payment_id, partner_id)
        if locked is None:
            raise PaymentNotFound
        status, cancelling, payment = locked
        if status == PaymentStatus.PENDING and not cancelling:
            payment = await store.begin_attempt(
                connection, tenant_id, payment_id, idempotency.slot, payments.pacing.grace_s
            )
        elif status == PaymentStatus.REQUIRES_ACTION and not cancelling:
            await store.take_over_attempt(
                connection, tenant_id, payment_id, payment["attempts"], idempotency.slot
            )
        else:
            raise PaymentNotConfirmable(f"the payment is {'being cancelled' if cancelling else status}")
    provider = payments.providers[payment["provider"]]
    charge = charge_of(tenant_id, payment)
    if status == PaymentStatus.PENDING:
        outcome = await send(provider, charge)
    else:
        outcome = await inquire(provider, charge)
    settled = await payments.settle(tenant_id, payment, payment["attempts"], payments.finding(outcome))
    return Answer(settled.payment)


async def inquire(provider: Provider, charge: Charge) -> Outcome | None:
    """What the provider knows of a charge; None when it cannot be asked now, or never heard of it."""
    try:
        return await provider.inquire(charge)
    except (OutcomeUnknown, NotSent):
        return None
