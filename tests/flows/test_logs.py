"""A tour with every kind of failure; then the logs are searched for what must not be in them."""

import json
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests import planted
from tests.flows.conftest import Florin, start_florin

CARD = planted.CARD
TOKEN = planted.CARD_TOKEN
UNKNOWN_KEY = planted.API_KEY
EMAIL = planted.EMAIL
PASSWORD = planted.PASSWORD
KEY_OF_REQUEST = planted.IDEMPOTENCY_KEY
PERSON = {
    "email": EMAIL,
    "phone": planted.PHONE,
    "name": planted.NAME,
    "account": {"number": planted.IBAN},
}


@pytest.fixture(params=["console", "json"])
def talkative(request: pytest.FixtureRequest) -> Iterator[Florin]:
    """A Florin that logs all it ever would."""
    root = Path(tempfile.mkdtemp(prefix="florin-flow-"))
    running = start_florin(root / "data", FLORIN_LOG_LEVEL="debug", FLORIN_LOG_FORMAT=request.param)
    yield running
    if running.process.poll() is None:
        running.stop()
    shutil.rmtree(root, ignore_errors=True)


def _pay(client: httpx.Client, token: str, **changes: Any) -> httpx.Response:
    body = {"amount": 4200, "currency": "USD", "method": {"type": "card", "token": token}, **changes}
    return client.post("/v1/payments", json=body, headers={"idempotency-key": f"{KEY_OF_REQUEST}-{uuid4()}"})


def _refusals(client: httpx.Client) -> list[httpx.Response]:
    """What a client can get wrong."""
    wrong_key = {"authorization": f"Bearer {UNKNOWN_KEY}"}
    customer = {"reference": "R", **PERSON}
    sign_in = {"tenant": "DEMO", "login": EMAIL, "password": PASSWORD}
    return [
        _pay(client, TOKEN, description=CARD),
        _pay(client, TOKEN, amount="many"),
        _pay(client, TOKEN, currency="QQQ"),
        client.get(f"/v1/events?type={TOKEN}", headers={"x-request-id": CARD}),
        client.get("/v1/payments", headers=wrong_key),
        client.get(f"/v1/{UNKNOWN_KEY}/{CARD}", headers=wrong_key),
        client.get(f"/v1/payments/{TOKEN}"),
        client.post("/v1/auth/sign-in", json=sign_in),
        client.post("/v1/auth/sign-in", json={**sign_in, "live": PASSWORD}),
        client.post(
            "/v1/payments", content=f'{{"token": "{TOKEN}"', headers={"content-type": "application/json"}
        ),
        client.post("/providers/sandbox/webhooks", content=f'{{"card": "{CARD}"}}', headers=wrong_key),
        client.post("/v1/customers", json={**customer, "colour": CARD}),
        *[client.post("/v1/customers", json=customer) for _ in range(2)][1:],
        client.post("/v1/customers", json={**customer, "account": {"number": f"{planted.IBAN[:-1]}9"}}),
        client.post("/v1/customers/search", json={"phone": f"{planted.PHONE}x", "email": EMAIL}),
        client.post("/v1/webhook-endpoints", json={"url": f"http://ann:{TOKEN}@10.0.0.1/", "events": ["*"]}),
    ]


def _outcomes(client: httpx.Client) -> list[httpx.Response]:
    """What a provider can get wrong, and a webhook's receiver that is not there."""
    client.post("/v1/webhook-endpoints", json={"url": "https://nobody.invalid/hook", "events": ["*"]})
    tokens = ["declined", "insufficient_funds", "3ds", "timeout_before", "timeout_after", "refund_fails"]
    return [_pay(client, TOKEN), *(_pay(client, f"tok_{name}") for name in tokens)]


def _break(florin: Florin, client: httpx.Client) -> None:
    """Takes a table away, so that the API fails inside; then kills everything in turn."""
    with florin.connect() as connection:
        connection.execute("ALTER TABLE tenancy.customers RENAME TO away")
        failed = client.post("/v1/customers", json={**PERSON, "reference": "Z"})
        assert failed.status_code == 500
        connection.execute("ALTER TABLE tenancy.away RENAME TO customers")
        connection.execute("ALTER TABLE access.lock_outs RENAME TO away")
        sign_in = {"tenant": "DEMO", "login": EMAIL, "password": PASSWORD}
        assert client.post("/v1/auth/sign-in", json=sign_in).status_code == 500
        connection.execute("ALTER TABLE access.away RENAME TO lock_outs")
        connection.execute(
            "ALTER TABLE tenancy.customers ADD CONSTRAINT planted CHECK (reference <> 'planted') NOT VALID"
        )
        failed = client.post("/v1/customers", json={**PERSON, "reference": "planted"})
        assert failed.status_code == 500
    for victim in (florin.postmaster(), *florin.children("work"), *florin.children("serve")):
        victim.send_signal(signal.SIGKILL)
        for _ in range(20):
            try:
                client.get("/v1/payments")
            except httpx.TransportError:
                time.sleep(0.2)
    florin.wait_until_ready()


def _secrets(florin: Florin) -> dict[str, str]:
    """What no log may hold, by what it is."""
    environment = (florin.data_dir / "demo.env").read_text()
    found = dict(line.split("=", 1) for line in environment.splitlines())
    secrets = {
        "API key": florin.key,
        "API key, its secret part": florin.key.rpartition("_")[2],
        "webhook secret": found["FLORIN_WEBHOOK_SECRET"].strip("'"),
        "key that nobody has": UNKNOWN_KEY,
        "card number": CARD,
        "card token": TOKEN,
        "e-mail address": EMAIL,
        "password": PASSWORD,
        "telephone number": planted.PHONE,
        "name": planted.NAME,
        "account number": planted.IBAN,
        "idempotency key": KEY_OF_REQUEST,
        "sandbox secret": (florin.data_dir / "sandbox_secret").read_text().strip(),
        "key ring": (florin.data_dir / "key_ring").read_text().strip().partition(":")[2],
    }
    passwords = json.loads((florin.data_dir / "secrets.json").read_text())
    for name, value in passwords.items():
        if isinstance(value, str) and len(value) > 12:
            secrets[f"secrets.json: {name}"] = value
    assert sum(name.startswith("secrets.json") for name in secrets) >= 3
    return secrets


@pytest.mark.slow
def test_no_log_holds_a_secret_whatever_goes_wrong(talkative: Florin) -> None:
    with talkative.client() as client:
        refused = _refusals(client)
        assert {answer.status_code // 100 for answer in refused} == {4}, [answer.text for answer in refused]
        assert {answer.status_code for answer in _outcomes(client)} == {201}
        _break(talkative, client)
        assert _pay(client, "tok_success").status_code == 201
    time.sleep(2)  # the worker tries what it is owed
    secrets = _secrets(talkative)
    assert talkative.stop() == 0
    logs = {path: path.read_text(errors="replace") for path in talkative.data_dir.rglob("*.log")}
    run_log = logs[talkative.data_dir / "run.log"]
    assert "request_failed" in run_log, "nothing went wrong: the search proves nothing"
    assert "child_died" in run_log
    for path, text in logs.items():
        leaks = {name: re.escape(value) for name, value in secrets.items() if value in text}
        lines = [line[:400] for line in text.splitlines() if any(value in line for value in secrets.values())]
        assert not leaks, (path, list(leaks), lines[:5])
