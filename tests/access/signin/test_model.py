"""Signing in as data."""

from florin.access.signin import model


def test_a_challenges_token_names_its_tenant_and_is_kept_as_a_digest() -> None:
    for tenant_id in (1, 36, 2**31 - 1):
        token = model.new_challenge_token(tenant_id)
        assert model.tenant_of(token) == tenant_id
        assert len(model.digest(token)) == 32
        assert model.new_challenge_token(tenant_id) != token


def test_what_is_no_token_names_no_tenant() -> None:
    token = model.new_challenge_token(7)
    for wrong in ("", token[:-1], token + "x", token.replace("fl_ch", "fl_rt"), "fl_ch_0_" + token[-43:]):
        assert model.tenant_of(wrong) is None
    assert model.tenant_of("fl_ch_zzzzzz_" + token[-43:]) in (None, 36**6 - 1)
