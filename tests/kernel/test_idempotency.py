import pytest

from florin.kernel.errors import IdempotencyKeyMissing, InvalidRequest
from florin.kernel.idempotency import idempotency


def test_the_same_request_has_the_same_slot_and_digest() -> None:
    one = idempotency("tenant", "POST /v1/x", "k", b'{"a": 1, "b": 2}')
    other = idempotency("tenant", "POST /v1/x", "k", b'{"b":2,"a":1}')
    assert one == other


@pytest.mark.parametrize("changed", ["actor", "operation", "key"])
def test_actor_operation_and_key_each_make_another_slot(changed: str) -> None:
    given = {"actor": "a", "operation": "o", "key": "k"}
    body = b"{}"
    assert idempotency(**given, body=body).slot != idempotency(**{**given, changed: "z"}, body=body).slot


def test_another_body_keeps_the_slot_and_changes_the_digest() -> None:
    one = idempotency("a", "o", "k", b'{"amount": 1}')
    other = idempotency("a", "o", "k", b'{"amount": 2}')
    assert one.slot == other.slot
    assert one.digest != other.digest


def test_a_missing_empty_or_long_key_is_refused() -> None:
    with pytest.raises(IdempotencyKeyMissing):
        idempotency("a", "o", None, b"{}")
    for key in ("", "x" * 256):
        with pytest.raises(InvalidRequest) as refused:
            idempotency("a", "o", key, b"{}")
        assert refused.value.param == "Idempotency-Key"
