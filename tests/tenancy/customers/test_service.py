"""Customers in the database: what stands there, what is found, and how old rows come to be sealed."""

import asyncio
import sys
from typing import Any

import psycopg
import pytest

from florin.kernel.errors import InvalidRequest
from florin.kernel.ids import new_id
from florin.tenancy.customers.model import BankAccount, Customer
from florin.tenancy.customers.sealing import wanted
from florin.tenancy.customers.service import (
    change_customer,
    count_in_plain,
    create_customer,
    find_customers,
    get_customer,
    list_customers,
    seal_customers,
)
from florin.tenancy.errors import CustomerNotFound
from florin.tenancy.model import BusinessUnitType, Partner, Tenant
from florin.tenancy.service import Tenancy, create_business_unit
from tests.tenancy.conftest import Urls

PERSONAL: dict[str, Any] = {
    "name": "Ann Planted",
    "email": "Ann.Planted@Shop.example",
    "phone": "+27 11 555 0100",
    "account": BankAccount("DE89 3704 0044 0532 0130 00", "COBADEFF"),
}


async def made(tenancy: Tenancy, tenant_id: int, reference: str = "C-1", **fields: Any) -> Customer:
    given = {"partner_id": None, "business_unit_id": None, "metadata": {}, **fields}
    return await create_customer(tenancy, tenant_id, reference=reference, **given)


def everything(urls: Urls) -> str:
    """All rows of the tables in which customers stand, as the superuser sees them."""
    with psycopg.connect(urls.root) as root:
        return "".join(
            str(root.execute(f"SELECT t::text FROM {table} t".encode()).fetchall())
            for table in ("tenancy.customers", "kernel.people", "audit.log")
        )


async def test_personal_fields_are_kept_sealed_and_shown_in_one_spelling(
    tenancy: Tenancy, twins: tuple[Tenant, Tenant], database_urls: Urls
) -> None:
    tenant_id = twins[0].tenant_id
    customer = await made(tenancy, tenant_id, **PERSONAL)
    assert (customer.email, customer.phone) == ("ann.planted@shop.example", "+27115550100")
    assert customer.account == BankAccount("DE89370400440532013000", "COBADEFF")
    assert await get_customer(tenancy, tenant_id, customer.id, None) == customer
    kept = everything(database_urls).lower()
    for value in ("planted", "27115550100", "de8937", "0532013000"):
        assert value not in kept, value


async def test_a_customer_is_found_by_address_and_number_however_they_are_typed(
    tenancy: Tenancy, twins: tuple[Tenant, Tenant], partner: Partner
) -> None:
    tenant_id = twins[0].tenant_id
    ours = await made(tenancy, tenant_id, **PERSONAL)
    theirs = await made(tenancy, tenant_id, partner_id=partner.id, **PERSONAL)
    await made(tenancy, twins[1].tenant_id, **PERSONAL)
    for kind, typed in (
        ("email", "ANN.planted@shop.EXAMPLE"),
        ("phone", "+27 (11) 555-0100"),
        ("account", "de89370400440532013000"),
    ):
        found = await find_customers(tenancy, tenant_id, wanted(kind, typed), count=10)
        assert found == [theirs, ours], kind
        found = await find_customers(tenancy, tenant_id, wanted(kind, typed), partner_id=partner.id, count=10)
        assert found == [theirs], kind
        assert await find_customers(tenancy, tenant_id, wanted(kind, typed), units=[new_id()], count=10) == []
    assert await find_customers(tenancy, tenant_id, wanted("email", "b@shop.example"), count=10) == []


