"""No role that serves gets from one tenant to another, in any table: tried on each that the catalogue has.

The rows are made up from the columns' types, by the superuser, in this module's own database and with
its checks and triggers taken off: what is tried here is the wall between tenants alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.errors import InsufficientPrivilege, InvalidTextRepresentation, UndefinedObject

OWN, OTHER = 1_000_001, 1_000_002

NO_CONTEXT = (UndefinedObject, InvalidTextRepresentation)
"""What a policy raises when no tenant is set: never set, or set in an earlier transaction."""

VALUES = {
    "uuid": "kernel.uuidv7()",
    "text": "'x'",
    "name": "'x'",
    "integer": "1",
    "bigint": "1",
    "smallint": "1",
    "numeric": "1",
    "boolean": "true",
    "jsonb": "'{}'::jsonb",
    "bytea": r"'\x00'::bytea",
    "date": "current_date",
    "timestamp with time zone": "now()",
    "interval": "interval '1 day'",
    "inet": "'127.0.0.1'::inet",
    "cidr": "'127.0.0.0/8'::cidr",
}
"""A value of each type. A column of a new type wants a line here."""


@dataclass(frozen=True)
class Table:
    """A table of tenants' rows."""

    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]
    """Those that must be given, with their types."""

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    def query(self, text: str, **extra: sql.Composable) -> sql.Composed:
        """`text` with the table's name for {table}."""
        return sql.SQL(text).format(table=sql.Identifier(self.schema, self.name), **extra)

    def insert(self, tenant_id: int) -> sql.Composed:
        """A row of this tenant."""
        values = [
            sql.Literal(tenant_id) if name == "tenant_id" else sql.SQL(_value(self, name, kind))
            for name, kind in self.columns
        ]
        return self.query(
            "INSERT INTO {table} ({columns}) VALUES ({values})",
            columns=sql.SQL(", ").join(sql.Identifier(name) for name, _ in self.columns),
            values=sql.SQL(", ").join(values),
        )


def _value(table: Table, column: str, kind: str) -> str:
    if kind.endswith("[]"):
        return f"'{{}}'::{kind}"
    assert kind in VALUES, f"{table}.{column} is of type {kind}: add a value for it to VALUES"
    return VALUES[kind]


class Urls(Protocol):
    """Connection strings of the test database."""

    root: str
    app: str
    readonly: str


@pytest.fixture(scope="module")
def tables(database_urls: Urls) -> list[Table]:
    """Every table with row-level security that is not a partition, with a row of each of two tenants."""
    with psycopg.connect(database_urls.root) as root:
        found = _tables(root)
        root.execute("SET session_replication_role = replica")  # without foreign keys
        for checked, check in _checks(root):
            root.execute(f"ALTER TABLE {checked} DROP CONSTRAINT {check}".encode())
        for parent in _without_partitions(root):
            root.execute(f"CREATE TABLE {parent}_all PARTITION OF {parent} DEFAULT".encode())
        for table in found:
            root.execute(table.query("ALTER TABLE {table} DISABLE TRIGGER USER"))
            for tenant_id in (OWN, OTHER):
                root.execute(table.insert(tenant_id))
    return found


def _tables(root: Connection) -> list[Table]:
    rows = root.execute("""
        SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY a.attnum),
               array_agg(format_type(a.atttypid, NULL) ORDER BY a.attnum)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relrowsecurity
          AND a.attnotnull AND a.attgenerated = '' AND a.attidentity = ''
        GROUP BY n.nspname, c.relname ORDER BY 1, 2
    """).fetchall()
    return [
        Table(schema, name, tuple(zip(columns, kinds, strict=True))) for schema, name, columns, kinds in rows
    ]


def _checks(root: Connection) -> list[tuple[str, str]]:
    return root.execute("""
        SELECT k.conrelid::regclass::text, quote_ident(k.conname)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        WHERE k.contype = 'c' AND c.relrowsecurity AND k.coninhcount = 0
    """).fetchall()


def _without_partitions(root: Connection) -> list[str]:
    rows = root.execute("""
        SELECT c.oid::regclass::text FROM pg_class c
        WHERE c.relkind = 'p' AND c.relrowsecurity
          AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid)
    """).fetchall()
    return [name for (name,) in rows]


