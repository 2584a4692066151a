"""A cluster on disk: where its parts lie, its passwords, how it is initialised and configured."""

import hashlib
import json
import os
import secrets
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote

import psutil

from florin.kernel.embedded.account import (
    Account,
    EmbeddedError,
    choose_account,
    find_binaries,
    let_in,
)

Role = Literal["florin_root", "florin_owner", "florin_app", "florin_readonly"]

DATABASE = "florin"
EXTENSIONS = ("pg_trgm", "amcheck", "pg_stat_statements")
PORT = 5432  # only a part of the socket's name: nothing listens on TCP

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Cluster:
    """One data directory, and who runs its server with which binaries."""

    data_dir: Path
    account: Account
    bin_dir: Path
    socket_dir: Path

    @property
    def pgdata(self) -> Path:
        return self.data_dir / "pg"

    @property
    def log_file(self) -> Path:
        return self.data_dir / "pg.log"

    @property
    def socket(self) -> Path:
        return self.socket_dir / f".s.PGSQL.{PORT}"

    @property
    def name(self) -> str:
        """Shown in the title of every server process, which is how orphans are recognised."""
        return f"florin-{_digest(self.pgdata)}"


def lay_out(data_dir: Path) -> Cluster:
    """Prepare directories and permissions for a resolved data directory that exists.

    The caller holds the start lock.
    """
    account = choose_account(data_dir / "pg")
    let_in(account, data_dir)
    cluster = Cluster(data_dir, account, find_binaries(account, data_dir), _choose_socket_dir(data_dir))
    _make_private(cluster.socket_dir, account)
    if not cluster.log_file.exists():
        cluster.log_file.touch(mode=0o600)
    account.own(cluster.log_file, 0o600)
    return cluster


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def _choose_socket_dir(data_dir: Path) -> Path:
    """`<data>/run`, or a short private path, recorded so that every process finds the same.

    A socket's path holds at most 107 bytes (sockaddr_un; 103 on macOS), and libpq takes a comma
    for a list of hosts.
    """
    recorded = data_dir / "socket_dir"
    if recorded.exists():
        return Path(recorded.read_text().strip())
    plain = data_dir / "run"
    longest = 103 if sys.platform == "darwin" else 107
    if len(os.fsencode(plain / f".s.PGSQL.{PORT}")) <= longest and "," not in str(plain):
        return plain
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    short = base / f"florin-{_digest(data_dir)}"
    recorded.write_text(f"{short}\n")
    return short


def _make_private(directory: Path, account: Account) -> None:
    """Create with mode 700, or make sure that nobody else made it: the temp directory is shared."""
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        found = directory.lstat()
        if directory.is_symlink() or found.st_uid not in (account.uid, os.geteuid()):
            raise EmbeddedError(
                f"{directory} belongs to another user. Remove it, or choose another data directory."
            ) from None
    account.own(directory, 0o700)


