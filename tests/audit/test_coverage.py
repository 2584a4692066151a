"""Every table is watched by the audit log, or is append-only itself, or says here why neither.

A new table without a decision fails, and so does a decision that has become untrue.
"""

from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import AllDatabaseUrls
from tests.kernel.test_catalogue import OURS

NOT_WATCHED = {
    "access.address_failures": "counts failures; what failed is recorded by name (sign_in_failed)",
    "access.challenges": "a sign-in on its way; how it ends is recorded by name (signed_in, sign_in_failed)",
    "access.former_passwords": "digests of what users.password_changed_at, which is watched, tells of",
    "access.lock_outs": "counts failures; being locked out and let in again is recorded by name",
    "access.one_time_codes": "traffic: each is used once, for what is recorded by name",
    "privacy.progress": "how far a nightly job has come; what it did is recorded by name",
    "access.rate_windows": "counts calls; means nothing once the window is over",
    "access.refresh_tokens": "traffic: each is used once; sessions, which they renew, are watched",
    "access.signing_keys": "the platform's, of no tenant: its rows say who made and who revoked each",
    "access.recovery_codes": "digests, used once each; making and using them is recorded by name",
    "access.send_quotas": "counts what was sent",
    "audit.heads": "the end of the chain itself",
    "kernel.idempotency_keys": "which requests were made; what they changed is recorded where it changed",
    "kernel.outbox": "events whose fan-out is owed",
    "kernel.partitioned_tables": "the owner's alone: a change comes with a migration",
    "kernel.schema_migrations": "is the record of migrations",
    "ledger.account_metadata": "an index in the form of rows of what account_details, which is watched, says",
    "ledger.books": "marks of seals and projections; a closing is a row of period_closings, which is watched",
    "ledger.dated_totals": "a projection, rebuilt from the log of transfers",
    "ledger.holds": "money's own traffic: made and ended by transfers, told as events",
    "ledger.import_errors": "what was wrong with rows of an import, which is watched",
    "ledger.open_items": "a projection, rebuilt from the log of transfers",
    "ledger.projections": "a projection, rebuilt from the log of transfers",
    "ledger.proofs": "how far the proof has come",
    "ledger.rebuilds": "a rebuild of projections while it lasts",
    "ledger.rebuilt_accounts": "a rebuild of projections while it lasts",
    "ledger.snapshots": "a projection, rebuilt from the log of transfers",
    "payments.attempts": "traffic: calls of providers, each with its outcome",
    "payments.operations": "traffic: captures, cancellations, refunds on their way, told as events",
    "payments.payments": "traffic: a state machine that the database enforces, told as events",
    "tenancy.registry": "numbers and codes, never altered; that a tenant was made tells tenancy.tenants",
    "tenancy.usage": "counts what a tenant used",
    "webhooks.deliveries": "traffic: what was sent, with append-only attempts",
}
"""Tables of traffic and bookkeeping, each with the reason why its changes are not in the audit log."""

TABLES = f"""
    SELECT c.oid::regclass::text,
           EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'audited') AS watched,
           EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'append_only') AS kept
    FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace IN ({OURS})
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
"""

SECRET = ("digest", "password_hash", "private_key", "secret", "wrapped", "key_hash")
"""Columns of these names hold what nobody may find in the log, nor in blind indexes (`..._index`). What is
sealed may stand there."""

NO_SECRETS = ["ledger.imports.digest"]
"""Of a file, to know it again."""


@pytest.fixture
def root(database_urls: AllDatabaseUrls) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_urls.root) as connection:
        yield connection
        connection.rollback()


def undecided(root: psycopg.Connection) -> list[str]:
    return sorted(
        name
        for name, watched, kept in root.execute(TABLES.encode()).fetchall()
        if not watched and not kept and name not in NOT_WATCHED
    )


def test_every_table_has_a_decision(root: psycopg.Connection) -> None:
    assert undecided(root) == []


def test_a_new_table_without_a_decision_is_found(root: psycopg.Connection) -> None:
    root.execute("CREATE TABLE access.fresh (tenant_id integer PRIMARY KEY)")
    assert undecided(root) == ["access.fresh"]


