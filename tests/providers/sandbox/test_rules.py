import pytest

from florin.providers.provider import Method
from florin.providers.sandbox.rules import (
    SUCCESS,
    TOKENS,
    Answer,
    Rule,
    provider_reference,
    rule_for,
)


@pytest.mark.parametrize("token", TOKENS)
def test_every_token_has_a_upi_address_with_the_same_course(token: str) -> None:
    name = token.removeprefix("tok_")
    for amount_minor in (100, 105, 151, 154, 168, 191):
        by_token = rule_for(Method("card", token=token), amount_minor)
        assert by_token == rule_for(Method("upi", vpa=f"{name}@sandbox"), amount_minor)
        assert by_token == rule_for(Method("upi", vpa=f"{name}@SANDBOX".title()), amount_minor)


@pytest.mark.parametrize(
    "method", [Method("card", token="tok_success"), Method("upi", vpa="success@sandbox")]
)
def test_the_amount_disturbs_no_normal_token(method: Method) -> None:
    assert all(rule_for(method, amount_minor) is SUCCESS for amount_minor in range(1, 300))


@pytest.mark.parametrize(
    ("amount_minor", "code"),
    [(10_05, "declined"), (51, "insufficient_funds"), (99_54, "expired_card"), (10_00, None), (1, None)],
)
def test_the_last_two_digits_decide_for_tok_by_amount(amount_minor: int, code: str | None) -> None:
    rule = rule_for(Method("card", token="tok_by_amount"), amount_minor)
    assert (rule.decline.code if rule.decline else None) == code


@pytest.mark.parametrize(
    ("amount_minor", "answer"), [(168, Answer.NEVER_THOUGH_CHARGED), (191, Answer.NEVER_NOT_CHARGED)]
)
def test_amounts_can_ask_for_silence(amount_minor: int, answer: Answer) -> None:
    assert rule_for(Method("card", token="tok_by_amount"), amount_minor).answer is answer


def test_timeout_at_sandbox_is_the_dangerous_one() -> None:
    assert rule_for(Method("upi", vpa="timeout@sandbox"), 100).answer is Answer.NEVER_THOUGH_CHARGED


@pytest.mark.parametrize(
    ("method", "code"),
    [
        (Method("card", token="tok_visa"), "invalid_token"),
        (Method("card", token=""), "invalid_token"),
        (Method("card"), "invalid_token"),
        (Method("upi", vpa="success@okbank"), "invalid_vpa"),
        (Method("upi", vpa="@sandbox"), "invalid_vpa"),
    ],
)
def test_what_the_sandbox_does_not_know_fails(method: Method, code: str) -> None:
    rule = rule_for(method, 100)
    assert isinstance(rule, Rule)
    assert rule.decline is not None
    assert rule.decline.code == code


def test_the_provider_reference_follows_from_ours() -> None:
    assert provider_reference("att_1") == provider_reference("att_1") != provider_reference("att_2")
