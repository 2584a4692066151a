"""Requests to addresses that somebody else chose, confined to the public internet.

A name is resolved here, every address that it has is checked, and the connection goes to an address
that was checked: a name that answers differently the second time (DNS rebinding) gains nothing. TLS
still verifies the name, and the Host header still carries it. Redirects are never followed, and
proxies from the environment are not used.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpcore
import httpx

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Host and port to addresses. Raises OSError when the name has none."""

_REFUSED: Final = [
    ip_network(text)
    for text in (
        # IANA's special-purpose registries (RFC 6890 and its updates), and multicast.
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; metadata services of several clouds
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; metadata services of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's platform address: public by number, internal by use
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "3fff::/20",
    )
]
_NAT64: Final = ip_network("64:ff9b::/96")
_GLOBAL_UNICAST: Final = ip_network("2000::/3")
"""All that IANA has given out of IPv6 for the public internet, and what of it is not is among the refused."""

_HTTPS_PORT: Final = 443
_HTTP_PORT: Final = 80
_FIRST_UNPRIVILEGED_PORT: Final = 1024


class AddressRefused(Exception):
    """The address is not one that requests may go to."""


def check_address(address: Address) -> None:
    """Passes a public unicast address.

    Raises:
        AddressRefused: private, loopback, link-local, shared, multicast, reserved, a cloud's metadata
            service, or an IPv6 address that carries such an IPv4 address within.
    """
    if isinstance(address, IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if embedded is None and address in _NAT64:
            embedded = IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            check_address(embedded)
            return
        if address not in _GLOBAL_UNICAST:
            raise AddressRefused(f"{address} is not a public address")
    if any(address.version == network.version and address in network for network in _REFUSED):
        raise AddressRefused(f"{address} is not a public address")


@dataclass(frozen=True, slots=True)
class Confinement:
    """Where requests may go."""

    allow_private: bool = False
    """Any address, any port, http too: for development."""

    trusted: frozenset[tuple[str, int]] = frozenset()
    """Hosts and ports that the operator named: allowed as if `allow_private`."""

    def frees(self, host: str, port: int) -> bool:
        """Whether this host and port are exempt from the checks."""
        return self.allow_private or (host, port) in self.trusted

    def check_url(self, url: str) -> None:
        """Passes a URL that requests may be sent to, as far as its text tells.

        https, port 443 or 1024 and above (none of the well-known services), a host, no user or
        password, no fragment, no literal private address. Names are resolved when a request is sent.

        Raises:
            AddressRefused: with the rule that the URL breaks.
        """
        parts, port = _split(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise AddressRefused("must start with https:// and a host")
        if parts.username is not None or parts.password is not None:
            raise AddressRefused("must not carry a user or password")
        if "#" in url:
            raise AddressRefused("must not have a fragment")
        if self.frees(parts.hostname, port):
            return
        if parts.scheme != "https":
            raise AddressRefused("must start with https://")
        if port != _HTTPS_PORT and port < _FIRST_UNPRIVILEGED_PORT:
            raise AddressRefused(f"port must be 443 or 1024 to 65535, not {port}")
        literal = _literal(parts.hostname)
        if literal is not None:
            check_address(literal)
        elif parts.hostname.rstrip(".").rpartition(".")[2] in {"localhost", "local", "internal"}:
            raise AddressRefused("names a host of a private network")


def _split(url: str) -> tuple[SplitResult, int]:
    if "\\" in url or any(not character.isprintable() or character.isspace() for character in url):
        raise AddressRefused("has a space, a backslash or a control character")
    try:
        httpx.URL(url)
        parts = urlsplit(url)
        port = parts.port
    except (ValueError, httpx.InvalidURL):
        raise AddressRefused("is not a URL") from None
    if port is None:
        port = {"https": _HTTPS_PORT, "http": _HTTP_PORT}.get(parts.scheme, 0)
    return parts, port


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:  # 0x7f.1, 2130706433 and their like: what the resolver would make of them
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


async def resolve(host: str, port: int) -> Sequence[Address]:
    """Every address of a name, in the order that the system prefers. Raises OSError when it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found)
    return [ip_address(text) for text in texts]


class _ConfinedBackend(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only. The rest is the library's own."""

    def __init__(self, resolver: Resolver, confinement: Confinement) -> None:
        self._backend = httpcore.AnyIOBackend()
        self._resolver = resolver
        self._confinement = confinement

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """The name's addresses one after the other, within one time-out for all, look-up included."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._addresses(host, port)
                for place, address in enumerate(addresses):
                    try:
                        return await self._backend.connect_tcp(
                            str(address), port, None, local_address, socket_options
                        )
                    except httpcore.ConnectError:
                        if place == len(addresses) - 1:
                            raise
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"no connection within {timeout} s") from None
        raise httpcore.ConnectError(f"{host} has no address")

    async def _addresses(self, host: str, port: int) -> Sequence[Address]:
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host}: {error}") from error
        if not self._confinement.frees(host, port):
            for address in addresses:  # one private address among public ones is a trap too
                check_address(address)
        return addresses

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise AddressRefused(f"{path} is not a public address")

    async def sleep(self, seconds: float) -> None:
        """As asyncio's."""
        await asyncio.sleep(seconds)


class _ConfinedTransport(httpx.AsyncHTTPTransport):
    def __init__(self, backend: _ConfinedBackend, context: ssl.SSLContext, limits: httpx.Limits) -> None:
        super().__init__(verify=context, limits=limits, trust_env=False)
        # httpx has no way to give its pool a network backend: the pool is replaced by one alike.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=backend,
        )


class TooMuch(Exception):
    """The answer is longer than anything that was asked for."""


async def read_bounded(response: httpx.Response, max_bytes: int) -> bytes:
    """The body of a streamed response as it was sent; nothing is unpacked.

    Raises:
        TooMuch: it is longer than `max_bytes`, or packed: what comes out of it may be of any length.
    """
    if response.headers.get("content-encoding", "identity") != "identity":
        raise TooMuch(f"it is packed ({response.headers['content-encoding']}), which was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise TooMuch(f"it has more than {max_bytes} bytes")
    return bytes(body)


def confined_client(
    confinement: Confinement,
    *,
    connect_timeout_s: float = 5,
    timeout_s: float = 15,
    max_connections: int = 256,
    resolver: Resolver = resolve,
    ssl_context: ssl.SSLContext | None = None,
) -> httpx.AsyncClient:
    """A client whose every connection goes to a public address.

    A refused address raises AddressRefused; everything else raises httpx's own errors. `timeout_s`
    bounds each read and write; bound the whole of a request with `asyncio.timeout`.
    """
    limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=64, keepalive_expiry=20)
    backend = _ConfinedBackend(resolver, confinement)
    return httpx.AsyncClient(
        transport=_ConfinedTransport(backend, ssl_context or ssl.create_default_context(), limits),
        timeout=httpx.Timeout(timeout_s, connect=connect_timeout_s),
        follow_redirects=False,
        trust_env=False,
    )
