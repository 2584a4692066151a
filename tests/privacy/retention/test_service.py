"""Runs of retention: what is old goes, what is not stays, and the amounts stay whatever happens."""

from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.errors import InvalidParameterValue, RestrictViolation

from florin.audit.service import entries
from florin.kernel.ids import new_id
from florin.kernel.settings import Settings
from florin.payments.views import render_payment
from florin.privacy.erasure.service import place_hold
from florin.privacy.model import Kind
from florin.privacy.retention.rules import change, in_force
from florin.privacy.retention.service import Counts, drop_old_events, run
from florin.privacy.room import Privacy
from florin.tenancy.configuration import set_value
from florin.tenancy.customers.service import create_customer, get_customer
from florin.tenancy.model import SettingType
from tests.privacy.conftest import House, Urls


@pytest.fixture
def privacy(house: House) -> Privacy:
    return Privacy(house.tenancy, Settings())


async def customer_of(house: House, reference: str, **fields: Any) -> UUID:
    given = {"partner_id": None, "business_unit_id": None, "name": "Ann", "metadata": {}, **fields}
    return (await create_customer(house.tenancy, house.tenant_id, reference=reference, **given)).id


def as_old(urls: Urls, house: House, years: int) -> None:
    """Everything that is there now happened so many years ago; nobody has changed it since."""
    with psycopg.connect(urls.root) as root:
        root.execute(f"SET app.tenant_id = {house.tenant_id}".encode())
        ago = f"interval '{years} years 1 day'"
        for table, column in (
            ("tenancy.customers", "updated_at"),
            ("access.users", "updated_at"),
            ("payments.provider_events", "received_at"),
        ):
            if table == "payments.provider_events":
                root.execute("ALTER TABLE payments.provider_events DISABLE TRIGGER append_only")
            root.execute(
                f"UPDATE {table} SET {column} = now() - {ago} WHERE tenant_id = {house.tenant_id}".encode()
            )
        root.execute("ALTER TABLE payments.provider_events ENABLE TRIGGER append_only")


def payment(urls: Urls, house: House, years_ago: int, customer_id: UUID | None = None) -> UUID:
    """A payment of so many years ago, with an operation, an attempt and what the provider told."""
    with psycopg.connect(urls.root) as root:
        row = root.execute(
            "INSERT INTO payments.payments (tenant_id, id, customer_id, status, currency, amount, authorized,"
            " captured, capture_method, provider, method_type, method, description, metadata, created_at,"
            " updated_at)"
            " SELECT %(t)s, overlay(kernel.uuid_floor(at)::text placing right(gen_random_uuid()::text, 12)"
            " from 25)::uuid, %(c)s, 'processing', 'USD', 700, 0, 0, 'automatic', 'sandbox', 'upi',"
            ' \'{"vpa": "planted@bank"}\', \'for Planted\', \'{"who": "Planted"}\', at, at'
            " FROM (SELECT now() - make_interval(years => %(y)s, days => 1) AS at) _ RETURNING id",
            {"t": house.tenant_id, "c": customer_id, "y": years_ago},
        ).fetchone()
        assert row is not None
        root.execute(
            "UPDATE payments.payments SET status = 'completed', authorized = 700, captured = 700"
            " WHERE tenant_id = %s AND id = %s",
            (house.tenant_id, row[0]),
        )
        root.execute(
            "INSERT INTO payments.operations (tenant_id, id, kind, payment_id, status, amount, reserved,"
            " currency, reason, metadata, created_at, updated_at)"
            " VALUES (%s, %s, 'refund', %s, 'failed', 5, 5, 'USD', 'Planted asked',"
            ' \'{"a": "Planted"}\', now(), now())',
            (house.tenant_id, new_id(), row[0]),
        )
        root.execute(
            "INSERT INTO payments.attempts (tenant_id, payment_id, number, status, provider, message,"
            " answer_status, sent_at) VALUES (%s, %s, 1, 'failed', 'sandbox', 'no Planted', 201, now())",
            (house.tenant_id, row[0]),
        )
        root.execute(
            "INSERT INTO payments.provider_events VALUES (%s, 'sandbox', %s, 'r', 'k', now(), 'Planted')",
            (house.tenant_id, str(row[0])),
        )
    found: UUID = row[0]
    return found


