"""What is a signed-in user's own, over HTTP."""

from datetime import timedelta
from typing import Any

import pyotp
import pytest

from tests.access.signin.conftest import ANOTHER, PASSWORD, MakeUser, MovableClock, Outbox, User

from .conftest import Client

OWN = [
    ("GET", "me", None),
    ("POST", "me/password", {"present_password": PASSWORD, "new_password": ANOTHER}),
    ("POST", "me/totp", {"password": PASSWORD}),
    ("POST", "me/totp/confirm", {"code": "493021"}),
    ("POST", "me/totp/disable", {"totp": "493021"}),
    ("POST", "me/code-factor", {"channel": "sms", "proof": {"password": PASSWORD}}),
    ("POST", "me/recovery-codes", {"totp": "493021"}),
    ("POST", "me/codes", {"purpose": "verify_email"}),
    ("POST", "me/contacts/verify", {"code_id": "otc_01m7wp2t22e4dvjfctsr26knk1", "code": "493021"}),
]


@pytest.mark.parametrize(("method", "path", "body"), OWN)
async def test_a_key_and_a_stranger_do_not_reach_it(
    client: Client, key: str, method: str, path: str, body: Any
) -> None:
    answer = await client(method, path, body, key)
    assert (answer.status_code, answer.json()["code"]) == (403, "users_only")
    assert (await client(method, path, body)).status_code == 401


async def test_a_changed_password_leaves_this_session_and_ends_the_others(client: Client, ann: User) -> None:
    here, there = await client.token(ann), await client.token(ann)
    wrong = {"present_password": "wrong", "new_password": ANOTHER}
    refused = await client("POST", "me/password", wrong, here)
    assert (refused.status_code, refused.json()["code"]) == (403, "wrong_proof")
    same = {"present_password": PASSWORD, "new_password": PASSWORD}
    refused = await client("POST", "me/password", same, here)
    assert (refused.status_code, refused.json()["param"]) == (422, "new_password")
    assert refused.json()["errors"][0]["rule"] == "used_before"
    right = {"present_password": PASSWORD, "new_password": ANOTHER}
    assert (await client("POST", "me/password", right, here)).status_code == 204
    assert (await client("GET", "me", token=here)).status_code == 200
    assert (await client("GET", "me", token=there)).status_code == 401


async def test_an_app_is_set_up_used_and_taken_off(client: Client, ann: User, clock: MovableClock) -> None:
    token = await client.token(ann)
    made = (await client("POST", "me/totp", {"password": PASSWORD}, token)).json()
    app = pyotp.TOTP(made["secret"])
    assert made["uri"].startswith("otpauth://totp/")
    confirmed = await client("POST", "me/totp/confirm", {"code": app.at(clock.at)}, token)
    assert len(confirmed.json()["recovery_codes"]) == 10
    me = (await client("GET", "me", token=token)).json()
    assert me["second_factor"] == {
        "totp": True,
        "code_channel": None,
        "recovery_codes_left": 10,
        "demanded": False,
    }
    again = await client("POST", "me/totp", {"password": PASSWORD}, token)
    assert (again.status_code, again.json()["code"]) == (409, "second_factor_on")
    clock.move(timedelta(seconds=30))
    renewed = await client("POST", "me/recovery-codes", {"totp": app.at(clock.at)}, token)
    recovery = renewed.json()["recovery_codes"]
    taken_off = await client("POST", "me/totp/disable", {"recovery_code": recovery[0]}, token)
    assert taken_off.status_code == 204
    assert (await client.sign_in(ann))["status"] == "signed_in"


@pytest.mark.parametrize(
    ("proof", "param"),
    [
        ({}, "body"),
        ({"password": "x", "totp": "493021"}, "body"),
        ({"code": "493021"}, "body"),
        ({"totp": "49"}, "totp"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_proof_is_one_thing(client: Client, ann: User, proof: Any, param: str) -> None:
    answer = await client("POST", "me/totp", proof, await client.token(ann))
    assert answer.status_code == 422
    assert param in {error["param"] for error in answer.json()["errors"]}


async def test_a_number_is_verified_then_proves_who_one_is_then_is_a_second_factor(
    client: Client, ann: User, outbox: Outbox, clock: MovableClock
) -> None:
    token = await client.token(ann)
    unverified = await client("POST", "me/codes", {"purpose": "step_up", "channel": "sms"}, token)
    assert (unverified.status_code, unverified.json()["code"]) == (409, "contact_not_verified")
    for body in ({"purpose": "step_up"}, {"purpose": "verify_phone", "channel": "email"}):
        answer = await client("POST", "me/codes", body, token)
        assert (answer.status_code, answer.json()["param"]) == (422, "channel")
    sent = (await client("POST", "me/codes", {"purpose": "verify_phone"}, token)).json()
    given = {"code_id": sent["code_id"], "code": outbox.code}
    assert (await client("POST", "me/contacts/verify", given, token)).json()["phone_verified"]
    assert (await client("POST", "me/contacts/verify", given, token)).status_code == 403
    clock.move(timedelta(minutes=1))
    sent = (await client("POST", "me/codes", {"purpose": "step_up", "channel": "sms"}, token)).json()
    proof = {"code_id": sent["code_id"], "code": outbox.code}
    chosen = await client("POST", "me/code-factor", {"channel": "sms", "proof": proof}, token)
    assert len(chosen.json()["recovery_codes"]) == 10
    challenged = await client.sign_in(ann)
    assert challenged["factors"] == ["sms", "recovery"]
    clock.move(timedelta(minutes=1))
    sent = (await client("POST", "auth/challenge/code", {"challenge": challenged["challenge"]})).json()
    given = {"challenge": challenged["challenge"], "code": outbox.code, "code_id": sent["code_id"]}
    assert (await client("POST", "auth/challenge", given)).json()["status"] == "signed_in"


async def test_a_user_of_another_tenant_sees_himself_only(client: Client, make_user: MakeUser) -> None:
    ann, ben = await make_user(), await make_user(live=True)
    tokens = [await client.token(user) for user in (ann, ben)]
    seen = [(await client("GET", "me", token=token)).json() for token in tokens]
    assert [(one["email"], one["live"]) for one in seen] == [(ann.email, False), (ben.email, True)]
