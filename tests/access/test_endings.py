"""Keys that end are spoken of in time, each time once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from florin.access import service
from florin.access.service import Access, create_key, revoke_key, rotate_key, tell_endings
from florin.access.views import render_ending
from florin.kernel.clock import now
from florin.kernel.db import Database
from florin.kernel.events import public_event, register
from florin.kernel.ids import encode_id
from florin.tenancy.model import Partner, Tenant

from .conftest import Urls

Twins = tuple[Tenant, Tenant]
Told = tuple[str, UUID, Any]


@pytest.fixture
def travel(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Moves the clock that the service looks at, from now."""

    def to(ahead: timedelta) -> None:
        monkeypatch.setattr(service, "now", lambda: now() + ahead)

    return to


@pytest.fixture
async def second(database_urls: Urls, access: Access) -> AsyncIterator[Access]:
    """Another worker's room."""
    async with Database(database_urls.app) as database:
        yield Access(database, access.notifier)


def told(urls: Urls, tenant_id: int) -> list[Told]:
    """Events about keys, oldest first; each has to be owed to the webhooks too."""
    with psycopg.connect(urls.app) as connection:
        connection.execute(f"SET app.tenant_id = {tenant_id}".encode())
        return connection.execute(
            "SELECT e.type, e.object_id, e.data ->> 'warned_days' FROM kernel.events e JOIN kernel.outbox o"
            " ON o.tenant_id = e.tenant_id AND o.event_id = e.id"
            " WHERE e.tenant_id = %s AND e.type LIKE 'api_key.%%' ORDER BY e.id",
            (tenant_id,),
        ).fetchall()


async def expiring(access: Access, twins: Twins, at: datetime | None, **more: Any) -> UUID:
    made = await create_key(access, twins[0].tenant_id, name="k", scopes=["*"], expires_at=at, **more)
    return made.key.id


async def test_a_key_is_spoken_of_30_7_and_1_days_before_its_end_and_after_it(
    access: Access, twins: Twins, database_urls: Urls, travel: Callable[[timedelta], None]
) -> None:
    tenant_id = twins[0].tenant_id
    key_id = await expiring(access, twins, now() + timedelta(days=40))
    counts = []
    for day in range(45):
        travel(timedelta(days=day))
        counts.append(await tell_endings(access, tenant_id))
    assert {day: count for day, count in enumerate(counts) if count} == {10: 1, 33: 1, 39: 1, 40: 1}
    assert told(database_urls, tenant_id) == [
        ("api_key.expiring", key_id, "30"),
        ("api_key.expiring", key_id, "7"),
        ("api_key.expiring", key_id, "1"),
        ("api_key.expired", key_id, "0"),
    ]


async def test_two_workers_at_once_say_it_once(
    access: Access, second: Access, twins: Twins, database_urls: Urls
) -> None:
    tenant_id = twins[0].tenant_id
    keys = {await expiring(access, twins, now() + timedelta(days=3)) for _ in range(20)}
    counts = await asyncio.gather(*(tell_endings(room, tenant_id) for room in (access, second) * 4))
    assert sum(counts) == 20
    found = told(database_urls, tenant_id)
    assert {row[1] for row in found} == keys
    assert len(found) == 20


async def test_keys_without_an_end_and_revoked_ones_and_what_ended_long_ago_are_no_news(
    access: Access, twins: Twins, travel: Callable[[timedelta], None]
) -> None:
    tenant_id = twins[0].tenant_id
    await expiring(access, twins, None)
    gone = await expiring(access, twins, now() + timedelta(days=2))
    await revoke_key(access, tenant_id, gone)
    await expiring(access, twins, now() + timedelta(days=60))
    assert await tell_endings(access, tenant_id) == 0
    travel(timedelta(days=91))
    assert await tell_endings(access, tenant_id) == 0


async def test_a_rotated_key_is_spoken_of_and_its_successor_begins_anew(
    access: Access, twins: Twins, database_urls: Urls
) -> None:
    tenant_id = twins[0].tenant_id
    old = await expiring(access, twins, now() + timedelta(days=20))
    assert await tell_endings(access, tenant_id) == 1
    new = await rotate_key(access, tenant_id, old)
    assert await tell_endings(access, tenant_id) == 2
    assert told(database_urls, tenant_id)[1:] in (
        [("api_key.expiring", old, "1"), ("api_key.expiring", new.key.id, "30")],
        [("api_key.expiring", new.key.id, "30"), ("api_key.expiring", old, "1")],
    )


async def test_the_event_names_the_key_and_its_partner_and_holds_no_secret(
    access: Access, twins: Twins, partner: Partner, database: Database
) -> None:
    tenant_id = twins[0].tenant_id
    ends = now() + timedelta(days=5)
    key_id = await expiring(access, twins, ends, partner_id=partner.id)
    await tell_endings(access, tenant_id)
    register("api_key", render_ending)
    async with database.tenant(tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT id, type, occurred_at, data, partner_id FROM kernel.events"
            " WHERE tenant_id = %s AND object_id = %s",
            (tenant_id, key_id),
        )
        row = await cursor.fetchone()
    assert row is not None
    assert row[4] == partner.id, "the partner's endpoints hear of it"
    event = public_event(dict(zip(("id", "type", "occurred_at", "data"), row[:4], strict=True)))
    shown = event["data"]["object"]
    assert event["type"] == "api_key.expiring"
    assert shown.keys() == {
        *("id", "object", "partner", "prefix", "name", "scopes", "within_days"),
        *("created_at", "expires_at", "last_used_at"),
    }
    assert shown["id"] == encode_id("key", key_id)
    assert shown["partner"] == encode_id("ptnr", partner.id)
    assert shown["within_days"] == 7
    assert shown["expires_at"].startswith(f"{ends:%Y-%m-%dT%H:%M:%S}")
    assert shown["last_used_at"] is None
