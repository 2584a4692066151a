"""Turning keys: everything opens before, meanwhile and afterwards, and the old key opens nothing."""

import asyncio
import sys
import textwrap
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, RestrictViolation

from florin.audit.chain import verify
from florin.audit.service import entries
from florin.kernel.crypto import KeyRing, SealBroken, add_key, drop_key
from florin.kernel.ids import new_id
from florin.kernel.vault import Vault
from florin.ledger.seals import keys as seal_keys
from florin.privacy.reencryption import service
from florin.privacy.reencryption.columns import RING_SEALED, RingSealed
from florin.tenancy.configuration import set_value, value_in_force
from florin.tenancy.customers.service import create_customer, list_customers
from florin.tenancy.model import SettingType
from florin.webhooks import signing
from tests.privacy.conftest import House, Urls

OF_TENANTS = {one.name for one in RING_SEALED if one.of_tenant}


async def furnish(house: House, people: int = 3) -> dict[str, Any]:
    """One value in each column that the ring seals; what is needed to open them."""
    tenant_id, ring = house.tenant_id, house.ring
    for number in range(people):
        await create_customer(
            house.tenancy,
            tenant_id,
            partner_id=None,
            business_unit_id=None,
            reference=f"C{number}",
            name=f"Name {number}",
            metadata={},
        )
    await set_value(
        house.tenancy,
        tenant_id,
        "gateway.token",
        type=SettingType.STRING,
        value="token",
        encrypted=True,
        by="t",
    )
    signer = seal_keys.generate(tenant_id)
    endpoint_id, secret = new_id(), signing.new_secret()
    async with house.database.tenant(tenant_id) as connection:
        await connection.execute(
            "INSERT INTO ledger.seal_keys VALUES (%s, %s, %s, %s, now())",
            (tenant_id, signer.key.id, signer.key.public_key, seal_keys.sealed(ring, signer)),
        )
        await connection.execute(
            "INSERT INTO webhooks.endpoints (tenant_id, id, include_partners, url, events, status,"
            " max_in_flight, created_at, updated_at) VALUES (%s, %s, false, 'https://shop.example/', '{*}',"
            " 'enabled', 1, now(), now())",
            (tenant_id, endpoint_id),
        )
        await connection.execute(
            "INSERT INTO webhooks.secrets VALUES (%s, %s, %s, %s, now())",
            (
                tenant_id,
                endpoint_id,
                new_id(),
                signing.seal(ring, secret, tenant_id=tenant_id, endpoint_id=endpoint_id),
            ),
        )
    return {"signer": signer, "endpoint_id": endpoint_id, "secret": secret, "people": people}


async def check_all_opens(house: House, made: dict[str, Any], ring: KeyRing) -> None:
    """Through the features themselves, as a process that has just started."""
    from dataclasses import replace

    tenancy = replace(house.tenancy, key_ring=ring, vault=Vault(house.database, ring))
    found = await list_customers(tenancy, house.tenant_id, count=10_000)
    assert sorted(str(one.name) for one in found) == sorted(f"Name {n}" for n in range(made["people"]))
    assert await value_in_force(tenancy, house.tenant_id, "gateway.token") == "token"
    async with house.database.tenant(house.tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT private_key, (SELECT sealed FROM webhooks.secrets WHERE tenant_id = %(t)s)"
            " FROM ledger.seal_keys WHERE tenant_id = %(t)s",
            {"t": house.tenant_id},
        )
        row = await cursor.fetchone()
    assert row is not None
    assert seal_keys.opened(ring, made["signer"].key, row[0]).private == made["signer"].private
    endpoint_id = made["endpoint_id"]
    assert made["secret"] == signing.unseal(ring, row[1], tenant_id=house.tenant_id, endpoint_id=endpoint_id)


async def test_a_new_key_comes_to_seal_everything_and_the_old_one_may_leave(house: House) -> None:
    made = await furnish(house)
    before = await service.needs(house.database, [house.tenant_id])
    assert before.key_ids == {"k1"}
    assert {column for column, _ in before.counts} == OF_TENANTS
    total = before.of("k1")

    assert add_key(house.ring_file) == "k2"
    assert await service.count_due(house.database, house.ring, house.tenant_id) == total
    await check_all_opens(house, made, house.ring)
    heard: list[int] = []
    done = await service.reencrypt(
        house.database, house.ring, house.tenant_id, on_progress=heard.append, at_a_time=2
    )
    assert (done.rows, done.broken, sum(heard)) == (total, 0, total)
    after = await service.needs(house.database, [house.tenant_id])
    assert (after.of("k1"), after.of("k2")) == (0, total)

    drop_key(house.ring_file, "k1")
    await check_all_opens(house, made, KeyRing.from_file(house.ring_file))
    assert (await service.reencrypt(house.database, house.ring, house.tenant_id)).rows == 0


async def test_the_audit_log_says_what_was_sealed_anew_and_stays_whole(house: House) -> None:
    await furnish(house)
    add_key(house.ring_file)
    await service.reencrypt(house.database, house.ring, house.tenant_id)
    noted = [
        one
        for one in await entries(house.database, house.tenant_id, limit=100)
        if one.action == "reencrypted"
    ]
    assert {str(one.after and one.after["column"]) for one in noted} == OF_TENANTS
    assert {one.entity_id for one in noted} == {"k2"}
    assert (await verify(house.database, house.tenant_id)).broken is None


