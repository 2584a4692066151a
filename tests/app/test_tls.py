"""TLS as clients meet it: versions, ciphers, renewal while connected, client certificates."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from florin.app.serve import Server, bind
from florin.app.tls import BadTls, Tls, check_private, open_tls
from florin.kernel.settings import Settings
from tests.app.certificates import Pair, issue


def settings(pair: Pair, ca: Path | None = None) -> Settings:
    return Settings(tls_certificate=pair.certificate, tls_key=pair.key_file, tls_client_ca=ca)


def opened(pair: Pair, ca: Path | None = None) -> Tls:
    tls = open_tls(settings(pair, ca))
    assert tls is not None
    return tls


async def scheme(scope: Scope, receive: Receive, send: Send) -> None:
    body = scope["scheme"].encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(tls: Tls) -> AsyncIterator[int]:
    with bind("127.0.0.1", 0) as listening:
        port: int = listening.getsockname()[1]
        server = Server(scheme, tls=tls, lifespan=False)
        task = asyncio.create_task(server.serve([listening]))
        while not server.started or not server.servers:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        try:
            yield port
        finally:
            server.should_exit = True
            await task


def trusting(authority: Pair) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.certificate))


async def ask(port: int, context: ssl.SSLContext) -> tuple[bytes, ssl.SSLObject]:
    """The answer's body, and the line that it came over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        return await request(reader, writer), writer.get_extra_info("ssl_object")
    finally:
        writer.close()


async def request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(5)


def serial(line: ssl.SSLObject) -> int:
    told = line.getpeercert()
    assert told is not None
    return int(str(told["serialNumber"]), 16)


async def test_the_api_speaks_tls_1_2_and_1_3_with_forward_secrecy(tmp_path: Path) -> None:
    authority = issue(tmp_path, "authority")
    pair = issue(tmp_path, "api.example", authority)
    async with serving(opened(pair)) as port:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting(authority)
            context.minimum_version = context.maximum_version = version
            body, line = await ask(port, context)
            assert body == b"https"
            cipher = line.cipher()
            assert cipher is not None
            assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]
            assert line.selected_alpn_protocol() is None


@pytest.mark.parametrize("ciphers", ["AES256-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-SHA384"])
async def test_weak_ciphers_and_those_without_forward_secrecy_are_not_spoken(
    tmp_path: Path, ciphers: str
) -> None:
    authority = issue(tmp_path, "authority")
    async with serving(opened(issue(tmp_path, "api.example", authority))) as port:
        context = trusting(authority)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ask(port, context)


def test_older_versions_are_not_offered(tmp_path: Path) -> None:
    context = opened(issue(tmp_path, "authority")).context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert {one["protocol"] for one in context.get_ciphers()} == {"TLSv1.2", "TLSv1.3"}
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION


async def test_a_renewed_certificate_counts_for_new_connections_and_cuts_no_old_one(tmp_path: Path) -> None:
    authority = issue(tmp_path, "authority")
    first = issue(tmp_path, "api.example", authority)
    tls = opened(first)
    async with serving(tls) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(authority))
        assert not tls.renew()
        second = issue(tmp_path, "api.example", authority)  # the same files
        os.utime(second.certificate, ns=(1, 1))
        assert tls.renew()
        assert await request(reader, writer) == b"https"
        assert serial(writer.get_extra_info("ssl_object")) == first.made.serial_number
        _, line = await ask(port, trusting(authority))
        assert serial(line) == second.made.serial_number
        writer.close()


async def test_half_a_renewal_leaves_the_old_certificate_in_use(tmp_path: Path) -> None:
    authority = issue(tmp_path, "authority")
    first = issue(tmp_path, "api.example", authority)
    old = first.certificate.read_bytes()
    tls = opened(first)
    async with serving(tls) as port:
        second = issue(tmp_path, "api.example", authority)
        new = second.certificate.read_bytes()
        second.certificate.write_bytes(old)  # the key is new already
        with pytest.raises(BadTls, match=r"the key is not the certificate's"):
            tls.renew()
        _, line = await ask(port, trusting(authority))
        assert serial(line) == first.made.serial_number
        second.certificate.write_bytes(new)
        assert tls.renew()


async def test_with_an_authority_for_clients_nobody_else_is_served(tmp_path: Path) -> None:
    authority, clients = issue(tmp_path, "authority"), issue(tmp_path, "clients")
    known, stranger = issue(tmp_path, "shop.example", clients), issue(tmp_path, "stranger.example", authority)
    tls = opened(issue(tmp_path, "api.example", authority), clients.certificate)
    async with serving(tls) as port:
        allowed = trusting(authority)
        allowed.load_cert_chain(known.certificate, known.key_file)
        assert (await ask(port, allowed))[0] == b"https"
        wrong = trusting(authority)
        wrong.load_cert_chain(stranger.certificate, stranger.key_file)
        for refused in (trusting(authority), wrong):
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                await ask(port, refused)


async def test_plain_http_on_the_port_of_https_gets_no_answer_and_harms_nobody(tmp_path: Path) -> None:
    authority = issue(tmp_path, "authority")
    async with serving(opened(issue(tmp_path, "api.example", authority))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"HTTP" not in await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert (await ask(port, trusting(authority)))[0] == b"https"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o602])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    pair = issue(tmp_path, "api.example")
    pair.key_file.chmod(mode)
    if (
        mode == 0o640 and pair.key_file.stat().st_uid == 0
    ):  # as PostgreSQL has it: root may share with a group
        check_private(pair.key_file)
        return
    with pytest.raises(BadTls, match="others can read the private key"):
        open_tls(settings(pair))


def test_what_is_missing_or_locked_is_named(tmp_path: Path) -> None:
    pair, other = issue(tmp_path, "api.example"), issue(tmp_path, "other.example")
    with pytest.raises(BadTls, match=r"nowhere\.key: No such file"):
        open_tls(Settings(tls_certificate=pair.certificate, tls_key=tmp_path / "nowhere.key"))
    with pytest.raises(BadTls, match=r"nowhere\.crt"):
        open_tls(Settings(tls_certificate=tmp_path / "nowhere.crt", tls_key=pair.key_file))
    with pytest.raises(BadTls, match=r"the key is not the certificate's"):
        open_tls(Settings(tls_certificate=pair.certificate, tls_key=other.key_file))
    with pytest.raises(BadTls, match=r"nowhere\.ca"):
        open_tls(settings(pair, tmp_path / "nowhere.ca"))


def test_certificate_and_key_are_set_together(tmp_path: Path) -> None:
    assert open_tls(Settings()) is None
    assert Settings().scheme == "http"
    pair = issue(tmp_path, "api.example")
    assert settings(pair).scheme == "https"
    for half in (
        {"tls_certificate": pair.certificate},
        {"tls_key": pair.key_file},
        {"tls_client_ca": pair.certificate},
    ):
        with pytest.raises(ValidationError, match="FLORIN_TLS"):
            Settings.model_validate(half)
