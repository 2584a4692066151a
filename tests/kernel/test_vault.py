"""Envelope encryption: whose keys open what, and what erasing leaves."""

from collections.abc import AsyncIterator
from typing import Protocol
from uuid import UUID

import pytest
from psycopg.errors import RestrictViolation

from florin.kernel.crypto import KeyRing, SealBroken
from florin.kernel.db import Database
from florin.kernel.vault import Vault

RING = KeyRing({"k1": b"1" * 32})


class Urls(Protocol):
    """Connection strings of the test database."""

    app: str


@pytest.fixture
async def database(database_urls: Urls) -> AsyncIterator[Database]:
    async with Database(database_urls.app) as database:
        yield database


@pytest.fixture
def vault(database: Database) -> Vault:
    return Vault(database, RING)


async def test_a_secret_opens_for_its_tenant_and_its_place_only(vault: Vault, database: Database) -> None:
    keys = await vault.of(1)
    sealed = keys.seal(b"JBSWY3DP", bound_to="totp:7")
    assert keys.open(sealed, bound_to="totp:7") == b"JBSWY3DP"
    for other, place in ((keys, "totp:8"), (await vault.of(2), "totp:7")):
        with pytest.raises(SealBroken):
            other.open(sealed, bound_to=place)
    assert (await Vault(database, RING).of(1)).open(sealed, bound_to="totp:7") == b"JBSWY3DP"
    assert "JBSW" not in repr(keys)


async def test_a_blind_index_is_the_same_in_every_process_and_another_for_every_tenant_and_kind(
    vault: Vault, database: Database
) -> None:
    index = (await vault.of(1)).blind("email", "ann@shop.example")
    assert (await Vault(database, RING).of(1)).blind("email", "ann@shop.example") == index
    assert (await vault.of(2)).blind("email", "ann@shop.example") != index
    assert (await vault.of(1)).blind("phone", "ann@shop.example") != index


async def test_two_processes_that_begin_at_once_agree_on_the_keys(database: Database) -> None:
    import asyncio

    made = await asyncio.gather(*(Vault(database, RING).of(3) for _ in range(6)))
    assert len({keys.blind("email", "x") for keys in made}) == 1


async def test_what_a_person_sealed_opens_until_the_person_is_erased(
    vault: Vault, database: Database
) -> None:
    async with database.tenant(1) as connection:
        person = await vault.new_person(connection, 1, "customer")
    sealed = person.seal("email", "ann@shop.example")
    async with database.tenant(1) as connection:
        found = (await vault.people(connection, 1, [person.id]))[person.id]
        assert found.open("email", sealed) == "ann@shop.example"
        with pytest.raises(SealBroken):
            found.open("name", sealed)
        assert await vault.erase(connection, 1, person.id, by="user_1")
        assert not await vault.erase(connection, 1, person.id, by="user_1")
        assert await vault.people(connection, 1, [person.id]) == {}


async def test_nobody_gives_an_erased_person_another_key(vault: Vault, database: Database) -> None:
    async with database.tenant(1) as connection:
        person = await vault.new_person(connection, 1, "user")
        await vault.erase(connection, 1, person.id, by="job:privacy.retention")
    with pytest.raises(RestrictViolation):
        async with database.tenant(1) as connection:
            await connection.execute(
                "UPDATE kernel.people SET wrapped = 'x', erased_at = NULL, erased_by = NULL "
                "WHERE tenant_id = 1 AND id = %s",
                (person.id,),
            )


async def test_a_key_that_left_the_ring_opens_nothing(vault: Vault, database: Database) -> None:
    await vault.of(4)
    with pytest.raises(SealBroken):
        await Vault(database, KeyRing({"k2": b"2" * 32})).of(4)
    async with database.tenant(4) as connection:
        assert await vault.people(connection, 4, [UUID(int=1)]) == {}
