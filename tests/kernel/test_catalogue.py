"""What DESIGN.md demands of every table and function, asked of the catalogue itself.

A new table is covered by being there. Exceptions stand here, each with its reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import psycopg
import pytest
from psycopg import Connection

WITHOUT_TENANT = {
    "tenancy.registry": "the list of tenants itself: ids, codes and modes, nothing else",
    "access.signing_keys": "the platform's: one key signs for all tenants; private halves are sealed",
    "kernel.schema_migrations": "which migrations are applied: the owner's alone",
    "kernel.partitioned_tables": "which tables are partitioned: the owner's alone",
    "audit.schema_changes": "changes of the schema, which is of all tenants; only the platform is shown them",
}
"""Tables that belong to no tenant. The schemas `reference` and `jobs` are left out as a whole: the same
for all tenants the one, the queue library's own the other."""

MAY_DELETE = {
    "kernel.idempotency_keys": "keys are forgotten after the retention time",
    "kernel.outbox": "a row leaves with the fan-out that it asks for",
    "access.rate_windows": "a window that is over means nothing",
    "access.lock_outs": "failures of long ago count no more",
    "access.address_failures": "failures of long ago count no more",
    "access.send_quotas": "a quota bounds what is sent within a day",
    "access.challenges": "a challenge that is over means nothing; that there was one is in the audit log",
    "access.one_time_codes": "a code that is over means nothing; that it was sent is in the audit log",
    "access.former_passwords": "only the last few may not come back",
    "access.refresh_tokens": "a token of a session that is over opens nothing",
    "ledger.chart": "a node names accounts and holds no money; that it went is in the audit log",
    "ledger.account_metadata": "an index in the form of rows: a trigger keeps it what the accounts say",
    "ledger.snapshots": "a projection, rebuilt from the log",
    "ledger.dated_totals": "a projection, rebuilt from the log",
    "ledger.projections": "a projection, rebuilt from the log",
    "ledger.open_items": "a projection: an item that has cleared leaves",
    "ledger.rebuilds": "a rebuild that has ended",
    "ledger.rebuilt_accounts": "what a rebuild has added up, once it has been compared",
}
"""Tables from which florin_app may delete."""

POLICY = "(tenant_id = (current_setting('app.tenant_id'::text))::integer)"

OURS = """
    SELECT n.oid FROM pg_namespace n
    WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'reference', 'jobs')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass
                      AND d.objid = n.oid AND d.deptype = 'e')
"""

TABLES = f"""
    SELECT c.oid, c.oid::regclass::text AS name, c.relispartition, c.relrowsecurity,
           c.relforcerowsecurity, c.relacl
    FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace IN ({OURS})
      AND c.oid::regclass::text <> ALL (%(without)s)
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
"""

ROUTINES = f"""
    SELECT p.oid, p.oid::regprocedure::text AS name, p.proowner, p.proacl, p.prosecdef, p.proconfig
    FROM pg_proc p
    WHERE p.pronamespace IN ({OURS})
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                      AND d.objid = p.oid AND d.deptype = 'e')
"""

FIRST_COLUMN = """(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = {table} AND a.attnum = {number})"""


@dataclass(frozen=True)
class Rule:
    """A rule, and the query that names those who break it."""

    demand: str
    offenders: str


