import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from florin.kernel.embedded import EmbeddedError, EmbeddedServer
from florin.kernel.embedded.cluster import EXTENSIONS, _digest, _settings_text, read_passwords


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def show(server: EmbeddedServer, setting: str) -> str:
    with psycopg.connect(server.url("florin_root")) as root:
        row = root.execute("SELECT current_setting(%s)", (setting,)).fetchone()
    assert row is not None
    return str(row[0])


def test_only_its_user_reaches_the_data_the_socket_and_the_passwords(
    new_server: EmbeddedServer, data_dir: Path
) -> None:
    new_server.start()
    assert mode(data_dir / "secrets.json") == 0o600
    assert mode(data_dir / "pg.log") == 0o600
    assert mode(data_dir / "pg") == 0o700
    assert mode(data_dir / "run") == 0o700
    assert mode(data_dir) & 0o007 == 0
    assert new_server.cluster.socket.is_socket()


def test_nobody_is_let_in_without_the_right_password(postgres: EmbeddedServer) -> None:
    url = postgres.url("florin_app")
    password = read_passwords(postgres.data_dir)["florin_app"]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace(password, "guess"))
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(url.replace(f":{password}", ""))
    rules = (postgres.cluster.pgdata / "pg_hba.conf").read_text().splitlines()
    methods = {line.split()[-1] for line in rules if line and not line.startswith("#")}
    assert methods == {"scram-sha-256"}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("shared_buffers", "256MB"),
        ("max_connections", "200"),
        ("max_wal_size", "4GB"),
        ("jit", "off"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("log_parameter_max_length_on_error", "0"),
    ],
)
def test_settings_are_durable_and_as_written(postgres: EmbeddedServer, setting: str, value: str) -> None:
    assert show(postgres, setting) == value


def test_roles_have_no_more_than_they_need(postgres: EmbeddedServer) -> None:
    with psycopg.connect(postgres.url("florin_root")) as root:
        roles = root.execute(
            "SELECT rolname, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication"
            " OR rolbypassrls FROM pg_roles WHERE rolcanlogin ORDER BY rolname"
        ).fetchall()
        extensions = {name for (name,) in root.execute("SELECT extname FROM pg_extension")}
    assert roles == [
        ("florin_app", False),
        ("florin_owner", False),
        ("florin_readonly", False),
        ("florin_root", True),
    ]
    assert extensions >= set(EXTENSIONS)


def test_only_the_owner_creates_schemas(postgres: EmbeddedServer) -> None:
    with psycopg.connect(postgres.url("florin_owner")) as owner:
        owner.execute("CREATE SCHEMA a_schema")
        owner.rollback()
    with psycopg.connect(postgres.url("florin_app")) as app:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("CREATE SCHEMA a_schema")
        app.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("CREATE TABLE public.a_table (x int)")
    with psycopg.connect(postgres.url("florin_readonly")) as readonly:
        row = readonly.execute("SHOW default_transaction_read_only").fetchone()
    assert row == ("on",)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(postgres.url("florin_app", "postgres"))


@pytest.mark.parametrize(
    ("memory_gigabytes", "expected"),
    [(0.5, "128MB"), (8, "1024MB"), (24, "3072MB"), (512, "4096MB")],
)
def test_shared_buffers_follow_the_memory_within_bounds(
    postgres: EmbeddedServer, memory_gigabytes: float, expected: str
) -> None:
    text = _settings_text(
        postgres.cluster,
        memory_bytes=int(memory_gigabytes * 1024**3),
        shared_buffers=None,
        has_lz4=True,
    )
    assert f"shared_buffers = '{expected}'\n" in text
    assert "wal_compression = lz4\n" in text


def test_the_operators_own_settings_win(server: EmbeddedServer) -> None:
    server.start()
    local = server.cluster.pgdata / "local.conf"
    local.write_text("work_mem = '33MB'\n")
    server.cluster.account.own(local, 0o600)
    server.stop()
    server.start()
    assert show(server, "work_mem") == "33MB"


def test_a_long_path_gets_a_short_private_socket_directory(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = data_dir / "x" / ("a" * 60) / ("b" * 60)
    with EmbeddedServer(long, shared_buffers="32MB") as server:
        chosen = server.cluster.socket_dir
        assert len(str(chosen)) < 107
        assert mode(chosen) == 0o700
        assert server.pid is not None
        # Another process, with another temp directory, must find the same socket.
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        with EmbeddedServer(long) as other:
            assert other.cluster.socket_dir == chosen
            psycopg.connect(other.url("florin_app")).close()
    chosen.rmdir()


def test_a_comma_in_the_path_is_not_taken_for_a_list(data_dir: Path) -> None:
    with EmbeddedServer(data_dir / "a,b 'c' \"d\"", shared_buffers="32MB") as server:
        psycopg.connect(server.url("florin_app")).close()
        chosen = server.cluster.socket_dir
        assert "," not in str(chosen)
    chosen.rmdir()


def test_quotes_and_spaces_in_the_path_are_quoted(data_dir: Path) -> None:
    with EmbeddedServer(data_dir / "a 'c' \"d\"", shared_buffers="32MB") as server:
        psycopg.connect(server.url("florin_app")).close()
        assert server.cluster.socket_dir.parent == server.data_dir


def test_a_socket_directory_made_by_someone_else_is_refused(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    real = Path.lstat

    def owned_by_stranger(path: Path) -> os.stat_result:
        found = real(path)
        return os.stat_result((*found[:4], 4711, *found[5:])) if path.parent == tmp_path else found

    long = EmbeddedServer(data_dir / ("a" * 100), shared_buffers="32MB")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", owned_by_stranger)
        squatted = tmp_path / f"florin-{_digest(long.data_dir)}"
        squatted.mkdir()
        with pytest.raises(EmbeddedError, match="belongs to another user"):
            long.start()


def test_lost_or_damaged_passwords_are_explained(server: EmbeddedServer, data_dir: Path) -> None:
    server.start()
    server.stop()
    secrets = data_dir / "secrets.json"
    good = secrets.read_text()
    secrets.write_text("{")
    with pytest.raises(EmbeddedError, match=r"secrets\.json is damaged"):
        server.start()
    secrets.unlink()
    with pytest.raises(EmbeddedError, match=r"secrets\.json is missing.*Restore it"):
        server.start()
    secrets.write_text(good)
    server.start()
    assert server.pid is not None


def test_passwords_are_generated_once_and_differ(tmp_path: Path) -> None:
    first = read_passwords(tmp_path)
    assert read_passwords(tmp_path) == first == json.loads((tmp_path / "secrets.json").read_text())
    assert len(set(first.values())) == 4
    assert all(len(password) >= 43 for password in first.values())


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["secrets.json", "init-*/pg/florin.conf"])
def test_an_initialisation_that_was_killed_is_repaired(
    new_server: EmbeddedServer, data_dir: Path, moment: str
) -> None:
    script = (
        "import sys; from pathlib import Path; from florin.kernel.embedded import EmbeddedServer\n"
        "EmbeddedServer(Path(sys.argv[1]), shared_buffers='32MB').start()"
    )
    victim = subprocess.Popen(
        [sys.executable, "-c", script, data_dir],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    give_up_at = time.monotonic() + 10
    while not list(data_dir.glob(moment)) and time.monotonic() < give_up_at:
        time.sleep(0.002)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert not (data_dir / "pg").exists()

    new_server.start()

    with psycopg.connect(new_server.url("florin_owner")) as owner:
        assert owner.execute("SELECT 1").fetchone() == (1,)
