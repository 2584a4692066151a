"""One real PostgreSQL for each process of the run; each test module gets a database of its own.

All that this process and those that it starts log goes to one file too, which is searched at the end for
what no log may hold (tests/planted.py): a finding fails the run.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from florin.kernel.database_urls import DatabaseUrls, embedded_urls
from florin.kernel.embedded import EmbeddedServer
from florin.kernel.embedded.cluster import EXTENSIONS
from florin.kernel.log import configure_logging
from florin.kernel.migrations import migrate
from tests.planted import findings

TEMPLATE = "florin_template"


@dataclass(frozen=True)
class AllDatabaseUrls(DatabaseUrls):
    """Also the superuser's, for what no role of Florin's may do."""

    root: str = field(repr=False)


def pytest_configure(config: pytest.Config) -> None:
    """Everything logs into the run's file, from the first import on; each process of the run has one."""
    os.environ["COLUMNS"] = "200"  # tables are as wide as on a wide terminal, whoever reads them
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # it only hands tests out
    directory = tempfile.mkdtemp(prefix="florin-test-log-")
    os.environ["FLORIN_LOG_FILE"] = f"{directory}/run.log"
    configure_logging("debug", "json", file=Path(os.environ["FLORIN_LOG_FILE"]))


@pytest.fixture(scope="session")
def run_log() -> Path:
    """The file into which everything logs."""
    return Path(os.environ["FLORIN_LOG_FILE"])


@pytest.fixture
def logged(run_log: Path) -> Callable[[], str]:
    """Tells all that has been logged so far."""
    return run_log.read_text


@pytest.fixture(scope="session", autouse=True)
def searched_log(run_log: Path) -> Iterator[None]:
    """At the end of the run: nothing that no log may hold is in its log."""
    yield
    found = findings(run_log.read_text(errors="replace"))
    assert not found, "the log of this run holds what no log may hold:\n" + "\n".join(found)
    shutil.rmtree(run_log.parent)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """A started server in a temporary directory: durable as in production, only smaller."""
    data_dir = Path(tempfile.mkdtemp(prefix="florin-tests-"))
    server = EmbeddedServer(data_dir, shared_buffers="256MB")
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(data_dir)


@pytest.fixture(scope="session")
async def template_database(postgres: EmbeddedServer) -> str:
    """The name of a database with every migration applied, to be cloned."""
    create_database(postgres, TEMPLATE)
    with psycopg.connect(postgres.url("florin_root", TEMPLATE), autocommit=True) as root:
        for name in EXTENSIONS:
            root.execute(f"CREATE EXTENSION {name}".encode())
    await migrate(postgres.url("florin_owner", TEMPLATE))
    return TEMPLATE


@pytest.fixture(scope="module")
async def database_urls(postgres: EmbeddedServer, template_database: str) -> AsyncIterator[AllDatabaseUrls]:
    """This module's own database, migrated and otherwise empty; dropped afterwards."""
    name = f"test_{uuid4().hex}"
    create_database(postgres, name, template=template_database)
    yield all_urls(postgres, name)
    drop_database(postgres, name)


@pytest.fixture
def empty_database(postgres: EmbeddedServer) -> Iterator[AllDatabaseUrls]:
    """A database of one test's own, without any migration."""
    name = f"test_{uuid4().hex}"
    create_database(postgres, name)
    yield all_urls(postgres, name)
    drop_database(postgres, name)


def create_database(server: EmbeddedServer, name: str, *, template: str = "template0") -> None:
    """Owned and granted like the real one: grants on a database are not cloned with it."""
    statements = (
        # The other strategy, file_copy, takes a checkpoint each time; these are small.
        f"CREATE DATABASE {name} TEMPLATE {template} OWNER florin_owner STRATEGY wal_log",
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {name} TO florin_app, florin_readonly",
    )
    with psycopg.connect(server.url("florin_root"), autocommit=True) as root:
        for statement in statements:
            root.execute(statement.encode())


def drop_database(server: EmbeddedServer, name: str) -> None:
    """With every session that a test left open."""
    with psycopg.connect(server.url("florin_root"), autocommit=True) as root:
        root.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def all_urls(server: EmbeddedServer, name: str) -> AllDatabaseUrls:
    """The connection strings of one of the server's databases."""
    urls = embedded_urls(server, name)
    return AllDatabaseUrls(urls.owner, urls.app, urls.readonly, server.url("florin_root", name))
