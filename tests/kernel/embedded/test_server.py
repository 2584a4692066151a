import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
import pytest

from florin.kernel.embedded import EmbeddedError, EmbeddedServer
from florin.kernel.embedded.postmaster import accepts_connections

USER = """
import sys
from pathlib import Path
from florin.kernel.embedded import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1]), shared_buffers="32MB"):
    print("up", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another_process(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A second process that uses the server until it reads a line."""
    with subprocess.Popen(
        [sys.executable, "-c", USER, data_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def supervised(server: EmbeddedServer) -> AsyncIterator[None]:
    task = asyncio.create_task(server.supervise())
    await asyncio.sleep(0.05)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def seconds_until_back(server: EmbeddedServer, *, killed: int) -> float:
    started = time.monotonic()
    while time.monotonic() - started < 15:
        with contextlib.suppress(psycopg.OperationalError):
            connection = await psycopg.AsyncConnection.connect(server.url("florin_app"))
            await connection.close()
            if server.pid not in (killed, None):
                return time.monotonic() - started
        await asyncio.sleep(0.02)
    raise AssertionError("PostgreSQL did not come back")


async def logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    give_up_at = time.monotonic() + 5
    while text not in caplog.text and time.monotonic() < give_up_at:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert text in caplog.text


def kill(server: EmbeddedServer) -> int:
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def test_a_second_start_is_fast_and_finds_its_data(server: EmbeddedServer) -> None:
    server.start()
    with psycopg.connect(server.url("florin_owner")) as owner:
        owner.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    started = time.monotonic()
    server.start()
    assert time.monotonic() - started < 1.5
    with psycopg.connect(server.url("florin_owner")) as owner:
        assert owner.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_starting_and_stopping_twice_is_the_same_as_once(server: EmbeddedServer) -> None:
    server.stop()
    server.start()
    pid = server.pid
    server.start()
    assert server.pid == pid
    cluster = server.cluster
    server.stop()
    server.stop()
    assert not accepts_connections(cluster)
    with pytest.raises(EmbeddedError, match="not started"):
        server.url("florin_app")


def test_a_relative_directory_is_resolved_at_once(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data_dir)
    server = EmbeddedServer(Path("here"))
    monkeypatch.chdir("/")
    assert server.data_dir == data_dir.resolve() / "here"


def test_a_directory_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="cannot create the data directory"):
        EmbeddedServer(tmp_path / "file" / "data").start()


def test_the_last_of_two_processes_stops_the_server(server: EmbeddedServer, data_dir: Path) -> None:
    server.start()
    cluster, pid = server.cluster, server.pid
    with another_process(data_dir) as other:
        server.stop()
        assert accepts_connections(cluster)
        with EmbeddedServer(data_dir) as back:
            assert back.pid == pid
        other.communicate("leave\n", timeout=10)
        assert other.returncode == 0
    assert not accepts_connections(cluster)


def test_the_server_of_a_killed_process_is_adopted_and_stopped(
    server: EmbeddedServer, data_dir: Path
) -> None:
    with another_process(data_dir) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
    pid = int((data_dir / "pg" / "postmaster.pid").read_text().split()[0])
    server.start()
    assert server.pid == pid
    cluster = server.cluster
    server.stop()
    assert not accepts_connections(cluster)


@pytest.mark.slow
def test_many_processes_starting_at_once_share_one_server(new_server: EmbeddedServer, data_dir: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", USER, data_dir],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(4)
    ]
    new_server.start()
    cluster = new_server.cluster
    for process in processes:
        process.communicate("leave\n", timeout=30)
        assert process.returncode == 0
    assert cluster.log_file.read_text().count("ready to accept connections") == 1
    new_server.stop()
    assert not accepts_connections(cluster)


@pytest.mark.slow
async def test_a_killed_server_is_back_within_seconds_with_its_data(
    server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(server.start)
    async with supervised(server):
        with psycopg.connect(server.url("florin_owner"), autocommit=True) as owner:
            owner.execute("CREATE TABLE kept AS SELECT 42 AS answer")
            killed = kill(server)
            assert await seconds_until_back(server, killed=killed) < 5
        with psycopg.connect(server.url("florin_owner")) as owner:
            assert owner.execute("SELECT answer FROM kept").fetchone() == (42,)
        await logged(caplog, "PostgreSQL had ended; restarted it")


@pytest.mark.slow
async def test_one_supervises_and_another_takes_over(
    server: EmbeddedServer, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = EmbeddedServer(data_dir, shared_buffers="32MB")
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(other.start)
    async with supervised(other), supervised(server):
        await seconds_until_back(server, killed=kill(server))
        await asyncio.sleep(0.5)
        assert caplog.text.count("restarted it") == 1
    async with supervised(server):  # `other` has left
        assert await seconds_until_back(server, killed=kill(server)) < 5
    await asyncio.to_thread(other.stop)


@pytest.mark.slow
async def test_supervision_goes_on_after_failed_restarts(
    server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(server.start)
    local = server.cluster.pgdata / "local.conf"
    async with supervised(server):
        local.write_text("no_such_setting = 1\n")
        killed = kill(server)
        await logged(caplog, "trying again")
        local.unlink()
        assert await seconds_until_back(server, killed=killed) < 5
    assert "no_such_setting" in caplog.text
