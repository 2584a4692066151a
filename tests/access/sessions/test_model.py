"""Refresh tokens as text."""

from hypothesis import given
from hypothesis import strategies as st

from florin.access import model as keys
from florin.access.sessions.model import digest, generate, parse


@given(st.integers(1, 2**31 - 1))
def test_a_refresh_token_names_its_tenant(tenant_id: int) -> None:
    token = generate(tenant_id)
    presented = parse(token)
    assert presented is not None
    assert (presented.tenant_id, presented.digest) == (tenant_id, digest(token))


def test_no_two_are_alike_and_none_is_a_key_or_a_clients_secret() -> None:
    tokens = {generate(1) for _ in range(1000)}
    assert len(tokens) == 1000
    one = tokens.pop()
    assert len(one) == len("fl_rt_1_") + 43
    assert keys.parse(one) is keys.parse_client(one) is None
    for kind in keys.KeyKind:
        assert parse(keys.generate(1, live=True, kind=kind)) is None


@given(st.text(max_size=80))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert parse(text) is None
    assert parse(f"fl_rt_{text}") is None or len(text) == 45
