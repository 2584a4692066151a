"""`florin run` with certificates: clients without one are kept out, and it knows that it serves."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.app.certificates import issue
from tests.flows.conftest import START_TIMEOUT_S, free_port


@dataclass
class Served:
    """Where it is, and what clients carry."""

    base: str
    directory: Path

    def context(self, *, known: bool) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.directory / "authority.crt"))
        if known:
            context.load_cert_chain(self.directory / "shop.example.crt", self.directory / "shop.example.key")
        return context


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    root, port = Path(tempfile.mkdtemp(prefix="florin-tls-")), free_port()
    authority, clients = issue(root, "authority"), issue(root, "clients")
    pair = issue(root, "api.example", authority)
    issue(root, "shop.example", clients)
    environment = {
        **os.environ,
        "FLORIN_DATA_DIR": str(root / "data"),
        "FLORIN_HOST": "127.0.0.1",
        "FLORIN_PORT": str(port),
        "FLORIN_PG_SHARED_BUFFERS": "64MB",
        "FLORIN_TLS_CERTIFICATE": str(pair.certificate),
        "FLORIN_TLS_KEY": str(pair.key_file),
        "FLORIN_TLS_CLIENT_CA": str(clients.certificate),
    }
    log = root / "run.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "florin", "run"],
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while f"serves on https://127.0.0.1:{port}" not in log.read_text():
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.1)
        yield Served(f"https://127.0.0.1:{port}", root)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=40)
        shutil.rmtree(root, ignore_errors=True)


def test_a_client_with_a_certificate_of_the_authority_is_served_over_tls(served: Served) -> None:
    with httpx.Client(verify=served.context(known=True), base_url=served.base) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        assert f"{served.base}/v1/payments" in page.text
        assert client.get("/v1/payments").status_code == 401


def test_a_client_without_one_is_not_served_at_all(served: Served) -> None:
    with (
        httpx.Client(verify=served.context(known=False), base_url=served.base) as client,
        pytest.raises(httpx.TransportError),
    ):
        client.get("/healthz")
