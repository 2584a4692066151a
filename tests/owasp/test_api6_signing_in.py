"""API6:2023 for signing in: passwords, codes and tokens are guessed a few times, by user and by address."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pyotp
import pytest

from florin.access.signin.policy import ADDRESS_FAILURES, USER_FAILURES
from florin.access.signin.room import SignIn
from florin.kernel.http.call import OpenToAll
from florin.kernel.settings import Settings
from tests.flows.world import Operation, Tenant
from tests.owasp.house import FROM, OPERATIONS, House, permission
from tests.owasp.residents import PASSWORD, Resident, give_password

Json = dict[str, Any]

OPEN = [one for one in OPERATIONS if isinstance(permission(one), OpenToAll)]
WHERE = {"tenant": "OURS", "live": False}
WRONG = "amber lantern drifts 93"
_addresses = count(1)


def an_address() -> str:
    """One that nothing has come from yet."""
    number = next(_addresses)
    return f"198.51.{number // 250}.{number % 250 + 1}"


def knock(house: House, path: str, body: Json | None, address: str | None = None) -> httpx.Response:
    """A stranger's request, from an address of its own unless it is said from where."""
    headers = {FROM: address or an_address()}
    return house.client.post(f"http://florin/v1/auth/{path}", json=body, headers=headers)


def sign_in(house: House, login: str, password: str, address: str | None = None) -> httpx.Response:
    return knock(house, "sign-in", {**WHERE, "login": login, "password": password}, address)


def outcome(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.fixture
def someone(house: House) -> Resident:
    """With a password."""
    who = house.resident()
    house.run(give_password(house.rooms, who))
    return who


def test_wrong_passwords_lock_the_user_out_wherever_they_come_from(house: House, someone: Resident) -> None:
    unknown = outcome(sign_in(house, f"u{uuid4().hex[:20]}", WRONG))
    assert unknown[0] == 401
    for _ in range(USER_FAILURES):
        assert outcome(sign_in(house, someone.user_name, WRONG)) == unknown
    assert outcome(sign_in(house, someone.user_name, PASSWORD)) == unknown
    assert outcome(sign_in(house, someone.email, PASSWORD)) == unknown, "by another name he is the same"


def test_guesses_that_are_made_at_once_are_as_many_as_guesses_one_by_one(
    house: House, someone: Resident
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: sign_in(house, someone.user_name, WRONG), range(16)))
    assert {one.status_code for one in answers} <= {401, 503}
    assert sign_in(house, someone.user_name, PASSWORD).status_code == 401


def test_the_right_password_in_time_is_let_in(house: House, someone: Resident) -> None:
    for _ in range(USER_FAILURES - 1):
        sign_in(house, someone.user_name, WRONG)
    answer = sign_in(house, someone.user_name, PASSWORD)
    assert answer.status_code == 200, answer.text


def test_an_address_that_guesses_at_many_users_has_to_wait_and_others_do_not(
    house: House, someone: Resident
) -> None:
    address = an_address()
    for _ in range(ADDRESS_FAILURES):
        assert sign_in(house, f"u{uuid4().hex[:20]}", WRONG, address).status_code == 401
    answer = sign_in(house, someone.user_name, PASSWORD, address)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert sign_in(house, someone.user_name, PASSWORD).status_code == 200


def wanted(login: str, purpose: str = "reset_password") -> Json:
    return {**WHERE, "login": login, "purpose": purpose}


def test_codes_are_sent_once_a_minute_to_a_login_and_ten_times_from_an_address(
    house: House, someone: Resident
) -> None:
    for login in (someone.user_name, f"u{uuid4().hex[:20]}"):  # nobody learns who there is
        assert knock(house, "codes", wanted(login)).status_code == 202
        assert knock(house, "codes", wanted(login)).status_code == 429
    address = an_address()
    answers = [knock(house, "codes", wanted(f"u{uuid4().hex[:20]}"), address) for _ in range(11)]
    assert [one.status_code for one in answers] == [202] * 10 + [429]


def code_for(house: House, who: Resident, purpose: str = "reset_password") -> tuple[str, str]:
    """The id of a code and the six digits that he has got by e-mail."""
    code_id: str = knock(house, "codes", wanted(who.user_name, purpose)).json()["code_id"]
    return code_id, digits(house, code_id)


def digits(house: House, code_id: str) -> str:
    """The six digits of a code, as they were sent."""
    house.run(house.rooms[SignIn].settle())
    sent = (Path(house.rooms[Settings].data_dir) / "messages.jsonl").read_text().splitlines()
    [text] = [one["text"] for one in map(json.loads, sent) if one["id"] == code_id]
    return str(text[:6])


def reset(house: House, code_id: str, code: str, password: str = "seven copper lanterns drift") -> int:
    body = {**WHERE, "code_id": code_id, "code": code, "password": password}
    return knock(house, "password", body).status_code


def other_than(code: str, number: int) -> str:
    return f"{(int(code) + number) % 1_000_000:06}"


def test_a_code_is_guessed_at_five_times_and_then_the_right_one_is_wrong_too(
    house: House, someone: Resident
) -> None:
    code_id, code = code_for(house, someone)
    for number in range(1, 6):
        assert reset(house, code_id, other_than(code, number)) == 401
    assert reset(house, code_id, code) == 401
    assert sign_in(house, someone.user_name, PASSWORD).status_code == 200


