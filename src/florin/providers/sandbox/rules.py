"""What the sandbox answers, as data. No I/O, no clock.

A card says it by its token, a UPI payment by its address:

    token                     address                       what happens
    tok_success               success@sandbox               succeeds
    tok_declined              declined@sandbox              fails: declined
    tok_insufficient_funds    insufficient_funds@sandbox    fails: insufficient_funds
    tok_3ds                   3ds@sandbox                   asks for a redirect; its page decides
    tok_slow                  slow@sandbox                  succeeds after about two seconds
    tok_timeout_before        timeout_before@sandbox        no answer, and no charge
    tok_timeout_after         timeout_after@sandbox         no answer, but charged (also timeout@sandbox)
    tok_late_success          late_success@sandbox          pending, then succeeds
    tok_late_failure          late_failure@sandbox          pending, then fails: declined
    tok_duplicate_webhook     duplicate_webhook@sandbox     succeeds; its webhook comes twice
    tok_refund_fails          refund_fails@sandbox          succeeds; every refund fails: refund_failed
    tok_by_amount             by_amount@sandbox             as the last two digits of the amount say
    any other                                               fails: invalid_token, or invalid_vpa

`tok_by_amount` reads the last two digits of the minor units as an ISO 8583 response code:
05 fails (declined), 51 fails (insufficient_funds), 54 fails (expired_card), 68 is charged but
never answered, 91 is neither charged nor answered; anything else succeeds. No other token looks at the
amount.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from hashlib import sha256
from typing import Final, Protocol

from florin.providers.provider import Charge, Method, Outcome, OutcomeStatus

_VPA_DOMAIN: Final = "@sandbox"
_REFERENCE_DIGITS: Final = 24


class Answer(Enum):
    """Whether and when the caller hears something."""

    AT_ONCE = auto()
    SLOWLY = auto()
    NEVER_NOT_CHARGED = auto()
    NEVER_THOUGH_CHARGED = auto()


@dataclass(frozen=True, slots=True)
class Timings:
    """How long things take, in seconds. Tests shorten them."""

    slow_s: float = 2.0
    """Before `tok_slow` is answered."""

    late_s: float = 2.0
    """From the charge until a late result is known and its webhook goes out."""

    webhook_s: float = 0.1
    """Before the other webhooks go out."""

    unanswered_s: float = 60.0
    """How long an unanswered charge is held. Over HTTP: longer than the caller's time-out."""


@dataclass(frozen=True, slots=True)
class Decline:
    """Why not: a stable code and a sentence."""

    code: str
    message: str


DECLINED: Final = Decline("declined", "The issuer declined the payment.")
INSUFFICIENT_FUNDS: Final = Decline("insufficient_funds", "The account does not hold enough money.")
EXPIRED_CARD: Final = Decline("expired_card", "The card has expired.")
INVALID_TOKEN: Final = Decline("invalid_token", "The sandbox does not know this token.")
INVALID_VPA: Final = Decline("invalid_vpa", "The sandbox does not know this UPI address.")
AUTHENTICATION_FAILED: Final = Decline("authentication_failed", "The buyer did not approve the payment.")
CANCELLED: Final = Decline("cancelled", "The charge was cancelled.")
AMOUNT_TOO_LARGE: Final = Decline("amount_too_large", "The amount is more than what is left of the charge.")
NOT_CAPTURABLE: Final = Decline("charge_not_capturable", "The charge holds no reserved money.")
NOT_CANCELLABLE: Final = Decline("charge_not_cancellable", "The charge cannot be cancelled any more.")
NOT_REFUNDABLE: Final = Decline("charge_not_refundable", "The charge took no money.")
REFUND_FAILED: Final = Decline("refund_failed", "The bank refused the refund.")
UNKNOWN_CHARGE: Final = Decline("unknown_charge", "There is no charge with this reference.")


@dataclass(frozen=True, slots=True)
class Rule:
    """The course of a charge."""

    decline: Decline | None = None
    """How it ends. None: well."""

    begins: OutcomeStatus | None = None
    """REQUIRES_ACTION or PENDING, when the end is not known at once."""

    answer: Answer = Answer.AT_ONCE
    webhooks: int = 0
    """How often the end is told by webhook."""

    refund_fails: bool = False


SUCCESS: Final = Rule()
"""The course of a normal token: it succeeds at once, and that is all."""

