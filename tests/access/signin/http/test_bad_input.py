"""Bad input to sign in with: a 4xx that names the field, and nothing of it in the answer or the log."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.access.signin.conftest import PASSWORD, User
from tests.flows.world import DOCUMENT

from .conftest import Client

OURS = ("Sign-in", "Me")
WRITING = [
    pytest.param(path.removeprefix("/v1/"), item["post"]["requestBody"], id=item["post"]["operationId"])
    for path, item in DOCUMENT["paths"].items()
    if "post" in item and item["post"]["tags"][0] in OURS and "requestBody" in item["post"]
]


def content(request: Any) -> Any:
    return request["content"]["application/json"]


@pytest.mark.parametrize(("path", "request_body"), WRITING)
async def test_a_field_that_is_unknown_or_of_another_type_is_named(
    client: Client, ann: User, path: str, request_body: Any
) -> None:
    token = await client.token(ann)
    example, schema = content(request_body)["example"], content(request_body)["schema"]
    validator = Draft202012Validator({"components": DOCUMENT["components"], **schema})
    properties = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
    tried = 0
    for name in ("colour", *properties):
        for value in (None, True, 7, 1.5, "", "x\u0000y", "x" * 5000, [], ["x"], {}, {"x": 1}):
            body = {**example, name: value}
            if name == "colour" or not validator.is_valid(body):
                answer = await client("POST", path, body, token)
                assert answer.status_code == 422, (body, answer.text)
                params = {error["param"] for error in answer.json()["errors"]}
                assert any(one == name or one.startswith(f"{name}.") for one in params), (name, params)
                tried += 1
    assert tried > len(properties)


@pytest.mark.parametrize(("path", "request_body"), WRITING)
async def test_what_is_no_object_of_json_is_refused(
    client: Client, ann: User, path: str, request_body: Any
) -> None:
    token = await client.token(ann)
    wrong: tuple[Any, ...] = ([], [{}], "text", 7, True)
    for body in wrong:
        assert (await client("POST", path, body, token)).status_code == 422
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    for raw in (b"{", b"", b'{"a": 1, "a": 2}', b"\xff"):
        answer = await client._client.post(f"/v1/{path}", content=raw, headers=headers)
        assert answer.status_code in (400, 422)
    assert (await client("POST", f"{path}?colour=red", content(request_body)["example"], token)).json()[
        "param"
    ] == "colour"
    large = await client._client.post(f"/v1/{path}", content=b" " * 70_000, headers=headers)
    assert large.status_code == 413


async def test_nothing_that_was_typed_or_given_out_is_in_the_log(
    client: Client, ann: User, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = await client.sign_in(ann)
    await client.sign_in(ann)
    typed = {
        "tenant": ann.tenant.code,
        "live": False,
        "login": "planted.login",
        "password": "planted word 81",
    }
    assert (await client("POST", "auth/sign-in", typed)).status_code == 401
    assert (await client("POST", "auth/sign-in", typed | {"live": "planted"})).status_code == 422
    printed = "".join(capsys.readouterr())
    secrets = ["planted", PASSWORD, ann.email, begun["access_token"], begun["refresh_token"]]
    assert [one for one in secrets if one in printed or one in json.dumps(printed)] == []
