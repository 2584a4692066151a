import asyncio
import gzip
import ssl
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from florin.kernel.clock import now
from florin.kernel.outbound import (
    Address,
    AddressRefused,
    Confinement,
    TooMuch,
    check_address,
    confined_client,
    read_bounded,
    resolve,
)

NAME = "hooks.example"


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.254",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "2001:0:53aa:64c::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "100::1",
        "::ffff:0:7f00:1",
        "::ffff:0:a00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "5f00::1",
        "3fff::1",
        "4000::1",
        "a000::1",
        "ff0e::1",
    ],
)
def test_addresses_that_are_not_public_are_refused(text: str) -> None:
    with pytest.raises(AddressRefused):
        check_address(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.32.0.1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
def test_public_addresses_pass(text: str) -> None:
    check_address(ip_address(text))


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/hooks",
        "https://shop.example:8443/hooks?x=1",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        "https://bücher.example/",
    ],
)
def test_urls_on_the_public_internet_pass(url: str) -> None:
    Confinement().check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example",
        "/hooks",
        "http://shop.example/",
        "ftp://shop.example/",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "https://user:pw@shop.example/",
        "https://shop.example/#here",
        "https://shop.example:22/",
        "https://shop.example:80/",
        "https://shop.example:99999/",
        "https://shop.example:x/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fe80::1%25eth0]/",
        "https://localhost/",
        "https://a.localhost./",
        "https://db.internal/",
        "https://169.254.169.254/latest/meta-data",
        "https://shop.example/ x",
        "https://shop.example\\@127.0.0.1/",
        "https://shop.example/\r\nHost: x",
        "https://shop.example/\x00",
        "https://[::1",
        "https://[::ffff:0:127.0.0.1]/",
        "https://[0:0:0:0:0:ffff:7f00:1]/",
        "https://[64:ff9b::127.0.0.1]/",
        "https://[2002:7f00:1::]/",
        "https://017700000001/",
        "https://0x7f.0x0.0x0.0x1/",
        "https://127.0.1/",
        "https://3232235777/",
        "https://user@shop.example/",
        "https://:@shop.example/",
        "https://shop.example@127.0.0.1/",
        "https://shop.example:25/",
        "https://shop.example:0/",
        "https://shop.example:-1/",
        "https://localhost.localdomain.local/",
        "https://metadata.google.internal/computeMetadata/v1/",
        "https://shop.example/\tx",
        "https://shop.example/\u2028",
        "gopher://shop.example/",
        "unix:///var/run/docker.sock",
        "https+unix://shop.example/",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        Confinement().check_url(url)


def test_what_the_operator_trusts_is_exempt_by_host_and_port() -> None:
    confinement = Confinement(trusted=frozenset({("127.0.0.1", 8000)}))
    confinement.check_url("http://127.0.0.1:8000/receiver")
    for url in ("http://127.0.0.1:8001/", "http://127.0.0.2:8000/", "http://u@127.0.0.1:8000/"):
        with pytest.raises(AddressRefused):
            confinement.check_url(url)
    Confinement(allow_private=True).check_url("http://10.0.0.1:25/")


