"""Runs of retention, one tenant at a time: bounded transactions, that may be cut short and go on.

The books are kept: transfers, entries and amounts of payments stay for good. What goes is what says more
than that: people, free text, what providers told, and the audit log's oldest rows.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from florin.access.people.errors import LastAdministrator
from florin.kernel.clock import now
from florin.kernel.db import Database
from florin.kernel.provenance import Provenance, acting
from florin.privacy import store
from florin.privacy.erasure.service import erase
from florin.privacy.errors import MustBeKept, UnderLegalHold
from florin.privacy.model import Kind
from florin.privacy.retention.policy import Retention, years_before
from florin.privacy.retention.rules import in_force
from florin.privacy.room import Privacy
from florin.privacy.store import Place

log = structlog.get_logger(__name__)

EVENTS_YEARS: Final = 1
"""Events, and what was delivered of them, of all tenants: seed 001. Whole months go at a time."""

_AT_A_TIME: Final = 500
_STRIPPED: Final = "payments.strip"
_WHY: Final = "retention"


@dataclass(slots=True)
class Counts:
    """What a run has let go, or would."""

    customers: int = 0
    users: int = 0
    payments: int = 0
    provider_events: int = 0
    audit_rows: int = 0


Progress = Callable[[str, int], None]
"""Hears the class of data, and how many more of it have gone."""


async def run(
    privacy: Privacy,
    tenant_id: int,
    *,
    dry_run: bool = False,
    on_progress: Progress = lambda what, rows: None,
    at: datetime | None = None,
    at_a_time: int = _AT_A_TIME,
) -> Counts:
    """Lets go what a tenant's rules say, and notes in the audit log how much; `dry_run` only counts.

    Args:
        at: as of when; now.
    """
    rules, at = await in_force(privacy, tenant_id), at or now()
    counts = Counts()
    walk = _Walk(privacy, tenant_id, rules, at, at_a_time, dry_run)
    for what, steps in (
        ("customers", walk.people(Kind.CUSTOMER)),
        ("users", walk.people(Kind.USER)),
        ("payments", walk.payments()),
        ("provider_events", walk.provider_events()),
        ("audit_rows", walk.audit()),
    ):
        async for rows in steps:
            setattr(counts, what, getattr(counts, what) + rows)
            on_progress(what, rows)
    if not dry_run:
        async with privacy.database.tenant(tenant_id) as connection:
            await store.record(
                connection, tenant_id, "retention_run", "retention", str(at.date()), asdict(counts)
            )
    return counts


async def drop_old_events(database: Database) -> list[str]:
    """Drops whole months of events and deliveries that ended more than a year ago, one at a time."""
    dropped: list[str] = []
    while True:
        async with database.platform() as connection:
            name = await store.drop_month(connection, EVENTS_YEARS)
        if name is None:
            return dropped
        log.info("events_dropped", table=name)
        dropped.append(name)


@dataclass(frozen=True, slots=True)
class _Walk:
    """One run over a tenant's data. Each generator gives how many rows each of its steps has let go."""

    privacy: Privacy
    tenant_id: int
    rules: Retention
    at: datetime
    at_a_time: int
    dry_run: bool

    async def people(self, kind: Kind) -> AsyncIterator[int]:
        """Erases those about whom nothing has happened for as long as the rules say."""
        before = years_before(self.at, self.rules.personal_years)
        after: Place | None = None
        while True:
            async with self.privacy.database.tenant(self.tenant_id) as connection:
                found = await store.old_subjects(
                    connection, self.tenant_id, kind, before, after, self.at_a_time
                )
            if not found:
                return
            after = found[-1]
            if self.dry_run:
                yield len(found)
                continue
            for _, id in found:
                yield await self._erase(kind, id)

    async def _erase(self, kind: Kind, id: UUID) -> int:
        """1; or 0 of who has come back or been held since we looked, or alone manages the tenant."""
        who = acting() or Provenance(actor="job:privacy.retention")
        try:
            await erase(self.privacy, self.tenant_id, kind, id, by=replace(who, reason=_WHY))
        except (UnderLegalHold, MustBeKept, LastAdministrator):
            return 0
        return 1

    async def payments(self) -> AsyncIterator[int]:
        """Takes free text out of old payments, from where the last run ended."""
        before = years_before(self.at, self.rules.transactions_years)
        async with self.privacy.database.tenant(self.tenant_id) as connection:
            after = await store.progress(connection, self.tenant_id, _STRIPPED)
        while True:
            async with self.privacy.database.tenant(self.tenant_id) as connection:
                ids = await store.old_payments(connection, self.tenant_id, before, after, self.at_a_time)
                if ids and not self.dry_run:
                    await store.strip_payments(connection, self.tenant_id, ids)
                    await store.set_progress(connection, self.tenant_id, _STRIPPED, ids[-1], now())
            if not ids:
                return
            after = ids[-1]
            yield len(ids)

    async def provider_events(self) -> AsyncIterator[int]:
        """Deletes what providers told as long ago."""
        before = years_before(self.at, self.rules.transactions_years)
        if self.dry_run:
            async with self.privacy.database.tenant(self.tenant_id) as connection:
                yield await store.count_provider_events(connection, self.tenant_id, before)
            return
        gone = self.at_a_time
        while gone == self.at_a_time:
            async with self.privacy.database.tenant(self.tenant_id) as connection:
                gone = await store.forget_provider_events(connection, self.tenant_id, before, self.at_a_time)
            yield gone

    async def audit(self) -> AsyncIterator[int]:
        """Removes the audit log's oldest rows."""
        years = self.rules.audit_years
        async with self.privacy.database.tenant(self.tenant_id) as connection:
            if self.dry_run or not await store.can_prune(connection):
                old = await store.count_audit(connection, self.tenant_id, years_before(self.at, years))
                yield old if self.dry_run else 0
                return
        gone = self.at_a_time
        while gone == self.at_a_time:
            async with self.privacy.database.tenant(self.tenant_id) as connection:
                gone = await store.prune_audit(connection, self.tenant_id, years, self.at_a_time)
            yield gone
