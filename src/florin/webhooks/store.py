"""The only caller of `queries.sql` and of the array function `webhooks.finish`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosql
from psycopg.rows import TupleRow

from florin.kernel.clock import now
from florin.kernel.coalescer import ArrayFunction
from florin.kernel.db import Connection, Database
from florin.kernel.ids import new_id
from florin.webhooks.model import (
    Attempt,
    Delivery,
    DeliveryStatus,
    DisabledReason,
    Endpoint,
    EndpointStatus,
    Finished,
    Owed,
    Result,
)

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")


def _endpoint(row: TupleRow) -> Endpoint:
    endpoint_id, partner_id, include_partners, url, description, events, status, reason, *rest = row
    return Endpoint(
        endpoint_id,
        partner_id,
        include_partners,
        url,
        description,
        events,
        EndpointStatus(status),
        None if reason is None else DisabledReason(reason),
        *rest,
    )


def _delivery(row: TupleRow) -> Delivery:
    delivery_id, endpoint_id, event_id, event_type, object_id, status, *rest = row
    return Delivery(delivery_id, endpoint_id, event_id, event_type, object_id, DeliveryStatus(status), *rest)


async def tenants(database: Database) -> list[int]:
    """Every tenant's id."""
    async with database.platform() as connection:
        return [tenant_id async for (tenant_id,) in _queries.tenants(connection)]


async def take_turn(connection: Connection, tenant_id: int) -> None:
    """Waits until no other transaction works on this tenant's deliveries; held until this one ends."""
    await _queries.take_turn(connection, tenant_id=tenant_id)


async def insert_endpoint(connection: Connection, tenant_id: int, endpoint: Endpoint) -> None:
    """A new endpoint, enabled."""
    await _queries.insert_endpoint(
        connection,
        tenant_id=tenant_id,
        id=endpoint.id,
        partner_id=endpoint.partner_id,
        include_partners=endpoint.include_partners,
        url=endpoint.url,
        description=endpoint.description,
        events=list(endpoint.events),
        max_in_flight=endpoint.max_in_flight,
        now=endpoint.created_at,
    )


async def count_endpoints(connection: Connection, tenant_id: int, partner_id: UUID | None) -> int:
    """How many endpoints this owner has."""
    count: int = await _queries.count_endpoints(connection, tenant_id=tenant_id, partner_id=partner_id)
    return count


async def endpoint(
    connection: Connection, tenant_id: int, partner_id: UUID | None, endpoint_id: UUID
) -> Endpoint | None:
    """The endpoint, if the asker may see it: a partner its own, the tenant (None) all."""
    row = await _queries.endpoint(connection, tenant_id=tenant_id, partner_id=partner_id, id=endpoint_id)
    return None if row is None else _endpoint(row)


async def endpoints(
    connection: Connection, tenant_id: int, partner_id: UUID | None, before: UUID | None, limit: int
) -> list[Endpoint]:
    """A page of endpoints, newest first."""
    rows = _queries.endpoints(
        connection, tenant_id=tenant_id, partner_id=partner_id, before=before, limit=limit
    )
    return [_endpoint(row) async for row in rows]


async def update_endpoint(connection: Connection, tenant_id: int, endpoint: Endpoint, at: datetime) -> None:
    """Its settings, all of them."""
    await _queries.update_endpoint(
        connection,
        tenant_id=tenant_id,
        id=endpoint.id,
        url=endpoint.url,
        description=endpoint.description,
        events=list(endpoint.events),
        max_in_flight=endpoint.max_in_flight,
        include_partners=endpoint.include_partners,
        now=at,
    )


async def enable_endpoint(connection: Connection, tenant_id: int, endpoint_id: UUID, at: datetime) -> None:
    """Enables it with a clean slate."""
    await _queries.enable_endpoint(connection, tenant_id=tenant_id, id=endpoint_id, now=at)


async def disable_endpoint(
    connection: Connection, tenant_id: int, endpoint_id: UUID, reason: DisabledReason, at: datetime
) -> None:
    """Disables it and discards what it was still owed."""
    await _queries.disable_endpoint(connection, tenant_id=tenant_id, id=endpoint_id, reason=reason, now=at)


async def insert_secret(
    connection: Connection, tenant_id: int, endpoint_id: UUID, sealed: bytes, at: datetime
) -> None:
    """A new current secret."""
    await _queries.insert_secret(
        connection, tenant_id=tenant_id, endpoint_id=endpoint_id, id=new_id(), sealed=sealed, now=at
    )


async def expire_secrets(connection: Connection, tenant_id: int, endpoint_id: UUID, at: datetime) -> None:
    """Lets the secrets so far sign along until then."""
    await _queries.expire_secrets(connection, tenant_id=tenant_id, endpoint_id=endpoint_id, at=at)


async def count_secrets(connection: Connection, tenant_id: int, endpoint_id: UUID, at: datetime) -> int:
    """How many secrets sign then."""
    count: int = await _queries.count_secrets(
        connection, tenant_id=tenant_id, endpoint_id=endpoint_id, now=at
    )
    return count


