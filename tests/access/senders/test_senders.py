"""The senders that are built in."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from florin.access.senders import Channel, Message, NotSent, SenderMisconfigured, open_senders
from florin.access.senders.console import ConsoleSender
from florin.access.senders.file import FileSender
from florin.access.senders.http import HttpSender
from florin.kernel.outbound import Confinement
from florin.kernel.settings import Settings

MESSAGE = Message(
    "otc_1", Channel.SMS, "+27115550100", "Your code", '493021 is your code at "Shop", {to} \\ {text}'
)


@dataclass
class Gateway:
    """A gateway on loopback: what it heard, and what it answers in turn."""

    url: str = ""
    port: int = 0
    statuses: list[int] = field(default_factory=lambda: [200])
    drops: int = 0
    location: str = ""
    bodies: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.drops:
            self.drops -= 1
            assert request.transport is not None
            request.transport.close()
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        headers = {"location": self.location} if self.location else None
        return web.Response(status=status, headers=headers)

    def sender(self, **options: str) -> HttpSender:
        trusted = Confinement(trusted=frozenset({("127.0.0.1", self.port)}))
        return HttpSender(
            self.url, secret="gateway-secret", confinement=trusted, first_wait_s=0.01, **options
        )


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    found = Gateway()
    app = web.Application()
    app.router.add_post("/send", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.port = runner.addresses[0][1]
    found.url = f"http://127.0.0.1:{found.port}/send"
    yield found
    await runner.cleanup()


async def test_the_gateway_gets_the_template_filled_in_and_the_secret(gateway: Gateway) -> None:
    sender = gateway.sender(template='{"to": ["{to}"], "msg": "Shop: {text}", "n": 1, "x": "{nothing} {"}')
    await sender.send(MESSAGE)
    await sender.close()
    assert gateway.bodies == [
        {"to": [MESSAGE.to], "msg": f"Shop: {MESSAGE.text}", "n": 1, "x": "{nothing} {"}
    ]
    assert gateway.headers[0]["authorization"] == "Bearer gateway-secret"
    assert gateway.headers[0]["idempotency-key"] == "otc_1"


async def test_what_had_no_answer_is_tried_again_under_the_same_key(gateway: Gateway) -> None:
    gateway.drops = 2
    sender = gateway.sender()
    await sender.send(MESSAGE)
    await sender.close()
    assert [one["idempotency-key"] for one in gateway.headers] == ["otc_1"] * 3


async def test_after_three_times_without_an_answer_it_is_given_up(gateway: Gateway) -> None:
    gateway.drops = 9
    sender = gateway.sender()
    with pytest.raises(NotSent, match="does not answer"):
        await sender.send(MESSAGE)
    await sender.close()
    assert len(gateway.bodies) == 3


@pytest.mark.parametrize("status", [400, 401, 500, 503])
async def test_whatever_the_gateway_answers_is_final(gateway: Gateway, status: int) -> None:
    gateway.statuses = [status]
    sender = gateway.sender()
    with pytest.raises(NotSent, match=f"127.0.0.1 answers {status}") as refused:
        await sender.send(MESSAGE)
    await sender.close()
    assert len(gateway.bodies) == 1
    assert "493021" not in str(refused.value)
    assert "gateway-secret" not in str(refused.value)


async def test_a_redirect_to_a_private_address_is_not_followed(gateway: Gateway) -> None:
    gateway.statuses, gateway.location = [307], f"http://127.0.0.1:{gateway.port}/private"
    sender = gateway.sender()
    with pytest.raises(NotSent, match="answers 307"):
        await sender.send(MESSAGE)
    await sender.close()
    assert len(gateway.bodies) == 1


async def test_a_gateway_that_is_not_trusted_cannot_be_at_a_private_address() -> None:
    with pytest.raises(SenderMisconfigured, match="https"):
        HttpSender("http://127.0.0.1:9/send", secret=None, confinement=Confinement())
    with pytest.raises(SenderMisconfigured, match="not a public address"):
        HttpSender("https://10.0.0.1/send", secret=None, confinement=Confinement())
    sender = HttpSender(
        "https://localhost.localdomain/x", secret=None, confinement=Confinement(), first_wait_s=0
    )
    with pytest.raises(NotSent):
        await sender.send(MESSAGE)
    await sender.close()


@pytest.mark.parametrize("template", ["no json", '{"to": "{to}"}', '{"text": "{text}"}'])
async def test_a_template_without_its_places_is_refused(template: str) -> None:
    with pytest.raises(SenderMisconfigured, match="template"):
        HttpSender("https://gateway.example/", secret=None, template=template, confinement=Confinement())


async def test_the_file_holds_one_message_a_line_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.touch(0o644)
    sender = FileSender(path)
    await asyncio.gather(*(sender.send(MESSAGE) for _ in range(5)))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["to"], line["text"]) for line in lines] == [(MESSAGE.to, MESSAGE.text)] * 5
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(NotSent, match="cannot be written"):
        await FileSender(tmp_path / "missing" / "messages.jsonl").send(MESSAGE)


async def test_the_console_writes_to_stderr_and_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    await ConsoleSender().send(MESSAGE)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"[sms to {MESSAGE.to}] {MESSAGE.text}\n"


async def test_the_settings_choose_a_sender_for_each_channel(
    tmp_path: Path, gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data_dir=tmp_path, sms_sender="http", sms_url=gateway.url, trust_gateways=True)
    senders = open_senders(settings)
    await senders.send(MESSAGE)
    await senders.send(Message("otc_2", Channel.EMAIL, "ann@shop.example", "Your code", "493021"))
    await senders.close()
    assert gateway.bodies[0]["to"] == MESSAGE.to
    assert "ann@shop.example" in capsys.readouterr().err
    by_file = open_senders(Settings(data_dir=tmp_path, sms_sender="file", email_sender="file"))
    await by_file.send(MESSAGE)
    assert (tmp_path / "messages.jsonl").exists()


def test_an_http_sender_without_its_url_is_refused_by_name() -> None:
    with pytest.raises(SenderMisconfigured, match="FLORIN_SMS_URL is not set"):
        open_senders(Settings(sms_sender="http"))
    with pytest.raises(SenderMisconfigured, match="FLORIN_EMAIL_URL or FLORIN_EMAIL_TEMPLATE"):
        open_senders(Settings(email_sender="http", email_url="http://gateway.example/"))
