"""The OpenAPI document: valid, complete, and its examples are what it says they are."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from florin.app.openapi.naming import TAGS
from florin.kernel.permissions import PERMISSIONS
from tests.flows.world import DOCUMENT

PROBLEM = "application/problem+json"


ALL: list[tuple[str, dict[str, Any]]] = [
    (path, operation) for path, item in DOCUMENT["paths"].items() for operation in item.values()
]
OPERATIONS = [pytest.param(*case, id=case[1]["operationId"]) for case in ALL]


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """The part itself, or what it refers to."""
    while "$ref" in part:
        found: Any = DOCUMENT
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def check(schema: dict[str, Any], value: Any) -> None:
    """The value is as the schema says."""
    whole = {"components": DOCUMENT["components"], **schema}
    errors = [
        error.message
        for error in Draft202012Validator(
            whole, format_checker=Draft202012Validator.FORMAT_CHECKER
        ).iter_errors(value)
    ]
    assert not errors, (value, errors)


def responses(operation: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    for status, response in operation["responses"].items():
        yield int(status), resolved(response)


def keyed(operation: dict[str, Any]) -> bool:
    return any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    assert not [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()]


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for _, operation in ALL]
    assert len(set(names)) == len(names)
    assert {"createPayment", "listPayments", "getPayment", "capturePayment", "listPaymentEvents"} <= set(
        names
    )


def test_every_tag_is_described_and_used() -> None:
    used = {tag for _, operation in ALL for tag in operation["tags"]}
    assert used == {tag["name"] for tag in TAGS}
    assert all(tag["description"] for tag in DOCUMENT["tags"])


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_an_operation_is_described(path: str, operation: dict[str, Any]) -> None:
    assert re.fullmatch("[a-z][A-Za-z]+", operation["operationId"])
    assert operation["summary"]
    assert operation["description"]
    assert len(operation["tags"]) == 1
    for parameter in operation.get("parameters", ()):
        assert parameter["description"], parameter["name"]


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_an_operation_under_v1_names_its_scope_and_its_problems(path: str, operation: dict[str, Any]) -> None:
    if not path.startswith("/v1/"):
        assert "security" not in operation
        return
    [requirement] = operation["security"]
    assert set(requirement["key"]) <= PERMISSIONS
    statuses = {status for status, _ in responses(operation)}
    assert {400, 401, 403, 413, 422, 429, 503} <= statuses
    assert (
        ("{" not in path) or path in ("/v1/config/{key}", "/v1/templates/{template_name}") or 404 in statuses
    )
    assert not keyed(operation) or 409 in statuses


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_an_answer_has_an_example_that_fits_its_schema(path: str, operation: dict[str, Any]) -> None:
    for status, response in responses(operation):
        assert response["description"] != "Successful Response"
        for media_type, content in response.get("content", {}).items():
            if media_type == PROBLEM:
                assert status >= 400
                for code, example in content["examples"].items():
                    check(content["schema"], example["value"])
                    assert (example["value"]["status"], example["value"]["code"]) == (status, code)
            elif media_type == "application/json":
                check(content["schema"], content["example"])
            elif path != "/metrics" and not path.startswith("/v1/exports/"):
                assert "application/json" in response["content"]  # beside the file


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_a_request_has_an_example_that_fits_and_refuses_unknown_fields(
    path: str, operation: dict[str, Any]
) -> None:
    if "requestBody" not in operation:
        return
    if "text/csv" in operation["requestBody"]["content"]:
        return  # a file: its columns are what tests/ledger/bulk is about
    [(media_type, content)] = operation["requestBody"]["content"].items()
    assert media_type == "application/json"
    check(content["schema"], content["example"])
    for schema in content["schema"].get("anyOf", [content["schema"]]):
        if "$ref" in schema:
            assert resolved(schema)["additionalProperties"] is False
    with pytest.raises(AssertionError):
        check(content["schema"], {**content["example"], "colour": "red"})


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_an_answer_names_its_headers(path: str, operation: dict[str, Any]) -> None:
    for status, response in responses(operation):
        names = set(response["headers"])
        assert "Request-Id" in names
        assert ("Retry-After" in names) == (status in (409, 429, 503))
        assert ("WWW-Authenticate" in names) == (status == 401)
        assert ("RateLimit-Remaining" in names) == ("security" in operation and status != 401)
        assert "Idempotent-Replayed" not in names or keyed(operation)
        if keyed(operation) and status < 300:
            assert "Idempotent-Replayed" in names


def test_every_code_of_an_example_is_listed_with_its_status() -> None:
    listed = {problem["code"]: problem["status"] for problem in DOCUMENT["x-problem-codes"]}
    shown = {
        code: status
        for _, operation in ALL
        for status, response in responses(operation)
        for code in response.get("content", {}).get(PROBLEM, {}).get("examples", {})
    }
    assert shown.items() <= listed.items()
    assert len(listed) == len(DOCUMENT["x-problem-codes"])


def test_the_event_that_a_webhook_carries_is_described() -> None:
    webhook = DOCUMENT["webhooks"]["event"]["post"]
    assert {one["name"] for one in webhook["parameters"]} == {
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
    content = webhook["requestBody"]["content"]["application/json"]
    check(content["schema"], content["example"])
