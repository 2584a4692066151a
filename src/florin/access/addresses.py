"""Addresses: from where a key may call, and whom guesses are counted against. No I/O.

IPv4 addresses that come mapped into IPv6 (`::ffff:192.0.2.7`, RFC 4291 2.5.5.2) are what they stand for, in
lists of allowed networks as in callers.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from uuid import UUID

Network = IPv4Network | IPv6Network

MAX_ALLOWED: Final = 50
"""Networks that a key may be bound to."""

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_ASSIGNED_BITS: Final = 64
"""Of an IPv6 address: what a site is given. The rest its owner may choose anew for every guess."""


class MalformedNetwork(ValueError):
    """The text is no address and no network; the message says why."""


def network(text: str) -> Network:
    """The network that a text names; an address alone is a network of one.

    Raises:
        MalformedNetwork: another form, or an address with bits beyond its prefix's length.
    """
    try:
        found = ip_network(text.strip())
    except ValueError as error:
        raise MalformedNetwork(str(error)) from None
    if isinstance(found, IPv4Network) or not found.subnet_of(_MAPPED):
        return found
    mapped = found.network_address.ipv4_mapped
    assert mapped is not None, "it lies within ::ffff:0:0/96"
    return IPv4Network((mapped, found.prefixlen - _MAPPED.prefixlen))


def networks(texts: Iterable[str]) -> list[Network]:
    """The networks in one order, each once. Raises MalformedNetwork."""
    return sorted({network(text) for text in texts}, key=_order)


def shown(networks: Sequence[Network]) -> list[str]:
    """Addresses as they are, networks with the length of their prefix."""
    return [str(one.network_address) if one.prefixlen == one.max_prefixlen else str(one) for one in networks]


class Reach:
    """Networks, made ready to be asked about one address after the other."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._prefixes = [
            (one.version, bits := one.max_prefixlen - one.prefixlen, int(one.network_address) >> bits)
            for one in networks
        ]

    def __contains__(self, address: str | None) -> bool:
        """Whether an address lies in one of them. Nobody knows where None is."""
        if address is None:
            return False
        found = _plain(address)
        number = int(found)
        return any(
            version == found.version and number >> bits == prefix for version, bits, prefix in self._prefixes
        )

    def covers(self, given: Iterable[Network]) -> bool:
        """Whether all of these networks lie within them. None given is everywhere, which does not."""
        found = list(given)
        return bool(found) and all(
            any(
                version == one.version
                and bits >= one.max_prefixlen - one.prefixlen
                and int(one.network_address) >> bits == prefix
                for version, bits, prefix in self._prefixes
            )
            for one in found
        )


def counted_as(address: str) -> UUID:
    """What an address is counted under: IPv4 mapped into IPv6, or the first 64 bits of IPv6."""
    found = _plain(address)
    if isinstance(found, IPv4Address):
        return UUID(int=int(_MAPPED.network_address) | int(found))
    host_bits = found.max_prefixlen - _ASSIGNED_BITS
    return UUID(int=int(found) >> host_bits << host_bits)


def _plain(address: str) -> IPv4Address | IPv6Address:
    found = ip_address(address)
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _order(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen
