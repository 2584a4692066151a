import asyncio

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from florin.kernel import roles
from florin.kernel.embedded import EmbeddedServer
from florin.kernel.roles import ROLES, RolesError, as_role, ensure_roles


@pytest.fixture
def foreign(server: EmbeddedServer) -> str:
    """The administrator's URL of a PostgreSQL that has never seen Florin, and its database `shop`.

    The logins `manager` (owns `shop`, may create roles) and `guest` (may only connect) are there.
    """
    server.start()
    with psycopg.connect(server.url("florin_root", "postgres"), autocommit=True) as root:
        root.execute("DROP DATABASE florin")
        for role in ROLES:
            root.execute(f"DROP ROLE {role}".encode())
        root.execute("CREATE ROLE manager LOGIN CREATEROLE PASSWORD 'manager'")
        root.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        root.execute("CREATE DATABASE shop OWNER manager")
    return server.url("florin_root", "shop")


def login(url: str, name: str) -> str:
    return make_conninfo(url, user=name, password=name)


def current_user(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_user").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("who", ["manager", None])
async def test_missing_roles_are_made_once_and_can_be_switched_to(foreign: str, who: str | None) -> None:
    url = login(foreign, who) if who else foreign
    await asyncio.gather(ensure_roles(url), ensure_roles(url))
    await ensure_roles(url)
    for role in ROLES:
        assert current_user(as_role(url, role)) == role
    with psycopg.connect(as_role(url, "florin_owner")) as owner:
        owner.execute("CREATE SCHEMA things")
        attributes = owner.execute(
            "SELECT DISTINCT rolcanlogin, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = ANY(%s)",
            (list(ROLES),),
        ).fetchall()
    assert attributes == [(False, False, False)]
    with (
        psycopg.connect(as_role(url, "florin_app")) as app,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        app.execute("CREATE SCHEMA more_things")


async def test_a_login_without_rights_is_told_what_an_administrator_must_run(foreign: str) -> None:
    guest = login(foreign, "guest")
    with pytest.raises(RolesError, match=r'guest may not prepare .* run: CREATE ROLE "florin_owner"'):
        await ensure_roles(guest)
    await ensure_roles(foreign)
    with pytest.raises(RolesError, match='run: GRANT "florin_owner" TO "guest" WITH SET TRUE'):
        await ensure_roles(guest)
    with psycopg.connect(foreign, autocommit=True) as root:
        root.execute("GRANT florin_owner, florin_app, florin_readonly TO guest")
        root.execute("REVOKE CREATE ON DATABASE shop FROM florin_owner")
    with pytest.raises(RolesError, match='GRANT CREATE ON DATABASE "shop" TO "florin_owner"'):
        await ensure_roles(guest)
    with psycopg.connect(foreign, autocommit=True) as root:
        root.execute("GRANT CREATE ON DATABASE shop TO florin_owner")
    await ensure_roles(guest)


async def test_a_role_that_sees_every_tenant_is_refused(foreign: str) -> None:
    with psycopg.connect(foreign, autocommit=True) as root:
        root.execute("CREATE ROLE florin_app BYPASSRLS")
    with pytest.raises(RolesError, match="ALTER ROLE florin_app NOSUPERUSER NOBYPASSRLS"):
        await ensure_roles(foreign)


async def test_an_old_server_is_refused(postgres: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "OLDEST_VERSION", 990000)
    with pytest.raises(RolesError, match="PostgreSQL 18 is too old: Florin needs 99 or newer"):
        await ensure_roles(postgres.url("florin_root"))


def test_other_options_of_the_url_are_kept() -> None:
    url = as_role("postgresql://u:p@h/db?options=-c%20work_mem%3D8MB", "florin_app")
    assert conninfo_to_dict(url)["options"] == "-c work_mem=8MB -c role=florin_app"
    assert conninfo_to_dict(as_role("host=h", "florin_app"))["options"] == "-c role=florin_app"