async def insert_test(
    connection: Connection, tenant_id: int, endpoint: Endpoint, event_type: str, at: datetime
) -> UUID:
    """An event for this endpoint alone, and its delivery, due at once. Returns the delivery's id."""
    event_id, delivery_id = new_id(), new_id()
    await _queries.insert_event(
        connection,
        tenant_id=tenant_id,
        id=event_id,
        type=event_type,
        endpoint_id=endpoint.id,
        partner_id=endpoint.partner_id,
        now=at,
    )
    await _queries.insert_delivery(
        connection,
        tenant_id=tenant_id,
        endpoint_id=endpoint.id,
        event_id=event_id,
        id=delivery_id,
        now=at,
    )
    return delivery_id


async def deliveries(
    connection: Connection,
    tenant_id: int,
    endpoint_id: UUID,
    status: DeliveryStatus | None,
    before: UUID | None,
    limit: int,
) -> list[Delivery]:
    """A page of an endpoint's deliveries, newest event first; `before` is an event's id."""
    rows = _queries.deliveries(
        connection,
        tenant_id=tenant_id,
        endpoint_id=endpoint_id,
        status=status,
        before=before,
        limit=limit,
    )
    return [_delivery(row) async for row in rows]


async def delivery(
    connection: Connection, tenant_id: int, partner_id: UUID | None, delivery_id: UUID
) -> Delivery | None:
    """The delivery, if the asker may see its endpoint."""
    row = await _queries.delivery(connection, tenant_id=tenant_id, partner_id=partner_id, id=delivery_id)
    return None if row is None else _delivery(row)


async def attempts(connection: Connection, tenant_id: int, delivery: Delivery, limit: int) -> list[Attempt]:
    """The last attempts, newest first."""
    rows = _queries.attempts(
        connection,
        tenant_id=tenant_id,
        endpoint_id=delivery.endpoint_id,
        event_id=delivery.event_id,
        limit=limit,
    )
    return [Attempt(*row) async for row in rows]


async def put_in_line(connection: Connection, tenant_id: int, delivery: Delivery, at: datetime) -> None:
    """Makes it pending again, at its place among the others about its object."""
    key = {"endpoint_id": delivery.endpoint_id, "event_id": delivery.event_id}
    await _queries.put_in_line(connection, tenant_id=tenant_id, **key)
    await _queries.line_up(
        connection,
        tenant_id=tenant_id,
        endpoint_id=delivery.endpoint_id,
        object_id=delivery.object_id,
        now=at,
    )


async def bring_forward(connection: Connection, tenant_id: int, delivery: Delivery, at: datetime) -> None:
    """Makes the first in line due now, whatever rest its endpoint asked for."""
    await _queries.bring_forward(
        connection,
        tenant_id=tenant_id,
        endpoint_id=delivery.endpoint_id,
        event_id=delivery.event_id,
        now=at,
    )
    await _queries.end_pause(connection, tenant_id=tenant_id, id=delivery.endpoint_id)


async def replay(
    connection: Connection,
    tenant_id: int,
    endpoint_id: UUID,
    since: datetime,
    *,
    delivered: bool,
    limit: int,
    at: datetime,
) -> list[tuple[UUID, bool]]:
    """Puts events since a time in line again: each event looked at, and whether it was."""
    rows = _queries.replay(
        connection,
        tenant_id=tenant_id,
        endpoint_id=endpoint_id,
        since=since,
        delivered=delivered,
        limit=limit,
        now=at,
    )
    return [(event_id, queued) async for event_id, queued in rows]


async def fan_out(connection: Connection, tenant_id: int, limit: int) -> int:
    """Turns up to `limit` outbox rows into deliveries; how many it took."""
    taken: int = await _queries.fan_out(connection, tenant_id=tenant_id, now=now(), limit=limit)
    return taken


async def claim(connection: Connection, tenant_id: int, lease: timedelta, limit: int) -> list[Owed]:
    """Leases up to `limit` deliveries that are due."""
    claim_id, at = new_id(), now()
    rows = _queries.claim(
        connection, tenant_id=tenant_id, now=at, claim_id=claim_id, until=at + lease, limit=limit
    )
    return [Owed(claim_id, *row) async for row in rows]


def _encode(items: Sequence[Finished]) -> Sequence[Any]:
    return (
        now(),
        [item.attempt_id for item in items],
        [item.owed.endpoint_id for item in items],
        [item.owed.event_id for item in items],
        [item.owed.claim_id for item in items],
        [item.owed.url for item in items],
        [item.reply.duration_ms for item in items],
        [item.reply.status_code for item in items],
        [item.reply.error for item in items],
        [item.reply.excerpt for item in items],
        [item.verdict.result for item in items],
        [item.verdict.next_attempt_at for item in items],
        [item.verdict.pause_until for item in items],
        [item.verdict.disable for item in items],
    )


def _decode(items: Sequence[Finished], rows: list[TupleRow]) -> list[bool | Exception]:
    return [held or item.verdict.result is Result.RELEASED for item, (held,) in zip(items, rows, strict=True)]


FINISH: ArrayFunction[Finished, bool] = ArrayFunction(
    "SELECT held FROM webhooks.finish(%s, %s, %s, %s, %s, %s, %s, %s, %s::smallint[], %s, %s, %s,"
    " %s::timestamptz[], %s::timestamptz[], %s)",
    _encode,
    _decode,
)
"""Notes what became of claimed deliveries: whether each claim still held."""
