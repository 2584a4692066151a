"""`florin audit verify` and `anchor`: whether the log is whole, and still the one it was."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from florin.audit import chain
from florin.audit.model import BrokenRow, Fault, Position, Verdict
from florin.cli.audit import app
from florin.cli.console import FAILED, USAGE, err, fail, out, run_async
from florin.cli.ledger.books import Live
from florin.cli.ledger.options import Json, print_json
from florin.cli.platform import Platform, open_platform
from florin.kernel.clock import rfc3339
from florin.kernel.ids import encode_id
from florin.kernel.settings import settings
from florin.tenancy.model import Tenant
from florin.tenancy.service import list_tenants

OneTenant = Annotated[
    str | None, typer.Option("--tenant", "-t", help="The tenant's code. Default: all tenants, live and test.")
]
Verdicts = list[tuple[Tenant, Verdict]]


async def _tenants(platform: Platform, code: str | None, *, live: bool) -> list[Tenant]:
    found = await list_tenants(platform.tenancy, code)
    if code is not None and not found:
        fail(f"there is no tenant {code}; florin tenants list shows them")
    return [one for one in found if code is None or one.live == live]


@app.command()
def verify(
    tenant: OneTenant = None,
    anchors: Annotated[
        Path | None,
        typer.Option("--anchor", help="What florin audit anchor --json has written.", dir_okay=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the last walk was stopped with Ctrl-C.")
    ] = False,
    live: Live = False,
    json: Json = False,
) -> None:
    """Walk the chain of the log; name the first broken row and exit 1 where there is one."""
    kept = None if anchors is None else _read_anchors(anchors)

    async def work() -> Verdicts:
        async with open_platform(settings()) as platform:
            walk = _Walk(platform, _Bookmark(settings().data_dir / "audit_verify.json", resume=resume))
            return await walk.all(await _tenants(platform, tenant, live=live), kept or [])

    verdicts = run_async(work())
    _tell(verdicts, json=json)
    if any(verdict.broken is not None for _, verdict in verdicts):
        raise typer.Exit(FAILED)


class _Bookmark:
    """How far each chain was whole when a walk was stopped."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        self._path = path
        self._at: dict[str, Any] = {}
        if resume and path.exists():
            try:
                self._at = orjson.loads(path.read_bytes())
            except ValueError:
                fail(f"{path} is damaged; verify without --resume begins anew")

    def of(self, tenant_id: int) -> Position | None:
        at = self._at.get(str(tenant_id))
        return None if at is None else Position(at["seq"], UUID(at["id"]), bytes.fromhex(at["digest"]))

    def put(self, tenant_id: int, position: Position) -> None:
        self._at[str(tenant_id)] = {
            "seq": position.seq,
            "id": str(position.id),
            "digest": position.digest.hex(),
        }

    def keep(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.write_bytes(orjson.dumps(self._at))

    def drop(self) -> None:
        self._path.unlink(missing_ok=True)


class _Walk:
    """One chain after the other, until one is broken."""

    def __init__(self, platform: Platform, bookmark: _Bookmark) -> None:
        self._database = platform.tenancy.database
        self._bookmark = bookmark

    async def all(self, tenants: Sequence[Tenant], anchors: Sequence[dict[str, Any]]) -> Verdicts:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        verdicts: Verdicts = []
        try:
            with Progress(*columns, console=err, transient=True) as progress:
                for one in tenants:
                    mine = [
                        kept for kept in anchors if (kept["tenant"], kept["live"]) == (one.code, one.live)
                    ]
                    verdict = await self._one(one, mine, progress)
                    verdicts.append((one, verdict))
                    if verdict.broken is not None:
                        break
        except BaseException:
            self._bookmark.keep()
            raise
        self._bookmark.drop()
        return verdicts

    async def _one(self, tenant: Tenant, anchors: Sequence[dict[str, Any]], progress: Progress) -> Verdict:
        task = progress.add_task(_name(tenant), total=None)
        verdict = await chain.verify(
            self._database,
            tenant.tenant_id,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            on_step=lambda position: self._bookmark.put(tenant.tenant_id, position),
            after=self._bookmark.of(tenant.tenant_id),
        )
        progress.remove_task(task)
        if verdict.broken is not None:
            return verdict
        for kept in anchors:
            holds = await chain.check_anchor(
                self._database, tenant.tenant_id, kept["seq"], bytes.fromhex(kept["digest"])
            )
            if holds is None:
                err.print(
                    f"{_name(tenant)}: row {kept['seq']} has been pruned since it was kept", highlight=False
                )
            elif not holds:
                return Verdict(verdict.rows, BrokenRow(Fault.ANCHOR, kept["seq"], None))
        return verdict


def _name(tenant: Tenant) -> str:
    return f"{tenant.code} {'live' if tenant.live else 'test'}"


def _read_anchors(path: Path) -> list[dict[str, Any]]:
    """The anchors of a file; ends the command where it holds none."""
    try:
        found = orjson.loads(path.read_bytes())
        for one in found:
            bytes.fromhex(one["digest"])
            assert isinstance(one["seq"], int)
            assert isinstance(one["live"], bool)
            assert isinstance(one["tenant"], str)
    except OSError as error:
        fail(f"{path}: {error.strerror}", code=USAGE)
    except (ValueError, TypeError, KeyError, AssertionError):
        fail(f"{path} is not what florin audit anchor --json has written", code=USAGE)
    return list(found)


def _tell(verdicts: Verdicts, *, json: bool) -> None:
    if json:
        print_json(
            [
                {
                    "tenant": tenant.code,
                    "live": tenant.live,
                    "rows": verdict.rows,
                    "broken": verdict.broken
                    and {
                        "fault": verdict.broken.fault,
                        "seq": verdict.broken.seq,
                        "id": verdict.broken.id and encode_id("aud", verdict.broken.id),
                    },
                }
                for tenant, verdict in verdicts
            ]
        )
        return
    for tenant, verdict in verdicts:
        broken = verdict.broken
        if broken is None:
            said = f"{verdict.rows} rows, every one is what it was when it was written"
        else:
            row = "" if broken.id is None else f" ({encode_id('aud', broken.id)})"
            said = f"row {broken.seq}{row} is broken: {broken.fault}; {verdict.rows} rows are whole"
        out.print(f"{_name(tenant)}: {said}", highlight=False)


@app.command()
def anchor(tenant: OneTenant = None, live: Live = False, json: Json = False) -> None:
    """Show where each log ends: keep it elsewhere, and verify --anchor proves that the log still has it."""

    async def work() -> list[dict[str, Any]]:
        async with open_platform(settings()) as platform:
            anchors = []
            for one in await _tenants(platform, tenant, live=live):
                end = await chain.anchor(platform.tenancy.database, one.tenant_id)
                if end is not None:
                    anchors.append(
                        {
                            "tenant": one.code,
                            "live": one.live,
                            "seq": end.seq,
                            "digest": end.digest.hex(),
                            "at": rfc3339(end.at),
                        }
                    )
            return anchors

    found = run_async(work())
    if json:
        print_json(found)
        return
    for one in found:  # a line each, to be copied: a table would break them
        mode = "live" if one["live"] else "test"
        out.print(
            f"{one['tenant']} {mode}  {one['seq']}  {one['digest']}  {one['at']}",
            highlight=False,
            soft_wrap=True,
        )
