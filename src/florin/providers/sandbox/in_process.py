"""The sandbox in this process.

Its answers follow from the charge alone (token, UPI address, amount, time of creation), so any process
answers like any other, after a restart too. What that costs: it cannot count, so the sum of several
captures or refunds is not checked here (each alone is), and an inquiry about a charge that was never
made answers as if it had been. Redirects that this process decided and charges that it cancelled are
remembered as a courtesy to the next inquiry; the webhook is what tells the platform.
"""

import asyncio
import base64
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from hashlib import sha256
from typing import Final

import orjson

from florin.kernel.clock import now
from florin.providers.provider import Charge, Outcome, OutcomeStatus, OutcomeUnknown, ProviderEvent
from florin.providers.sandbox import rules, signature
from florin.providers.sandbox.courier import Courier, Deliver
from florin.providers.sandbox.keys import SandboxKeys
from florin.providers.sandbox.redirect import Redirection
from florin.providers.sandbox.rules import Answer, Rule, Timings
from florin.providers.sandbox.wire import charge_event

_MAX_REMEMBERED: Final = 10_000
_REFUND_PREFIX: Final = "re_"
_NEVER_ANSWERED: Final = {Answer.NEVER_NOT_CHARGED, Answer.NEVER_THOUGH_CHARGED}