_RULES: Final[dict[str, Rule]] = {
    "success": SUCCESS,
    "declined": Rule(decline=DECLINED),
    "insufficient_funds": Rule(decline=INSUFFICIENT_FUNDS),
    "3ds": Rule(begins=OutcomeStatus.REQUIRES_ACTION, webhooks=1),
    "slow": Rule(answer=Answer.SLOWLY),
    "timeout_before": Rule(answer=Answer.NEVER_NOT_CHARGED),
    "timeout_after": Rule(answer=Answer.NEVER_THOUGH_CHARGED),
    "late_success": Rule(begins=OutcomeStatus.PENDING, webhooks=1),
    "late_failure": Rule(begins=OutcomeStatus.PENDING, webhooks=1, decline=DECLINED),
    "duplicate_webhook": Rule(webhooks=2),
    "refund_fails": Rule(refund_fails=True),
}
_BY_AMOUNT: Final[dict[int, Rule]] = {
    5: _RULES["declined"],
    51: _RULES["insufficient_funds"],
    54: Rule(decline=EXPIRED_CARD),
    68: _RULES["timeout_after"],
    91: _RULES["timeout_before"],
}
_BY_TOKEN: Final = {f"tok_{name}": rule for name, rule in _RULES.items()}
_BY_VPA: Final = {f"{name}{_VPA_DOMAIN}": rule for name, rule in _RULES.items()} | {
    f"timeout{_VPA_DOMAIN}": _RULES["timeout_after"]
}

TOKENS: Final = (*_BY_TOKEN, "tok_by_amount")
"""Every token that means something."""


def rule_for(method: Method, amount_minor: int) -> Rule:
    """The course that the token, else the UPI address, else (when they say so) the amount asks for."""
    if method.token is not None:
        if method.token == "tok_by_amount":  # noqa: S105, a test token, no secret
            return _BY_AMOUNT.get(amount_minor % 100, SUCCESS)
        return _BY_TOKEN.get(method.token) or Rule(decline=INVALID_TOKEN)
    if method.vpa is not None:
        vpa = method.vpa.lower()
        if vpa == f"by_amount{_VPA_DOMAIN}":
            return _BY_AMOUNT.get(amount_minor % 100, SUCCESS)
        return _BY_VPA.get(vpa) or Rule(decline=INVALID_VPA)
    return Rule(decline=INVALID_TOKEN)


def provider_reference(reference: str) -> str:
    """The sandbox's own reference for ours: `sbx_` and 24 hex digits, always the same."""
    return f"sbx_{sha256(reference.encode()).hexdigest()[:_REFERENCE_DIGITS]}"


def done(reference: str) -> Outcome:
    """A capture, cancellation or refund that was carried out."""
    return Outcome(OutcomeStatus.SUCCEEDED, provider_reference(reference))


def refused(reference: str, why: Decline) -> Outcome:
    """A charge or operation that was not."""
    return Outcome(OutcomeStatus.FAILED, provider_reference(reference), why.code, why.message)


class Takes(Protocol):
    """What the end of a charge depends on: all of a Charge, or what a redirect link remembers of it."""

    @property
    def reference(self) -> str:
        """Ours."""

    @property
    def capture(self) -> bool:
        """Whether to take the money at once."""


def end_of(charge: Takes, decline: Decline | None) -> Outcome:
    """How a charge ends: refused, else taken or reserved as it asked."""
    if decline is not None:
        return refused(charge.reference, decline)
    status = OutcomeStatus.SUCCEEDED if charge.capture else OutcomeStatus.AUTHORIZED
    return Outcome(status, provider_reference(charge.reference))


def beginning_of(charge: Charge, rule: Rule, link: Callable[[Charge], str]) -> Outcome:
    """What is answered to the charge itself. `link` gives its redirect page, if the rule asks for one."""
    if rule.begins is None:
        return end_of(charge, rule.decline)
    outcome = Outcome(rule.begins, provider_reference(charge.reference))
    if rule.begins is OutcomeStatus.REQUIRES_ACTION:
        return replace(outcome, redirect_url=link(charge))
    return outcome


def objection_to_capture(status: OutcomeStatus, left_minor: int, amount_minor: int) -> Decline | None:
    """Why not to capture: the charge is not reserved, or less than `amount_minor` is left of it."""
    if status is not OutcomeStatus.AUTHORIZED:
        return NOT_CAPTURABLE
    return AMOUNT_TOO_LARGE if amount_minor > left_minor else None


def objection_to_cancel(status: OutcomeStatus, captured_minor: int) -> Decline | None:
    """Why not to cancel: the charge has ended, is being decided, or money was taken."""
    if status in {OutcomeStatus.AUTHORIZED, OutcomeStatus.REQUIRES_ACTION} and captured_minor == 0:
        return None
    return NOT_CANCELLABLE


def objection_to_refund(rule: Rule, taken_minor: int, left_minor: int, amount_minor: int) -> Decline | None:
    """Why not to refund: nothing was taken, less is left, or the test token says that it fails."""
    if taken_minor == 0:
        return NOT_REFUNDABLE
    if amount_minor > left_minor:
        return AMOUNT_TOO_LARGE
    return REFUND_FAILED if rule.refund_fails else None
