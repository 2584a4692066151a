"""API2:2023 for access tokens at the gate: what we did not give is none, whatever it looks like."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from florin.access.people.model import Grant
from florin.access.signing.model import SigningKey, signing_at
from florin.access.signing.service import SigningKeys
from tests.flows.world import Tenant, unknown_id
from tests.owasp.house import House
from tests.owasp.residents import Resident

Json = dict[str, Any]
Signer = Callable[[bytes], bytes]

DOORS = (
    ("GET", "/v1/payments"),
    ("POST", "/v1/payments"),
    ("GET", "/v1/me"),
    ("POST", "/v1/users"),
    ("GET", "/v1/users"),
    ("GET", "/v1/platform/tenants"),
    ("GET", "/v1/nothing"),
)
"""An endpoint of each kind: by the short way, a user's own, by units, PLATFORM's, and none."""


def part(value: object) -> bytes:
    """Base64url without padding, of JSON or of bytes."""
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return urlsafe_b64encode(raw).rstrip(b"=")


def parsed(text: str) -> Json:
    found: Json = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


@dataclass(frozen=True)
class Forge:
    """A token of a real session in parts, and our key to sign others with."""

    header: Json
    claims: Json
    key: SigningKey
    private: Ed25519PrivateKey
    real: str

    def token(self, header: Json, claims: Json, sign: Signer | None = None) -> str:
        """Signed with our own key unless it is said how."""
        signed = part(header) + b"." + part(claims)
        return (signed + b"." + part((sign or self.private.sign)(signed))).decode()

    def saying(self, **claims: object) -> str:
        """Our header and our signature over other claims; None leaves one out."""
        said = {name: value for name, value in {**self.claims, **claims}.items() if value is not None}
        return self.token(self.header, said)

    def headed(self, sign: Signer | None = None, **header: object) -> str:
        """The claims as they are under another header."""
        return self.token({**self.header, **header}, self.claims, sign)


async def _ours(keys: SigningKeys) -> tuple[SigningKey, Ed25519PrivateKey]:
    key = signing_at(await keys.published(), keys.now())
    assert key is not None
    return key, await keys._private_half(key)


@pytest.fixture(scope="module")
def forge(house: House) -> Forge:
    key, private = house.run(_ours(house.rooms[SigningKeys]))
    real = house.resident(Grant("tenant_admin")).tokens.access_token
    header, claims, _ = real.split(".")
    return Forge(parsed(header), parsed(claims), key, private, real)


def of_other_algorithms(forge: Forge) -> dict[str, str]:
    """`none`, our public key as the secret of an HMAC, and keys of the forger's own."""
    found = {f"alg {alg}": forge.headed(lambda _: b"", alg=alg) for alg in ("none", "None", "NONE", "")}
    public = forge.private.public_key()
    encodings = serialization.Encoding, serialization.PublicFormat
    secrets = {
        "raw": forge.key.public_key,
        "base64url": part(forge.key.public_key),
        "PEM": public.public_bytes(encodings[0].PEM, encodings[1].SubjectPublicKeyInfo),
        "DER": public.public_bytes(encodings[0].DER, encodings[1].SubjectPublicKeyInfo),
        "kid": forge.key.kid.encode(),
        "empty": b"",
    }
    for name, secret in secrets.items():
        for alg in ("HS256", "EdDSA"):

            def mac(signed: bytes, secret: bytes = secret) -> bytes:
                return hmac.digest(secret, signed, hashlib.sha256)

            found[f"{alg} with {name}"] = forge.headed(mac, alg=alg)
    own_rsa = rsa.generate_private_key(65537, 2048)
    own_ec = ec.generate_private_key(ec.SECP256R1())
    own = Ed25519PrivateKey.generate()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": part(own.public_key().public_bytes_raw()).decode()}
    found["RS256"] = forge.headed(
        lambda signed: own_rsa.sign(signed, padding.PKCS1v15(), hashes.SHA256()), alg="RS256"
    )
    found["ES256"] = forge.headed(lambda signed: own_ec.sign(signed, ec.ECDSA(hashes.SHA256())), alg="ES256")
    found["another's key"] = forge.headed(own.sign)
    for name, header in (
        ("jwk", {"jwk": jwk}),
        ("jwk and its kid", {"jwk": jwk, "kid": "own"}),
        ("jku", {"jku": "https://evil.example/jwks.json", "kid": "own"}),
        ("x5u", {"x5u": "https://evil.example/x.pem"}),
        ("kid of none", {"kid": "own"}),
        ("kid as path", {"kid": "../../../dev/null"}),
        ("kid as SQL", {"kid": "' OR 1=1 --"}),
        ("kid as list", {"kid": [forge.key.kid]}),
        ("kid as null", {"kid": None}),
    ):
        found[f"another's key, {name}"] = forge.headed(own.sign, **header)
    return found


