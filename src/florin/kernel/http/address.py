"""Where a request came from, when a proxy stands in between."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

Network = IPv4Network | IPv6Network


def client_address(
    scope: Mapping[str, Any], headers: Mapping[bytes, bytes], trusted: Sequence[Network]
) -> str | None:
    """The client's address in its canonical text; None: the socket has none (a Unix socket).

    `X-Forwarded-For` counts only as far as it was written by proxies of ours: read from the right, the
    first address that is not one of `trusted` is the client's. Whatever stands left of it, the client
    may have made up.
    """
    client = scope.get("client")
    if not client:
        return None
    address = _canonical(client[0])
    if address is None or not _is_trusted(address, trusted):
        return address
    for hop in reversed(headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")):
        given = _canonical(hop.strip())
        if given is None:
            return address
        address = given
        if not _is_trusted(address, trusted):
            return address
    return address


def is_https(scope: Mapping[str, Any], headers: Mapping[bytes, bytes], trusted: Sequence[Network]) -> bool:
    """Whether the client speaks TLS: to this process, or to a proxy of ours that says so."""
    if scope.get("scheme") == "https":
        return True
    if not trusted or headers.get(b"x-forwarded-proto", b"").strip().lower() != b"https":
        return False
    client = scope.get("client")
    address = _canonical(client[0]) if client else None
    return address is not None and _is_trusted(address, trusted)


@lru_cache(maxsize=4096)
def _canonical(text: str) -> str | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _is_trusted(text: str, trusted: Sequence[Network]) -> bool:
    address = ip_address(text)
    return any(address.version == network.version and address in network for network in trusted)