RULES = {
    "tenant_column": Rule(
        "every table has a column tenant_id, integer and not null",
        f"""SELECT t.name FROM ({TABLES}) t WHERE NOT EXISTS (
                SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'tenant_id'
                AND a.atttypid = 'integer'::regtype AND a.attnotnull)""",
    ),
    "primary_key": Rule(
        "every table has a primary key",
        f"""SELECT t.name FROM ({TABLES}) t WHERE NOT EXISTS (
                SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisprimary)""",
    ),
    "unique_keys": Rule(
        "tenant_id comes first in the primary key and in every unique index",
        f"""SELECT i.indexrelid::regclass::text FROM ({TABLES}) t JOIN pg_index i ON i.indrelid = t.oid
            WHERE i.indisunique AND {FIRST_COLUMN.format(table="t.oid", number="i.indkey[0]")}
                  IS DISTINCT FROM 'tenant_id'""",
    ),
    "foreign_keys": Rule(
        "tenant_id comes first on both sides of every foreign key, except to reference tables",
        f"""SELECT t.name || '.' || k.conname FROM ({TABLES}) t JOIN pg_constraint k ON k.conrelid = t.oid
            JOIN pg_class r ON r.oid = k.confrelid
            WHERE k.contype = 'f' AND r.relnamespace <> 'reference'::regnamespace
              AND ARRAY[{FIRST_COLUMN.format(table="t.oid", number="k.conkey[1]")},
                        {FIRST_COLUMN.format(table="r.oid", number="k.confkey[1]")}]
                  IS DISTINCT FROM '{{tenant_id,tenant_id}}'::name[]""",
    ),
    "row_security": Rule(
        "every table and every partition has row-level security, forced",
        f"SELECT t.name FROM ({TABLES}) t WHERE NOT (t.relrowsecurity AND t.relforcerowsecurity)",
    ),
    "policy": Rule(
        "every table has the one policy that isolates tenants, and no other",
        f"""SELECT t.name FROM ({TABLES}) t WHERE NOT t.relispartition AND (
                SELECT array_agg(ROW(p.polname, p.polcmd, p.polpermissive, p.polroles = '{{0}}',
                    pg_get_expr(p.polqual, t.oid), pg_get_expr(p.polwithcheck, t.oid))::text)
                FROM pg_policy p WHERE p.polrelid = t.oid
            ) IS DISTINCT FROM ARRAY[ROW('tenant_isolation'::name, '*'::"char", true, true,
                %(policy)s::text, %(policy)s::text)::text]""",
    ),
    "partitions": Rule(
        "partitions have no policy and no grant: they answer through their parent",
        f"""SELECT t.name FROM ({TABLES}) t WHERE t.relispartition AND (
                EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = t.oid)
                OR EXISTS (SELECT FROM aclexplode(t.relacl) g
                           WHERE g.grantee <> (SELECT relowner FROM pg_class WHERE oid = t.oid)))""",
    ),
    "append_only": Rule(
        "what is append-only may be neither updated nor deleted by any role that serves",
        f"""SELECT t.name || ' by ' || r.role FROM ({TABLES}) t
            JOIN pg_trigger g ON g.tgrelid = t.oid AND g.tgname = 'append_only' AND NOT t.relispartition,
                 (VALUES ('florin_app'), ('florin_readonly')) r (role)
            WHERE has_table_privilege(r.role, t.oid, 'UPDATE, DELETE')
               OR has_any_column_privilege(r.role, t.oid, 'UPDATE')""",
    ),
    "delete": Rule(
        "florin_app may delete only from the tables that are listed with a reason",
        f"""SELECT t.name FROM ({TABLES}) t
            WHERE has_table_privilege('florin_app', t.oid, 'DELETE') AND t.name <> ALL (%(may_delete)s)""",
    ),
    "no_more_than_rows": Rule(
        "florin_app may not truncate, refer or add triggers; florin_readonly may only read",
        f"""SELECT t.name FROM ({TABLES}) t
            WHERE has_table_privilege('florin_app', t.oid, 'TRUNCATE, REFERENCES, TRIGGER')
               OR has_table_privilege('florin_readonly', t.oid,
                                      'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
               OR has_any_column_privilege('florin_readonly', t.oid, 'INSERT, UPDATE, REFERENCES')""",
    ),
    "public_tables": Rule(
        "PUBLIC has no grant on any table or column",
        f"""SELECT t.name FROM ({TABLES}) t WHERE EXISTS (
                SELECT FROM aclexplode(t.relacl) g WHERE g.grantee = 0)
            OR EXISTS (SELECT FROM pg_attribute a, aclexplode(a.attacl) g
                       WHERE a.attrelid = t.oid AND g.grantee = 0)""",
    ),
    "public_schemas": Rule(
        "PUBLIC has no grant on any schema of ours, and nothing of ours lives in `public`",
        f"""SELECT n.nspname FROM pg_namespace n WHERE n.oid IN ({OURS}) AND CASE n.nspname WHEN 'public'
                THEN EXISTS (SELECT FROM ({TABLES}) t JOIN pg_class c ON c.oid = t.oid
                             WHERE c.relnamespace = n.oid)
                ELSE EXISTS (SELECT FROM aclexplode(n.nspacl) g WHERE g.grantee = 0) END""",
    ),
    "public_functions": Rule(
        "PUBLIC may execute no function or procedure",
        f"""SELECT r.name FROM ({ROUTINES}) r WHERE EXISTS (
                SELECT FROM aclexplode(coalesce(r.proacl, acldefault('f', r.proowner))) g
                WHERE g.grantee = 0)""",
    ),
    "definers": Rule(
        "a function with its owner's rights says where it looks names up",
        f"""SELECT r.name FROM ({ROUTINES}) r WHERE r.prosecdef AND NOT EXISTS (
                SELECT FROM unnest(r.proconfig) c WHERE c LIKE 'search_path=%%')""",
    ),
    "views": Rule(
        "a view reads with the rights of whoever asks",
        f"""SELECT c.oid::regclass::text FROM pg_class c
            WHERE c.relkind = 'v' AND c.relnamespace IN ({OURS})
              AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
              AND NOT coalesce(c.reloptions, '{{}}') && '{{security_invoker=true,security_invoker=on}}'""",
    ),
    "roles": Rule(
        "the roles that serve are not superusers, do not bypass row security and own nothing",
        """SELECT r.rolname FROM pg_roles r WHERE r.rolname IN ('florin_app', 'florin_readonly') AND (
                r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb
                OR pg_has_role(r.oid, 'florin_owner', 'MEMBER')
                OR EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid))""",
    ),
}


