"""What rate limits cost a request, and how often they go to the database.

Far from its end a limit is handed out in stores, near it call by call: so leases are counted of one that no
run uses up, and of the default one while all of it is used up.
"""

import asyncio
import time
from statistics import mean
from typing import TYPE_CHECKING, Final

from prometheus_client import REGISTRY

from florin.access.callers import KeyHolder
from florin.access.service import Access, create_key
from florin.cli.bench.load import Users, over_http
from florin.cli.bench.stage import Books, Running, florin_run, lay_books, write_targets
from florin.cli.platform import platform_on
from florin.kernel.db import Database
from florin.kernel.settings import settings
from florin.tenancy.service import create_partner, set_limits

if TYPE_CHECKING:
    from florin.cli.bench.run import Bench

PERIODS: Final = ("per_minute", "per_hour", "per_day")
ENOUGH: Final = 100_000_000
"""A quota that no run uses up."""

SMALL: Final = 1_000
"""Calls that new keys may make a minute, unless somebody says otherwise."""

_CALLS: Final = 20_000
_CLIENTS: Final = 32


async def limits(bench: "Bench") -> None:
    """Admitting with 1, 3 and 9 windows against a whole request without limits; how often that leases."""
    bench.say("limits: keys with 0, 1, 3 and 9 windows")
    async with Database(bench.urls.app, size=4) as database:
        keys = await _keys(bench, database)
        rates: dict[int, list[float]] = {0: [], 9: []}
        async with florin_run(bench.directory, workers=1) as running:
            await _over_http(bench, running, keys[0], seconds=1)  # warm, for those who are measured
            for turn in range(bench.rounds):
                for windows, seen in rates.items():
                    bench.say(f"limits, round {turn + 1}: over HTTP, {windows} windows")
                    seen.append(await _over_http(bench, running, keys[windows], seconds=bench.seconds))
        without_us = 1e6 / mean(rates[0])
        bench.add("limits_request_us", "the cheapest request over HTTP, without limits", without_us, "us")
        for windows in (1, 3, 9):
            bench.say(f"limits: admitting in process, {windows} windows")
            cost_us, leases = await _admit(database, keys[windows])
            name = f"limits_{windows}"
            bench.add(f"{name}_us", f"admitting it, {windows} windows", cost_us, "us")
            bench.add(f"{name}_cost_ratio", "  against the request", 100 * cost_us / without_us, "%", 5)
            bench.add(f"{name}_leases_per_million", "  leases per million requests", leases, "", 1_000)
        bench.say("limits: using up a limit of 1,000")
        spent = await _spend(database, keys[SMALL])
        bench.add("limits_leases_to_the_end", "leases for 1,000 requests that use up a limit", spent, "", 350)
    ratio = mean(rates[9]) / mean(rates[0])
    bench.add("limits_http_ratio", "over HTTP, 9 windows against none", ratio, "x", 0.9)


async def _over_http(bench: "Bench", running: Running, key: Books, *, seconds: int) -> float:
    """Requests per second."""
    targets = write_targets(bench.directory / "limits.targets", [key])
    measured = await over_http(running.base, "currencies", targets, Users(_CLIENTS, seconds))
    return measured.per_second


async def _keys(bench: "Bench", database: Database) -> dict[int, Books]:
    """By the number of their windows: a key of each kind, under a tenant with a ceiling for the last."""
    platform = platform_on(settings().model_copy(update={"data_dir": bench.directory}), database)
    plain = await lay_books(platform, "BENCH-LIMITS", [])
    bound = await lay_books(platform, "BENCH-CEILING", [])
    await set_limits(platform.tenancy, "BENCH-CEILING", {f"limit_{period}": ENOUGH for period in PERIODS})
    partner = await create_partner(
        platform.tenancy,
        bound.tenant_id,
        name="bench",
        email="bench@localhost.localdomain",
        limit_per_minute=ENOUGH,
        limit_per_hour=ENOUGH,
        limit_per_day=ENOUGH,
    )
    made = {0: plain}
    for windows, books in ((1, plain), (3, plain), (9, bound)):
        key = await create_key(
            platform.access,
            books.tenant_id,
            name="bench",
            scopes=["*"],
            partner_id=partner.id if windows == 9 else None,  # noqa: PLR2004 - the key's, its partner's, its tenant's
            limits={period: ENOUGH if n < windows else None for n, period in enumerate(PERIODS)},
        )
        made[windows] = Books(books.tenant_id, key.secret, ())
    small = await create_key(
        platform.access,
        plain.tenant_id,
        name="bench",
        scopes=["*"],
        limits={"per_minute": None, "per_hour": SMALL, "per_day": None},
    )
    made[SMALL] = Books(plain.tenant_id, small.secret, ())
    return made


async def _admit(database: Database, books: Books) -> tuple[float, float]:
    """Microseconds per call, the best of five, and leases per million calls of a fresh process."""
    access = Access(database, platform_on(settings(), database).notifier)
    holder = await access.authenticate({b"authorization": b"Bearer " + books.key.encode()})
    before = _leases()
    await _calls(access, holder, _CALLS)
    leases = 1e6 * (_leases() - before) / (_CALLS * _CLIENTS)
    best = min([await _timed(access, holder) for _ in range(5)])
    return best * 1e6, leases


async def _spend(database: Database, books: Books) -> float:
    """Leases until an hour's limit is used up, by one process."""
    access = Access(database, platform_on(settings(), database).notifier)
    holder = await access.authenticate({b"authorization": b"Bearer " + books.key.encode()})
    before = _leases()
    for _ in range(SMALL):
        await access.admit(holder)
    return _leases() - before


async def _calls(access: Access, holder: KeyHolder, each: int) -> None:
    async def client() -> None:
        for _ in range(each):
            await access.admit(holder)

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))


async def _timed(access: Access, holder: KeyHolder) -> float:
    started = time.perf_counter()
    for _ in range(_CALLS):
        await access.admit(holder)
    return (time.perf_counter() - started) / _CALLS


def _leases() -> float:
    return REGISTRY.get_sample_value("florin_group_items_sum", {"function": "access.lease"}) or 0.0
