"""What tenants use: counted calls, measured rows and bytes."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import psycopg
import pytest

from florin.kernel.clock import now
from florin.kernel.db import Database
from florin.kernel.errors import Unavailable
from florin.kernel.ids import new_id
from florin.tenancy.jobs import measure_usage
from florin.tenancy.model import Metric, Tenant, Usage
from florin.tenancy.service import Tenancy
from florin.tenancy.usage import UsageMeter, get_usage

from .conftest import Urls

Twins = tuple[Tenant, Tenant]


async def today(tenancy: Tenancy, tenant_id: int) -> dict[Metric, int]:
    day = now().date()
    return {usage.metric: usage.value for usage in await get_usage(tenancy, tenant_id, day, day)}


async def test_calls_of_two_processes_add_up_per_tenant(
    tenancy: Tenancy, database: Database, twins: Twins
) -> None:
    meters = [UsageMeter(database) for _ in range(2)]
    for n in range(10):
        meters[n % 2].count_call(twins[0].tenant_id)
        meters[0].count_call(twins[1].tenant_id)
    await asyncio.gather(*(meter.flush() for meter in meters))
    await asyncio.gather(*(meter.flush() for meter in meters))
    assert await today(tenancy, twins[0].tenant_id) == {Metric.API_CALLS: 10}
    assert await today(tenancy, twins[1].tenant_id) == {Metric.API_CALLS: 10}


async def test_what_cannot_be_written_now_is_written_later(
    tenancy: Tenancy, database: Database, twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = UsageMeter(database)
    meter.count_call(twins[0].tenant_id)
    with monkeypatch.context() as broken:
        broken.setattr("florin.tenancy.store.add_usage", _away)
        with pytest.raises(Unavailable):
            await meter.flush()
    meter.count_call(twins[0].tenant_id)
    await meter.flush()
    assert await today(tenancy, twins[0].tenant_id) == {Metric.API_CALLS: 2}


async def _away(*_: object) -> None:
    raise Unavailable


async def test_a_meter_that_runs_flushes_every_few_seconds_and_when_it_stops(
    tenancy: Tenancy, database: Database, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    meter = UsageMeter(database, every_s=0.05)
    running = asyncio.create_task(meter.run())
    meter.count_call(tenant_id)
    await asyncio.sleep(0.3)
    assert await today(tenancy, tenant_id) == {Metric.API_CALLS: 1}
    meter.count_call(tenant_id)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert await today(tenancy, tenant_id) == {Metric.API_CALLS: 2}


async def test_transactions_of_a_day_and_stored_bytes_are_measured(
    tenancy: Tenancy, twins: Twins, database_urls: Urls
) -> None:
    busy, idle = twins[0].tenant_id, twins[1].tenant_id
    with psycopg.connect(database_urls.root, autocommit=True) as root:
        root.execute("SET session_replication_role = replica")
        with root.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO ledger.transfers (tenant_id, id, kind, recorded_at, effective_at, account_ids,"
                " amounts, entry_seqs) VALUES (%s, %s, 'transfer', now(), now(), %s, '{5,-5}', '{1,1}')",
                [(busy, new_id(), [new_id(), new_id()]) for _ in range(300)],
            )
        root.execute("ANALYZE")
    await measure_usage(tenancy)
    measured = await today(tenancy, busy)
    assert measured[Metric.TRANSACTIONS] == 300
    assert measured[Metric.STORAGE_BYTES] > 300 * 100
    assert (await today(tenancy, idle))[Metric.TRANSACTIONS] == 0
    assert (await today(tenancy, idle))[Metric.STORAGE_BYTES] < measured[Metric.STORAGE_BYTES]
    await measure_usage(tenancy)
    assert (await today(tenancy, busy))[Metric.TRANSACTIONS] == 300, "measuring twice overwrites"
    yesterday = now().date() - timedelta(days=1)
    assert Usage(yesterday, Metric.TRANSACTIONS, 0) in await get_usage(tenancy, busy, yesterday, yesterday)