class Urls(Protocol):
    """Connection strings of the test database."""

    root: str


@pytest.fixture
def root(database_urls: Urls) -> Iterator[Connection]:
    """The superuser, in a transaction that is never committed."""
    with psycopg.connect(database_urls.root) as connection:
        yield connection
        connection.rollback()


def offenders(root: Connection, rule: str) -> list[str]:
    rows = root.execute(
        RULES[rule].offenders.encode(),
        {"without": list(WITHOUT_TENANT), "may_delete": list(MAY_DELETE), "policy": POLICY},
    ).fetchall()
    return sorted(row[0] for row in rows)


def test_there_are_tables_to_look_at(root: Connection) -> None:
    names = [row[1] for row in root.execute(TABLES.encode(), {"without": list(WITHOUT_TENANT)}).fetchall()]
    assert {"tenancy.tenants", "access.api_keys", "ledger.accounts", "kernel.events"} <= set(names)


@pytest.mark.parametrize("rule", RULES)
def test_nothing_breaks_the_rule(root: Connection, rule: str) -> None:
    assert offenders(root, rule) == [], RULES[rule].demand


def test_the_exceptions_are_still_needed(root: Connection) -> None:
    """An entry whose table has gone, or no longer needs it, would hide the next one of that name."""
    unneeded = [
        table
        for table in MAY_DELETE
        if root.execute(
            "SELECT has_table_privilege('florin_app', to_regclass(%s), 'DELETE')", (table,)
        ).fetchone()
        != (True,)
    ]
    assert unneeded == []


BREAKS = {
    "tenant_column": "CREATE TABLE access.wrong (tenant_id bigint NOT NULL)",
    "primary_key": "CREATE TABLE access.wrong (tenant_id integer NOT NULL)",
    "unique_keys": "CREATE TABLE access.wrong (tenant_id integer, id uuid, PRIMARY KEY (id, tenant_id))",
    "foreign_keys": "CREATE TABLE access.wrong (id uuid, tenant_id integer, PRIMARY KEY (tenant_id, id), "
    "FOREIGN KEY (id, tenant_id) REFERENCES access.api_keys (id, tenant_id))",
    "row_security": "ALTER TABLE access.api_keys NO FORCE ROW LEVEL SECURITY",
    "policy": "CREATE POLICY another ON access.api_keys USING (true)",
    "partitions": "DO $$ BEGIN EXECUTE format('GRANT SELECT ON %s TO florin_app', (SELECT c.oid::regclass "
    "FROM pg_class c WHERE c.relispartition AND c.relkind = 'r' LIMIT 1)); END $$",
    "append_only": "GRANT UPDATE (data) ON kernel.events TO florin_app",
    "delete": "GRANT DELETE ON access.api_keys TO florin_app",
    "no_more_than_rows": "GRANT INSERT ON access.api_keys TO florin_readonly",
    "public_tables": "GRANT SELECT (id) ON access.api_keys TO PUBLIC",
    "public_schemas": "GRANT USAGE ON SCHEMA access TO PUBLIC",
    "public_functions": "CREATE FUNCTION access.wrong() RETURNS integer LANGUAGE sql RETURN 1; "
    "GRANT EXECUTE ON FUNCTION access.wrong() TO PUBLIC",
    "definers": "CREATE FUNCTION access.wrong() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
    "views": "CREATE VIEW access.wrong AS SELECT * FROM access.api_keys",
    "roles": "ALTER ROLE florin_app BYPASSRLS",
}


@pytest.mark.parametrize("rule", RULES)
def test_whoever_breaks_the_rule_is_found(root: Connection, rule: str) -> None:
    if rule == "foreign_keys":
        root.execute("CREATE UNIQUE INDEX ON access.api_keys (id, tenant_id)")
    root.execute(BREAKS[rule].encode())
    assert len(offenders(root, rule)) == 1
