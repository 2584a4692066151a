"""The room's opened state: database, providers, and the coalescers that everything hot goes through."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from florin.kernel.coalescer import Coalescer
from florin.kernel.db import Database
from florin.kernel.ids import encode_id, new_id
from florin.kernel.notify import Notifier
from florin.ledger.recipes.builtin import built_in
from florin.ledger.recipes.filling import sides_of
from florin.ledger.service import Ledger, account_ids
from florin.payments import calls, store
from florin.payments.errors import LedgerRefused
from florin.payments.model import (
    Finding,
    OperationSettling,
    Posting,
    Settled,
    Settling,
    Snapshot,
)
from florin.providers.provider import Outcome, OutcomeStatus, Provider
from florin.tenancy.service import Tenancy

CAPTURED: Final = "payment.captured"
REFUNDED: Final = "refund.completed"
"""The recipes that say what a payment debits and credits (florin.ledger.recipes.builtin)."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """When to ask a provider that has not given its last word. All in seconds."""

    grace_s: float = 30
    """A request may take so long before the recovery job looks after its attempt."""

    unknown_s: float = 2
    """First inquiry after a time-out."""

    pending_s: float = 20
    """First inquiry of what the provider said it is working on."""

    action_s: float = 60
    """First inquiry while the customer has to act."""

    longest_s: float = 3600
    """Each inquiry waits twice as long as the one before, up to this."""

    charge_again_for_s: float = 60
    """A charge that the provider never heard of is sent again, under the same reference, up to this
    age. Later it fails: nobody wants to be charged for what they gave up long ago."""

    operate_again_for_s: float = 24 * 3600
    """The same for captures, cancellations and refunds, which are owed however late."""


class Payments:
    """Opened payments. One per process."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        tenancy: Tenancy,
        providers: Mapping[str, Provider],
        notifier: Notifier,
        *,
        pacing: Pacing | None = None,
    ) -> None:
        self.database = database
        self.ledger = ledger
        self.tenancy = tenancy
        self.providers = providers
        self.default_provider = next(iter(providers))
        self.notifier = notifier
        self.pacing = pacing or Pacing()
        self.opening = Coalescer(database, calls.opening(self.pacing.grace_s))
        # One flight: settlements of a partner meet at its two accounts, and a second flight would only
        # wait for the first one's locks. Larger groups hold them less often.
        self.settling = Coalescer(database, calls.SETTLE, flights=1)
        self.operation_opening = Coalescer(database, calls.operation_opening(self.pacing.grace_s))
        self.operation_settling = Coalescer(database, calls.SETTLE_OPERATIONS)
        self.reading = Coalescer(database, calls.READ_PAYMENTS)
        self._currencies: dict[str, dict[str, Any]] = {}
        self._account_ids: dict[tuple[int, str, str | None, str, str], tuple[UUID, UUID]] = {}

    async def currencies(self) -> Mapping[str, Mapping[str, Any]]:
        """The currencies that money can be kept in, by code. They change with a release only."""
        if not self._currencies:
            async with self.database.platform() as connection:
                self._currencies = {row["code"]: row for row in await store.currencies(connection)}
        return self._currencies

    def told(self, tenant_id: int) -> None:
        """Wakes whoever fans out events. Call it after the commit that wrote them."""
        self.notifier.say("florin_outbox", str(tenant_id))

    def finding(self, outcome: Outcome | None, *, inquiries: int = 0) -> Finding:
        """What an outcome means for us; None: no answer came."""
        if outcome is None:
            return Finding("unknown", self._wait_s(self.pacing.unknown_s, inquiries))
        first_s = {
            OutcomeStatus.PENDING: self.pacing.pending_s,
            OutcomeStatus.REQUIRES_ACTION: self.pacing.action_s,
        }.get(outcome.status)
        failed = outcome.status is OutcomeStatus.FAILED
        return Finding(
            status=outcome.status.value,
            inquire_s=None if first_s is None else self._wait_s(first_s, inquiries),
            provider_reference=_storable(outcome.provider_reference),
            code=(_storable(outcome.decline_code) or "declined") if failed else None,
            message=_storable(outcome.message) if failed else None,
            redirect_url=(
                _storable(outcome.redirect_url) if outcome.status is OutcomeStatus.REQUIRES_ACTION else None
            ),
        )

    def operation_finding(self, outcome: Outcome | None, *, inquiries: int = 0) -> Finding:
        """As `finding`, for what is asked after the charge: there is nothing between pending and done."""
        if outcome is not None and outcome.status not in (OutcomeStatus.SUCCEEDED, OutcomeStatus.FAILED):
            outcome = replace(outcome, status=OutcomeStatus.PENDING)
        return self.finding(outcome, inquiries=inquiries)

    def _wait_s(self, first_s: float, inquiries: int) -> float:
        return min(first_s * 2.0 ** min(inquiries, 30), self.pacing.longest_s)

    async def settle(self, tenant_id: int, payment: Snapshot, number: int, finding: Finding) -> Settled:
        """Writes down what is known of an attempt: safe to repeat, and to race with another.

        Raises:
            LedgerRefused: an account refuses the posting; the attempt stays open.
        """
        posting = None
        if finding.status == OutcomeStatus.SUCCEEDED:
            debit, credit = await self._accounts(tenant_id, payment, CAPTURED)
            posting = Posting(new_id(), debit, credit, amount_minor=payment["amount"])
        item = Settling(UUID(payment["id"]), number, finding, posting)
        settled = await self.settling.call(tenant_id, item)
        while settled.verdict == "again":
            settled = await self.settling.call(tenant_id, item)
        return self._said(tenant_id, settled)

    async def settle_operation(
        self, tenant_id: int, payment: Snapshot, operation: Snapshot, finding: Finding
    ) -> Settled:
        """Writes down what is known of a capture, cancellation or refund, as `settle` does.

        Raises:
            LedgerRefused: an account refuses the posting; the operation stays open.
        """
        posting = None
        if finding.status == OutcomeStatus.SUCCEEDED and operation["kind"] != "cancel":
            recipe = CAPTURED if operation["kind"] == "capture" else REFUNDED
            debit, credit = await self._accounts(tenant_id, payment, recipe)
            posting = Posting(new_id(), debit, credit, amount_minor=operation["amount"])
        item = OperationSettling(UUID(operation["id"]), UUID(payment["id"]), finding, posting)
        settled = await self.operation_settling.call(tenant_id, item)
        while settled.verdict == "again":
            settled = await self.operation_settling.call(tenant_id, item)
        return self._said(tenant_id, settled)

    async def _accounts(self, tenant_id: int, payment: Snapshot, recipe: str) -> tuple[UUID, UUID]:
        """The accounts that a recipe debits and credits for this payment, made on first use."""
        partner, provider, currency = payment.get("partner_id"), payment["provider"], payment["currency"]
        key = (tenant_id, recipe, partner, provider, currency)
        if key not in self._account_ids:
            owner = "tenant" if partner is None else encode_id("ptnr", UUID(partner))
            sides = sides_of(built_in(recipe), {"partner": owner, "provider": provider, "currency": currency})
            debit, credit = await account_ids(self.ledger, tenant_id, sides)
            self._account_ids[key] = (debit, credit)
        return self._account_ids[key]

    def _said(self, tenant_id: int, settled: Settled) -> Settled:
        if settled.verdict not in (None, "settled"):
            raise LedgerRefused(f"the ledger refuses to book the outcome: {settled.verdict}")
        self.told(tenant_id)
        return settled


def _storable(text: str | None) -> str | None:
    """What a provider wrote, without the one character that PostgreSQL does not take."""
    return None if text is None else text.replace("\0", "")
