"""Signing in over HTTP."""

from datetime import timedelta
from typing import Any

import pyotp
import pytest

from florin.access.signin import policy
from tests.access.signin.conftest import ANOTHER, PASSWORD, MakeUser, MovableClock, Outbox, User

from .conftest import Client


def where(user: User, **more: Any) -> dict[str, Any]:
    return {"tenant": user.tenant.code, "live": user.tenant.live, **more}


async def test_a_session_begins_and_its_token_says_who_calls(client: Client, ann: User) -> None:
    begun = await client.sign_in(ann)
    assert begun["status"] == "signed_in"
    assert begun["expires_in"] == 900
    me = (await client("GET", "me", token=begun["access_token"])).json()
    assert (me["user_name"], me["session_id"], me["permissions"]) == (
        ann.user_name,
        begun["session_id"],
        ["events:read", "payments:read", "refunds:read", "tenancy:read"],
    )
    assert (me["name"], me["email"], me["phone"]) == ("Ann Example", ann.email, ann.phone)
    sessions = (await client("GET", "me/sessions", token=begun["access_token"])).json()["data"]
    assert [(one["id"], one["address"]) for one in sessions] == [(begun["session_id"], "198.51.100.7")]


async def test_what_is_wrong_is_one_problem_whatever_it_is(client: Client, ann: User) -> None:
    problems = []
    for change in (
        {"login": "nobody"},
        {"password": "wrong"},
        {"tenant": "NOBODY"},
        {"live": not ann.tenant.live},
    ):
        body = where(ann, login=ann.email, password=PASSWORD) | change
        answer = await client("POST", "auth/sign-in", body)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        problem = answer.json()
        problem.pop("request_id")
        problems.append(problem)
    assert problems == [problems[0]] * 4
    assert problems[0]["code"] == "sign_in_failed"


async def test_an_address_that_guesses_is_told_when_to_come_again(client: Client, ann: User) -> None:
    for number in range(policy.ADDRESS_FAILURES):
        body = where(ann, login=f"nobody{number}", password="wrong")
        assert (await client("POST", "auth/sign-in", body)).status_code == 401
    answer = await client("POST", "auth/sign-in", where(ann, login=ann.email, password=PASSWORD))
    assert answer.status_code == 429
    assert answer.json()["code"] == "too_many_attempts"
    assert answer.headers["retry-after"] == "60"


@pytest.mark.parametrize(
    ("path", "change", "param"),
    [
        ("sign-in", {"tenant": ""}, "tenant"),
        ("sign-in", {"live": "yes"}, "live"),
        ("sign-in", {"login": "x" * 300}, "login"),
        ("sign-in", {"password": None}, "password"),
        ("sign-in", {"password": "x" * 5000}, "password"),
        ("sign-in", {"colour": "red"}, "colour"),
        ("codes", {"purpose": "step_up"}, "purpose"),
        ("codes", {"channel": "pigeon"}, "channel"),
        ("code-sign-in", {"code_id": "ses_01m7wp2t22e4dvjfctsr26knk1"}, "code_id"),
        ("code-sign-in", {"code": "123"}, "code"),
        ("challenge", {"challenge": "nonsense"}, "challenge"),
        ("challenge", {"code": "<script>"}, "code"),
    ],
)
async def test_a_field_that_breaks_a_rule_is_named_and_not_repeated(
    client: Client, ann: User, path: str, change: dict[str, Any], param: str
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "sign-in": where(ann, login=ann.email, password="planted secret 7311"),
        "codes": where(ann, login=ann.email, purpose="sign_in"),
        "code-sign-in": where(ann, code_id="otc_01m7wp2t22e4dvjfctsr26knk1", code="493021"),
        "challenge": {"challenge": "fl_ch_1_abc", "code": "493021"},
    }
    answer = await client("POST", f"auth/{path}", bodies[path] | change)
    assert answer.status_code == 422
    assert param in {error["param"] for error in answer.json()["errors"]}
    assert "planted" not in answer.text


async def test_an_administrator_sets_up_the_second_factor_on_the_way_in(
    client: Client, make_user: MakeUser, clock: MovableClock
) -> None:
    admin = await make_user(live=True, roles=["tenant_admin"])
    challenged = await client.sign_in(admin)
    assert challenged["status"] == "mfa_enrolment_required"
    assert "access_token" not in challenged
    given = {"challenge": challenged["challenge"]}
    secret = (await client("POST", "auth/challenge/enrol", given)).json()["secret"]
    app = pyotp.TOTP(secret)
    wrong = await client("POST", "auth/challenge", {**given, "code": "000000"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "challenge_failed")
    begun = await client("POST", "auth/challenge", {**given, "code": app.at(clock.at)})
    assert begun.status_code == 200
    assert len(begun.json()["recovery_codes"]) == 10
    challenged = await client.sign_in(admin)
    assert (challenged["status"], challenged["factors"]) == ("mfa_required", ["otp", "recovery"])
    clock.move(timedelta(seconds=30))
    body = {"challenge": challenged["challenge"], "code": app.at(clock.at)}
    assert (await client("POST", "auth/challenge", body)).json()["recovery_codes"] is None


async def test_a_code_signs_in_and_another_sets_a_password(
    client: Client, ann: User, outbox: Outbox, clock: MovableClock
) -> None:
    sent = await client("POST", "auth/codes", where(ann, login=ann.phone, purpose="sign_in"))
    assert sent.status_code == 202
    body = where(ann, code_id=sent.json()["code_id"], code=outbox.code)
    begun = await client("POST", "auth/code-sign-in", body)
    assert begun.json()["status"] == "signed_in"
    again = await client("POST", "auth/code-sign-in", body)
    assert (again.status_code, again.json()["code"]) == (401, "code_not_taken")
    clock.move(timedelta(minutes=1))
    sent = await client("POST", "auth/codes", where(ann, login=ann.email, purpose="reset_password"))
    body = where(ann, code_id=sent.json()["code_id"], code=outbox.code, password="password12345")
    refused = await client("POST", "auth/password", body)
    assert (refused.status_code, refused.json()["errors"][0]["rule"]) == (422, "common")
    assert (await client("POST", "auth/password", body | {"password": ANOTHER})).status_code == 204
    assert (await client.sign_in(ann, ANOTHER))["status"] == "signed_in"
    gone = await client("GET", "me", token=begun.json()["access_token"])
    assert gone.status_code == 401


async def test_nobody_is_answered_as_somebody(client: Client, ann: User, outbox: Outbox) -> None:
    answers = []
    for login in (ann.email, "nobody@shop.example"):
        answer = await client("POST", "auth/codes", where(ann, login=login, purpose="sign_in"))
        body = answer.json()
        answers.append((answer.status_code, sorted(body), body["expires_in"], len(body["code_id"])))
    assert answers[0] == answers[1]
    assert len(outbox.messages) == 1
