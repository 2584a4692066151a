"""Settings: in force from an instant on, inherited down the tree, sealed where marked."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.errors import RestrictViolation

from florin.kernel.clock import now
from florin.kernel.crypto import SealBroken
from florin.kernel.errors import InvalidRequest
from florin.kernel.ids import new_id
from florin.tenancy.configuration import get_setting, in_force, set_value, value_in_force
from florin.tenancy.errors import SettingExists, SettingNotFound, UnknownReference
from florin.tenancy.model import BusinessUnitType, SettingType, Tenant
from florin.tenancy.service import Tenancy, create_business_unit

from .conftest import Urls

Twins = tuple[Tenant, Tenant]


async def say(tenancy: Tenancy, tenant_id: int, key: str, value: str | None, **options: Any) -> None:
    await set_value(tenancy, tenant_id, key, type=SettingType.STRING, value=value, by="test", **options)


async def test_the_value_in_force_is_the_latest_that_has_begun(tenancy: Tenancy, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    start = now() + timedelta(hours=1)
    for day in (2, 0, 1):
        await say(tenancy, tenant_id, "fee.plan", f"day {day}", effective_from=start + timedelta(days=day))

    async def at(days: float) -> object:
        return await value_in_force(tenancy, tenant_id, "fee.plan", at=start + timedelta(days=days))

    assert [await at(days) for days in (0, 0.5, 1, 1.5, 2, 400)] == [
        "day 0",
        "day 0",
        "day 1",
        "day 1",
        "day 2",
        "day 2",
    ]
    with pytest.raises(SettingNotFound):
        await at(-0.001)


async def test_the_past_cannot_be_changed_nor_an_instant_be_given_twice(
    tenancy: Tenancy, twins: Twins
) -> None:
    tenant_id = twins[0].tenant_id
    for when in (now() - timedelta(seconds=1), datetime(9999, 12, 31, tzinfo=UTC)):
        with pytest.raises(InvalidRequest) as refused:
            await say(tenancy, tenant_id, "k", "v", effective_from=when)
        assert refused.value.param == "effective_from"
    instant = now() + timedelta(days=1)
    outcomes = await asyncio.gather(
        *(say(tenancy, tenant_id, "k", f"{n}", effective_from=instant) for n in range(3)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, SettingExists) for outcome in outcomes) == 2


async def test_recorded_values_are_never_changed(tenancy: Tenancy, twins: Twins, database_urls: Urls) -> None:
    await say(tenancy, twins[0].tenant_id, "k", "v")
    with psycopg.connect(database_urls.root) as root, pytest.raises(RestrictViolation):
        root.execute("UPDATE tenancy.configuration SET value = '\"w\"'")


async def test_a_unit_sees_the_nearest_value_on_the_way_up(tenancy: Tenancy, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    units: list[UUID] = []
    for _ in range(3):
        made = await create_business_unit(
            tenancy,
            tenant_id,
            name="u",
            type=BusinessUnitType.RETAIL,
            parent_id=units[-1] if units else None,
        )
        units.append(made.id)

    async def seen() -> list[object]:
        return [
            await value_in_force(tenancy, tenant_id, "k", business_unit_id=unit) for unit in (None, *units)
        ]

    await say(tenancy, tenant_id, "k", "tenant")
    assert await seen() == ["tenant"] * 4
    await say(tenancy, tenant_id, "k", "middle", business_unit_id=units[1])
    assert await seen() == ["tenant", "tenant", "middle", "middle"]
    await say(tenancy, tenant_id, "k", "top", business_unit_id=units[0])
    assert await seen() == ["tenant", "top", "middle", "middle"]
    await say(tenancy, tenant_id, "k", None, business_unit_id=units[1])
    assert await seen() == ["tenant", "top", "top", "top"], "a withdrawn value lets the next one through"
    with pytest.raises(UnknownReference):
        await say(tenancy, tenant_id, "k", "v", business_unit_id=new_id())


async def test_lists_are_in_order_of_keys_and_continue_after_one(tenancy: Tenancy, twins: Twins) -> None:
    tenant_id = twins[0].tenant_id
    for key in ("c", "a", "b", "gone"):
        await say(tenancy, tenant_id, key, key)
    await say(tenancy, tenant_id, "gone", None)
    await say(tenancy, tenant_id, "later", "v", effective_from=now() + timedelta(days=1))
    assert [s.key for s in await in_force(tenancy, tenant_id)] == ["a", "b", "c"]
    assert [s.key for s in await in_force(tenancy, tenant_id, after="a", count=1)] == ["b"]
    assert await in_force(tenancy, twins[1].tenant_id) == []


@pytest.mark.parametrize(
    ("type", "given", "found"),
    [
        (SettingType.STRING, "text", "text"),
        (SettingType.BOOLEAN, False, False),
        (SettingType.NUMBER, 5, Decimal(5)),
        (SettingType.NUMBER, "0.250", Decimal("0.250")),
        (SettingType.NUMBER, -(10**30), Decimal(-(10**30))),
        (SettingType.JSON, {"a": [1, "x", None, True]}, {"a": [1, "x", None, True]}),
    ],
)
@pytest.mark.parametrize("encrypted", [False, True])
async def test_values_come_back_as_they_went_in(
    tenancy: Tenancy, twins: Twins, type: SettingType, given: object, found: object, encrypted: bool
) -> None:
    tenant_id = twins[0].tenant_id
    await set_value(tenancy, tenant_id, "k", type=type, value=given, encrypted=encrypted, by="test")
    value = await value_in_force(tenancy, tenant_id, "k")
    assert value == found
    assert str(value) == str(found)


@pytest.mark.parametrize(
    ("type", "value"),
    [
        (SettingType.STRING, 1),
        (SettingType.STRING, "a\0b"),
        (SettingType.STRING, "\ud800"),
        (SettingType.BOOLEAN, "true"),
        (SettingType.BOOLEAN, 1),
        (SettingType.NUMBER, 0.1),
        (SettingType.NUMBER, True),
        (SettingType.NUMBER, "NaN"),
        (SettingType.NUMBER, "1e999999"),
        (SettingType.NUMBER, "1" * 41),
        (SettingType.NUMBER, "one"),
        (SettingType.JSON, {"rate": 0.1}),
        (SettingType.JSON, [2**63]),
        (SettingType.JSON, {"\0": 1}),
    ],
)
async def test_values_of_another_type_or_inexact_ones_are_refused(
    tenancy: Tenancy, twins: Twins, type: SettingType, value: object
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await set_value(tenancy, twins[0].tenant_id, "k", type=type, value=value, by="test")
    assert refused.value.param == "value"
    assert await in_force(tenancy, twins[0].tenant_id) == []


async def test_sealed_values_are_unreadable_in_the_database_and_in_lists(
    tenancy: Tenancy, twins: Twins, database_urls: Urls
) -> None:
    tenant_id = twins[0].tenant_id
    await say(tenancy, tenant_id, "psp.secret", "hunter2hunter2", encrypted=True)
    setting = await get_setting(tenancy, tenant_id, "psp.secret")
    assert setting.encrypted
    assert setting.value is None
    with psycopg.connect(database_urls.root) as root:
        row = root.execute(
            "SELECT sealed, c::text FROM tenancy.configuration c WHERE tenant_id = %s", (tenant_id,)
        ).fetchone()
    assert row is not None
    assert b"hunter2" not in row[0]
    assert "hunter2" not in row[1]


@pytest.mark.parametrize("moved", ["tenant", "key"])
async def test_a_sealed_value_that_was_moved_does_not_open(
    tenancy: Tenancy, twins: Twins, database_urls: Urls, moved: str
) -> None:
    own, other = twins[0].tenant_id, twins[1].tenant_id
    await say(tenancy, own, "psp.secret", "hunter2hunter2", encrypted=True)
    target = (other, "psp.secret") if moved == "tenant" else (own, "shown.key")
    with psycopg.connect(database_urls.root) as root:
        root.execute("SELECT set_config('app.tenant_id', %s, true)", (str(target[0]),))
        root.execute(
            "INSERT INTO tenancy.configuration SELECT %s, kernel.uuidv7(), NULL, %s, effective_from, type,"
            " NULL, sealed, created_at, created_by FROM tenancy.configuration WHERE tenant_id = %s",
            (*target, own),
        )
    with pytest.raises(SealBroken):
        await value_in_force(tenancy, *target)
