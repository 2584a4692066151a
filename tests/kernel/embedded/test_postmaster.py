import os
import signal
import subprocess
import time
from collections.abc import Iterator

import psutil
import psycopg
import pytest

from florin.kernel.embedded import EmbeddedError, EmbeddedServer, postmaster


def kill_postmaster(server: EmbeddedServer) -> int:
    """kill -9, and wait until it is really gone."""
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while server.pid is not None:
        time.sleep(0.005)
    return pid


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_the_server_is_found_by_its_process_not_by_its_file(server: EmbeddedServer) -> None:
    server.start()
    pid_file = server.cluster.pgdata / "postmaster.pid"
    found = postmaster.find_postmaster(server.cluster)
    assert found == postmaster.Postmaster(int(pid_file.read_text().split()[0]), "ready")
    text = pid_file.read_text()
    pid_file.write_text(text.replace(str(found.pid), str(os.getpid()), 1))
    assert postmaster.find_postmaster(server.cluster) is None
    assert postmaster.accepts_connections(server.cluster)
    assert not postmaster.ensure_running(server.cluster, shared_buffers=None)
    pid_file.write_text(text)


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(server: EmbeddedServer) -> None:
    server.start()
    assert server.pid is not None
    assert os.getsid(server.pid) != os.getsid(0)
    assert os.getpgid(server.pid) != os.getpgid(0)


def test_a_stale_pid_file_naming_a_living_process_does_not_stop_the_start(
    server: EmbeddedServer,
) -> None:
    server.start()
    account = server.cluster.account
    old_pid = kill_postmaster(server)
    other = account.uid if not account.is_caller else None
    with subprocess.Popen(["sleep", "60"], user=other) as innocent:
        for path in (
            server.cluster.pgdata / "postmaster.pid",
            server.cluster.socket.with_name(".s.PGSQL.5432.lock"),
        ):
            path.write_text(path.read_text().replace(str(old_pid), str(innocent.pid), 1))
        server.stop()
        server.start()
        psycopg.connect(server.url("florin_app")).close()
        assert innocent.poll() is None
        innocent.kill()


@pytest.fixture
def busy_backend(server: EmbeddedServer) -> Iterator[psutil.Process]:
    """A backend of the started server that computes for ever and so outlives its postmaster."""
    server.start()
    connection = psycopg.connect(server.url("florin_owner"), autocommit=True)
    backend = psutil.Process(connection.info.backend_pid)
    connection.pgconn.send_query(b"DO $$ BEGIN LOOP END LOOP; END $$")
    time.sleep(0.1)
    yield backend
    connection.close()


def test_a_busy_orphan_of_a_killed_server_is_ended_by_a_start(
    server: EmbeddedServer, busy_backend: psutil.Process
) -> None:
    kill_postmaster(server)
    assert not has_ended(busy_backend)
    assert postmaster.ensure_running(server.cluster, shared_buffers="32MB")
    assert has_ended(busy_backend)


def test_a_busy_orphan_of_a_killed_server_is_ended_by_a_stop(
    server: EmbeddedServer, busy_backend: psutil.Process
) -> None:
    kill_postmaster(server)
    assert not has_ended(busy_backend)
    server.stop()
    assert has_ended(busy_backend)


def test_a_server_that_does_not_start_shows_its_log(server: EmbeddedServer) -> None:
    server.start()
    local = server.cluster.pgdata / "local.conf"
    server.stop()
    local.write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedError, match="no_such_setting"):
        server.start()
    local.unlink()
    server.start()


def test_a_log_over_its_limit_is_moved_aside_and_written_on(server: EmbeddedServer) -> None:
    server.start()
    log = server.cluster.log_file
    with log.open("a") as file:
        file.truncate(17 * 1024 * 1024)
    postmaster.trim_log(server.cluster)
    assert log.stat().st_size < 1024
    assert log.with_name("pg.log.1").stat().st_size == 17 * 1024 * 1024
    assert log.with_name("pg.log.1").stat().st_mode & 0o777 == 0o600
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url("florin_app").replace("florin_app:", "florin_app:x"))
    assert b"password authentication failed" in log.read_bytes()
    assert b"\0" not in log.read_bytes()


def test_rows_do_not_get_into_the_log(server: EmbeddedServer) -> None:
    server.start()
    with psycopg.connect(server.url("florin_owner"), autocommit=True) as owner:
        owner.execute("CREATE TABLE secret (iban text PRIMARY KEY)")
        owner.execute("INSERT INTO secret VALUES (%s)", ("DE89370400440532013000",))
        with pytest.raises(psycopg.errors.UniqueViolation):
            owner.execute("INSERT INTO secret VALUES (%s)", ("DE89370400440532013000",))
    log = server.cluster.log_file.read_text()
    assert "duplicate key" in log
    assert "DE8937" not in log