def read_passwords(data_dir: Path) -> dict[Role, str]:
    """The passwords of the four roles; made and stored (mode 600) before there is a cluster."""
    path = data_dir / "secrets.json"
    roles: tuple[Role, ...] = get_args(Role)
    try:
        stored = json.loads(path.read_text())
        return {role: stored[role] for role in roles}
    except FileNotFoundError:
        if (data_dir / "pg").exists():
            raise EmbeddedError(
                f"{path} is missing, and the database at {data_dir / 'pg'} needs its passwords. "
                "Restore it from a backup."
            ) from None
    except PermissionError as error:
        raise EmbeddedError(
            f"{path} belongs to another user. Run Florin as the user that owns the data directory."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise EmbeddedError(f"{path} is damaged ({error!r}). Restore it from a backup.") from error
    generated = {role: secrets.token_urlsafe(32) for role in roles}
    _write_durably(path, json.dumps(generated, indent=2) + "\n")
    return generated


def _write_durably(path: Path, text: str) -> None:
    """Write a file of mode 600 as a whole or not at all."""
    descriptor, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(unfinished).rename(path)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def initialise(cluster: Cluster, passwords: dict[Role, str]) -> None:
    """Make the cluster, its roles and its database, all before it gets its final name.

    The rename at the end is the commit: whatever kills this in between leaves an `init-*`
    directory that the next start removes. The caller holds the start lock.
    """
    for leftover in cluster.data_dir.glob("init-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    workshop = Path(tempfile.mkdtemp(prefix="init-", dir=cluster.data_dir))
    cluster.account.own(workshop, 0o700)
    try:
        pgdata = workshop / "pg"
        password_file = workshop / "password"
        password_file.write_text(passwords["florin_root"])
        cluster.account.own(password_file, 0o600)
        _run(cluster, "initdb", "-D", pgdata, "-U", "florin_root", "--pwfile", password_file,
             "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C",
             "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
             "--no-instructions", "--no-sync")  # fmt: skip
        with (pgdata / "postgresql.conf").open("a") as conf:
            conf.write("\ninclude = 'florin.conf'\ninclude_if_exists = 'local.conf'\n")
        write_settings(cluster, pgdata, shared_buffers=f"{128 * _MEBIBYTE}B")
        _run_single_user(cluster, pgdata, "postgres", _role_statements(passwords))
        _run_single_user(cluster, pgdata, DATABASE, [f"CREATE EXTENSION {name}" for name in EXTENSIONS])
        _run(cluster, "initdb", "-D", pgdata, "--sync-only")
        pgdata.rename(cluster.pgdata)
        _sync_directory(cluster.data_dir)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _role_statements(passwords: dict[Role, str]) -> list[str]:
    plain = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD"
    logins: tuple[Role, ...] = ("florin_owner", "florin_app", "florin_readonly")
    return [
        *(f"CREATE ROLE {role} {plain} '{passwords[role]}'" for role in logins),
        "ALTER ROLE florin_readonly SET default_transaction_read_only = on",
        f"CREATE DATABASE {DATABASE} OWNER florin_owner",
        *(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC" for name in (DATABASE, "postgres")),
        f"GRANT CONNECT ON DATABASE {DATABASE} TO florin_app, florin_readonly",
    ]


def _run_single_user(cluster: Cluster, pgdata: Path, database: str, statements: list[str]) -> None:
    """Run statements, one per line, without a server that anybody could connect to."""
    # -F: no fsync for now, `initdb --sync-only` follows.
    _run(cluster, "postgres", "--single", "-F", "-c", "exit_on_error=on", "-D", pgdata, database,
         stdin="\n".join(statements) + "\n")  # fmt: skip


def _run(cluster: Cluster, program: str, *words: str | Path, stdin: str = "") -> None:
    done = cluster.account.run([cluster.bin_dir / program, *words], stdin=stdin)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise EmbeddedError(f"{program} failed with exit code {done.returncode}: {said}")


def write_settings(cluster: Cluster, pgdata: Path, *, shared_buffers: str | None) -> None:
    """Write `florin.conf` anew. `shared_buffers` in PostgreSQL's words ("256MB"); None: by RAM."""
    path = pgdata / "florin.conf"
    unfinished = path.with_suffix(".part")
    built = cluster.account.run([cluster.bin_dir / "pg_config", "--configure"]).stdout
    unfinished.write_text(
        _settings_text(
            cluster,
            memory_bytes=_memory_bytes(),
            shared_buffers=shared_buffers,
            has_lz4="--with-lz4" in built,
        )
    )
    cluster.account.own(unfinished, 0o600)
    unfinished.rename(path)


def _memory_bytes() -> int:
    """Of this machine, or of the container that limits it (cgroup v2)."""
    installed = psutil.virtual_memory().total
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return installed
    return min(installed, int(limit)) if limit.isdigit() else installed


def _settings_text(cluster: Cluster, *, memory_bytes: int, shared_buffers: str | None, has_lz4: bool) -> str:
    megabytes = memory_bytes // _MEBIBYTE
    buffers = shared_buffers or f"{min(max(megabytes // 8, 128), 4096)}MB"
    socket_dir = str(cluster.socket_dir).replace('"', '""').replace("'", "''")
    return f"""\
# Written by Florin at each start. Settings of your own go into local.conf beside this file.
listen_addresses = ''
port = {PORT}
unix_socket_directories = '"{socket_dir}"'
unix_socket_permissions = 0700
cluster_name = '{cluster.name}'
max_connections = 200
password_encryption = 'scram-sha-256'

# A payment that was acknowledged stays: none of these may be off.
fsync = on
synchronous_commit = on
full_page_writes = on

shared_buffers = '{buffers}'
effective_cache_size = '{max(megabytes // 2, 256)}MB'
work_mem = '16MB'
maintenance_work_mem = '{min(max(megabytes // 32, 64), 512)}MB'
wal_buffers = '16MB'
wal_compression = {"lz4" if has_lz4 else "off"}
max_wal_size = '4GB'
checkpoint_timeout = '15min'
random_page_cost = 1.1
autovacuum_naptime = '15s'
jit = off

lock_timeout = '10s'
idle_in_transaction_session_timeout = '60s'

timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = off
# DETAIL lines and parameters quote row values: personal data has no place in a log.
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""


def connection_url(cluster: Cluster, role: Role, password: str, database: str) -> str:
    """A libpq URL over the socket. Every part is percent-encoded."""
    host = quote(str(cluster.socket_dir), safe="")
    login = f"{role}:{quote(password, safe='')}"
    return f"postgresql://{login}@/{quote(database, safe='')}?host={host}&port={PORT}"