def of_our_key(house: House, forge: Forge) -> dict[str, str]:
    """What we might have signed, and never did."""
    at, said = int(time.time()), forge.saying
    foreigner, colleague = house.foreigner, house.colleague
    return {
        "another issuer": said(iss="https://evil.example"),
        "another audience": said(aud="another-api"),
        "more audiences": said(aud=["florin-api", "another-api"]),
        "no audience": said(aud=None),
        "expired": said(iat=at - 1000, nbf=at - 1000, exp=at - 100),
        "expired just now": said(iat=at - 900, nbf=at - 900, exp=at),
        "not yet": said(nbf=at + 600, iat=at + 600, exp=at + 900),
        "for a year": said(exp=at + 31_536_000),
        "for ever": said(exp=None),
        "expiry as text": said(exp=str(at + 600)),
        "session of another tenant": said(sid=foreigner.session),
        "session of another user": said(sid=colleague.session),
        "session of nobody": said(sid=unknown_id("ses")),
        "no session": said(sid=None),
        "another user": said(sub=colleague.name),
        "a user of another tenant": said(sub=foreigner.name),
        "another tenant": said(tenant=house.their_tenant_id),
        "another tenant and its user": said(tenant=house.their_tenant_id, sub=foreigner.name),
        "no tenant": said(tenant=0),
        "tenant as text": said(tenant="1 OR 1=1"),
        "a key with a session": said(sub=unknown_id("key")),
        "a key of nobody": said(sub=unknown_id("key"), sid=None, scope="*", client_id="x"),
        "type JWT": forge.headed(typ="JWT"),
        "critical": forge.headed(crit=["exp"]),
        "compressed": forge.headed(zip="DEF"),
        "claims that are a list": forge.token(forge.header, [forge.claims]),  # type: ignore[arg-type]
        "too long": said(padding="A" * 4000),
    }


def of_another_form(house: House, forge: Forge) -> dict[str, str]:
    """Parts of a real one, and other credentials that are none for calls."""
    head, claims, signature = forge.real.split(".")
    client = house.ours.made("/v1/api-keys", {"name": "c", "scopes": ["*"], "kind": "client"})
    richer = part({**forge.claims, "scope": "*", "permissions": ["*"]}).decode()
    return {
        "no signature": f"{head}.{claims}.",
        "two parts": f"{head}.{claims}",
        "four parts": f"{forge.real}.{signature}",
        "shortened": forge.real[:-4],
        "lengthened": f"{forge.real}A",
        "richer claims": f"{head}.{richer}.{signature}",
        "signature of another": f"{head}.{claims}.{house.colleague.tokens.access_token.split('.')[2]}",
        "encrypted": f"{head}..{claims}.{signature}.{signature}",
        "dots": "...",
        "one dot": ".",
        "very long": f"{forge.real}{'A' * 8000}",
        "refresh token": house.admin.tokens.refresh_token,
        "client secret": client["secret"],
        "challenge": "fl_ch_1_mJ8cHnXrL0u4o2wQk9sVtYb3eZ5gA7dF1pRxNqTzKhE",
        "session id": house.admin.session,
        "user id": house.admin.name,
    }


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_a_forged_or_confused_token_opens_nothing(house: House, forge: Forge, method: str, path: str) -> None:
    tokens = {**of_other_algorithms(forge), **of_our_key(house, forge), **of_another_form(house, forge)}
    assert len(set(tokens.values())) == len(tokens)
    assert forge.real not in tokens.values()
    before = house.digest()
    for name, token in tokens.items():
        headers = {"authorization": f"Bearer {token}"}
        answer = house.ours.request(
            method, path, headers=headers, **({"json": {}} if method == "POST" else {})
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), name
    assert house.digest() == before


