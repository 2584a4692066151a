"""When a signing key signs, and until when it is believed."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from florin.access.signing.model import (
    ACCESS_TOKEN_LIFETIME,
    LEAD,
    LEEWAY,
    KeyState,
    SigningKey,
    jwk,
    published_at,
    signing_at,
    successor_begins,
    thumbprint,
)

START = datetime(2026, 11, 20, tzinfo=UTC)
LIFETIME = timedelta(days=90)


def key(begins: datetime, ends: datetime | None = None, **revoked: object) -> SigningKey:
    return SigningKey("kid", bytes(32), begins - LEAD, "test", begins, ends, **revoked)  # type: ignore[arg-type]


def test_a_key_is_announced_then_signs_then_verifies_until_its_last_token_is_over() -> None:
    one = key(START, START + LIFETIME)
    last = START + LIFETIME
    for at, state in (
        (START - timedelta(seconds=1), KeyState.ANNOUNCED),
        (START, KeyState.SIGNING),
        (last - timedelta(seconds=1), KeyState.SIGNING),
        (last, KeyState.VERIFYING),
        (last + ACCESS_TOKEN_LIFETIME + LEEWAY - timedelta(seconds=1), KeyState.VERIFYING),
        (last + ACCESS_TOKEN_LIFETIME + LEEWAY, KeyState.OVER),
    ):
        assert one.state(at) is state
    revoked = key(START, None, revoked_at=START, revoked_by="x", revoked_reason="y")
    assert revoked.state(START) is KeyState.REVOKED
    assert published_at([revoked, one], last + LIFETIME) == []


def test_the_first_key_signs_at_once_and_every_other_is_announced_before() -> None:
    assert successor_begins([], START, LIFETIME) == START - LEEWAY, "clocks may be behind"
    only = [key(START)]
    assert successor_begins(only, START + LIFETIME - LEAD - timedelta(seconds=1), LIFETIME) is None
    assert successor_begins(only, START + LIFETIME - LEAD, LIFETIME) == START + LIFETIME
    late = START + LIFETIME + timedelta(days=7)  # nobody ran for a week
    assert successor_begins(only, late, LIFETIME) == late + LEAD


@given(st.lists(st.integers(0, 90 * 24), min_size=1, max_size=60))
def test_whenever_somebody_looks_one_key_signs_and_verifiers_have_known_it_for_a_day(
    pauses_h: list[int],
) -> None:
    """A platform that is looked at now and then, over years."""
    keys: list[SigningKey] = []
    at = START
    for pause in pauses_h:
        begins = successor_begins(keys, at, LIFETIME)
        if begins is not None:
            keys = [
                SigningKey(
                    one.kid, one.public_key, one.created_at, "", one.signs_from, one.signs_until or begins
                )
                for one in keys
            ]
            keys.append(SigningKey(str(len(keys)), bytes(32), at, "", begins, None))
        signing = [one for one in keys if one.state(at) is KeyState.SIGNING]
        assert signing == [signing_at(keys, at)]
        assert signing[0] in published_at(keys, at)
        assert all(one.signs_from - one.created_at >= LEAD for one in keys[1:])
        assert len(published_at(keys, at)) <= 3
        at += timedelta(hours=pause)


def test_a_key_is_named_by_its_thumbprint() -> None:
    # The example of RFC 8037, appendix A.3.
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert thumbprint(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    shown = jwk(SigningKey(thumbprint(public), public, START, "", START, None))
    assert shown["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert set(shown) == {"kty", "crv", "x", "kid", "use", "alg"}
