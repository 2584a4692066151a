"""The stage of a benchmark: a Florin of its own on a data directory of its own, and tenants to load."""

import asyncio
import os
import resource
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import aiohttp
import psutil

from florin.access.service import create_key
from florin.cli.bench.load import LoadFailed
from florin.cli.platform import Platform
from florin.kernel.database_urls import DatabaseUrls
from florin.kernel.db import Database
from florin.kernel.ids import encode_id
from florin.tenancy.model import TenantDetails, TenantType
from florin.tenancy.service import create_tenant

ACCOUNTS = 10_000
"""Of the tenant that takes the uniform load; a hundred tenants have a hundredth of it each."""

FIRST_ACCOUNT = 100_000_000_000
"""Twelve digits: the last group of a benchmark account's id, so that pgbench can name accounts."""

_READY_TIMEOUT_S = 60.0
_ALL_UP_S = 3.0


def account_id(number: int) -> UUID:
    """The id of a benchmark account."""
    return UUID(f"01900000-0000-7000-8000-{FIRST_ACCOUNT + number}")


@dataclass(frozen=True, slots=True)
class Books:
    """A tenant's test books: its id, a key without limits, its accounts."""

    tenant_id: int
    key: str
    accounts: Sequence[UUID]


async def lay_books(platform: Platform, code: str, accounts: Sequence[UUID]) -> Books:
    """Makes a tenant with open accounts in USD and a key that may do everything without limits."""
    details = TenantDetails(
        name=code, type=TenantType.FINTECH, contact_email="bench@localhost.localdomain",
        country="US", timezone="UTC", currency="USD",
    )  # fmt: skip
    _, test = await create_tenant(platform.tenancy, code, details)
    made = await create_key(
        platform.access,
        test.tenant_id,
        name="bench",
        scopes=["*"],
        limits=dict.fromkeys(("per_minute", "per_hour", "per_day")),
    )
    async with platform.tenancy.database.tenant(test.tenant_id) as connection:
        await connection.execute(
            "INSERT INTO ledger.accounts (tenant_id, id, code, type, currency)"
            " SELECT %s, a.id, 'bench:' || a.number, 'liability', 'USD'"
            " FROM unnest(%s::uuid[]) WITH ORDINALITY AS a (id, number)",
            (test.tenant_id, list(accounts)),
        )
        await connection.execute(
            "INSERT INTO ledger.account_details (tenant_id, account_id, name, created_at)"
            " SELECT %s, a.id, 'bench', now() FROM unnest(%s::uuid[]) AS a (id)",
            (test.tenant_id, list(accounts)),
        )
    return Books(test.tenant_id, made.secret, accounts)


def write_targets(path: Path, books: Sequence[Books]) -> Path:
    """What the Lua scripts read: a line per tenant, its key and its accounts."""
    lines = (
        f"{one.key} {' '.join(encode_id('acct', account) for account in one.accounts)}\n" for one in books
    )
    path.touch(mode=0o600)
    path.write_text("".join(lines))
    return path


async def analyse(urls: DatabaseUrls) -> None:
    """Fresh statistics, as autovacuum would give them a minute later."""
    async with Database(urls.owner, size=2) as database, database.connection() as connection:
        await connection.execute("ANALYZE")


@dataclass(frozen=True, slots=True)
class Running:
    """A `florin run` under load."""

    base: str
    started_in_s: float
    process: asyncio.subprocess.Process

    def api_memory_mb(self) -> float:
        """Resident memory of the largest API process."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        sizes = [child.memory_info().rss for child in children if "serve" in child.cmdline()]
        return max(sizes) / 1e6


@asynccontextmanager
async def florin_run(data_dir: Path, *, workers: int) -> AsyncIterator[Running]:
    """Starts `florin run`, waits until it serves, and stops it as Ctrl-C does.

    Raises:
        LoadFailed: it does not come up; its log is in `bench.log` of the data directory.
    """
    port = _free_port()
    base = f"http://127.0.0.1:{port}"
    started = time.perf_counter()
    with (data_dir / "bench.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "florin", "run", "--workers", str(workers),
            env={
                **os.environ,
                "FLORIN_DATA_DIR": str(data_dir),
                "FLORIN_HOST": "127.0.0.1",
                "FLORIN_PORT": str(port),
                "FLORIN_LOG_LEVEL": "warning",
            },
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        await _until_ready(base, process, data_dir)
        running = Running(base, time.perf_counter() - started, process)
        if workers > 1:
            # The first process answers already; connections made now would all stay with it.
            await asyncio.sleep(_ALL_UP_S)
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _until_ready(base: str, process: asyncio.subprocess.Process, data_dir: Path) -> None:
    deadline = time.perf_counter() + _READY_TIMEOUT_S
    async with aiohttp.ClientSession() as session:
        while time.perf_counter() < deadline and process.returncode is None:
            try:
                async with session.get(f"{base}/readyz") as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.02)
    raise LoadFailed(f"florin run did not start; see {data_dir / 'bench.log'}")


def _free_port() -> int:
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def allow_many_connections() -> None:
    """Raises this process's limit of open files, and that of what it starts, as far as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
