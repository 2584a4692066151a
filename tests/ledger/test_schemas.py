"""What request bodies are taken, and which field a wrong one is refused at."""

from typing import Any

import pytest
from pydantic import ValidationError

from florin.kernel.ids import encode_id, new_id
from florin.ledger.http.schemas import (
    AccountChange,
    BatchRequest,
    HoldPostRequest,
    HoldRequest,
    NewAccountRequest,
    Request,
    TransferRequest,
)

ACCOUNT = {"code": "a:1", "name": "A", "type": "asset", "currency": "USD"}


def leg(direction: str = "debit", amount: object = 5, **other: object) -> dict[str, object]:
    return {"account": encode_id("acct", new_id()), "direction": direction, "amount": amount} | other


LEGS = [leg(), leg("credit")]


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (NewAccountRequest, ACCOUNT | {"min_balance": -5, "max_balance": None, "metadata": {"k": "v"}}),
        (AccountChange, {}),
        (AccountChange, {"max_balance": None, "status": "frozen"}),
        (TransferRequest, {"legs": LEGS, "currency": "USD", "effective_at": "2020-01-01T00:00:00+05:30"}),
        (HoldRequest, {"legs": LEGS, "expires_at": "2199-01-01T00:00:00Z"}),
        (HoldPostRequest, {"amount": 5}),
        (HoldPostRequest, {"legs": LEGS}),
        (BatchRequest, {"transfers": [{"legs": LEGS, "idempotency_key": "k"}]}),
    ],
)
def test_right_bodies_are_taken(model: type[Request], body: dict[str, Any]) -> None:
    assert model.model_validate(body).model_fields_set == body.keys()


@pytest.mark.parametrize(
    ("model", "body", "location"),
    [
        (NewAccountRequest, ACCOUNT | {"code": ""}, ("code",)),
        (NewAccountRequest, ACCOUNT | {"code": "a b"}, ("code",)),
        (NewAccountRequest, ACCOUNT | {"name": "nul\0"}, ("name",)),
        (NewAccountRequest, ACCOUNT | {"type": "wallet"}, ("type",)),
        (NewAccountRequest, ACCOUNT | {"currency": "usd"}, ("currency",)),
        (NewAccountRequest, ACCOUNT | {"min_balance": 10**18 + 1}, ("min_balance",)),
        (NewAccountRequest, ACCOUNT | {"max_balance": 1.0}, ("max_balance",)),
        (NewAccountRequest, ACCOUNT | {"metadata": {"k": "\0"}}, ("metadata", "k")),
        (NewAccountRequest, ACCOUNT | {"metadata": {str(n): "" for n in range(51)}}, ("metadata",)),
        (NewAccountRequest, ACCOUNT | {"colour": "red"}, ("colour",)),
        (AccountChange, {"currency": "EUR"}, ("currency",)),
        (TransferRequest, {"legs": LEGS[:1]}, ("legs",)),
        (TransferRequest, {"legs": [leg() for _ in range(101)]}, ("legs",)),
        (TransferRequest, {"legs": [leg(amount=0), *LEGS]}, ("legs", 0, "amount")),
        (TransferRequest, {"legs": [leg(amount=-5), *LEGS]}, ("legs", 0, "amount")),
        (TransferRequest, {"legs": [leg(amount=5.0), *LEGS]}, ("legs", 0, "amount")),
        (TransferRequest, {"legs": [leg(amount="5"), *LEGS]}, ("legs", 0, "amount")),
        (TransferRequest, {"legs": [leg(amount=True), *LEGS]}, ("legs", 0, "amount")),
        (TransferRequest, {"legs": [leg(amount=2**63), *LEGS]}, ("legs", 0, "amount")),
        (TransferRequest, {"legs": [leg("both"), *LEGS]}, ("legs", 0, "direction")),
        (TransferRequest, {"legs": [leg(account="acct_1"), *LEGS]}, ("legs", 0, "account")),
        (TransferRequest, {"legs": [leg(account=encode_id("tr", new_id())), *LEGS]}, ("legs", 0, "account")),
        (TransferRequest, {"legs": [leg(account=7), *LEGS]}, ("legs", 0, "account")),
        (TransferRequest, {"legs": LEGS, "effective_at": "2020-01-01T00:00:00"}, ("effective_at",)),
        (TransferRequest, {"legs": LEGS, "effective_at": "0001-01-01T00:00:00+14:00"}, ("effective_at",)),
        (TransferRequest, {"legs": LEGS, "description": ""}, ("description",)),
        (HoldPostRequest, {"amount": 0}, ("amount",)),
        (BatchRequest, {"transfers": []}, ("transfers",)),
        (BatchRequest, {"transfers": [{"legs": LEGS}]}, ("transfers", 0, "idempotency_key")),
    ],
)
def test_a_wrong_body_is_refused_at_its_field(
    model: type[Request], body: dict[str, Any], location: tuple[str | int, ...]
) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(body)
    found = refused.value.errors()[0]["loc"]
    assert found[: len(location)] == location
