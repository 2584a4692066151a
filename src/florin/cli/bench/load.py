"""The load: wrk over HTTP, pgbench straight at the database. Both are other people's, on purpose."""

import asyncio
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from random import randrange

_LUA = Path(__file__).parent / "lua"


class LoadFailed(Exception):
    """A load generator is missing, or what it measured is not worth a number."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What wrk saw. Latencies are of answers, in milliseconds."""

    per_second: float
    p50_ms: float
    p99_ms: float
    requests: int


@dataclass(frozen=True, slots=True)
class Users:
    """How the load comes: connections, for how long, thinking how long between requests."""

    connections: int
    seconds: int
    think_ms: int = 0


def require_wrk() -> str:
    """wrk's path. Raises LoadFailed with how to get it."""
    path = shutil.which("wrk")
    if path is None:
        raise LoadFailed("wrk is not installed: `apt-get install wrk` (Debian, Ubuntu), `brew install wrk`")
    return path


async def over_http(
    url: str, script: str, targets: Path, users: Users, *, hot: bool = False, errors_allowed: int = 0
) -> Measured:
    """Runs one of the Lua scripts against the API.

    Raises:
        LoadFailed: more than `errors_allowed` answers were errors, or connections failed.
    """
    environment = {
        **os.environ,
        "FLORIN_BENCH_TARGETS": str(targets),
        "FLORIN_BENCH_LUA": str(_LUA),
        "FLORIN_BENCH_THINK_MS": str(users.think_ms),
    }
    if hot:
        environment["FLORIN_BENCH_HOT"] = "1"
    process = await asyncio.create_subprocess_exec(
        require_wrk(),
        "-t1",
        f"-c{users.connections}",
        f"-d{users.seconds}s",
        "--timeout",
        "20s",
        "-s",
        str(_LUA / f"{script}.lua"),
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    _, said = await process.communicate()
    last = said.decode().strip().splitlines()[-1] if said.strip() else ""
    if process.returncode or not last.startswith("{"):
        raise LoadFailed(f"wrk failed: {said.decode()[-500:]}")
    seen = json.loads(last)
    errors = sum(seen[kind] for kind in ("status", "connect", "read", "write", "timeout"))
    if errors > errors_allowed:
        raise LoadFailed(f"{script}: {errors} of {seen['requests']} requests went wrong: {last}")
    return Measured(
        per_second=seen["requests"] / (seen["duration_us"] / 1e6),
        p50_ms=seen["p50_us"] / 1e3,
        p99_ms=seen["p99_us"] / 1e3,
        requests=seen["requests"],
    )


async def straight_at_sql(
    pgbench: Path, database_url: str, script: Path, *, clients: int, seconds: int
) -> float:
    """Transactions per second of a pgbench script, prepared statements, one script run each.

    Raises:
        LoadFailed: pgbench failed, or a transaction did.
    """
    run = randrange(2**24)  # noqa: S311 - tells runs apart
    process = await asyncio.create_subprocess_exec(
        str(pgbench),
        *("-n", "-M", "prepared", "-D", "n=0", "-D", f"run={run}", "-f", str(script)),
        *("-c", str(clients), "-j", "1", "-T", str(seconds)),
        database_url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complained = await process.communicate()
    found = re.search(rb"tps = ([0-9.]+)", printed)
    if process.returncode or found is None or b"aborted" in complained:
        said = (complained or printed).decode()[-500:]
        raise LoadFailed(f"pgbench failed with exit code {process.returncode}: {said}")
    return float(found.group(1))
