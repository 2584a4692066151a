from collections.abc import Mapping
from pathlib import Path

import pytest

from florin.kernel.settings import Settings
from florin.providers.registry import open_providers
from florin.providers.sandbox.client import HttpSandbox
from florin.providers.sandbox.in_process import InProcessSandbox
from tests.providers.sandbox.conftest import make_charge


async def nowhere(headers: Mapping[str, str], body: bytes) -> None:
    raise AssertionError(f"no webhook was expected: {body!r} {headers}")


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]")]
)
async def test_without_a_url_the_sandbox_is_in_this_process(tmp_path: Path, host: str, shown: str) -> None:
    providers = open_providers(Settings(data_dir=tmp_path, host=host, port=8123), deliver_webhook=nowhere)
    sandbox = providers["sandbox"]
    assert isinstance(sandbox, InProcessSandbox)
    outcome = await sandbox.charge(make_charge("tok_3ds", reference="att_r"))
    assert outcome.redirect_url is not None
    assert outcome.redirect_url.startswith(f"http://{shown}:8123/sandbox/redirect/att_r?")
    await sandbox.close()


async def test_with_a_url_it_is_reached_over_http(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, sandbox_url="http://127.0.0.1:9")
    providers = open_providers(settings, deliver_webhook=nowhere)
    assert isinstance(providers["sandbox"], HttpSandbox)
    assert {name: provider.name for name, provider in providers.items()} == {"sandbox": "sandbox"}
    await providers["sandbox"].close()