class InProcessSandbox:
    """The provider `sandbox` without a network. Also the Desk of its redirect page."""

    name: str = "sandbox"

    def __init__(
        self,
        *,
        keys: SandboxKeys,
        deliver: Deliver,
        redirect_url: str,
        timings: Timings | None = None,
        webhook_retry_s: float = 0.5,
    ) -> None:
        """`deliver` takes each webhook. `redirect_url` is where `redirect_router` is reached, without
        the reference: `http://127.0.0.1:8000/sandbox/redirect`."""
        self._keys = keys
        self._redirect_url = redirect_url.rstrip("/")
        self._timings = timings or Timings(unanswered_s=1.0)
        self._courier = Courier(deliver, keys.webhook, retry_s=webhook_retry_s)
        self._ended: OrderedDict[str, Outcome] = OrderedDict()

    async def charge(self, charge: Charge) -> Outcome:
        """See Provider."""
        rule = rules.rule_for(charge.method, charge.amount_minor)
        if rule is rules.SUCCESS:
            return rules.end_of(charge, None)
        if rule.answer in _NEVER_ANSWERED:
            await asyncio.sleep(self._timings.unanswered_s)
            raise OutcomeUnknown("the sandbox did not answer, as its test token says")
        if rule.answer is Answer.SLOWLY:
            await asyncio.sleep(self._timings.slow_s)
        if rule.webhooks and rule.begins is not OutcomeStatus.REQUIRES_ACTION:
            late = rule.begins is OutcomeStatus.PENDING
            self._courier.send(
                charge_event(charge.reference, rules.end_of(charge, rule.decline)),
                after_s=self._timings.late_s if late else self._timings.webhook_s,
                times=rule.webhooks,
            )
        return rules.beginning_of(charge, rule, self._link)

    async def inquire(self, charge: Charge) -> Outcome | None:
        """See Provider."""
        return self._present(charge, rules.rule_for(charge.method, charge.amount_minor))

    async def capture(
        self, reference: str, charge: Charge, provider_reference: str, amount_minor: int
    ) -> Outcome:
        """See Provider. `amount_minor` is compared with the whole charge."""
        present = self._present(charge, rules.rule_for(charge.method, charge.amount_minor))
        if present is None:
            return rules.refused(reference, rules.UNKNOWN_CHARGE)
        if present.status is OutcomeStatus.REQUIRES_ACTION:
            # Another process may have seen the buyer approve it; the platform would not ask otherwise.
            present = rules.end_of(charge, None)
        objection = rules.objection_to_capture(present.status, charge.amount_minor, amount_minor)
        return rules.refused(reference, objection) if objection else rules.done(reference)

    async def cancel(self, reference: str, charge: Charge, provider_reference: str) -> Outcome:
        """See Provider."""
        present = self._present(charge, rules.rule_for(charge.method, charge.amount_minor))
        if present is None:
            return rules.refused(reference, rules.UNKNOWN_CHARGE)
        cancelled = rules.refused(charge.reference, rules.CANCELLED)
        if present == cancelled:
            return rules.done(reference)
        objection = rules.objection_to_cancel(present.status, captured_minor=0)
        if objection:
            return rules.refused(reference, objection)
        self._remember(charge.reference, cancelled)
        return rules.done(reference)

    async def refund(
        self, reference: str, charge: Charge, provider_reference: str, amount_minor: int
    ) -> Outcome:
        """See Provider. `amount_minor` is compared with the whole charge."""
        rule = rules.rule_for(charge.method, charge.amount_minor)
        if rule.answer is Answer.NEVER_NOT_CHARGED:
            return rules.refused(reference, rules.UNKNOWN_CHARGE)
        taken_minor = 0 if rule.decline else charge.amount_minor
        objection = rules.objection_to_refund(rule, taken_minor, taken_minor, amount_minor)
        return rules.refused(reference, objection) if objection else rules.done(reference)

    async def inquire_operation(self, reference: str, charge: Charge) -> Outcome | None:
        """See Provider. Answers as if the operation had been asked for with a fitting amount."""
        rule = rules.rule_for(charge.method, charge.amount_minor)
        if rule.answer is Answer.NEVER_NOT_CHARGED:
            return None
        if rule.refund_fails and reference.startswith(_REFUND_PREFIX):
            return rules.refused(reference, rules.REFUND_FAILED)
        if rule.decline:
            return rules.refused(reference, rule.decline)
        return rules.done(reference)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> list[ProviderEvent]:
        """See Provider."""
        return signature.parse_webhook(self._keys.webhook, headers, body, now())

    async def close(self) -> None:
        """See Provider. Webhooks still to come are given up; an inquiry finds their news."""
        await self._courier.close()

    def awaiting(self, reference: str, query: Mapping[str, str]) -> Redirection | None:
        """See Desk. The link itself carries the charge, signed."""
        content, mac = query.get("charge", ""), query.get("signature", "")
        if reference in self._ended or not hmac.compare_digest(self._mac(content).encode(), mac.encode()):
            return None
        redirection = Redirection(**orjson.loads(base64.urlsafe_b64decode(content)))
        return redirection if redirection.reference == reference else None

    def decide(self, redirection: Redirection, *, approved: bool) -> None:
        """See Desk."""
        outcome = rules.end_of(redirection, None if approved else rules.AUTHENTICATION_FAILED)
        self._remember(redirection.reference, outcome)
        self._courier.send(charge_event(redirection.reference, outcome), after_s=self._timings.webhook_s)

    def _present(self, charge: Charge, rule: Rule) -> Outcome | None:
        if rule.answer is Answer.NEVER_NOT_CHARGED:
            return None
        ended = self._ended.get(charge.reference)
        if ended is not None:
            return ended
        late = timedelta(seconds=self._timings.late_s)
        if rule.begins is OutcomeStatus.PENDING and now() >= charge.created_at + late:
            return rules.end_of(charge, rule.decline)
        return rules.beginning_of(charge, rule, self._link)

    def _remember(self, reference: str, outcome: Outcome) -> None:
        self._ended[reference] = outcome
        if len(self._ended) > _MAX_REMEMBERED:
            self._ended.popitem(last=False)

    def _link(self, charge: Charge) -> str:
        content = base64.urlsafe_b64encode(orjson.dumps(asdict(Redirection.of(charge)))).decode()
        return f"{self._redirect_url}/{charge.reference}?charge={content}&signature={self._mac(content)}"

    def _mac(self, content: str) -> str:
        return hmac.new(self._keys.redirect, content.encode(), sha256).hexdigest()