def kept(urls: Urls, house: House) -> str:
    with psycopg.connect(urls.root) as root:
        all_of = "SELECT t::text FROM payments."
        return "".join(
            str(root.execute(f"{all_of}{table} t WHERE tenant_id = {house.tenant_id}".encode()).fetchall())
            for table in ("payments", "operations", "attempts")
        )


async def test_people_of_whom_nothing_was_heard_for_years_are_erased_and_others_stay(
    house: House, privacy: Privacy, database_urls: Urls
) -> None:
    gone = await customer_of(house, "gone")
    held = await customer_of(house, "held")
    paying = await customer_of(house, "paying")
    await place_hold(privacy, house.tenant_id, Kind.CUSTOMER, held, reason="dispute", by="t")
    as_old(database_urls, house, 7)
    fresh = await customer_of(house, "fresh")
    payment(database_urls, house, 6, customer_id=paying)
    counted = await run(privacy, house.tenant_id, dry_run=True)
    assert counted == Counts(customers=1)
    assert (await get_customer(house.tenancy, house.tenant_id, gone, None)).name == "Ann"
    assert await run(privacy, house.tenant_id) == counted
    assert (await get_customer(house.tenancy, house.tenant_id, gone, None)).erased_at is not None
    for stays in (held, paying, fresh):
        assert (await get_customer(house.tenancy, house.tenant_id, stays, None)).name == "Ann"
    assert await run(privacy, house.tenant_id) == Counts()


async def test_a_tenants_own_years_count(house: House, privacy: Privacy, database_urls: Urls) -> None:
    await customer_of(house, "two")
    as_old(database_urls, house, 2)
    assert (await run(privacy, house.tenant_id, dry_run=True)).customers == 0
    await change(privacy, house.tenant_id, {"personal_years": 2}, by="key_test")
    assert (await run(privacy, house.tenant_id, dry_run=True)).customers == 1


async def test_a_value_below_the_platforms_least_does_not_count_however_it_came_there(
    house: House, privacy: Privacy
) -> None:
    await set_value(
        house.tenancy,
        house.tenant_id,
        "retention.transactions_years",
        type=SettingType.NUMBER,
        value=1,
        by="past the API",
    )
    assert (await in_force(privacy, house.tenant_id)).transactions_years == 5


async def test_old_payments_lose_their_text_and_keep_their_amounts(
    house: House, privacy: Privacy, database_urls: Urls
) -> None:
    old = [payment(database_urls, house, 10) for _ in range(5)]
    as_old(database_urls, house, 10)
    young = payment(database_urls, house, 9)
    found = await run(privacy, house.tenant_id, at_a_time=2)
    assert found == Counts(payments=5, provider_events=5)
    text = kept(database_urls, house)
    assert text.count("Planted") == 5
    with psycopg.connect(database_urls.root) as root:
        rows = root.execute(
            "SELECT id, to_jsonb(p), amount, captured FROM payments.payments p WHERE tenant_id = %s"
            " ORDER BY id",
            (house.tenant_id,),
        ).fetchall()
        events = root.execute(
            "SELECT event_id FROM payments.provider_events WHERE tenant_id = %s", (house.tenant_id,)
        ).fetchall()
    assert sorted(row[0] for row in rows) == sorted([*old, young])
    assert {row[2:] for row in rows} == {(700, 700)}
    assert events == [(str(young),)]
    shown = render_payment(rows[0][1])
    assert (shown["method"], shown["description"], shown["metadata"]) == ({"type": "upi"}, None, {})


