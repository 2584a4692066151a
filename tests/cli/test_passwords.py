"""`florin passwords`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from florin.access.signin.errors import PasswordRefused
from florin.cli.passwords import app
from florin.kernel.embedded import EmbeddedServer
from florin.kernel.provenance import Provenance, acting_as
from florin.kernel.settings import SettingUnusable, settings
from tests.cli.conftest import Command

Run = Callable[..., tuple[int, str]]

PASSWORD = "violet harbour stapler 41"


@pytest.fixture
def run(florin: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A command that is typed to, in this process. What goes wrong is what `florin` would tell."""
    monkeypatch.setenv("FLORIN_DATA_DIR", str(florin.data_dir))
    monkeypatch.setenv("FLORIN_PG_SHARED_BUFFERS", "64MB")
    monkeypatch.setenv("FLORIN_ARGON2_MEMORY_KIB", "1024")

    def typed_to(*arguments: str, typed: str = "") -> tuple[int, str]:
        settings.cache_clear()
        with acting_as(lambda: Provenance("cli:test")):
            done = CliRunner().invoke(app, arguments, input=typed)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.stdout.strip()

    yield typed_to
    settings.cache_clear()


@pytest.mark.parametrize("command", ["set", "check", "unlock", "reset-second-factor"])
def test_every_command_explains_itself(florin: Command, command: str) -> None:
    told = florin("passwords", command, "--help")
    assert told.returncode == 0
    assert f"florin passwords {command}" in told.stdout


def test_a_password_that_breaks_a_rule_is_told_which(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("check", typed=f"{PASSWORD}\n") == (0, "the password breaks no rule")
    told = "too_short: the password has 5 characters; 12 are needed"
    assert run("check", typed="short\n") == (1, told)
    monkeypatch.setenv("FLORIN_BREACHED_PASSWORDS", str(tmp_path / "nothing"))
    with pytest.raises(SettingUnusable, match="nothing cannot be read"):
        run("check", typed=PASSWORD)


def test_a_password_is_set_and_a_user_unlocked_and_both_are_in_the_audit_log(
    florin: Command, run: Run
) -> None:
    server = EmbeddedServer(florin.data_dir, shared_buffers="64MB")
    server.start()
    try:
        assert florin("migrate").returncode == 0
        made = florin("tenants", "create", "SHOP", "--name", "Shop", "--email", "ops@shop.example")
        assert made.returncode == 0
        with psycopg.connect(server.url("florin_root"), autocommit=True) as root:
            _make_user(root)
            _use(root, run)
    finally:
        server.stop()


def _make_user(root: psycopg.Connection) -> None:
    """A user whose names nobody can read any more: what else there is is compared all the same."""
    root.execute(
        "SELECT set_config('app.tenant_id', tenant_id::text, false) FROM tenancy.registry"
        " WHERE code = 'SHOP' AND NOT live"
    )
    root.execute(
        "WITH t AS (SELECT tenant_id FROM tenancy.registry WHERE code = 'SHOP' AND NOT live),"
        " p AS (INSERT INTO kernel.people (tenant_id, id, kind, created_at, erased_at, erased_by)"
        "       SELECT tenant_id, gen_random_uuid(), 'user', now(), now(), 'test' FROM t"
        "       RETURNING tenant_id, id)"
        " INSERT INTO access.users (tenant_id, id, person_id, status, user_name, created_at, created_by,"
        " updated_at)"
        " SELECT tenant_id, id, id, 'ACTIVE', 'ann.example', now(), 'test', now() FROM p"
    )


def _use(root: psycopg.Connection, run: Run) -> None:
    where = ("--tenant", "SHOP", "--user", "ann.example")
    assert run("set", "--tenant", "SHOP", "--user", "nobody", typed=PASSWORD)[0] == 1
    with pytest.raises(PasswordRefused, match="password: the password holds your name"):
        run("set", *where, typed="ann.example 41 x")
    assert run("set", *where, typed=PASSWORD) == (0, "the password of ann.example is set")
    assert run("unlock", *where) == (0, "ann.example was not locked out")
    assert run("reset-second-factor", *where) == (0, "ann.example had no second factor")
    kept = root.execute("SELECT password_hash FROM access.users").fetchone()
    assert kept is not None
    assert kept[0].startswith("$argon2id$v=19$m=1024,t=3,p=4$")
    logged = root.execute("SELECT actor, after::text FROM audit.log WHERE action = 'password_changed'")
    assert logged.fetchall() == [("cli:test", '{"how": "operator"}')]