@contextmanager
def trying(url: str, tenant_id: int | None) -> Iterator[Connection]:
    """A transaction in a tenant's context, or in none, that is rolled back."""
    with psycopg.connect(url) as connection:
        # florin_readonly's transactions begin read-only, which is a habit and no wall: it may say this too.
        connection.execute("SET TRANSACTION READ WRITE")
        if tenant_id is not None:
            connection.execute(f"SET LOCAL app.tenant_id = {tenant_id}".encode())
        yield connection
        connection.rollback()


def refused(connection: Connection, statement: sql.Composed) -> bool:
    """Whether the statement is refused for want of rights, or touches no row."""
    try:
        with connection.transaction():
            return connection.execute(statement).rowcount == 0
    except InsufficientPrivilege:
        return True


def may(connection: Connection, table: Table, privilege: str) -> bool:
    row = connection.execute("SELECT has_table_privilege(%s, %s)", (str(table), privilege)).fetchone()
    return row == (True,)


def test_the_wall_is_tried_on_real_rows(tables: list[Table], database_urls: Urls) -> None:
    with psycopg.connect(database_urls.root) as root:
        for table in tables:
            found = root.execute(table.query("SELECT tenant_id FROM {table} ORDER BY 1")).fetchall()
            assert found == [(OWN,), (OTHER,)], table
    assert len(tables) > 10


@pytest.mark.parametrize("role", ["app", "readonly"])
def test_a_tenant_reads_its_own_rows_and_no_others(
    tables: list[Table], database_urls: Urls, role: str
) -> None:
    with trying(getattr(database_urls, role), OWN) as connection:
        readable = [table for table in tables if may(connection, table, "SELECT")]
        assert readable
        for table in readable:
            found = connection.execute(table.query("SELECT tenant_id FROM {table}")).fetchall()
            assert found == [(OWN,)], table


@pytest.mark.parametrize("role", ["app", "readonly"])
def test_a_tenant_writes_no_row_for_another(tables: list[Table], database_urls: Urls, role: str) -> None:
    with trying(getattr(database_urls, role), OWN) as connection:
        for table in tables:
            assert refused(connection, table.insert(OTHER)), table


@pytest.mark.parametrize("role", ["app", "readonly"])
def test_a_tenant_changes_and_deletes_no_row_of_another(
    tables: list[Table], database_urls: Urls, role: str
) -> None:
    with trying(getattr(database_urls, role), OWN) as connection:
        for table in tables:
            for statement in (
                f"UPDATE {{table}} SET tenant_id = {OWN} WHERE tenant_id = {OTHER}",
                f"DELETE FROM {{table}} WHERE tenant_id = {OTHER}",
            ):
                assert refused(connection, table.query(statement)), (str(table), statement)


def test_a_tenant_gives_no_row_of_its_own_away(tables: list[Table], database_urls: Urls) -> None:
    with trying(database_urls.app, OWN) as connection:
        for table in tables:
            assert refused(connection, table.query(f"UPDATE {{table}} SET tenant_id = {OTHER}")), table


@pytest.mark.parametrize("role", ["app", "readonly"])
def test_without_a_tenant_nothing_is_read_or_written(
    tables: list[Table], database_urls: Urls, role: str
) -> None:
    with trying(getattr(database_urls, role), None) as connection:
        for table in tables:
            for statement in (
                table.query("SELECT FROM {table}"),
                table.insert(OWN),
                table.query("UPDATE {table} SET tenant_id = tenant_id"),
                table.query("DELETE FROM {table}"),
            ):
                with pytest.raises((InsufficientPrivilege, *NO_CONTEXT)), connection.transaction():
                    connection.execute(statement)


def test_a_context_ends_with_its_transaction(tables: list[Table], database_urls: Urls) -> None:
    with trying(database_urls.app, OWN) as connection:
        readable = [table for table in tables if may(connection, table, "SELECT")]
        connection.rollback()
        for table in readable:
            with pytest.raises(NO_CONTEXT), connection.transaction():
                connection.execute(table.query("SELECT FROM {table}"))


def test_partitions_answer_to_nobody_directly(database_urls: Urls) -> None:
    with psycopg.connect(database_urls.root) as root:
        partitions = root.execute(
            "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relispartition AND c.relkind IN ('r', 'p')"
        ).fetchall()
    assert partitions
    for role in (database_urls.app, database_urls.readonly):
        with trying(role, OWN) as connection:
            for (partition,) in partitions:
                with pytest.raises(InsufficientPrivilege), connection.transaction():
                    connection.execute(f"SELECT FROM {partition}".encode())