async def test_a_run_that_was_cut_short_goes_on_where_it_was(
    house: House, privacy: Privacy, database_urls: Urls
) -> None:
    for _ in range(7):
        payment(database_urls, house, 10)

    class Cut(Exception):
        """The power fails."""

    def fails(what: str, rows: int) -> None:
        raise Cut

    with pytest.raises(Cut):
        await run(privacy, house.tenant_id, at_a_time=3, on_progress=fails)
    assert (await run(privacy, house.tenant_id, at_a_time=3)).payments == 4
    assert "Planted" not in kept(database_urls, house).replace("no Planted", "")


async def test_each_run_stands_in_the_audit_log_with_what_went(
    house: House, privacy: Privacy, database_urls: Urls
) -> None:
    payment(database_urls, house, 10)
    await run(privacy, house.tenant_id, dry_run=True)
    await run(privacy, house.tenant_id)
    log = await entries(house.database, house.tenant_id, limit=50)
    noted = [one.after for one in log if one.action == "retention_run"]
    assert noted == [{"customers": 0, "users": 0, "payments": 1, "provider_events": 0, "audit_rows": 0}]


async def test_what_providers_told_is_kept_for_five_years_whoever_asks(
    house: House, database_urls: Urls
) -> None:
    payment(database_urls, house, 1)
    with pytest.raises(RestrictViolation):
        async with house.database.tenant(house.tenant_id) as connection:
            await connection.execute(
                "SELECT payments.forget_provider_events(%s, now() + interval '1 day', 10)", (house.tenant_id,)
            )


async def test_whole_months_of_old_events_are_dropped_and_younger_ones_stay(
    house: House, database_urls: Urls
) -> None:
    with psycopg.connect(database_urls.root) as root:
        for months in (12, 13, 14):
            root.execute(
                "DO $$ DECLARE m timestamptz := date_trunc('month', now(), 'UTC') - make_interval(months => "
                f"{months}); t text; BEGIN"
                " FOREACH t IN ARRAY '{kernel.events,webhooks.attempts}'::text[] LOOP "
                "EXECUTE format('CREATE TABLE %s PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', "
                "t || to_char(m AT TIME ZONE 'UTC', '\"_y\"YYYY\"m\"MM'), t, kernel.uuid_floor(m), "
                "kernel.uuid_floor(m + interval '1 month')); END LOOP; END $$".encode()
            )
    dropped = await drop_old_events(house.database)
    assert len(dropped) == 4
    assert {name.rpartition("_")[0] for name in dropped} == {"kernel.events", "webhooks.attempts"}
    assert await drop_old_events(house.database) == []
    with pytest.raises(InvalidParameterValue):
        async with house.database.platform() as connection:
            await connection.execute("SELECT kernel.drop_month(0)")


async def test_users_who_have_not_signed_in_for_years_are_erased(
    house: House, privacy: Privacy, database_urls: Urls
) -> None:
    users = []
    async with house.database.tenant(house.tenant_id) as connection:
        for name in ("gone", "here"):
            person = await house.tenancy.vault.new_person(connection, house.tenant_id, "user")
            users.append(new_id())
            await connection.execute(
                "INSERT INTO access.users"
                " (tenant_id, id, person_id, status, user_name, created_at, created_by, updated_at)"
                " VALUES (%s, %s, %s, 'ACTIVE', %s, now(), 't', now())",
                (house.tenant_id, users[-1], person.id, name),
            )
        await connection.execute(
            "INSERT INTO access.sessions"
            " (tenant_id, id, user_id, methods, created_at, last_used_at, expires_at)"
            " VALUES (%s, %s, %s, '{pwd}', now(), now() - interval '6 years', now())",
            (house.tenant_id, new_id(), users[1]),
        )
    as_old(database_urls, house, 7)
    assert await run(privacy, house.tenant_id, dry_run=True) == Counts(users=1)
    assert await run(privacy, house.tenant_id) == Counts(users=1)
    with psycopg.connect(database_urls.root) as root:
        rows = root.execute(
            "SELECT id, status, user_name FROM access.users WHERE tenant_id = %s ORDER BY id",
            (house.tenant_id,),
        ).fetchall()
    assert rows == [(users[0], "DELETED", None), (users[1], "ACTIVE", "here")]
