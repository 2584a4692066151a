"""Use cases of endpoints and deliveries. Each opens its transaction and names the locks that it takes.

`partner_id` is the asker's: a partner sees and changes its own endpoints, the tenant (None) all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from florin.kernel.clock import now
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Connection, Database
from florin.kernel.ids import new_id
from florin.kernel.notify import Notifier
from florin.kernel.outbound import AddressRefused, Confinement
from florin.webhooks import store
from florin.webhooks.errors import (
    DeliveryInFlight,
    DeliveryNotFound,
    DeliveryWaits,
    EndpointDisabled,
    EndpointNotFound,
    TooManyEndpoints,
    TooManySecrets,
    UrlNotAllowed,
)
from florin.webhooks.model import (
    MAX_ENDPOINTS,
    MAX_SECRETS,
    Attempt,
    Delivery,
    DeliveryStatus,
    DisabledReason,
    Endpoint,
    EndpointStatus,
    time_of,
)
from florin.webhooks.signing import new_secret, seal

OUTBOX_CHANNEL = "florin_outbox"
"""Notices with a tenant's id: it has events or deliveries that wait."""

REPLAY_LIMIT = 10_000
"""Events that one replay looks at."""

SHOWN_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class Webhooks:
    """What the room needs, opened once per process."""

    database: Database
    notifier: Notifier
    keys: KeyRing
    confinement: Confinement


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """What the owner of an endpoint decides."""

    url: str
    events: Sequence[str]
    description: str | None = None
    max_in_flight: int = 4
    include_partners: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay did. With `next_since` there is more: replay again from there."""

    queued: int
    next_since: datetime | None


def _check_url(webhooks: Webhooks, url: str) -> None:
    try:
        webhooks.confinement.check_url(url)
    except AddressRefused as error:
        raise UrlNotAllowed(f"url: {error}", param="url") from None


async def create_endpoint(
    webhooks: Webhooks, tenant_id: int, partner_id: UUID | None, settings: EndpointSettings
) -> tuple[Endpoint, str]:
    """A new endpoint, and its secret, which is shown this once.

    Locks the tenant's turn, so that the count of endpoints is exact.

    Raises:
        UrlNotAllowed: webhooks cannot go there.
        TooManyEndpoints: the owner has 50.
    """
    _check_url(webhooks, settings.url)
    at, secret = now(), new_secret()
    endpoint = Endpoint(
        id=new_id(),
        partner_id=partner_id,
        include_partners=settings.include_partners and partner_id is None,
        url=settings.url,
        description=settings.description,
        events=settings.events,
        status=EndpointStatus.ENABLED,
        disabled_reason=None,
        disabled_at=None,
        max_in_flight=settings.max_in_flight,
        failing_since=None,
        paused_until=None,
        created_at=at,
        updated_at=at,
    )
    sealed = seal(webhooks.keys, secret, tenant_id=tenant_id, endpoint_id=endpoint.id)
    async with webhooks.database.tenant(tenant_id) as connection:
        await store.take_turn(connection, tenant_id)
        if await store.count_endpoints(connection, tenant_id, partner_id) >= MAX_ENDPOINTS:
            raise TooManyEndpoints(f"{MAX_ENDPOINTS} webhook endpoints are allowed")
        await store.insert_endpoint(connection, tenant_id, endpoint)
        await store.insert_secret(connection, tenant_id, endpoint.id, sealed, at)
    return endpoint, secret


async def list_endpoints(
    webhooks: Webhooks, tenant_id: int, partner_id: UUID | None, before: UUID | None, limit: int
) -> list[Endpoint]:
    """Endpoints, newest first."""
    async with webhooks.database.tenant(tenant_id) as connection:
        return await store.endpoints(connection, tenant_id, partner_id, before, limit)


async def get_endpoint(
    webhooks: Webhooks, tenant_id: int, partner_id: UUID | None, endpoint_id: UUID
) -> Endpoint:
    """Raises EndpointNotFound."""
    async with webhooks.database.tenant(tenant_id) as connection:
        return await _endpoint(connection, tenant_id, partner_id, endpoint_id)


async def _endpoint(
    connection: Connection, tenant_id: int, partner_id: UUID | None, endpoint_id: UUID
) -> Endpoint:
    endpoint = await store.endpoint(connection, tenant_id, partner_id, endpoint_id)
    if endpoint is None:
        raise EndpointNotFound
    return endpoint


async def change_endpoint(
    webhooks: Webhooks,
    tenant_id: int,
    partner_id: UUID | None,
    endpoint_id: UUID,
    changes: dict[str, object],
) -> Endpoint:
    """Changes the settings named in `changes` (fields of EndpointSettings, and `status`).

    Locks the tenant's turn. Enabling starts with a clean slate: what was discarded meanwhile is sent again
    by a replay. Disabling discards what is still owed.

    Raises:
        EndpointNotFound, UrlNotAllowed
    """
    status = changes.pop("status", None)
    at = now()
    async with webhooks.database.tenant(tenant_id) as connection:
        await store.take_turn(connection, tenant_id)
        before = await _endpoint(connection, tenant_id, partner_id, endpoint_id)
        endpoint = replace(before, **changes)  # type: ignore[arg-type] # http.py has checked the types
        if endpoint.partner_id is not None:
            endpoint = replace(endpoint, include_partners=False)
        if endpoint.url != before.url:
            _check_url(webhooks, endpoint.url)
        if endpoint != before:
            await store.update_endpoint(connection, tenant_id, endpoint, at)
        if status == EndpointStatus.ENABLED:
            await store.enable_endpoint(connection, tenant_id, endpoint_id, at)
        elif status == EndpointStatus.DISABLED:
            await store.disable_endpoint(connection, tenant_id, endpoint_id, DisabledReason.REQUESTED, at)
        return await _endpoint(connection, tenant_id, partner_id, endpoint_id)


async def rotate_secret(
    webhooks: Webhooks,
    tenant_id: int,
    partner_id: UUID | None,
    endpoint_id: UUID,
    overlap: timedelta,
) -> tuple[str, datetime]:
    """A new secret, shown this once, and until when the former ones sign along.

    Locks the tenant's turn.

    Raises:
        EndpointNotFound
        TooManySecrets: ten sign already.
    """
    at, secret = now(), new_secret()
    sealed = seal(webhooks.keys, secret, tenant_id=tenant_id, endpoint_id=endpoint_id)
    async with webhooks.database.tenant(tenant_id) as connection:
        await store.take_turn(connection, tenant_id)
        await _endpoint(connection, tenant_id, partner_id, endpoint_id)
        await store.expire_secrets(connection, tenant_id, endpoint_id, at + overlap)
        if await store.count_secrets(connection, tenant_id, endpoint_id, at) >= MAX_SECRETS:
            raise TooManySecrets(f"{MAX_SECRETS} secrets may sign at a time")
        await store.insert_secret(connection, tenant_id, endpoint_id, sealed, at)
    return secret, at + overlap


async def send_test(
    webhooks: Webhooks, tenant_id: int, partner_id: UUID | None, endpoint_id: UUID
) -> Delivery:
    """Sends a `webhook.test` event to this endpoint alone.

    Raises:
        EndpointNotFound, EndpointDisabled
    """
    async with webhooks.database.tenant(tenant_id) as connection:
        endpoint = await _endpoint(connection, tenant_id, partner_id, endpoint_id)
        _require_enabled(endpoint)
        delivery_id = await store.insert_test(connection, tenant_id, endpoint, "webhook.test", now())
        delivery = await _delivery(connection, tenant_id, partner_id, delivery_id)
    webhooks.notifier.say(OUTBOX_CHANNEL, str(tenant_id))
    return delivery


def _require_enabled(endpoint: Endpoint) -> None:
    if endpoint.status is EndpointStatus.DISABLED:
        raise EndpointDisabled


async def list_deliveries(
    webhooks: Webhooks,
    tenant_id: int,
    partner_id: UUID | None,
    endpoint_id: UUID,
    *,
    status: DeliveryStatus | None,
    starting_after: UUID | None,
    limit: int,
) -> list[Delivery]:
    """An endpoint's deliveries, newest event first.

    Raises:
        EndpointNotFound
        DeliveryNotFound: `starting_after` is none of its deliveries.
    """
    async with webhooks.database.tenant(tenant_id) as connection:
        await _endpoint(connection, tenant_id, partner_id, endpoint_id)
        before = None
        if starting_after is not None:
            last = await _delivery(connection, tenant_id, partner_id, starting_after)
            before = last.event_id
        return await store.deliveries(connection, tenant_id, endpoint_id, status, before, limit)


async def get_delivery(
    webhooks: Webhooks, tenant_id: int, partner_id: UUID | None, delivery_id: UUID
) -> tuple[Delivery, list[Attempt]]:
    """A delivery with its last attempts, newest first. Raises DeliveryNotFound."""
    async with webhooks.database.tenant(tenant_id) as connection:
        delivery = await _delivery(connection, tenant_id, partner_id, delivery_id)
        return delivery, await store.attempts(connection, tenant_id, delivery, SHOWN_ATTEMPTS)


async def _delivery(
    connection: Connection, tenant_id: int, partner_id: UUID | None, delivery_id: UUID
) -> Delivery:
    delivery = await store.delivery(connection, tenant_id, partner_id, delivery_id)
    if delivery is None:
        raise DeliveryNotFound
    return delivery


async def retry_delivery(
    webhooks: Webhooks, tenant_id: int, partner_id: UUID | None, delivery_id: UUID
) -> Delivery:
    """Sends it now, or puts one that has ended in line again.

    Locks the tenant's turn.

    Raises:
        DeliveryNotFound, EndpointDisabled
        DeliveryInFlight: it is being tried.
        DeliveryWaits: an earlier one about the same object comes first.
    """
    at = now()
    async with webhooks.database.tenant(tenant_id) as connection:
        await store.take_turn(connection, tenant_id)
        delivery = await _delivery(connection, tenant_id, partner_id, delivery_id)
        _require_enabled(await _endpoint(connection, tenant_id, partner_id, delivery.endpoint_id))
        if delivery.claimed_until is not None and delivery.claimed_until > at:
            raise DeliveryInFlight
        if delivery.status is not DeliveryStatus.PENDING:
            await store.put_in_line(connection, tenant_id, delivery, at)
        elif delivery.next_attempt_at is None:
            raise DeliveryWaits
        await store.bring_forward(connection, tenant_id, delivery, at)
        delivery = await _delivery(connection, tenant_id, partner_id, delivery_id)
    webhooks.notifier.say(OUTBOX_CHANNEL, str(tenant_id))
    return delivery


async def replay(
    webhooks: Webhooks,
    tenant_id: int,
    partner_id: UUID | None,
    endpoint_id: UUID,
    *,
    since: datetime,
    delivered: bool,
) -> Replay:
    """Sends an endpoint again what happened since a time and did not reach it.

    That is what was given up or discarded, and what happened while it was disabled or did not exist;
    with `delivered` also what did reach it. Looks at 10,000 events at most. Locks the tenant's turn.

    Raises:
        EndpointNotFound, EndpointDisabled
    """
    async with webhooks.database.tenant(tenant_id) as connection:
        _require_enabled(await _endpoint(connection, tenant_id, partner_id, endpoint_id))
        looked_at = await store.replay(
            connection,
            tenant_id,
            endpoint_id,
            since,
            delivered=delivered,
            limit=REPLAY_LIMIT,
            at=now(),
        )
    webhooks.notifier.say(OUTBOX_CHANNEL, str(tenant_id))
    last = looked_at[-1][0] if len(looked_at) == REPLAY_LIMIT else None
    return Replay(
        queued=sum(queued for _, queued in looked_at),
        next_since=None if last is None else time_of(last),
    )
