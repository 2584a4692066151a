"""The only caller of queries.sql. Every function runs in the transaction of the connection it is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosql

from florin.kernel.db import Connection
from florin.kernel.idempotency import Idempotency
from florin.payments.model import Reference, Snapshot
from florin.providers.provider import ProviderEvent

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")

_EVENT_COLUMNS = ("id", "type", "occurred_at", "data")


@dataclass(frozen=True, slots=True)
class DueAttempt:
    """An attempt whose provider owes an answer."""

    number: int
    status: str
    provider: str
    inquiries: int
    age_s: float
    payment: Snapshot


@dataclass(frozen=True, slots=True)
class DueOperation:
    """A capture, cancellation or refund whose provider owes an answer."""

    operation: Snapshot
    inquiries: int
    age_s: float
    payment: Snapshot


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt as a provider's message refers to it."""

    status: str
    provider: str
    inquiries: int
    payment: Snapshot


@dataclass(frozen=True, slots=True)
class Claim:
    """A slot after its claim: None, `replay` or `idempotency_key_reused`, and the answer it has."""

    verdict: str | None
    answer: Snapshot | None


async def lock_payment(
    connection: Connection, tenant_id: int, payment_id: UUID, partner_id: UUID | None
) -> tuple[str, bool, Snapshot] | None:
    """Locks a payment; its status, whether it is being cancelled, and its snapshot."""
    row: tuple[str, bool, Snapshot] | None = await _queries.lock_payment_for_confirmation(
        connection, tenant_id=tenant_id, payment_id=payment_id, partner_id=partner_id
    )
    return row


async def claim_slot(
    connection: Connection, tenant_id: int, idempotency: Idempotency, payment_id: UUID
) -> Claim:
    """Claims an idempotency slot. Waits while another transaction holds it."""
    verdict, answer = await _queries.claim_slot(
        connection,
        tenant_id=tenant_id,
        slot=idempotency.slot,
        digest=idempotency.digest,
        payment_id=payment_id,
    )
    return Claim(verdict, answer)


async def begin_attempt(
    connection: Connection, tenant_id: int, payment_id: UUID, slot: UUID, grace_s: float
) -> Snapshot:
    """Moves a pending payment, locked by the caller, to processing with its next attempt."""
    row = await _queries.begin_attempt(
        connection, tenant_id=tenant_id, payment_id=payment_id, slot=slot, grace_s=grace_s
    )
    snapshot: Snapshot = row[0]
    return snapshot


async def take_over_attempt(
    connection: Connection, tenant_id: int, payment_id: UUID, number: int, slot: UUID
) -> None:
    """Makes an open attempt's next outcome the answer of another request."""
    await _queries.take_over_attempt(
        connection, tenant_id=tenant_id, payment_id=payment_id, number=number, slot=slot
    )


async def claim_due_attempts(
    connection: Connection, tenant_id: int, batch: int, lease_s: float
) -> list[DueAttempt]:
    """Attempts that are due, claimed for `lease_s`: nobody else gets them until then."""
    return [
        DueAttempt(*row)
        async for row in _queries.claim_due_attempts(
            connection, tenant_id=tenant_id, batch=batch, lease_s=lease_s
        )
    ]


async def claim_due_operations(
    connection: Connection, tenant_id: int, batch: int, lease_s: float
) -> list[DueOperation]:
    """Operations that are due, claimed for `lease_s`."""
    return [
        DueOperation(*row)
        async for row in _queries.claim_due_operations(
            connection, tenant_id=tenant_id, batch=batch, lease_s=lease_s
        )
    ]


async def attempt(connection: Connection, reference: Reference) -> Attempt | None:
    """The attempt of a charge's reference."""
    row = await _queries.attempt(
        connection, tenant_id=reference.tenant_id, payment_id=reference.id, number=reference.number
    )
    return None if row is None else Attempt(*row)


async def operation(connection: Connection, reference: Reference) -> DueOperation | None:
    """The operation of a reference."""
    row = await _queries.operation(connection, tenant_id=reference.tenant_id, operation_id=reference.id)
    if row is None:
        return None
    inquiries, found, payment = row
    return DueOperation(found, inquiries, 0.0, payment)


async def keep_provider_event(
    connection: Connection, tenant_id: int, provider: str, event: ProviderEvent, body: bytes
) -> None:
    """Keeps what a provider told, once per event of theirs."""
    await _queries.keep_provider_event(
        connection,
        tenant_id=tenant_id,
        provider=provider,
        event_id=event.id,
        reference=event.reference,
        kind=event.kind,
        body=body,
    )


async def refund(
    connection: Connection, tenant_id: int, refund_id: UUID, partner_id: UUID | None
) -> Snapshot | None:
    """A refund that the partner may see."""
    row = await _queries.refund(connection, tenant_id=tenant_id, refund_id=refund_id, partner_id=partner_id)
    return None if row is None else row[0]


async def payments_page(connection: Connection, **filters: Any) -> list[Snapshot]:
    """Payments, newest first. Every parameter of the query is given; null filters let all pass."""
    return [row[0] async for row in _queries.payments_page(connection, **filters)]


async def refunds_page(connection: Connection, **filters: Any) -> list[Snapshot]:
    """Refunds, newest first."""
    return [row[0] async for row in _queries.refunds_page(connection, **filters)]


async def events_page(connection: Connection, **filters: Any) -> list[Mapping[str, Any]]:
    """Rows of kernel.events, newest first."""
    return [_event(row) async for row in _queries.events_page(connection, **filters)]


async def payment_history(connection: Connection, **filters: Any) -> list[Mapping[str, Any]]:
    """Rows of kernel.events about a payment and its refunds, oldest first."""
    return [_event(row) async for row in _queries.payment_history(connection, **filters)]


async def event(
    connection: Connection, tenant_id: int, event_id: UUID, partner_id: UUID | None
) -> Mapping[str, Any] | None:
    """A row of kernel.events that the partner may see."""
    row = await _queries.event(connection, tenant_id=tenant_id, event_id=event_id, partner_id=partner_id)
    return None if row is None else _event(row)


async def currencies(connection: Connection) -> list[dict[str, Any]]:
    """The currencies that money can be kept in."""
    columns = ("code", "numeric_code", "name", "exponent")
    return [dict(zip(columns, row, strict=True)) async for row in _queries.currencies(connection)]


async def payment_methods(connection: Connection) -> list[dict[str, Any]]:
    """The kinds of payment methods."""
    return [
        dict(zip(("code", "name"), row, strict=True)) async for row in _queries.payment_methods(connection)
    ]


def _event(row: tuple[Any, ...]) -> Mapping[str, Any]:
    return dict(zip(_EVENT_COLUMNS, row, strict=True))
