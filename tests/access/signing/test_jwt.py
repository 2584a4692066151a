"""What is no token of ours, in every way that has been tried on others."""

import json
from base64 import urlsafe_b64encode
from dataclasses import replace
from typing import Any
from uuid import UUID

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from florin.access.signing import jwt
from florin.access.signing.jwt import AUDIENCE, MAX_TOKEN_BYTES, Claims, TokenRefused
from florin.kernel.http.call import PrincipalKind
from florin.kernel.ids import encode_id, new_id

ISSUER = "https://pay.bank.example"
KEY = Ed25519PrivateKey.from_private_bytes(b"1" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
NOW = 1_800_000_000
CLAIMS = Claims(
    tenant_id=1,
    live=True,
    kind=PrincipalKind.USER,
    subject=new_id(),
    jti=new_id(),
    issued_at=NOW,
    expires_at=NOW + 900,
    session_id=new_id(),
)
SAID: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": encode_id("user", CLAIMS.subject),
    "jti": encode_id("tok", CLAIMS.jti),
    "sid": encode_id("ses", UUID(str(CLAIMS.session_id))),
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 900,
    "tenant": 1,
    "mode": "live",
}


def signed(
    said: object, header: dict[str, Any] | None = None, key: Any = KEY, algorithm: str = "EdDSA"
) -> str:
    """A token with whatever header and claims, by a library that has nothing against them."""
    head = {"kid": "k", "typ": "at+jwt", **(header or {})}
    return pyjwt.PyJWS().encode(json.dumps(said).encode(), key, algorithm, headers=head)


def segment(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


FOREIGN_HEADER = "the header is not one of ours"


def read(token: str, now: float = NOW) -> Claims:
    """As the service reads one, with the one key that there is."""
    assert jwt.kid_of(token) == "k"
    return jwt.read(token, ISSUER, PUBLIC, now)


def refused(token: str, now: float = NOW) -> str:
    with pytest.raises(TokenRefused) as error:
        read(token, now)
    return str(error.value)


@pytest.mark.parametrize(
    "claims",
    [
        CLAIMS,
        replace(CLAIMS, live=False, tenant_id=2**31 - 1),
        replace(CLAIMS, kind=PrincipalKind.KEY, session_id=None, scope="payments:read payments:write"),
    ],
)
def test_what_is_issued_is_read(claims: Claims) -> None:
    assert read(jwt.issue(claims, ISSUER, "k", KEY)) == claims
    assert read(signed(SAID)) == CLAIMS


def test_a_token_says_nothing_personal_and_fits_into_a_header() -> None:
    token = jwt.issue(CLAIMS, ISSUER, "k" * 43, KEY)
    assert len(token) < 800
    said = json.loads(pyjwt.PyJWS().decode_complete(token, options={"verify_signature": False})["payload"])
    assert set(said) == set(SAID)


def test_an_unsigned_token_is_refused() -> None:
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        head = segment({"alg": algorithm, "kid": "k", "typ": "at+jwt"})
        for signature in ("", "AAAA"):
            assert refused(f"{head}.{segment(SAID)}.{signature}") == FOREIGN_HEADER


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_token_signed_with_our_public_key_as_a_secret_is_refused(algorithm: str) -> None:
    import hashlib
    import hmac

    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = f"{segment({'alg': algorithm, 'kid': 'k', 'typ': 'at+jwt'})}.{segment(SAID)}"
    for secret in (PUBLIC, pem, urlsafe_b64encode(PUBLIC), b""):
        mac = hmac.digest(secret, head.encode(), getattr(hashlib, f"sha{algorithm[2:]}"))
        token = f"{head}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"
        assert refused(token) == FOREIGN_HEADER


def test_a_token_of_another_algorithm_is_refused_though_its_own_key_has_signed_it() -> None:
    rsa_key = rsa.generate_private_key(65537, 2048)
    ec_key = ec.generate_private_key(ec.SECP256R1())
    assert refused(signed(SAID, key=rsa_key, algorithm="RS256")) == FOREIGN_HEADER
    assert refused(signed(SAID, key=rsa_key, algorithm="PS256")) == FOREIGN_HEADER
    assert refused(signed(SAID, key=ec_key, algorithm="ES256")) == FOREIGN_HEADER


def test_a_header_that_says_another_algorithm_than_the_signature_is_refused() -> None:
    head, payload, signature = signed(SAID).split(".")
    for algorithm in ("RS256", "HS256", "Ed25519", "eddsa", ["EdDSA"], None, 1):
        refused(f"{segment({'alg': algorithm, 'kid': 'k', 'typ': 'at+jwt'})}.{payload}.{signature}")
    assert head


def test_a_key_that_the_token_brings_along_is_not_used() -> None:
    other = Ed25519PrivateKey.generate()
    own = {"kty": "OKP", "crv": "Ed25519", "x": segment("x")}
    headers: tuple[dict[str, Any], ...] = (
        {"jwk": own},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/chain.pem"},
        {"x5c": ["MIIB"]},
        {"x5t": "abc"},
    )
    for header in headers:
        assert "header" in refused(signed(SAID, header, key=other))
        assert "header" in refused(signed(SAID, header)), "not even with a right signature"


def test_extensions_and_other_types_are_refused() -> None:
    headers: tuple[dict[str, Any], ...] = (
        {"crit": ["exp"], "exp": NOW},
        {"crit": []},
        {"crit": ["b64"], "b64": True},
        {"cty": "JWT"},
        {"zip": "DEF"},
        {"typ": "JWT"},
        {"typ": "secevent+jwt"},
    )
    for header in headers:
        said = refused(signed(SAID, header))
        assert ("crit" if "crit" in header else "header") in said.lower()


def test_another_signers_token_is_refused() -> None:
    assert "ignature" in refused(signed(SAID, key=Ed25519PrivateKey.generate()))


def test_a_token_whose_claims_were_changed_is_refused() -> None:
    head, _, signature = signed(SAID).split(".")
    for change in ({"tenant": 2}, {"sub": encode_id("user", new_id())}, {"exp": NOW + 901}, {"scope": "*"}):
        assert "ignature" in refused(f"{head}.{segment(SAID | change)}.{signature}")


@pytest.mark.parametrize("missing", sorted(SAID))
def test_a_claim_that_is_missing_is_refused(missing: str) -> None:
    said = refused(signed({name: value for name, value in SAID.items() if name != missing}))
    assert said == (
        "users' tokens have a session, clients' tokens a scope" if missing == "sid" else "a claim is missing"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example"},
        {"iss": [ISSUER]},
        {"iss": ISSUER + "/"},
        {"aud": "other"},
        {"aud": [AUDIENCE]},
        {"aud": [AUDIENCE, "other"]},
        {"sub": "tenant_" + "0" * 26},
        {"sub": encode_id("ses", new_id())},
        {"sub": encode_id("key", new_id())},
        {"sub": 1},
        {"sub": "user_" + "z" * 26},
        {"jti": ""},
        {"sid": "ses_short"},
        {"sid": None},
        {"tenant": "1"},
        {"tenant": True},
        {"tenant": 1.0},
        {"tenant": 0},
        {"tenant": -1},
        {"tenant": 2**31},
        {"mode": "prod"},
        {"mode": ["live"]},
        {"mode": None},
        {"scope": "*"},
        {"exp": str(NOW + 900)},
        {"exp": NOW + 900.5},
        {"exp": None},
        {"iat": True},
        {"nbf": "0"},
    ],
)
def test_a_claim_of_another_form_is_refused_although_we_have_signed_it(change: dict[str, Any]) -> None:
    refused(signed(SAID | change))