async def test_a_change_seals_anew_and_null_empties(tenancy: Tenancy, twins: tuple[Tenant, Tenant]) -> None:
    tenant_id = twins[0].tenant_id
    customer = await made(tenancy, tenant_id)
    assert customer.person_id is None
    changed = await change_customer(tenancy, tenant_id, customer.id, None, PERSONAL)
    assert changed.person_id is not None
    changed = await change_customer(
        tenancy, tenant_id, customer.id, None, {"email": "b@shop.example", "name": None}
    )
    assert changed == await get_customer(tenancy, tenant_id, customer.id, None)
    assert (changed.name, changed.email, changed.phone) == (None, "b@shop.example", "+27115550100")
    found = await find_customers(tenancy, tenant_id, wanted("email", "ann.planted@shop.example"), count=1)
    assert found == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"email": "no address"}, "email"),
        ({"phone": "011 555 0100"}, "phone"),
        ({"account": BankAccount("DE88370400440532013000", None)}, "account.number"),
    ],
)
async def test_a_wrong_address_or_number_is_refused_by_its_name(
    tenancy: Tenancy, twins: tuple[Tenant, Tenant], fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await made(tenancy, twins[0].tenant_id, **fields)
    assert refused.value.param == param
    assert await list_customers(tenancy, twins[0].tenant_id, count=5) == []


def written_by_an_earlier_version(urls: Urls, tenant_id: int, count: int) -> None:
    with psycopg.connect(urls.root) as root:
        root.execute(f"SET app.tenant_id = {tenant_id}".encode())
        root.execute(
            "INSERT INTO tenancy.customers"
            " (tenant_id, id, reference, name, email, metadata, created_at, updated_at)"
            " SELECT %s, kernel.uuidv7(), 'old-' || n, 'Old Planted ' || n, CASE WHEN n %% 3 > 0 THEN"
            " 'old' || n || '@shop.example' END, '{}', now(), now() FROM generate_series(1, %s) n",
            (tenant_id, count),
        )


async def test_what_stands_in_plain_is_readable_and_comes_to_be_sealed(
    tenancy: Tenancy, twins: tuple[Tenant, Tenant], database_urls: Urls
) -> None:
    tenant_id = twins[0].tenant_id
    written_by_an_earlier_version(database_urls, tenant_id, 25)
    before = await list_customers(tenancy, tenant_id, count=100)
    assert before[0].name == "Old Planted 25"
    heard: list[tuple[int, int]] = []
    assert (
        await seal_customers(tenancy, tenant_id, at_a_time=10, on_progress=lambda *p: heard.append(p)) == 25
    )
    assert heard == [(10, 25), (20, 25), (25, 25)]
    assert "Old Planted" not in everything(database_urls)
    after = await list_customers(tenancy, tenant_id, count=100)
    assert [(one.name, one.email, one.updated_at) for one in after] == [
        (one.name, one.email, one.updated_at) for one in before
    ]
    found = await find_customers(tenancy, tenant_id, wanted("email", "old1@shop.example"), count=5)
    assert [one.reference for one in found] == ["old-1"]
    assert await seal_customers(tenancy, tenant_id) == 0


async def test_changes_beside_the_sealing_are_not_lost(
    tenancy: Tenancy, twins: tuple[Tenant, Tenant], database_urls: Urls
) -> None:
    tenant_id = twins[1].tenant_id
    written_by_an_earlier_version(database_urls, tenant_id, 20)
    old = await list_customers(tenancy, tenant_id, count=100)
    changes = (
        change_customer(tenancy, tenant_id, one.id, None, {"email": f"new@{one.reference}.example"})
        for one in old
    )
    await asyncio.gather(*(seal_customers(tenancy, tenant_id, at_a_time=3) for _ in range(2)), *changes)
    await seal_customers(tenancy, tenant_id)
    for one in await list_customers(tenancy, tenant_id, count=100):
        assert one.email == f"new@{one.reference}.example"
        assert one.name == f"Old Planted {one.reference.removeprefix('old-')}"


async def test_whoever_is_confined_to_units_sees_and_changes_customers_of_these_only(
    tenancy: Tenancy, twins: tuple[Tenant, Tenant]
) -> None:
    tenant_id = twins[0].tenant_id
    mine, other = [
        (
            await create_business_unit(
                tenancy, tenant_id, name=name, type=BusinessUnitType.RETAIL, parent_id=None
            )
        ).id
        for name in ("mine", "other")
    ]
    units = frozenset({mine})
    ours = await made(tenancy, tenant_id, "ours", business_unit_id=mine)
    theirs = await made(tenancy, tenant_id, "theirs", business_unit_id=other, email="t@shop.example")
    assert await list_customers(tenancy, tenant_id, units=units, count=9) == [ours]
    with pytest.raises(CustomerNotFound):
        await get_customer(tenancy, tenant_id, theirs.id, None, units)
    with pytest.raises(CustomerNotFound):
        await change_customer(tenancy, tenant_id, theirs.id, None, {"name": "x"}, units)


KILLED = """
import asyncio, sys
from pathlib import Path
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.kernel.notify import Notifier
from florin.kernel.vault import Vault
from florin.tenancy.customers.service import seal_customers
from florin.tenancy.service import Tenancy

async def main():
    async with Database(sys.argv[1]) as database:
        ring = KeyRing({"k1": bytes(32)})
        tenancy = Tenancy(database, Notifier(database), ring, Vault(database, ring))
        tell = lambda done, total: print(done, flush=True)
        await seal_customers(tenancy, int(sys.argv[2]), at_a_time=5, on_progress=tell)

asyncio.run(main())
"""


async def test_sealing_that_is_killed_loses_nothing_and_goes_on(
    tenancy: Tenancy, twins: tuple[Tenant, Tenant], database_urls: Urls
) -> None:
    tenant_id = twins[0].tenant_id
    written_by_an_earlier_version(database_urls, tenant_id, 300)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, database_urls.app, str(tenant_id), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(4):
        assert await process.stdout.readline()
    process.kill()
    await process.wait()
    left = await count_in_plain(tenancy, tenant_id)
    assert 0 < left < 300
    names = {one.name for one in await list_customers(tenancy, tenant_id, count=1000)}
    assert names == {f"Old Planted {number}" for number in range(1, 301)}
    assert await seal_customers(tenancy, tenant_id) == left
    assert {one.name for one in await list_customers(tenancy, tenant_id, count=1000)} == names
