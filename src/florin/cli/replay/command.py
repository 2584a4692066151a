"""What both replays share: the key, Ctrl-C, the progress bar, the last word."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from florin.cli.replay.client import Api
from florin.cli.replay.errors import Interrupted, KeyRefused, ReplayError
from florin.cli.replay.proof import TRIAL_BALANCE
from florin.cli.replay.report import CANNOT, INTERRUPTED
from florin.kernel.settings import Settings

File = TypeVar("File")

console: Final = Console()
_errors: Final = Console(stderr=True, soft_wrap=True, highlight=False)

_GO_ON: Final = (
    "Run the same command again to go on: what is already there is known by its idempotency key "
    "and is not done twice."
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator asked for. `limit` is None for the whole file."""

    url: str
    api_key: str | None
    concurrency: int
    limit: int | None


def find_key(api_key: str | None) -> str:
    """The key given, else the demo tenant's, as `florin run` left it in the data directory.

    Raises:
        KeyRefused: there is none, or it is no key.
        ReplayError: a `FLORIN_` setting breaks its rule.
    """
    key = api_key or _demo_key(_data_dir() / "demo.env")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise KeyRefused("the API key has characters that no key has")
    return key


def _data_dir() -> Path:
    try:
        return Settings().data_dir
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ReplayError(f"FLORIN_{str(first['loc'][0]).upper()} is not possible: {first['msg']}") from None


def _demo_key(file: Path) -> str:
    hint = "give --api-key or set FLORIN_API_KEY"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise KeyRefused(f"no API key: {hint}, or start florin run, which writes {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyRefused(f"no API key: {hint}; {file} cannot be read: {error}") from None
    for line in lines:
        name, _, value = line.strip().removeprefix("export ").partition("=")
        if name.strip() == "FLORIN_API_KEY" and value:
            return value.strip().strip("'\"")
    raise KeyRefused(f"no API key: {hint}; {file} has no FLORIN_API_KEY")


def run(options: Options, read: Callable[[], File], work: Callable[[Api, File], Awaitable[int]]) -> int:
    """Reads the file, runs `work` against the API with it and returns its exit code.

    Whatever stops it is said in one line, the file's faults before the API's.
    """
    try:
        file = read()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(options, lambda api: work(api, file)))
    except Interrupted:
        _errors.print(f"Interrupted. {_GO_ON}", style="yellow")
        return INTERRUPTED
    except ReplayError as error:
        _errors.print(f"error: {error}", style="red", markup=False)
        return CANNOT


async def _run(options: Options, work: Callable[[Api], Awaitable[int]]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        stop.set()
        _errors.print("Stopping once the requests in flight are answered.", style="yellow")
        loop.remove_signal_handler(signal.SIGINT)  # the next one ends the process at once

    loop.add_signal_handler(signal.SIGINT, interrupt)
    api = Api(options.url, find_key(options.api_key), concurrency=options.concurrency, stop=stop)
    try:
        async with api:
            await api.probe(TRIAL_BALANCE)
            return await work(api)
    finally:
        loop.remove_signal_handler(signal.SIGINT)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar; call what it yields with the number of items done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.update(task, advance=count)