@pytest.mark.parametrize("payload", [[], "text", 1, None, [SAID]])
def test_a_payload_that_is_no_object_is_refused(payload: object) -> None:
    refused(signed(payload))


def test_times_are_kept_with_little_leeway_and_none_at_the_end() -> None:
    token = signed(SAID)
    read(token, NOW - 30)  # our clocks may be apart
    read(token, NOW + 899.9)
    assert refused(token, NOW - 31) == "not valid yet"
    assert refused(token, NOW + 900) == "expired"
    assert refused(signed(SAID | {"nbf": NOW + 31})) == "not valid yet"
    assert "longer" in refused(signed(SAID | {"exp": NOW + 901}))


def test_what_is_too_long_is_refused_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt, "_JWS", None)
    for token in ("a" * (MAX_TOKEN_BYTES + 1), "\xff.\xff.\xff", signed(SAID) + "." * MAX_TOKEN_BYTES):
        with pytest.raises(TokenRefused):
            jwt.kid_of(token)


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "...", "a.b.c", "e30.e30.", f"{segment({})}.{segment(SAID)}.AAAA", "W10.e30.AAAA"],
)
def test_what_is_no_jwt_is_refused(token: str) -> None:
    refused(token)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    for token in (text, f"{text}.{text}.{text}", f"{segment({'alg': text})}.{text}.{text}"):
        with pytest.raises(TokenRefused):
            jwt.kid_of(token)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(SAID)), inner, max_size=9)
    ),
    max_leaves=9,
)


@given(JSON)
def test_no_signed_claims_break_the_reader(said: object) -> None:
    refused(signed(said))
    if isinstance(said, dict):
        try:
            claims = read(signed(SAID | said))
        except TokenRefused:
            return
        may_differ = replace(CLAIMS, tenant_id=claims.tenant_id, issued_at=claims.issued_at)
        assert claims == replace(may_differ, expires_at=claims.expires_at), "other forms are refused"
