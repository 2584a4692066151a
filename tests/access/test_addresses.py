"""Networks that a key may call from, and what guesses are counted under."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florin.access.addresses import MalformedNetwork, Reach, counted_as, network, networks, shown


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        (" 10.0.0.0/8 ", "10.0.0.0/8"),
        ("2001:DB8:0:0::1", "2001:db8::1/128"),
        ("2001:db8::/48", "2001:db8::/48"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_a_network_has_one_form_whatever_it_was_written_as(given_text: str, expected: str) -> None:
    assert str(network(given_text)) == expected


@pytest.mark.parametrize(
    "text", ["", "10.0.0.1/8", "10.0.0", "256.1.1.1", "10.0.0.0/33", "shop.example", "fe80::1%eth0/64", "1"]
)
def test_what_is_no_network_or_names_bits_beyond_its_prefix_is_refused(text: str) -> None:
    with pytest.raises(MalformedNetwork):
        network(text)


def test_lists_are_sorted_and_hold_each_network_once() -> None:
    found = networks(["2001:db8::/32", "192.0.2.7", "::ffff:192.0.2.7", "10.0.0.0/8", "192.0.2.7/32"])
    assert shown(found) == ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.0.0.0", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8:1::9", True),
        ("2001:db9::", False),
        ("::a01:203", False),  # 10.1.2.3 as a number, in the other family
        (None, False),
    ],
)
def test_an_address_is_within_reach_in_whatever_form_it_comes(address: str | None, inside: bool) -> None:
    reach = Reach(networks(["10.0.0.0/8", "::ffff:192.0.2.7", "2001:db8::/32"]))
    assert (address in reach) is inside


NOT_MAPPED = st.ip_addresses().filter(lambda one: getattr(one, "ipv4_mapped", None) is None)
"""IPv4 that comes mapped is IPv4, which no network of IPv6 reaches."""


@given(NOT_MAPPED, st.integers(0, 128))
def test_reach_is_what_the_standard_library_says(address: IPv4Address | IPv6Address, bits: int) -> None:
    shift = address.max_prefixlen - min(bits, address.max_prefixlen)
    base = type(address)(int(address) >> shift << shift)
    one = network(f"{base}/{address.max_prefixlen - shift}")
    assert str(address) in Reach([one])
    if shift < address.max_prefixlen:
        outside = type(address)(int(address) ^ 1 << shift)
        assert str(outside) not in Reach([one])


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_all_that_a_site_may_choose_of_an_ipv6_address_counts_as_one(address: IPv6Address, host: int) -> None:
    neighbour = IPv6Address(int(address) >> 64 << 64 | host)
    if address.ipv4_mapped is None and neighbour.ipv4_mapped is None:
        assert counted_as(str(address)) == counted_as(str(neighbour))


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_every_ipv4_address_counts_for_itself_mapped_or_not(one: IPv4Address, other: IPv4Address) -> None:
    assert counted_as(f"::ffff:{one}") == counted_as(str(one))
    assert (counted_as(str(one)) == counted_as(str(other))) is (one == other)


@pytest.mark.parametrize(
    ("given_texts", "covered"),
    [
        ([], False),
        (["10.0.0.0/8"], True),
        (["10.1.0.0/16", "2001:db8:1::/48"], True),
        (["10.0.0.0/7"], False),
        (["10.1.0.0/16", "192.0.2.7"], False),
        (["2001:db8::/31"], False),
        (["::/0"], False),
    ],
)
def test_networks_are_covered_if_all_of_them_lie_within(given_texts: list[str], covered: bool) -> None:
    assert Reach(networks(["10.0.0.0/8", "2001:db8::/32"])).covers(networks(given_texts)) == covered