def test_the_forge_makes_what_is_let_in_if_nothing_is_wrong_with_it(house: House, forge: Forge) -> None:
    for token in (forge.real, forge.saying()):
        answer = house.ours.request("GET", "/v1/me", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text


def test_a_token_in_the_query_a_cookie_or_another_header_is_none(house: House, forge: Forge) -> None:
    attempts: tuple[Json, ...] = (
        {"params": {"access_token": forge.real}},
        {"params": {"authorization": f"Bearer {forge.real}"}},
        {"headers": {"cookie": f"access_token={forge.real}; authorization=Bearer {forge.real}"}},
        {"headers": {"x-access-token": forge.real}},
        {"headers": {"proxy-authorization": f"Bearer {forge.real}"}},
        {"headers": {"authorization": f"DPoP {forge.real}"}},
        {"headers": {"authorization": forge.real}},
    )
    for options in attempts:
        answer = house.client.request("GET", "http://florin/v1/me", **options)
        assert answer.status_code == 401, options


def refused(who: Tenant, within_s: float = 5) -> bool:
    """Whether the token is refused, as soon as this process has heard of it."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        answers = [who.request("GET", path).status_code for path in ("/v1/me", "/v1/payments")]
        if answers == [401, 401]:
            return True
        time.sleep(0.02)
    return False


def ended(house: House, who: Resident) -> list[tuple[str, str]]:
    """Ways in which a user's session ends: method and path, by the tenant's own key."""
    return [
        ("POST", f"/v1/users/{who.name}/sessions/{who.session}/end"),
        ("POST", f"/v1/users/{who.name}/sessions/end"),
        ("POST", f"/v1/users/{who.name}/suspend"),
        ("DELETE", f"/v1/users/{who.name}"),
    ]


@pytest.mark.parametrize("way", range(4))
def test_tokens_of_ended_sessions_and_of_suspended_users_open_nothing(house: House, way: int) -> None:
    who = house.resident(Grant("viewer"))
    as_user = house.as_user(who)
    assert as_user.request("GET", "/v1/payments").status_code == 200
    method, path = ended(house, who)[way]
    assert house.ours.request(method, path).status_code < 300
    assert refused(as_user)
    body = {"refresh_token": who.tokens.refresh_token}
    answer = house.client.post("http://florin/v1/auth/refresh", json=body)
    assert answer.status_code == 401, answer.text


def test_a_session_that_is_signed_out_by_its_refresh_token_is_over(house: House) -> None:
    who = house.resident(Grant("viewer"))
    body = {"refresh_token": who.tokens.refresh_token}
    assert house.client.post("http://florin/v1/auth/sign-out", json=body).status_code == 204
    assert refused(house.as_user(who))


def test_a_refresh_token_that_comes_twice_ends_the_session_for_both(house: House) -> None:
    who = house.resident(Grant("viewer"))
    body = {"refresh_token": who.tokens.refresh_token}
    first = house.client.post("http://florin/v1/auth/refresh", json=body)
    assert first.status_code == 200
    assert house.client.post("http://florin/v1/auth/refresh", json=body).status_code == 401
    for token in (who.tokens.access_token, first.json()["access_token"]):
        assert refused(Tenant("http://florin", token, client=house.client))
    again = {"refresh_token": first.json()["refresh_token"]}
    assert house.client.post("http://florin/v1/auth/refresh", json=again).status_code == 401


def test_a_role_that_is_taken_away_is_gone_from_tokens_that_there_are(house: House) -> None:
    who = house.resident(Grant("finance"))
    as_user = house.as_user(who)
    assert as_user.request("GET", "/v1/accounts").status_code == 200
    [role] = house.ours.made(f"/v1/assignments?user_id={who.name}", method="GET")["data"]
    house.ours.made(f"/v1/assignments/{role['id']}/end")
    until = time.monotonic() + 5
    while as_user.request("GET", "/v1/accounts").status_code != 403:
        assert time.monotonic() < until, "the token still may"
        time.sleep(0.02)


def client_of(who: Tenant) -> tuple[str, str]:
    """The id and the secret of an OAuth client that may do everything."""
    made = who.made("/v1/api-keys", {"name": "client", "scopes": ["*"], "kind": "client"})
    return made["id"], made["secret"]


def oauth(house: House, path: str, client: tuple[str, str], **fields: str) -> Json:
    url = f"http://florin/v1/oauth/{path}"
    answer: Json = house.client.post(url, auth=client, data=fields).json()
    return answer


def test_a_clients_token_may_what_it_was_given_and_ends_with_the_client(house: House) -> None:
    client = client_of(house.ours)
    given = oauth(house, "token", client, grant_type="client_credentials", scope="payments:read")
    as_client = Tenant("http://florin", given["access_token"], client=house.client)
    assert as_client.request("GET", "/v1/payments").status_code == 200
    for method, path in (("POST", "/v1/payments"), ("GET", "/v1/refunds"), ("GET", "/v1/users")):
        assert as_client.request(method, path).json()["code"] == "forbidden"
    assert as_client.request("GET", "/v1/me").json()["code"] == "users_only"
    house.ours.made(f"/v1/api-keys/{client[0]}/revoke")
    assert refused(as_client)
    again = oauth(house, "token", client, grant_type="client_credentials")
    assert again["error"] == "invalid_client"


def test_clients_learn_nothing_of_tokens_of_other_tenants_and_partners(house: House) -> None:
    ours, partners = house.admin.tokens.access_token, house.clerk.tokens.access_token
    for who, token, active in (
        (house.ours, ours, True),
        (house.ours, partners, True),
        (house.partner, partners, True),
        (house.partner, ours, False),
        (house.other_partner, partners, False),
        (house.theirs, ours, False),
        (house.theirs, partners, False),
    ):
        shown = oauth(house, "introspect", client_of(who), token=token)
        assert shown["active"] is active
        assert active or shown == {"active": False}


def test_a_client_does_not_get_in_as_another(house: House) -> None:
    own, other = client_of(house.partner), client_of(house.ours)
    for mixed in ((other[0], own[1]), (own[0], other[1])):
        answer = oauth(house, "token", mixed, grant_type="client_credentials")
        assert answer["error"] == "invalid_client"


def test_a_token_says_nothing_that_is_personal_or_secret(forge: Forge) -> None:
    said = {"iss", "aud", "sub", "jti", "iat", "nbf", "exp", "tenant", "mode", "sid"}
    assert forge.claims.keys() == said