async def test_a_running_process_follows_the_file_and_two_at_once_share_the_work(house: House) -> None:
    made = await furnish(house, people=30)
    other = KeyRing.from_file(house.ring_file)  # as another process has it
    add_key(house.ring_file)
    turning = asyncio.gather(
        *(
            service.reencrypt(house.database, ring, house.tenant_id, at_a_time=4)
            for ring in (house.ring, other)
        )
    )
    for number in range(30, 40):
        await create_customer(
            house.tenancy,
            house.tenant_id,
            partner_id=None,
            business_unit_id=None,
            reference=f"C{number}",
            name=f"Name {number}",
            metadata={},
        )
    assert sum(done.rows for done in await turning) == 30 + 2 + 3
    assert (await service.needs(house.database, [house.tenant_id])).key_ids == {"k2"}
    await check_all_opens(house, {**made, "people": 40}, other)


async def test_a_value_that_does_not_open_is_passed_over_and_counted(
    house: House, database_urls: Urls
) -> None:
    await furnish(house)
    with psycopg.connect(database_urls.root) as root:
        root.execute(
            "UPDATE kernel.people SET wrapped = wrapped || 'x'::bytea WHERE tenant_id = %s"
            " AND id = (SELECT min(id::text)::uuid FROM kernel.people WHERE tenant_id = %s)",
            (house.tenant_id, house.tenant_id),
        )
    add_key(house.ring_file)
    done = await service.reencrypt(house.database, house.ring, house.tenant_id, at_a_time=1)
    assert done.broken == 1
    assert (await service.needs(house.database, [house.tenant_id])).of("k1") == 1


KILLED = """
import asyncio, sys
from pathlib import Path
from florin.kernel.crypto import KeyRing
from florin.kernel.db import Database
from florin.privacy.reencryption.service import reencrypt

async def main():
    async with Database(sys.argv[1]) as database:
        ring = KeyRing.from_file(Path(sys.argv[2]))
        tell = lambda rows: print(rows, flush=True)
        await reencrypt(database, ring, int(sys.argv[3]), at_a_time=5, on_progress=tell)

asyncio.run(main())
"""


async def test_whatever_is_killed_meanwhile_everything_opens_and_the_rest_goes_on(
    house: House, database_urls: Urls
) -> None:
    made = await furnish(house, people=400)
    add_key(house.ring_file)
    arguments = (database_urls.app, str(house.ring_file), str(house.tenant_id))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(KILLED), *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(6):
        assert await process.stdout.readline()
    process.kill()
    await process.wait()
    left = await service.count_due(house.database, house.ring, house.tenant_id)
    assert 0 < left < 400
    await check_all_opens(house, made, KeyRing.from_file(house.ring_file))
    assert (await service.reencrypt(house.database, house.ring, house.tenant_id)).rows == left
    drop_key(house.ring_file, "k1")
    await check_all_opens(house, made, KeyRing.from_file(house.ring_file))


async def test_append_only_tables_take_nothing_but_another_ciphertext(
    house: House, database_urls: Urls
) -> None:
    await furnish(house)
    update = "UPDATE tenancy.configuration SET {} WHERE tenant_id = %s"
    with pytest.raises(InsufficientPrivilege):
        async with house.database.tenant(house.tenant_id) as connection:
            await connection.execute(update.format("sealed = NULL").encode(), (house.tenant_id,))
    for change in (
        "sealed = NULL",
        "sealed = sealed || 'x'::bytea",
        "key = 'other'",
        "sealed = NULL, value = '1'",
    ):
        with psycopg.connect(database_urls.root) as root, pytest.raises(RestrictViolation):
            root.execute(update.format(change).encode(), (house.tenant_id,))


async def test_a_process_without_the_file_does_not_open_what_a_new_key_has_sealed(house: House) -> None:
    old = KeyRing.parse(house.ring_file.read_text())
    add_key(house.ring_file)
    sealed = house.ring.seal(b"v", bound_to="x")
    assert KeyRing.from_file(house.ring_file).open(sealed, bound_to="x") == b"v"
    with pytest.raises(SealBroken):
        old.open(sealed, bound_to="x")
    assert house.ring_file.stat().st_mode & 0o077 == 0


async def test_what_is_the_platforms_own_is_sealed_anew_too(house: House, database_urls: Urls) -> None:
    column = RingSealed(
        "kernel.of_the_platform", "sealed", ("id",), ("id",), lambda _, id: f"one:{id}", of_tenant=False
    )
    with psycopg.connect(database_urls.root) as root:
        root.execute("CREATE TABLE kernel.of_the_platform (id text PRIMARY KEY, sealed bytea)")
        root.execute("GRANT SELECT, UPDATE ON kernel.of_the_platform TO florin_app")
        for id in ("a", "b", "c"):
            sealed = house.ring.seal(id.encode(), bound_to=f"one:{id}")
            root.execute("INSERT INTO kernel.of_the_platform VALUES (%s, %s)", (id, sealed))
    add_key(house.ring_file)
    database, ring = house.database, house.ring
    assert await service.count_due(database, ring, None, columns=[column]) == 3
    assert (await service.reencrypt(database, ring, None, columns=[column], at_a_time=2)).rows == 3
    assert (await service.needs(database, [], columns=[column])).key_ids == {"k2"}
    assert (await service.reencrypt(database, ring, house.tenant_id, columns=[column])).rows == 0
    with psycopg.connect(database_urls.root) as root:
        for id, sealed in root.execute("SELECT id, sealed FROM kernel.of_the_platform").fetchall():
            assert ring.open(sealed, bound_to=f"one:{id}") == id.encode()