class Names:
    """A resolver that answers differently each time, as a rebinding name does."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append((host, port))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ip_address(text) for text in answer]


@asynccontextmanager
async def web_server(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port on loopback, and the heads of the requests that came."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["169.254.169.254"]])
async def test_a_name_with_any_private_address_is_not_connected_to(answers: list[str]) -> None:
    async with (
        web_server() as (port, heads),
        confined_client(Confinement(), resolver=Names(answers)) as client,
    ):
        with pytest.raises(AddressRefused):
            await client.post(f"http://{NAME}:{port}/")
    assert heads == []


async def test_a_name_that_changes_between_requests_is_checked_each_time() -> None:
    names = Names(["192.0.2.1"], ["127.0.0.1"])
    async with web_server() as (port, heads), confined_client(Confinement(), resolver=names) as client:
        for _ in range(2):
            with pytest.raises(AddressRefused):
                await client.post(f"http://{NAME}:{port}/")
    assert heads == []
    assert len(names.asked) == 2


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    async with web_server() as (port, heads):
        names = Names(["127.0.0.1"], ["203.0.113.1"])  # asked again it would answer elsewhere
        trusted = Confinement(trusted=frozenset({(NAME, port)}))
        async with confined_client(trusted, resolver=names) as client:
            assert (await client.post(f"http://{NAME}:{port}/x")).status_code == 204
    assert names.asked == [(NAME, port)]
    assert f"host: {NAME}:{port}".encode() in heads[0].lower()


async def test_the_next_address_is_tried_when_the_first_does_not_answer() -> None:
    async with web_server() as (port, _):
        trusted = Confinement(trusted=frozenset({(NAME, port)}))
        async with confined_client(trusted, resolver=Names(["::1", "127.0.0.1"])) as client:
            assert (await client.post(f"http://{NAME}:{port}/")).status_code == 204


async def test_tls_verifies_the_name_and_not_the_address() -> None:
    server_context, authority = certificate(NAME)
    async with web_server(server_context) as (port, heads):
        hosts = frozenset({(NAME, port), ("other.example", port)})
        async with confined_client(
            Confinement(trusted=hosts),
            resolver=Names(["127.0.0.1"]),
            ssl_context=ssl.create_default_context(cadata=authority),
        ) as client:
            assert (await client.post(f"https://{NAME}:{port}/")).status_code == 204
            with pytest.raises(httpx.ConnectError, match=r"other\.example"):
                await client.post(f"https://other.example:{port}/")
    assert len(heads) == 1


def certificate(name: str) -> tuple[ssl.SSLContext, str]:
    """A server's context with a certificate for `name`, and that certificate as its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem + private)
        file.flush()
        context.load_cert_chain(file.name)
    return context, pem.decode()


async def test_redirects_are_not_followed_and_proxies_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with web_server() as (port, _), confined_client(Confinement(allow_private=True)) as client:
        assert not client.follow_redirects
        assert (await client.post(f"http://127.0.0.1:{port}/")).status_code == 204


@pytest.mark.parametrize(
    "variable", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
)
async def test_no_variable_of_the_environment_puts_a_proxy_in_between(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with web_server() as (port, heads), confined_client(Confinement(allow_private=True)) as client:
        assert (await client.post(f"http://127.0.0.1:{port}/")).status_code == 204
    assert len(heads) == 1


@pytest.mark.parametrize(
    "host",
    ["0x7f.1", "2130706433", "127.1", "0177.0.0.1", "127.0.0.1.", "localhost", "LOCALHOST", "ip6-localhost"],
)
async def test_a_name_that_the_system_takes_for_this_machine_is_not_connected_to(host: str) -> None:
    async with web_server() as (port, heads), confined_client(Confinement()) as client:
        with pytest.raises((AddressRefused, httpx.ConnectError, httpx.InvalidURL)):
            await client.post(f"http://{host}:{port}/")
    assert heads == []


def answer(body: bytes, **headers: str) -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(body), headers=headers)


async def test_an_answer_is_read_up_to_a_length_and_never_unpacked() -> None:
    assert await read_bounded(answer(b"x" * 100), 100) == b"x" * 100
    with pytest.raises(TooMuch, match="more than 100 bytes"):
        await read_bounded(answer(b"x" * 101), 100)
    packed = answer(gzip.compress(b"x" * 10_000_000), **{"content-encoding": "gzip"})
    with pytest.raises(TooMuch, match="packed"):
        await read_bounded(packed, 100_000)


async def test_names_are_resolved_to_addresses() -> None:
    assert ip_address("127.0.0.1") in await resolve("localhost", 80)


async def test_a_name_without_address_is_a_connection_error() -> None:
    async def nowhere(host: str, port: int) -> Sequence[Address]:
        raise OSError("no such name")

    async with confined_client(Confinement(), resolver=nowhere) as client:
        with pytest.raises(httpx.ConnectError, match="no such name"):
            await client.post("https://nowhere.example/")
