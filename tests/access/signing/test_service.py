"""Signing keys: made, rotated and revoked while tokens are in use, by several processes."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt as pyjwt
import psycopg
import pytest

from florin.access.sessions.service import refresh
from florin.access.signing.errors import SigningKeyEnded, SigningKeyNotFound
from florin.access.signing.jwt import AUDIENCE, TokenRefused
from florin.access.signing.model import LEAD, KeyState, jwk
from florin.access.signing.service import (
    SigningKeys,
    list_keys,
    revoke,
    rotate,
    rotate_if_due,
)
from florin.kernel.crypto import KeyRing, SealBroken
from florin.kernel.db import Database
from florin.kernel.errors import Unauthenticated
from florin.kernel.ids import encode_id
from florin.kernel.notify import Listener, Notifier
from florin.tenancy.model import Tenant
from florin.tenancy.service import Tenancy, create_tenant
from tests.access.conftest import Urls, bearer
from tests.access.test_callers import eventually, running
from tests.access.tokens_world import RING, Process, process
from tests.tenancy.conftest import DETAILS

Twins = tuple[Tenant, Tenant]


@pytest.fixture(autouse=True)
def no_keys(database_urls: Urls) -> None:
    with psycopg.connect(database_urls.root) as root:
        root.execute("DELETE FROM access.signing_keys")


async def states(here: Process) -> list[KeyState]:
    return [key.state(here.keys.now()) for key in await list_keys(here.keys)]


async def test_processes_that_sign_for_the_first_time_at_once_agree_on_one_key(
    database: Database, twins: Twins, user_id: UUID
) -> None:
    processes = [process(database) for _ in range(4)]
    pairs = await asyncio.gather(*(one.sign_in(twins[0].tenant_id, user_id) for one in processes))
    assert await states(processes[0]) == [KeyState.SIGNING]
    for one in processes:
        for pair in pairs:
            assert (await one.keys.verify(pair.access_token)).subject == user_id


async def test_two_rotations_at_once_announce_one_key(here: Process, database: Database) -> None:
    other = process(database, clock=here.clock)
    await rotate_if_due(here.keys)
    made = await asyncio.gather(*(rotate(one.keys, by="test") for one in (here, other) * 3))
    assert len({key.kid for key in made}) == 1
    assert await states(here) == [KeyState.ANNOUNCED, KeyState.SIGNING]


async def test_a_session_lives_through_rotations_and_a_key_is_published_before_it_signs(
    here: Process, database: Database, twins: Twins, user_id: UUID
) -> None:
    pair = await here.sign_in(twins[0].tenant_id, user_id)
    reader = process(database, clock=here.clock)
    published: dict[str, float] = {}
    signed_by: set[str] = set()
    for _ in range(24 * 20 // 6):
        here.clock.at += timedelta(hours=6).total_seconds()
        here.keys.lifetime = timedelta(days=3)
        await rotate_if_due(here.keys)
        reader.keys.forget()
        for key in await reader.keys.published():
            published.setdefault(key.kid, here.clock.at)
        pair = await here.sign_in(twins[0].tenant_id, user_id)
        kid = pyjwt.get_unverified_header(pair.access_token)["kid"]
        if kid not in signed_by and signed_by:
            assert here.clock.at - published[kid] >= LEAD.total_seconds()
        signed_by.add(kid)
        await reader.keys.verify(pair.access_token)
        old = pair.access_token
        here.clock.at += 600
        await reader.keys.verify(old)
        pair = await refresh(here.sessions, pair.refresh_token)
    assert len(signed_by) >= 6
    assert (await states(here)).count(KeyState.SIGNING) == 1


async def test_a_key_that_signs_no_more_keeps_no_private_half(here: Process, database_urls: Urls) -> None:
    await rotate_if_due(here.keys)
    await rotate(here.keys, by="test")
    here.clock.at += LEAD.total_seconds() + 60
    assert await rotate_if_due(here.keys) is None
    with psycopg.connect(database_urls.root) as root:
        kept = root.execute("SELECT kid FROM access.signing_keys WHERE sealed IS NOT NULL").fetchall()
    newest, _ = await list_keys(here.keys)
    assert kept == [(newest.kid,)]


async def test_a_stranger_verifies_our_tokens_with_what_we_publish(
    here: Process, twins: Twins, user_id: UUID
) -> None:
    pair = await here.sign_in(twins[0].tenant_id, user_id)
    await rotate(here.keys, by="test")
    document = {"keys": [jwk(key) for key in await here.keys.published()]}

    class Client(pyjwt.PyJWKClient):
        def fetch_data(self) -> Any:
            return document

    client = Client("https://pay.bank.example/.well-known/jwks.json", cache_jwk_set=False)
    key = client.get_signing_key_from_jwt(pair.access_token)
    said = pyjwt.decode(
        pair.access_token,
        key,
        algorithms=["EdDSA"],
        audience=AUDIENCE,
        issuer="https://pay.bank.example",
        options={"require": ["exp", "iat", "nbf", "sub", "jti", "iss", "aud"]},
    )
    assert said["sub"] == encode_id("user", user_id)
    assert said["exp"] - said["iat"] == 900


async def test_what_a_revoked_key_signed_is_refused_and_another_signs(
    here: Process, twins: Twins, user_id: UUID
) -> None:
    pair = await here.sign_in(twins[0].tenant_id, user_id)
    await here.access.authenticate(bearer(pair.access_token))
    [key] = await list_keys(here.keys)
    await revoke(here.keys, key.kid, by="cli:ops", reason="the ring was copied")
    with pytest.raises(TokenRefused):
        await here.keys.verify(pair.access_token)
    with pytest.raises(Unauthenticated):
        await here.access.authenticate(bearer(pair.access_token))
    assert key.kid not in {one.kid for one in await here.keys.published()}
    pair = await refresh(here.sessions, pair.refresh_token)  # the user need not sign in again
    await here.access.authenticate(bearer(pair.access_token))
    assert sorted(await states(here)) == [KeyState.REVOKED, KeyState.SIGNING]
    with pytest.raises(SigningKeyEnded):
        await revoke(here.keys, key.kid, by="x", reason="y")
    with pytest.raises(SigningKeyNotFound):
        await revoke(here.keys, "nobody's", by="x", reason="y")


async def test_revoking_the_key_that_is_announced_leaves_the_one_that_signs(here: Process) -> None:
    await rotate_if_due(here.keys)
    announced = await rotate(here.keys, by="test")
    await revoke(here.keys, announced.kid, by="x", reason="y")
    here.clock.at += LEAD.total_seconds() * 2
    assert await rotate_if_due(here.keys) is None
    assert sorted(await states(here)) == [KeyState.REVOKED, KeyState.SIGNING]
    assert (await rotate(here.keys, by="test")).signs_from == here.keys.now() + LEAD


async def test_revoking_the_key_that_signs_while_another_is_announced_bridges_the_gap(here: Process) -> None:
    await rotate_if_due(here.keys)
    [signing] = await list_keys(here.keys)
    announced = await rotate(here.keys, by="test")
    await revoke(here.keys, signing.kid, by="x", reason="y")
    assert sorted(await states(here)) == [KeyState.ANNOUNCED, KeyState.REVOKED, KeyState.SIGNING]
    here.clock.at += LEAD.total_seconds()
    assert [
        key.kid for key in await list_keys(here.keys) if key.state(here.keys.now()) is KeyState.SIGNING
    ] == [announced.kid]


async def test_a_revocation_is_heard_by_another_process_at_once(
    database: Database, database_urls: Urls, twins: Twins, user_id: UUID
) -> None:
    listener = Listener(database_urls.app)
    here, there = process(database), process(database, listener=listener)
    pair = await here.sign_in(twins[0].tenant_id, user_id)

    async def refused_there() -> bool:
        try:
            await there.access.authenticate(bearer(pair.access_token))
        except Unauthenticated:
            return True
        return False

    async with running(here.access.notifier, listener):
        await asyncio.sleep(0.3)
        assert not await refused_there()
        [key] = await list_keys(here.keys)
        await revoke(here.keys, key.kid, by="x", reason="y")
        assert await eventually(refused_there)


async def test_a_key_that_another_process_made_is_found_when_its_first_token_comes(
    here: Process, database: Database, twins: Twins, user_id: UUID
) -> None:
    there = process(database, clock=here.clock)
    assert await there.keys.published() == []
    pair = await here.sign_in(twins[0].tenant_id, user_id)
    there.keys._read_at -= 6  # nothing was told, and a few seconds have gone by
    assert (await there.keys.verify(pair.access_token)).subject == user_id


async def test_private_halves_open_with_the_ring_alone(
    here: Process, database: Database, twins: Twins, user_id: UUID
) -> None:
    await here.sign_in(twins[0].tenant_id, user_id)

    def keys(ring: KeyRing) -> SigningKeys:
        return SigningKeys(database, ring, Notifier(database), issuer="https://pay.bank.example")

    claims = await here.keys.verify((await here.sign_in(twins[0].tenant_id, user_id)).access_token)
    with pytest.raises(SealBroken):
        await keys(KeyRing({"k1": b"2" * 32})).sign(claims)
    await keys(RING).sign(claims)


async def test_what_happens_to_keys_stands_in_the_audit_log_of_the_platform(
    here: Process, tenancy: Tenancy, database: Database
) -> None:
    live, _ = await create_tenant(tenancy, "PLATFORM", DETAILS)
    await rotate_if_due(here.keys)
    [key] = await list_keys(here.keys)
    await revoke(here.keys, key.kid, by="cli:ops", reason="lost")
    async with database.tenant(live.tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT action, entity_id = %s, after ->> 'reason' FROM audit.log "
            "WHERE tenant_id = %s AND entity_type = 'signing_key' ORDER BY seq",
            (key.kid, live.tenant_id),
        )
        rows = await cursor.fetchall()
    assert rows == [("created", True, None), ("revoked", True, "lost"), ("created", False, None)]


async def test_no_look_up_is_made_for_each_token_with_a_key_that_nobody_has(
    here: Process, counting: Database, user_id: UUID, twins: Twins
) -> None:
    await here.sign_in(twins[0].tenant_id, user_id)
    there = process(counting, clock=here.clock)
    header = "eyJhbGciOiJFZERTQSIsImtpZCI6Im5vIiwidHlwIjoiYXQrand0In0"
    for n in range(50):
        with pytest.raises(Unauthenticated):
            await there.access.authenticate(bearer(f"{header}.e30.{n:04d}"))
    assert counting.borrowed <= 2  # type: ignore[attr-defined]
