"""The benchmark: what is measured, against what, and the table at the end."""

import os
import shutil
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

import orjson
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from florin.cli.bench import posting, scripts
from florin.cli.bench.growth import growth, verify
from florin.cli.bench.history import history
from florin.cli.bench.imports import import_rate, write_history
from florin.cli.bench.limits import limits
from florin.cli.bench.load import LoadFailed, Measured, Users, over_http, require_wrk, straight_at_sql
from florin.cli.bench.seals import seal_at_once
from florin.cli.bench.stage import (
    ACCOUNTS,
    Books,
    account_id,
    allow_many_connections,
    analyse,
    florin_run,
    lay_books,
    write_targets,
)
from florin.cli.console import err, out
from florin.cli.platform import platform_on
from florin.kernel import migrations
from florin.kernel.database_urls import DatabaseUrls, open_database
from florin.kernel.db import Database, set_tenant
from florin.kernel.embedded.cluster import lay_out
from florin.kernel.idempotency import Idempotency
from florin.kernel.ids import new_id
from florin.kernel.pipeline import Statement, run_pipeline
from florin.kernel.settings import settings
from florin.ledger.model import Leg, Posting
from florin.ledger.posting import POST

TENANTS = 100
PGBENCH_CLIENTS = (16, 128)
BATCHES = (1, 10, 100, 1000, 5000)


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table: what, how much, against which target."""

    name: str
    label: str
    value: float
    unit: str
    target: float | None = None
    """At least this for a ratio, at most this for times and sizes."""

    @property
    def holds(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.unit == "x" else self.value <= self.target


@dataclass(slots=True)
class Bench:
    """One run: where it happens, how long each load lasts, what has been measured."""

    directory: Path
    urls: DatabaseUrls
    seconds: int
    rounds: int
    progress: Progress
    one: Books
    many: Sequence[Books]
    full: Books | None = None
    """Books of millions of entries, once a part has needed them."""

    lines: list[Line] = field(default_factory=list)

    def add(self, name: str, label: str, value: float, unit: str, target: float | None = None) -> float:
        """Notes a figure and gives it back."""
        self.lines.append(Line(name, label, value, unit, target))
        return value

    def say(self, text: str) -> None:
        """What is going on now."""
        self.progress.update(self.progress.task_ids[0], description=text)

    def targets(self, *, many: bool = False) -> Path:
        """The file that the Lua scripts read."""
        path = self.directory / ("many.targets" if many else "one.targets")
        return write_targets(path, self.many if many else [self.one])


async def run_bench(output: Path, directory: Path, *, quick: bool, only: Sequence[str]) -> None:
    """Runs all parts (or those named), prints the table, writes the figures as a flat JSON map.

    `directory` is made for the run and removed after it.

    Raises:
        LoadFailed: a part is unknown, a load generator is missing, or answers were errors.
    """
    unknown = set(only) - set(PARTS)
    if unknown:
        raise LoadFailed(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    require_wrk()
    allow_many_connections()
    shutil.rmtree(directory, ignore_errors=True)
    chosen = settings().model_copy(
        update={"data_dir": directory, "database_url": None, "app_database_url": None}
    )
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err
    ) as progress:
        progress.add_task("setting the stage")
        async with open_database(chosen) as urls:
            await migrations.migrate(urls.owner)
            async with Database(urls.app, size=2) as database:
                platform = platform_on(chosen, database)
                accounts = [account_id(number) for number in range(ACCOUNTS)]
                one = await lay_books(platform, "BENCH", accounts)
                many = [
                    await lay_books(
                        platform, f"BENCH-{number}", [new_id() for _ in range(ACCOUNTS // TENANTS)]
                    )
                    for number in range(TENANTS)
                ]
            await analyse(urls)
            bench = Bench(directory, urls, 3 if quick else 8, 1 if quick else 2, progress, one, many)
            for name, part in PARTS.items():
                if not only or name in only:
                    await part(bench)
    shutil.rmtree(directory, ignore_errors=True)
    _report(bench.lines, output)


async def transfers(bench: Bench) -> None:
    """Transfers over HTTP against one call per transfer, hot against uniform, many tenants against one."""
    users = Users(128, bench.seconds)
    single, uniform, hot, many, double = [], [], [], [], []
    for turn in range(bench.rounds):
        bench.say(f"transfers, round {turn + 1}: one call each through pgbench")
        single.append(await _pgbench(bench, scripts.transfer(bench.one.tenant_id)))
        async with florin_run(bench.directory, workers=1) as running:
            bench.say(f"transfers, round {turn + 1}: over HTTP, one process")
            uniform.append(await over_http(running.base, "transfers", bench.targets(), users))
            hot.append(await over_http(running.base, "transfers", bench.targets(), users, hot=True))
            bench.say(f"transfers, round {turn + 1}: spread over {TENANTS} tenants")
            many.append(await over_http(running.base, "transfers", bench.targets(many=True), users))
        async with florin_run(bench.directory, workers=2) as running:
            bench.say(f"transfers, round {turn + 1}: over HTTP, two processes")
            double.append(await over_http(running.base, "transfers", bench.targets(), users))
    base = bench.add("transfers_pgbench_per_s", "transfers, one call each (pgbench)", mean(single), "/s")
    one = bench.add("transfers_http_1_per_s", "transfers over HTTP, one process", _rate(uniform), "/s")
    two = bench.add("transfers_http_2_per_s", "transfers over HTTP, two processes", _rate(double), "/s")
    bench.add("transfers_http_1_ratio", "  one process against pgbench", one / base, "x", 1.3)
    bench.add("transfers_http_2_ratio", "  two processes against pgbench", two / base, "x", 1.3)
    bench.add("transfers_hot_ratio", "  hot account against uniform", _rate(hot) / one, "x", 0.9)
    bench.add("transfers_tenants_ratio", f"  {TENANTS} tenants against one", _rate(many) / one, "x", 0.6)


async def batches(bench: Bench) -> None:
    """The array function alone, at growing sizes, uniform and hot."""
    rates: dict[bool, dict[int, float]] = {False: {}, True: {}}
    chance = Random(1)  # noqa: S311 - a load, not a secret
    async with Database(bench.urls.app, size=2) as database:
        for hot in (False, True):
            for size in BATCHES:
                bench.say(f"ledger.post alone: {size} items a call{', hot' if hot else ''}")
                rates[hot][size] = await _post_alone(database, bench, size, chance, hot=hot)
    for size in BATCHES:
        bench.add(f"post_{size}_per_s", f"ledger.post, {size} items a call", rates[False][size], "/s")
    for size in (1000, 5000):
        ratio = rates[False][size] / rates[False][100]
        bench.add(f"post_{size}_ratio", f"  {size} against 100 items a call", ratio, "x", 1.0)
    bench.add(
        "post_hot_ratio", "  hot account, 1000 items a call", rates[True][1000] / rates[False][1000], "x"
    )


async def ledger(bench: Bench) -> None:
    """The array function behind the coalescer, in process: against one call each, hot, and refused."""
    bench.say("transfers: one call each through pgbench")
    base = await _pgbench(bench, scripts.transfer(bench.one.tenant_id))
    bench.add("ledger_pgbench_per_s", "ledger.post, one call each (pgbench)", base, "/s")
    async with Database(bench.urls.app) as database:
        deck = posting.Deck(bench.one, empty=await posting.open_empty_account(database, bench.one))
        rates: dict[tuple[int, str], list[float]] = {}
        kinds: dict[str, Callable[[], Posting]] = {
            "uniform": deck.transfer,
            "hot": lambda: deck.transfer(hot=True),
            "refused_1": lambda: deck.transfer(refused=0.01),
            "refused_5": lambda: deck.transfer(refused=0.05),
        }
        for turn in range(bench.rounds):
            for callers in posting.CALLERS:
                for kind, draw in kinds.items():
                    bench.say(f"ledger, round {turn + 1}: {callers} callers in process, {kind}")
                    rate = await posting.coalesced(
                        database, bench.one, draw, callers=callers, seconds=bench.seconds / 2
                    )
                    rates.setdefault((callers, kind), []).append(rate)
        bench.say("ledger: WAL")
        platform = platform_on(settings().model_copy(update={"data_dir": bench.directory}), database)
        fresh = await lay_books(platform, "BENCH-WAL", [new_id() for _ in range(ACCOUNTS)])
        await analyse(bench.urls)
        cluster, deal = lay_out(bench.directory), posting.Deck(fresh).transfer
        written = await posting.wal_per_transfer(database, cluster, fresh, deal)
    for callers in posting.CALLERS:
        name = f"ledger_{callers}"
        uniform = mean(rates[callers, "uniform"])
        bench.add(f"{name}_per_s", f"ledger.post, {callers} callers in process", uniform, "/s")
        bench.add(f"{name}_ratio", "  against one call each", uniform / base, "x", 4.0)
        for kind, label, least in (
            ("hot", "hot account against uniform", 1.0),
            ("refused_1", "1 % refused against none", 0.9),
            ("refused_5", "5 % refused against none", 0.5),
        ):
            ratio = mean(rates[callers, kind]) / uniform
            bench.add(f"{name}_{kind}_ratio", f"  {label}", ratio, "x", least)
    bench.add(
        "wal_per_transfer", "WAL per transfer, 100 items a call", written, "B", posting.FIRST_SCHEMA_WAL
    )


async def imports(bench: Bench) -> None:
    """Files of history against the array function, in turns."""
    chance = Random(3)  # noqa: S311 - a load, not a secret
    rows = 100_000 * max(2, bench.seconds // 2)
    posted, imported = [], []
    async with Database(bench.urls.app, size=4) as database:
        for turn in range(bench.rounds):
            bench.say(f"imports, round {turn + 1}: ledger.post, 1000 items a call")
            posted.append(await _post_alone(database, bench, 1000, chance, hot=False))
            bench.say(f"imports, round {turn + 1}: {rows:,} rows through COPY")
            file = write_history(bench.directory / "history.csv", bench.one, rows, chance)
            imported.append(await import_rate(database, bench.one, file, rows))
    base = mean(posted)
    rate = bench.add("import_per_s", "import of transfers through COPY", mean(imported), "/s")
    bench.add("import_ratio", "  against ledger.post, 1000 items a call", rate / base, "x", 3.0)


async def payments(bench: Bench) -> None:
    """Payments over HTTP against the same two functions called once per payment; latencies."""
    users = Users(64, bench.seconds)
    single, double, measured, many = [], [], [], []
    memory = 0.0
    for turn in range(bench.rounds):
        async with florin_run(bench.directory, workers=1) as running:
            bench.say(f"payments, round {turn + 1}: over HTTP, 64 connections")
            measured.append(await over_http(running.base, "payments", bench.targets(), users))
            bench.say(f"payments, round {turn + 1}: over HTTP, 512 connections")
            many.append(await over_http(running.base, "payments", bench.targets(), Users(512, bench.seconds)))
            memory = max(memory, running.api_memory_mb())
        async with florin_run(bench.directory, workers=2) as running:
            bench.say(f"payments, round {turn + 1}: over HTTP, two processes")
            double.append(await over_http(running.base, "payments", bench.targets(), users))
        bench.say(f"payments, round {turn + 1}: one call each through pgbench")
        single.append(await _pgbench(bench, await _payment_script(bench)))
    base = bench.add("payments_pgbench_per_s", "payments, one call each (pgbench)", mean(single), "/s")
    one = bench.add("payments_http_1_per_s", "payments over HTTP, one process", _rate(measured), "/s")
    two = bench.add("payments_http_2_per_s", "payments over HTTP, two processes", _rate(double), "/s")
    bench.add("payments_http_1_ratio", "  one process against pgbench", one / base, "x", 1.0)
    bench.add("payments_http_2_ratio", "  two processes against pgbench", two / base, "x", 1.0)
    for connections, seen in ((64, measured), (512, many)):
        for name, value in (("p50", mean(m.p50_ms for m in seen)), ("p99", mean(m.p99_ms for m in seen))):
            bench.add(
                f"payments_{connections}_{name}_ms", f"  {name} at {connections} connections", value, "ms"
            )
    bench.add("api_memory_mb", "memory of one API process after the load", memory, "MB", 200)


async def users(bench: Bench) -> None:
    """2,000 connected users, each about a request a second, whatever the answers take."""
    crowd = Users(2000, bench.seconds + 4, think_ms=1000)
    async with florin_run(bench.directory, workers=2) as running:
        for script, limit_ms in (("payments", 500), ("transfers", 200), ("balances", 100)):
            bench.say(f"2,000 users, one request a second each: {script}")
            seen = await over_http(running.base, script, bench.targets(), crowd)
            bench.add(f"users_{script}_per_s", f"2,000 users: {script}", seen.per_second, "/s")
            bench.add(f"users_{script}_p50_ms", "  p50", seen.p50_ms, "ms")
            bench.add(f"users_{script}_p99_ms", "  p99", seen.p99_ms, "ms", limit_ms)


async def start(bench: Bench) -> None:
    """Cold starts: on data that is there, and on nothing."""
    bench.say("cold start")
    async with florin_run(bench.directory, workers=1) as running:
        again_s = running.started_in_s
    empty = bench.directory.with_name(".florin-bench-empty")
    shutil.rmtree(empty, ignore_errors=True)
    empty.mkdir(mode=0o700)
    async with florin_run(empty, workers=1) as running:
        first_s = running.started_in_s
    shutil.rmtree(empty, ignore_errors=True)
    bench.add("start_first_s", "first start: initialise, migrate, serve", first_s, "s", 5)
    bench.add("start_again_s", "start on data that is there", again_s, "s", 5)


async def seals(bench: Bench) -> None:
    """What sealing costs against what posting costs: 1,000 transfers a call, then one sealer for them all."""
    chance = Random(1)  # noqa: S311 - a load, not a secret
    chosen = settings().model_copy(update={"data_dir": bench.directory})
    rates = []
    async with Database(bench.urls.app, size=2) as database:
        bench.say("seals: what other parts have left")
        await seal_at_once(chosen, database, bench.one.tenant_id)
        for turn in range(8):  # ten seconds' worth and more: what the job finds at full load
            bench.say(f"seals: posting, 1,000 a call, {turn + 1} of 8")
            rates.append(await _post_alone(database, bench, 1000, chance, hot=False))
        bench.say("seals: sealing all that")
        count, seconds = await seal_at_once(chosen, database, bench.one.tenant_id)
    each_s, posting_s = seconds / count, 1 / mean(rates)
    bench.add("seals_us", "sealing a transfer", each_s * 1e6, "us")
    bench.add("seals_posting_us", "  posting it, 1000 items a call", posting_s * 1e6, "us")
    bench.add("seals_cost_ratio", "  sealing against posting", 100 * each_s / posting_s, "%", 10)


PARTS: dict[str, Callable[[Bench], Coroutine[Any, Any, None]]] = {
    "transfers": transfers,
    "batches": batches,
    "payments": payments,
    "users": users,
    "limits": limits,
    "start": start,
    # These post millions, which the background work then proves and seals: after what is served meanwhile.
    "ledger": ledger,
    "imports": imports,
    "history": history,
    "growth": growth,
    "verify": verify,
    "seals": seals,
}


async def _pgbench(bench: Bench, script: str) -> float:
    """The better of few and many clients: the baseline is what the database does best one by one."""
    best = 0.0
    file = bench.directory / "pgbench.sql"
    file.write_text(script)
    for clients in PGBENCH_CLIENTS:
        rate = await straight_at_sql(
            lay_out(bench.directory).bin_dir / "pgbench",
            bench.urls.app,
            file,
            clients=clients,
            seconds=max(2, bench.seconds // 2),
        )
        best = max(best, rate)
    return best


async def _payment_script(bench: Bench) -> str:
    """The accounts are those that the payments over HTTP, which ran before, have opened."""
    async with (
        Database(bench.urls.app, size=2) as database,
        database.tenant(bench.one.tenant_id) as connection,
    ):
        cursor = await connection.execute(
            "SELECT id FROM ledger.accounts WHERE tenant_id = %s"
            " AND code IN ('provider:sandbox:receivable:USD', 'partner:tenant:payable:USD')"
            " ORDER BY code DESC",
            (bench.one.tenant_id,),
        )
        (receivable,), (payable,) = await cursor.fetchall()
    return scripts.payment(bench.one.tenant_id, receivable, payable)


async def _post_alone(database: Database, bench: Bench, size: int, chance: Random, *, hot: bool) -> float:
    """Items a second of `ledger.post`, one call a transaction, one connection."""
    spent_s, items = 0.0, 0
    tenant_id = bench.one.tenant_id
    sql = POST.statement.replace("%s", "{}").format(*(f"${number}" for number in range(1, 15))).encode()
    while spent_s < bench.seconds / 4 or items < 2 * size:
        postings = [_posting(bench.one, chance, hot=hot) for _ in range(size)]
        statements = [
            Statement(b"BEGIN"),
            Statement(set_tenant(tenant_id).encode()),
            Statement(sql, (tenant_id, *POST.encode(postings))),
            Statement(b"COMMIT"),
        ]
        async with database.connection() as connection:
            started = time.perf_counter()
            rows = await run_pipeline(connection, statements)
            spent_s += time.perf_counter() - started
        refused = [row for row in rows[2] if row[1] is not None]
        if refused:
            raise LoadFailed(f"ledger.post refused {len(refused)} of {size} items: {refused[0][1]}")
        items += size
    return items / spent_s


def _posting(books: Books, chance: Random, *, hot: bool) -> Posting:
    debit, credit = chance.sample(range(1, len(books.accounts)), 2)
    transfer_id = new_id()
    return Posting(
        id=transfer_id,
        idempotency=Idempotency(slot=transfer_id, digest=transfer_id),
        legs=(
            Leg(books.accounts[0 if hot else debit], 100),
            Leg(books.accounts[credit], -100),
        ),
        currency="USD",
    )


def _rate(seen: Sequence[Measured]) -> float:
    return mean(one.per_second for one in seen)


def _report(lines: Sequence[Line], output: Path) -> None:
    table = Table("", "Measured", "Target", box=None, pad_edge=False)
    for line in lines:
        target = "" if line.target is None else f"{'>=' if line.unit == 'x' else '<='} {line.target:g}"
        style = {True: "green", False: "bold red", None: ""}[line.holds]
        digits = 2 if line.unit in ("x", "s") else 1 if line.unit in ("ms", "us", "%") else 0
        table.add_row(line.label, f"[{style}]{line.value:,.{digits}f} {line.unit}[/]" if style
                      else f"{line.value:,.{digits}f} {line.unit}", target)  # fmt: skip
    out.print(table)
    out.print(
        f"{os.cpu_count()} cores, durable commits, load generators on the same machine", highlight=False
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(
        orjson.dumps({line.name: round(line.value, 4) for line in lines}, option=orjson.OPT_INDENT_2)
    )
    err.print(f"figures in {output}", highlight=False)
