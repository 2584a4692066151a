"""How the command line speaks: results on stdout, everything else on stderr, faults in one sentence."""

import sys
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import uvloop
from rich.console import Console

T = TypeVar("T")

out = Console()
err = Console(stderr=True)

USAGE = 2
FAILED = 1


class CannotStart(Exception):
    """What was to be started cannot be; the message says why."""


def fail(message: str, *, code: int = FAILED) -> NoReturn:
    """Ends the command with a sentence and an exit code."""
    err.print(f"[bold red]error:[/] {message}", highlight=False)
    sys.exit(code)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine; Ctrl-C ends it with exit code 130 and no traceback."""
    try:
        return uvloop.run(work)
    except KeyboardInterrupt:
        err.print("stopped")
        sys.exit(130)
