import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from florin.kernel.database_urls import DatabaseUrls, open_database
from florin.kernel.embedded import EmbeddedServer
from florin.kernel.settings import Settings
from tests.conftest import AllDatabaseUrls


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Of an embedded database in a new directory."""
    data_dir = Path(tempfile.mkdtemp(prefix="florin-"))
    yield Settings(data_dir=data_dir, database_url=None, pg_shared_buffers="32MB")
    shutil.rmtree(data_dir)


async def users(urls: DatabaseUrls) -> list[str]:
    found = []
    for url in (urls.owner, urls.app, urls.readonly):
        connection = await psycopg.AsyncConnection.connect(url)
        async with connection:
            row = await (await connection.execute("SELECT current_user")).fetchone()
            assert row is not None
            found.append(str(row[0]))
    return found


async def test_the_embedded_database_lives_as_long_as_it_is_open(settings: Settings) -> None:
    async with open_database(settings) as urls:
        assert await users(urls) == ["florin_owner", "florin_app", "florin_readonly"]
    with pytest.raises(psycopg.OperationalError):
        await psycopg.AsyncConnection.connect(urls.app)


async def test_a_cancelled_start_leaves_no_server_behind(settings: Settings) -> None:
    async def use() -> None:
        async with open_database(settings):
            raise AssertionError("it was cancelled before")

    task = asyncio.create_task(use())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (settings.data_dir / "pg" / "postmaster.pid").exists()


@pytest.mark.slow
async def test_the_supervised_database_comes_back(settings: Settings) -> None:
    async with open_database(settings, supervise=True) as urls:
        await asyncio.sleep(0.1)
        pid_file = settings.data_dir / "pg" / "postmaster.pid"
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
        give_up_at = time.monotonic() + 5
        names: list[str] = []
        while not names and time.monotonic() < give_up_at:
            try:
                names = await users(urls)
            except psycopg.OperationalError:
                await asyncio.sleep(0.05)
        assert names == ["florin_owner", "florin_app", "florin_readonly"]


async def test_an_external_login_is_switched_to_each_role(
    postgres: EmbeddedServer, database_urls: AllDatabaseUrls
) -> None:
    settings = Settings(database_url=SecretStr(database_urls.root))
    async with open_database(settings) as urls:
        assert await users(urls) == ["florin_owner", "florin_app", "florin_readonly"]
    settings = Settings(
        database_url=SecretStr(database_urls.root),
        app_database_url=SecretStr(database_urls.app),
    )
    async with open_database(settings) as urls:
        assert urls.app == database_urls.app


def test_passwords_stay_out_of_the_repr(database_urls: AllDatabaseUrls) -> None:
    assert repr(DatabaseUrls("secret", "secret", "secret")) == "DatabaseUrls()"
    assert "postgresql:" not in repr(database_urls)
