"""The command on the tests' own server, with a tenant whose books tests fill."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from florin.kernel.db import Database
from florin.ledger.service import Ledger
from tests.cli.conftest import Command
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books


class LedgerCommand:
    """`florin ledger ...` for one tenant."""

    def __init__(self, florin: Command, urls: AllDatabaseUrls, code: str, books: Books) -> None:
        self.florin, self.url, self.app_url = florin, urls.root, urls.app
        self.code, self.books = code, books

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What the command says: on stdout, or on stderr where it has to fail."""
        told = self.florin(
            *("ledger", *arguments, "--tenant", self.code, "--live"),
            FLORIN_DATABASE_URL=self.url,
            FLORIN_APP_DATABASE_URL=self.app_url,
        )
        assert told.returncode == code, told.stderr
        assert "Traceback" not in told.stderr
        return told.stderr if code else told.stdout

    def json(self, *arguments: str) -> Any:
        """What the command says with --json."""
        return json.loads(self(*arguments, "--json"))


@pytest.fixture(scope="module")
async def command(florin: Command, database_urls: AllDatabaseUrls) -> AsyncIterator[LedgerCommand]:
    """A tenant of the module's own."""
    code = f"C{uuid4().hex[:10].upper()}"
    made = florin(
        *("tenants", "create", code, "--name", "Test", "--email", "ops@test.example"),
        FLORIN_DATABASE_URL=database_urls.root,
    )
    assert made.returncode == 0, made.stderr
    with psycopg.connect(database_urls.root) as root:
        row = root.execute(
            "SELECT tenant_id FROM tenancy.registry WHERE code = %s AND live", (code,)
        ).fetchone()
    assert row is not None
    async with Database(database_urls.app, size=2) as database:
        yield LedgerCommand(florin, database_urls, code, Books(Ledger(database), row[0]))
