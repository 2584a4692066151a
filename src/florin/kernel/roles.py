"""The three roles on a PostgreSQL that is not ours, and logins switched to them."""

from typing import LiteralString

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

OLDEST_VERSION = 170000
_ADVISORY_LOCK = 0x726F6C6573  # "roles"
ROLES = ("florin_owner", "florin_app", "florin_readonly")


class RolesError(Exception):
    """The database cannot serve Florin as it is; the message says what its operator must do."""


def as_role(url: str, role: str) -> str:
    """The same login with `role` switched on at connect. Other options of the URL are kept."""
    given = conninfo_to_dict(url).get("options") or ""
    return make_conninfo(url, options=f"{given} -c role={role}".strip())


async def ensure_roles(url: str) -> None:
    """Create the missing roles without login, and let the login of `url` switch to them.

    Also lets `florin_owner` create schemas in this database. Changes nothing where all is in
    place, so a login with few rights will do once an administrator has prepared the database.
    Raises RolesError: PostgreSQL older than 17, a role with dangerous attributes, missing rights.
    """
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with connection:
        if connection.info.server_version < OLDEST_VERSION:
            raise RolesError(
                f"PostgreSQL {connection.info.server_version // 10000} is too old: "
                f"Florin needs {OLDEST_VERSION // 10000} or newer."
            )
        # PostgreSQL fails grants that meet ("tuple concurrently updated"); freed on disconnect.
        await connection.execute("SELECT pg_advisory_lock(%s)", (_ADVISORY_LOCK,))
        for role in ROLES:
            await _ensure_role(connection, role)
        await _ensure_database_right(connection, "florin_owner", "CREATE")
        for role in ROLES:
            await _ensure_database_right(connection, role, "CONNECT")


async def _ensure_role(connection: psycopg.AsyncConnection, role: str) -> None:
    found = await _role_attributes(connection, role)
    if found is None:
        create = sql.SQL("CREATE ROLE {} NOLOGIN NOSUPERUSER NOBYPASSRLS").format(sql.Identifier(role))
        try:
            await connection.execute(create)
        except (errors.DuplicateObject, errors.UniqueViolation):
            pass  # another process created it just now
        except errors.InsufficientPrivilege as error:
            raise _refused(connection, create.as_string(connection)) from error
    elif any(found):
        raise RolesError(
            f"role {role} is a superuser or bypasses row-level security, which would open every "
            f"tenant to it. Run: ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS"
        )
    may_switch = await _one_bool(connection, "SELECT pg_has_role(current_user, %s, 'SET')", (role,))
    if not may_switch:
        grant = sql.SQL("GRANT {} TO {} WITH SET TRUE, INHERIT FALSE").format(
            sql.Identifier(role), sql.Identifier(connection.info.user)
        )
        try:
            await connection.execute(grant)
        except errors.InsufficientPrivilege as error:
            raise _refused(connection, grant.as_string(connection)) from error


async def _ensure_database_right(connection: psycopg.AsyncConnection, role: str, right: str) -> None:
    database = connection.info.dbname
    question = "SELECT has_database_privilege(%s, %s, %s)"
    if await _one_bool(connection, question, (role, database, right)):
        return
    grant = sql.SQL("GRANT {} ON DATABASE {} TO {}").format(
        sql.SQL(right),
        sql.Identifier(database),
        sql.Identifier(role),
    )
    try:
        await connection.execute(grant)
    except errors.InsufficientPrivilege as error:
        raise _refused(connection, grant.as_string(connection)) from error
    if not await _one_bool(connection, question, (role, database, right)):
        raise _refused(connection, grant.as_string(connection))  # it only warned


async def _role_attributes(connection: psycopg.AsyncConnection, role: str) -> tuple[bool, bool] | None:
    cursor = await connection.execute(
        "SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = %s", (role,)
    )
    return await cursor.fetchone()


async def _one_bool(
    connection: psycopg.AsyncConnection, question: LiteralString, values: tuple[str, ...]
) -> bool:
    row = await (await connection.execute(question, values)).fetchone()
    return bool(row and row[0])


def _refused(connection: psycopg.AsyncConnection, statement: str) -> RolesError:
    return RolesError(
        f"the login {connection.info.user} may not prepare the database {connection.info.dbname}. "
        f"Let an administrator run: {statement}"
    )
