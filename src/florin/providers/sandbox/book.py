"""What the sandbox's server remembers: charges and operations by our reference. No I/O, no clock."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from florin.providers.provider import Charge, EventKind, Outcome, OutcomeStatus
from florin.providers.sandbox import rules
from florin.providers.sandbox.rules import Decline, Rule

MAX_CHARGES: Final = 100_000


class ReferenceReused(Exception):
    """This reference was used before, with other content."""


class UnknownCharge(Exception):
    """There is no charge with this reference."""


@dataclass(slots=True)
class Operation:
    """A capture, cancellation or refund, done or refused."""

    kind: EventKind
    charge_reference: str
    amount_minor: int
    outcome: Outcome


@dataclass(slots=True)
class Entry:
    """One charge."""

    charge: Charge
    rule: Rule
    beginning: Outcome
    accepted_at: datetime
    requests: int = 0
    """How often it was asked for. The money is taken once."""

    ended: Outcome | None = None
    """By the buyer's decision or a cancellation."""

    captured_minor: int = 0
    refunded_minor: int = 0


class Book:
    """At most `max_charges` charges and three times as many operations; the oldest are forgotten.

    Sums outlive what they are made of.
    """

    def __init__(self, *, late_s: float, max_charges: int = MAX_CHARGES) -> None:
        self._late = timedelta(seconds=late_s)
        self._max_charges = max_charges
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._operations: OrderedDict[str, Operation] = OrderedDict()
        self._forgotten: Counter[str] = Counter()
        self._taken_forgotten: Counter[str] = Counter()
        self._refunded: Counter[str] = Counter()

    def take(self, charge: Charge, at: datetime, link: Callable[[Charge], str]) -> Entry:
        """The charge, entered at `at` if it is new; `requests` is 1 then.

        Raises:
            ReferenceReused: known with another amount, currency, method or way of capture.
        """
        entry = self._entries.get(charge.reference)
        if entry is None:
            rule = rules.rule_for(charge.method, charge.amount_minor)
            entry = Entry(charge, rule, rules.beginning_of(charge, rule, link), at)
            self._entries[charge.reference] = entry
            self._forget_oldest(at)
        elif _content(entry.charge) != _content(charge):
            raise ReferenceReused(f"reference {charge.reference} belongs to another charge")
        entry.requests += 1
        return entry

    def entry(self, reference: str) -> Entry:
        """Raises UnknownCharge."""
        entry = self._entries.get(reference)
        if entry is None:
            raise UnknownCharge(f"no charge has the reference {reference}")
        return entry

    def outcome(self, entry: Entry, at: datetime) -> Outcome:
        """Where the charge stands at `at`."""
        if entry.ended is not None:
            return entry.ended
        if entry.rule.begins is OutcomeStatus.PENDING and at >= entry.accepted_at + self._late:
            return rules.end_of(entry.charge, entry.rule.decline)
        return entry.beginning

    def decide(self, reference: str, *, approved: bool) -> Outcome:
        """The buyer's decision about a redirect, taken once: the first one stands."""
        entry = self.entry(reference)
        if entry.ended is None:
            entry.ended = rules.end_of(entry.charge, None if approved else rules.AUTHENTICATION_FAILED)
        return entry.ended

    def operation(self, reference: str) -> Operation | None:
        """None: never heard of."""
        return self._operations.get(reference)

    def capture(self, reference: str, charge_reference: str, amount_minor: int, at: datetime) -> Outcome:
        """Takes reserved money. Raises UnknownCharge, ReferenceReused."""
        entry = self.entry(charge_reference)

        def judge() -> Decline | None:
            left_minor = entry.charge.amount_minor - entry.captured_minor
            return rules.objection_to_capture(self.outcome(entry, at).status, left_minor, amount_minor)

        operation, fresh = self._operate(EventKind.CAPTURE, reference, charge_reference, amount_minor, judge)
        if fresh and operation.outcome.status is OutcomeStatus.SUCCEEDED:
            entry.captured_minor += amount_minor
        return operation.outcome

    def cancel(self, reference: str, charge_reference: str, at: datetime) -> Outcome:
        """Gives up a charge; a cancelled one stays so. Raises UnknownCharge, ReferenceReused."""
        entry = self.entry(charge_reference)
        cancelled = rules.refused(charge_reference, rules.CANCELLED)

        def judge() -> Decline | None:
            present = self.outcome(entry, at)
            if present == cancelled:
                return None
            return rules.objection_to_cancel(present.status, entry.captured_minor)

        operation, fresh = self._operate(EventKind.CANCEL, reference, charge_reference, 0, judge)
        if fresh and operation.outcome.status is OutcomeStatus.SUCCEEDED:
            entry.ended = cancelled
        return operation.outcome

    def refund(self, reference: str, charge_reference: str, amount_minor: int, at: datetime) -> Outcome:
        """Gives taken money back. Raises UnknownCharge, ReferenceReused."""
        entry = self.entry(charge_reference)

        def judge() -> Decline | None:
            taken_minor = self._taken_minor(entry, at)
            left_minor = taken_minor - entry.refunded_minor
            return rules.objection_to_refund(entry.rule, taken_minor, left_minor, amount_minor)

        operation, fresh = self._operate(EventKind.REFUND, reference, charge_reference, amount_minor, judge)
        if fresh and operation.outcome.status is OutcomeStatus.SUCCEEDED:
            entry.refunded_minor += amount_minor
            self._refunded[entry.charge.currency] += amount_minor
        return operation.outcome

    def stats(self, at: datetime, *, newest: int) -> dict[str, Any]:
        """Sums per currency in minor units, counts, and the `newest` charges, newest first."""
        taken, by_status = self._taken_forgotten.copy(), self._forgotten.copy()
        requests = 0
        for entry in self._entries.values():
            taken[entry.charge.currency] += self._taken_minor(entry, at)
            by_status[self.outcome(entry, at).status.value] += 1
            requests += entry.requests
        latest = list(self._entries.values())[::-1][:newest]
        return {
            "charges": by_status.total(),
            "charge_requests": requests,
            "charges_by_status": dict(by_status),
            "taken_minor": {currency: amount for currency, amount in taken.items() if amount},
            "refunded_minor": dict(self._refunded),
            "newest": [self._line(entry, at) for entry in latest],
        }

    def _line(self, entry: Entry, at: datetime) -> dict[str, Any]:
        return {
            "reference": entry.charge.reference,
            "description": entry.charge.description,
            "requests": entry.requests,
            "status": self.outcome(entry, at).status.value,
            "amount_minor": entry.charge.amount_minor,
            "currency": entry.charge.currency,
            "taken_minor": self._taken_minor(entry, at),
            "refunded_minor": entry.refunded_minor,
        }

    def _taken_minor(self, entry: Entry, at: datetime) -> int:
        if self.outcome(entry, at).status is OutcomeStatus.SUCCEEDED:
            return entry.charge.amount_minor
        return entry.captured_minor

    def _operate(
        self,
        kind: EventKind,
        reference: str,
        charge_reference: str,
        amount_minor: int,
        judge: Callable[[], Decline | None],
    ) -> tuple[Operation, bool]:
        """The operation, and whether it is new. A known one is not judged again."""
        known = self._operations.get(reference)
        if known is not None:
            if (known.kind, known.charge_reference, known.amount_minor) != (
                kind,
                charge_reference,
                amount_minor,
            ):
                raise ReferenceReused(f"reference {reference} belongs to another operation")
            return known, False
        objection = judge()
        outcome = rules.refused(reference, objection) if objection else rules.done(reference)
        operation = Operation(kind, charge_reference, amount_minor, outcome)
        self._operations[reference] = operation
        if len(self._operations) > 3 * self._max_charges:
            self._operations.popitem(last=False)
        return operation, True

    def _forget_oldest(self, at: datetime) -> None:
        if len(self._entries) <= self._max_charges:
            return
        _, entry = self._entries.popitem(last=False)
        self._forgotten[self.outcome(entry, at).status.value] += 1
        self._taken_forgotten[entry.charge.currency] += self._taken_minor(entry, at)


def _content(charge: Charge) -> tuple[object, ...]:
    return (charge.amount_minor, charge.currency, charge.method, charge.capture)