def test_no_reason_outlives_its_table_or_is_given_to_one_that_is_watched(root: psycopg.Connection) -> None:
    found = {name: watched for name, watched, _ in root.execute(TABLES.encode()).fetchall()}
    assert [name for name in NOT_WATCHED if found.get(name) is not False] == []


def test_what_is_append_only_cannot_be_truncated_nor_any_month_of_it(root: psycopg.Connection) -> None:
    unguarded = root.execute(
        """SELECT p.relid::regclass::text
           FROM pg_trigger t
           CROSS JOIN LATERAL (
               SELECT t.tgrelid AS relid UNION SELECT relid FROM pg_partition_tree(t.tgrelid)) p
           WHERE t.tgname = 'append_only' AND t.tgparentid = 0 AND NOT EXISTS (
               SELECT FROM pg_trigger n WHERE n.tgrelid = p.relid AND n.tgname = 'not_truncated')"""
    ).fetchall()
    assert unguarded == []


def test_months_to_come_cannot_be_truncated_either(root: psycopg.Connection) -> None:
    made = root.execute("SELECT kernel.ensure_partitions(5)").fetchone()
    assert made is not None and made[0] > 0, "there are new months to look at"
    test_what_is_append_only_cannot_be_truncated_nor_any_month_of_it(root)


def test_secrets_are_hidden_from_the_log(root: psycopg.Connection) -> None:
    shown = root.execute(
        """SELECT t.tgrelid::regclass || '.' || a.attname
           FROM pg_trigger t
           JOIN pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum > 0 AND NOT a.attisdropped
           WHERE t.tgname = 'audited' AND (a.attname = ANY (%s) OR a.attname ~ '_index$')
             AND t.tgrelid::regclass || '.' || a.attname <> ALL (%s)
             AND a.attname <> ALL (string_to_array(encode(t.tgargs, 'escape'), '\\000'))""",
        (list(SECRET), NO_SECRETS),
    ).fetchall()
    assert shown == []


def test_what_is_personal_and_plain_is_hidden_from_the_log(root: psycopg.Connection) -> None:
    shown = root.execute(
        """SELECT a.attname FROM pg_trigger t
           JOIN pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum > 0 AND NOT a.attisdropped
           WHERE t.tgname = 'audited' AND t.tgrelid = 'tenancy.customers'::regclass
             AND a.attname IN ('name', 'email', 'phone', 'metadata')
             AND a.attname <> ALL (string_to_array(encode(t.tgargs, 'escape'), '\\000'))"""
    ).fetchall()
    assert shown == []


@pytest.mark.parametrize("login", ["owner", "app", "readonly", "root"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit.log SET reason = 'other'",
        "DELETE FROM audit.log",
        "TRUNCATE audit.log",
        "DO $$ BEGIN EXECUTE format('TRUNCATE %s', (SELECT max(relid::regclass::text)"
        " FROM pg_partition_tree('audit.log') WHERE isleaf)); END $$",
        "TRUNCATE audit.schema_changes",
        "DELETE FROM audit.schema_changes",
    ],
)
def test_nobody_alters_what_is_written(database_urls: AllDatabaseUrls, login: str, statement: str) -> None:
    with psycopg.connect(database_urls.root) as root:
        tenant = root.execute(
            "INSERT INTO tenancy.registry (code, live)"
            " VALUES ('A' || upper(substr(md5(random()::text), 1, 9)), true) RETURNING tenant_id"
        ).fetchone()
        assert tenant is not None
        root.execute("SELECT set_config('app.tenant_id', %s, true)", (str(tenant[0]),))
        root.execute("SELECT audit.record(%s, 'trial', 'trial', '1', NULL, NULL)", tenant)
        root.execute(
            "INSERT INTO audit.schema_changes (id, at, login, role, command)"
            " VALUES (gen_random_uuid(), now(), 'x', 'x', 'CREATE TABLE')"
        )
    with (
        psycopg.connect(getattr(database_urls, login)) as connection,
        pytest.raises(
            (
                psycopg.errors.RestrictViolation,
                psycopg.errors.InsufficientPrivilege,
                psycopg.errors.ReadOnlySqlTransaction,
            )
        ),
    ):
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", (str(tenant[0]),))
        connection.execute(statement.encode())
