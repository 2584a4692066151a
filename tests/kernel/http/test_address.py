"""Who is behind the proxy."""

from ipaddress import ip_network

import pytest

from florin.kernel.http.address import client_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("socket", "forwarded", "found"),
    [
        ("198.51.100.7", "", "198.51.100.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),  # no proxy of ours: it says what it likes
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "192.0.2.66, 203.0.113.9", "203.0.113.9"),  # what stands left the client made up
        ("10.0.0.1", "203.0.113.9, 10.2.3.4", "203.0.113.9"),
        ("10.0.0.1", "rubbish, 10.2.3.4", "10.2.3.4"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("2001:DB8:0::7", "", "2001:db8::7"),
    ],
)
def test_the_first_address_from_the_right_that_is_no_proxy_of_ours_counts(
    socket: str, forwarded: str, found: str
) -> None:
    headers = {b"x-forwarded-for": forwarded.encode()}
    assert client_address({"client": (socket, 1)}, headers, PROXIES) == found


def test_a_unix_socket_has_no_address() -> None:
    assert client_address({"client": None}, {}, PROXIES) is None
