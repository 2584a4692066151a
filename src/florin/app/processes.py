"""Child processes of `florin run`: started, restarted when they die, stopped together.

A child runs in a session of its own, so Ctrl-C reaches the parent alone and stopping is orderly. It
watches a pipe whose other end the parent holds: when the parent is gone, by kill -9 too, the pipe
closes and the child leaves, so no orphan keeps the port.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)

LIFELINE = "FLORIN_LIFELINE_FD"
"""Names, in a child's environment, the pipe that closes with its parent."""

_GRACE_S = 15.0
_STABLE_S = 10.0
_MAX_DELAY_S = 5.0


@dataclass(frozen=True, slots=True)
class Child:
    """A `florin` command to keep running."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    inherits: Sequence[int] = ()
    """File descriptors that it gets: a listening socket, for instance."""


class Keeper:
    """Keeps children running until `stop`."""

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        self._tasks: list[asyncio.Task[None]] = []
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()

    def keep(self, child: Child) -> None:
        """Starts the child and starts it again whenever it ends."""
        self._tasks.append(asyncio.create_task(self._keep(child)))

    async def stop(self) -> None:
        """Asks all children to end, waits, and kills those that do not."""
        self._stopping.set()
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.terminate()
        _, late = await asyncio.wait(self._tasks, timeout=_GRACE_S) if self._tasks else (set(), set())
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.kill()
        if late:
            await asyncio.wait(late)
        os.close(self._read_end)
        os.close(self._write_end)

    async def _keep(self, child: Child) -> None:
        delay_s = 0.1
        while not self._stopping.is_set():
            started = asyncio.get_running_loop().time()
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "florin",
                *child.arguments,
                env={**os.environ, **child.environment, LIFELINE: str(self._read_end)},
                pass_fds=(self._read_end, *child.inherits),
                start_new_session=True,
            )
            self._running[child.name] = process
            if self._stopping.is_set():  # it was being started when the others were asked to end
                process.terminate()
            code = await process.wait()
            self._running.pop(child.name, None)
            if self._stopping.is_set():
                return
            if asyncio.get_running_loop().time() - started > _STABLE_S:
                delay_s = 0.1
            log.warning("child_died", child=child.name, exit_code=code, restart_in_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _MAX_DELAY_S)


def stop_with_parent(stop: asyncio.Event) -> None:
    """In a child: sets `stop` on SIGTERM, SIGINT, and when the parent is gone."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    lifeline = os.environ.get(LIFELINE)
    if lifeline is not None:
        # Nothing is ever written: readable means closed.
        loop.add_reader(int(lifeline), stop.set)
