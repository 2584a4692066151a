"""The server process: is it there, start it, stop it, clear what a killed one left behind.

`postmaster.pid` alone proves nothing: after kill -9 it stays, and its number may belong to some
other process by then. So a process counts only if its user and its command line fit. (Command
lines can be read where /proc/PID/cwd cannot: by root in a container without CAP_SYS_PTRACE.)
"""

import contextlib
import logging
import os
import signal
import socket
import struct
import time
from dataclasses import dataclass

import psutil

from florin.kernel.embedded.account import EmbeddedError
from florin.kernel.embedded.cluster import Cluster, write_settings

_POLL_S = 0.01
_START_TIMEOUT_S = 600  # recovery may have to replay all of max_wal_size
_LOG_LIMIT_BYTES = 16 * 1024 * 1024
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # length and code (libpq/pqcomm.h)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Postmaster:
    """A running server. `status` is PostgreSQL's own word: starting, ready, stopping."""

    pid: int
    status: str


def find_postmaster(cluster: Cluster) -> Postmaster | None:
    """The live server of this cluster, in whatever state, or None."""
    try:
        lines = (cluster.pgdata / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return None
    try:
        process = psutil.Process(pid)
        if not _belongs(process, cluster):
            return None
    except psutil.Error:
        return None
    # Line 8 of the file (utils/pidfile.h); it is written a line at a time.
    status_line = 7
    status = lines[status_line].strip() if len(lines) > status_line else "starting"
    return Postmaster(pid, status)


def _belongs(process: psutil.Process, cluster: Cluster) -> bool:
    """Whether a live process is this cluster's postmaster or one of its children."""
    if process.status() == psutil.STATUS_ZOMBIE or process.uids().real != cluster.account.uid:
        return False
    words = process.cmdline()
    if not words:
        return False
    if words[0].startswith(f"postgres: {cluster.name}"):
        return True
    return words[0].endswith("/postgres") and str(cluster.pgdata) in words


def accepts_connections(cluster: Cluster) -> bool:
    """Whether a server answers on the socket; its process may be out of sight, in a container.

    Asks for encryption (the first message of the protocol), to which the answer is one letter: a
    dying server may still take the connection, but it answers nothing.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(cluster.socket))
            probe.sendall(_SSL_REQUEST)
            return probe.recv(1) in (b"N", b"S")
        except OSError:
            return False


def ensure_running(cluster: Cluster, *, shared_buffers: str | None) -> bool:
    """Return once the server is ready; True if it had to be started. The start lock is held.

    Raises EmbeddedError with the log's last lines when it does not come up.
    """
    if find_postmaster(cluster) is not None and _await_ready(cluster):
        return False
    if accepts_connections(cluster):
        return False
    _clear_leftovers(cluster)
    _start(cluster, shared_buffers)
    return True


def _await_ready(cluster: Cluster) -> bool:
    """Wait for a found server; False if it ends instead."""
    started = time.monotonic()
    next_notice_s = 10.0
    while (found := find_postmaster(cluster)) is not None:
        if found.status == "ready":
            return True
        waited_s = time.monotonic() - started
        if waited_s > _START_TIMEOUT_S:
            raise EmbeddedError(f"PostgreSQL (pid {found.pid}) is {found.status} and stays so.")
        if waited_s > next_notice_s:
            _log.warning("PostgreSQL is %s for %.0f s, recovery perhaps", found.status, waited_s)
            next_notice_s *= 2
        time.sleep(_POLL_S)
    return False


# Started in the background of a shell that ends at once, the server is nobody's child here: no
# zombie when it is killed. The session is its own, so Ctrl-C in the terminal does not reach it.
# (pg_ctl does the same, but puts the paths into a shell command without quoting them.)
_SPAWN = '"$1" -D "$2" </dev/null >>"$3" 2>&1 & echo $!'


def _start(cluster: Cluster, shared_buffers: str | None) -> None:
    write_settings(cluster, cluster.pgdata, shared_buffers=shared_buffers)
    trim_log(cluster)
    log_start = cluster.log_file.stat().st_size
    spawned = cluster.account.run(
        ["/bin/sh", "-c", _SPAWN, "sh", cluster.bin_dir / "postgres", cluster.pgdata,
         cluster.log_file]
    )  # fmt: skip
    if spawned.returncode == 0:
        pid = int(spawned.stdout)
        while _is_alive(pid):
            if find_postmaster(cluster) is not None and _await_ready(cluster):
                return
            time.sleep(_POLL_S)
    with cluster.log_file.open(errors="replace") as log:
        log.seek(log_start)
        said = log.read()[-2000:]
    raise EmbeddedError(f"PostgreSQL does not start: {spawned.stderr}{said}")


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop(cluster: Cluster, *, timeout_s: float = 60) -> None:
    """Fast shutdown: sessions are ended, everything is written. The start lock is held.

    What a killed server left behind goes too.
    """
    for kind, patience_s in ((signal.SIGINT, timeout_s), (signal.SIGQUIT, 10.0)):
        found = find_postmaster(cluster)
        if found is None:
            break
        try:
            os.kill(found.pid, kind)
        except ProcessLookupError:
            break
        give_up_at = time.monotonic() + patience_s
        while find_postmaster(cluster) is not None:
            if time.monotonic() > give_up_at:
                _log.warning("PostgreSQL (pid %d) does not stop in %.0f s", found.pid, patience_s)
                break
            time.sleep(_POLL_S)
    if find_postmaster(cluster) is None and not accepts_connections(cluster):
        _clear_leftovers(cluster)


def _clear_leftovers(cluster: Cluster) -> None:
    """After a postmaster was killed: end its orphans, remove its lock files.

    PostgreSQL refuses to start while an orphan holds the old shared memory, and while any process
    of the same user has the number in `postmaster.pid`. Orphans leave by themselves unless busy;
    nothing is lost by killing them, recovery starts from the write-ahead log.
    """
    pid_file = cluster.pgdata / "postmaster.pid"
    if not pid_file.exists():
        return
    give_up_at = time.monotonic() + 10
    kill_at = time.monotonic() + 0.3
    while orphans := _orphans(cluster):
        if time.monotonic() > give_up_at:
            numbers = ", ".join(str(process.pid) for process in orphans)
            raise EmbeddedError(f"orphaned PostgreSQL processes do not end: {numbers}")
        if time.monotonic() > kill_at:
            for process in orphans:
                _log.warning("killing orphaned PostgreSQL process %d", process.pid)
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        time.sleep(_POLL_S)
    pid_file.unlink(missing_ok=True)
    cluster.socket.with_name(cluster.socket.name + ".lock").unlink(missing_ok=True)


def _orphans(cluster: Cluster) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if _belongs(process, cluster):
                found.append(process)
        except psutil.Error:
            continue  # it ended, or it is another user's
    return found


def trim_log(cluster: Cluster) -> None:
    """Keep at most two times 16 MB: `pg.log` and the part before it, `pg.log.1`.

    The server appends, so emptying the file under it is safe; a line written between copy and
    truncation may be lost.
    """
    if cluster.log_file.stat().st_size < _LOG_LIMIT_BYTES:
        return
    older = cluster.log_file.with_name("pg.log.1")
    older.write_bytes(cluster.log_file.read_bytes())
    older.chmod(0o600)
    os.truncate(cluster.log_file, 0)
