"""No ciphertext is forgotten: the catalogue is asked which columns there are."""

from collections.abc import Iterator

import psycopg
import pytest

from florin.privacy.reencryption.columns import LISTED
from tests.privacy.conftest import Urls

LOOKS_SECRET = "(sealed|wrapped|private_key|secret|cipher|encrypted)"

COLUMNS = """
    SELECT format('%s.%s', a.attrelid::regclass, a.attname)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
      AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema|jobs|reference)'
"""


@pytest.fixture
def root(database_urls: Urls) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_urls.root) as connection:
        yield connection


def columns(root: psycopg.Connection, condition: str) -> set[str]:
    return {row[0] for row in root.execute(f"{COLUMNS} AND {condition}".encode()).fetchall()}


def test_every_sealed_column_is_listed(root: psycopg.Connection) -> None:
    found = columns(root, f"a.attname ~ '{LOOKS_SECRET}' AND a.atttypid = 'bytea'::regtype")
    assert found == LISTED, "list it in privacy/reencryption/columns.py: it would be left behind by a new key"


def test_the_readers_role_sees_no_ciphertext_no_index_and_no_digest_of_a_secret(
    root: psycopg.Connection,
) -> None:
    readable = columns(
        root,
        f"((a.attname ~ '{LOOKS_SECRET}|_index$' AND a.atttypid = 'bytea'::regtype)"
        " OR a.attname ~ 'password_hash'"
        " OR (a.attname = 'digest' AND a.attrelid = 'access.api_keys'::regclass)"
        " OR (a.attname IN ('name', 'email') AND a.attrelid = 'tenancy.customers'::regclass))"
        " AND has_column_privilege('florin_readonly', a.attrelid, a.attnum, 'SELECT')",
    )
    assert readable == set()