def test_a_code_is_good_once_and_for_what_it_was_asked_for(house: House, someone: Resident) -> None:
    code_id, code = code_for(house, someone, "sign_in")
    assert reset(house, code_id, code) == 401
    given = {**WHERE, "code_id": code_id, "code": code}
    assert knock(house, "code-sign-in", {**given, "tenant": "OTHER"}).status_code == 401
    assert knock(house, "code-sign-in", given).status_code == 200
    assert knock(house, "code-sign-in", given).status_code == 401


def test_a_code_of_one_user_proves_nothing_for_another(house: House) -> None:
    victim, thief = house.as_user(house.resident()), house.as_user(house.colleague)
    made = victim.made("/v1/me/codes", {"purpose": "verify_email"})
    given = {"code_id": made["code_id"], "code": digits(house, made["code_id"])}
    answer = thief.request("POST", "/v1/me/contacts/verify", json=given)
    assert 400 <= answer.status_code < 500, answer.text
    assert thief.made("/v1/me", method="GET")["email_verified"] is False
    assert victim.made("/v1/me/contacts/verify", given)["email_verified"] is True


def test_a_present_password_is_guessed_at_five_times_by_whoever_has_the_session(
    house: House, someone: Resident
) -> None:
    signed_in = sign_in(house, someone.user_name, PASSWORD).json()
    headers = {"authorization": f"Bearer {signed_in['access_token']}", FROM: an_address()}

    def change(present: str) -> int:
        body = {"present_password": present, "new_password": "seven copper lanterns drift"}
        url = "http://florin/v1/me/password"
        return house.client.post(url, json=body, headers=headers).status_code

    assert {change(f"{WRONG} {number}") for number in range(USER_FAILURES)} == {403}
    assert change(PASSWORD) == 403


def test_a_second_factor_is_guessed_at_a_few_times_and_then_the_right_one_is_wrong_too(
    house: House, someone: Resident
) -> None:
    signed_in = sign_in(house, someone.user_name, PASSWORD).json()
    me = Tenant("http://florin", signed_in["access_token"], client=house.client)
    secret = me.made("/v1/me/totp", {"password": PASSWORD})["secret"]
    fresh = me.made("/v1/me/totp/confirm", {"code": pyotp.TOTP(secret).now()})["recovery_codes"]

    def answer(challenge: str, code: str) -> int:
        return knock(house, "challenge", {"challenge": challenge, "code": code}).status_code

    challenge = sign_in(house, someone.user_name, PASSWORD).json()["challenge"]
    assert answer(challenge, fresh[0]) == 200
    challenge = sign_in(house, someone.user_name, PASSWORD).json()["challenge"]
    assert answer(challenge, fresh[0]) == 401, "a recovery code is good once"
    for number in range(USER_FAILURES - 1):
        assert answer(challenge, f"{number:06}") == 401
    assert answer(challenge, fresh[1]) == 401
    assert outcome(sign_in(house, someone.user_name, PASSWORD))[0] == 401, "and the user is locked out"


def until_refused(ask: Callable[[], httpx.Response], most: int) -> httpx.Response:
    """The first answer that is 429, of `most` that are asked for."""
    for _ in range(most):
        answer = ask()
        if answer.status_code == 429:
            return answer
    raise AssertionError(f"{most} were not too many")


def body_of(operation: Operation) -> dict[str, Any]:
    if operation.schema is None:  # a form
        return {"data": {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}}
    return {"json": operation.example}


def test_an_address_has_so_many_requests_a_minute_for_all_that_is_open(house: House) -> None:
    address, turn = an_address(), count()
    allowed = house.rooms[Settings].stranger_limit_per_minute

    def ask() -> httpx.Response:
        operation = OPEN[next(turn) % len(OPEN)]
        url = f"http://florin{operation.path}"
        return house.client.request(operation.method, url, headers={FROM: address}, **body_of(operation))

    in_a_row = 0
    for _ in range(3 * allowed):  # a minute may end in between
        answer = ask()
        in_a_row = in_a_row + 1 if answer.status_code == 429 else 0
        if in_a_row == len(OPEN):
            break
    assert in_a_row == len(OPEN)
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("path", ["/v1/auth/refresh", "/v1/oauth/token"])
def test_secrets_that_renew_and_get_tokens_are_guessed_so_often_a_minute(house: House, path: str) -> None:
    [operation] = [one for one in OPEN if one.path == path]
    address, allowed = an_address(), house.rooms[Settings].stranger_limit_per_minute

    def guess() -> httpx.Response:
        url = f"http://florin{path}"
        return house.client.post(url, headers={FROM: address}, **body_of(operation))

    assert until_refused(guess, 2 * allowed + 1).headers["retry-after"]


def test_tokens_and_keys_are_guessed_so_often_a_minute(house: House) -> None:
    address, allowed = an_address(), house.rooms[Settings].stranger_limit_per_minute
    _, _, signature = house.admin.tokens.access_token.split(".")

    def guess() -> httpx.Response:
        guessed = (f"fl_test_1_{uuid4().hex}{'A' * 11}", f"{uuid4().hex}.{uuid4().hex}.{signature}")
        for one in guessed:
            headers = {FROM: address, "authorization": f"Bearer {one}"}
            answer = house.client.get("http://florin/v1/payments", headers=headers)
            if answer.status_code == 429:
                break
        return answer

    assert until_refused(guess, 2 * allowed + 1).headers["retry-after"]
    others = {FROM: address, "authorization": f"Bearer {house.ours.key}"}
    answer = house.client.get("http://florin/v1/payments", headers=others)
    assert answer.status_code == 200, "whoever has a key is not held up by others at the same address"
