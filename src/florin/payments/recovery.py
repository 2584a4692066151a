"""What the provider still owes us: asked for by a job, or told by the provider itself."""

import asyncio
from collections.abc import Mapping
from typing import Final
from uuid import UUID

import structlog

from florin.kernel.errors import Refusal
from florin.kernel.ids import MalformedId
from florin.payments import store
from florin.payments.errors import ProviderNotFound
from florin.payments.model import AttemptStatus, Reference, charge_of, operation_reference
from florin.payments.operations import ask
from florin.payments.room import Payments
from florin.payments.service import send
from florin.payments.store import DueAttempt, DueOperation
from florin.providers.provider import (
    NotSent,
    Outcome,
    OutcomeStatus,
    OutcomeUnknown,
    ProviderEvent,
)

log = structlog.get_logger(__name__)

_BATCH: Final = 100
_AT_ONCE: Final = 8
_LEASE_S: Final = 60
"""Longer than an inquiry takes. What a killed worker had claimed comes up again after it."""

_NEVER_CHARGED: Final = Outcome(
    OutcomeStatus.FAILED, None, "provider_never_charged", "The provider never received the request.", None
)
_UNSENT: Final = frozenset({AttemptStatus.SENT, AttemptStatus.UNKNOWN})


async def recover(payments: Payments, tenant_id: int) -> int:
    """Asks the providers about everything that is due, and settles what they say.

    That is what timed out, what a killed process left behind, and what the customer or the provider
    takes their time with. Run it every few seconds for every tenant; several may run at once.

    Returns how many were asked for.
    """
    at_once = asyncio.Semaphore(_AT_ONCE)
    asked = 0
    while True:
        async with payments.database.tenant(tenant_id) as connection:
            attempts = await store.claim_due_attempts(connection, tenant_id, _BATCH, _LEASE_S)
            operations = await store.claim_due_operations(connection, tenant_id, _BATCH, _LEASE_S)

        async def one(due: DueAttempt | DueOperation) -> None:
            async with at_once:
                try:
                    if isinstance(due, DueAttempt):
                        await _recover_attempt(payments, tenant_id, due)
                    else:
                        await _recover_operation(payments, tenant_id, due)
                except Refusal as refusal:  # the others go on; this one comes up again after its lease
                    log.warning("recovery_refused", payment=due.payment["id"], code=refusal.code)

        async with asyncio.TaskGroup() as group:
            dues: list[DueAttempt | DueOperation] = [*attempts, *operations]
            for due in dues:
                group.create_task(one(due))
        asked += len(attempts) + len(operations)
        if len(attempts) < _BATCH and len(operations) < _BATCH:
            return asked


async def _recover_attempt(payments: Payments, tenant_id: int, due: DueAttempt) -> None:
    provider = payments.providers.get(due.provider)
    if provider is None:
        log.warning("recovery_without_provider", provider=due.provider, payment=due.payment["id"])
        return
    charge = charge_of(tenant_id, due.payment, due.number)
    try:
        outcome = await provider.inquire(charge)
    except (OutcomeUnknown, NotSent):
        finding = payments.finding(None, inquiries=due.inquiries)
        await payments.settle(tenant_id, due.payment, due.number, finding)
        return
    if outcome is None and due.status in _UNSENT:
        # They never heard of it, and the reference keeps a late arrival from charging twice.
        fresh = due.age_s < payments.pacing.charge_again_for_s
        outcome = await send(provider, charge, unsent=None) if fresh else _NEVER_CHARGED
    finding = payments.finding(outcome, inquiries=due.inquiries)
    await payments.settle(tenant_id, due.payment, due.number, finding)


async def _recover_operation(payments: Payments, tenant_id: int, due: DueOperation) -> None:
    provider = payments.providers.get(due.payment["provider"])
    if provider is None:
        log.warning("recovery_without_provider", payment=due.payment["id"])
        return
    operation = due.operation
    reference = operation_reference(tenant_id, operation["kind"], UUID(operation["id"]))
    try:
        outcome = await provider.inquire_operation(reference, charge_of(tenant_id, due.payment))
    except (OutcomeUnknown, NotSent):
        outcome = None
    else:
        if outcome is None:
            fresh = due.age_s < payments.pacing.operate_again_for_s
            outcome = (
                await ask(payments, tenant_id, operation, due.payment, unsent=None)
                if fresh
                else _NEVER_CHARGED
            )
    finding = payments.operation_finding(outcome, inquiries=due.inquiries)
    await payments.settle_operation(tenant_id, due.payment, due.operation, finding)


async def apply_provider_event(
    payments: Payments, provider_name: str, headers: Mapping[str, str], body: bytes
) -> int:
    """Takes in a provider's message: checks that it is theirs, keeps it, settles what it tells.

    Late, repeated and reordered messages are harmless: an attempt is settled once. A message about
    something that is not ours is ignored.

    Returns how many of its events were about something of ours.

    Raises:
        ProviderNotFound: this process reaches no provider of that name.
        InvalidWebhook: the signature is missing or wrong.
        Unavailable: the database is away; the provider will send it again.
    """
    provider = payments.providers.get(provider_name)
    if provider is None:
        raise ProviderNotFound
    events = provider.parse_webhook(headers, body)
    applied = 0
    for event in events:
        try:
            reference = Reference.parse(event.reference)
        except MalformedId:
            log.warning("provider_event_ignored", provider=provider_name, event_id=event.id)
            continue
        applied += await _apply(payments, provider_name, reference, event, body)
    return applied


async def _apply(
    payments: Payments, provider_name: str, reference: Reference, event: ProviderEvent, body: bytes
) -> bool:
    tenant_id = reference.tenant_id
    async with payments.database.tenant(tenant_id) as connection:
        attempt = operation = None
        if reference.number is not None:
            attempt = await store.attempt(connection, reference)
        else:
            operation = await store.operation(connection, reference)
        payment = attempt.payment if attempt else operation.payment if operation else None
        if payment is None or payment["provider"] != provider_name:
            log.warning("provider_event_ignored", provider=provider_name, event_id=event.id)
            return False
        await store.keep_provider_event(connection, tenant_id, provider_name, event, body)
    if attempt is not None and reference.number is not None:
        finding = payments.finding(event.outcome)
        settled = await payments.settle(tenant_id, attempt.payment, reference.number, finding)
        if settled.verdict == "settled" and _contradicts(event.outcome, attempt.status):
            # Money that moved without a payment of ours: for reconciliation and people, not for us.
            log.error("provider_contradicts_itself", provider=provider_name, reference=event.reference)
    elif operation is not None:
        finding = payments.operation_finding(event.outcome)
        await payments.settle_operation(tenant_id, operation.payment, operation.operation, finding)
    return True


def _contradicts(outcome: Outcome, status: str) -> bool:
    charged = outcome.status in (OutcomeStatus.SUCCEEDED, OutcomeStatus.AUTHORIZED)
    return charged and status in (AttemptStatus.FAILED, AttemptStatus.CANCELLED)
