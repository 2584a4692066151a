"""Use cases of turning keys. A key comes in front of the ring; what others have sealed is sealed anew, in
short transactions beside all other work; when nothing needs an old key any more it may leave.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final

import structlog

from florin.kernel.crypto import KeyRing, SealBroken
from florin.kernel.db import Connection, Database
from florin.privacy.reencryption import store
from florin.privacy.reencryption.columns import RING_SEALED, RingSealed

log = structlog.get_logger(__name__)

Columns = Sequence[RingSealed]

_AT_A_TIME: Final = 200


@dataclass(slots=True)
class Needs:
    """How many values each key of the ring has sealed, by column and the key's id."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def of(self, key_id: str) -> int:
        """How many values need this key."""
        return sum(count for (_, one), count in self.counts.items() if one == key_id)

    @property
    def key_ids(self) -> set[str]:
        """Every key that something needs."""
        return {key_id for _, key_id in self.counts}


@dataclass(slots=True)
class Done:
    """What a re-encryption has done."""

    rows: int = 0
    broken: int = 0
    """Values that did not open: altered, moved. They are named in the log and stay as they are."""


async def needs(database: Database, tenant_ids: Sequence[int], *, columns: Columns = RING_SEALED) -> Needs:
    """What all these tenants, and the platform itself, need of the ring."""
    found = Needs()
    for tenant_id in (None, *tenant_ids):
        async with _context(database, tenant_id) as connection:
            for column in _of(tenant_id, columns):
                for key_id, count in (await store.by_key(connection, tenant_id, column)).items():
                    found.counts[column.name, key_id] += count
    return found


async def count_due(
    database: Database, ring: KeyRing, tenant_id: int | None, *, columns: Columns = RING_SEALED
) -> int:
    """How many of a tenant's values (None: the platform's) other keys have sealed than the one that seals."""
    others = ring.ids[1:]
    if not others:
        return 0
    async with _context(database, tenant_id) as connection:
        counts = [
            await store.count_under(connection, tenant_id, column, others)
            for column in _of(tenant_id, columns)
        ]
    return sum(counts)


async def reencrypt(
    database: Database,
    ring: KeyRing,
    tenant_id: int | None,
    *,
    on_progress: Callable[[int], None] = lambda rows: None,
    at_a_time: int = _AT_A_TIME,
    columns: Columns = RING_SEALED,
) -> Done:
    """Seals a tenant's values (None: the platform's own) anew where other keys of the ring have sealed them.

    It looks for what is left: it may be cut short anywhere, by kill -9 too, and run again; two at once share
    the work. Nobody who reads or writes waits for more than one batch. `on_progress` hears how many rows each
    batch had.
    """
    done = Done()
    for column in _of(tenant_id, columns):
        after = None
        while others := ring.ids[1:]:
            async with _context(database, tenant_id) as connection:
                rows = await store.rows_under(connection, tenant_id, column, others, after, at_a_time)
                if not rows:
                    break
                current = ring.current
                changes, broken = _sealed_anew(ring, column, rows)
                written = await store.write(connection, tenant_id, column, changes) if changes else 0
                if written and tenant_id is not None:
                    await store.note(connection, tenant_id, column, current, written)
            after = rows[-1].key
            log.info("sealed_anew", column=column.name, tenant_id=tenant_id, rows=written)
            done.rows += written
            done.broken += broken
            on_progress(len(rows))
    return done


def _context(database: Database, tenant_id: int | None) -> AbstractAsyncContextManager[Connection]:
    return database.platform() if tenant_id is None else database.tenant(tenant_id)


def _of(tenant_id: int | None, columns: Columns) -> list[RingSealed]:
    return [one for one in columns if one.of_tenant is (tenant_id is not None)]


def _sealed_anew(
    ring: KeyRing, column: RingSealed, rows: Sequence[store.SealedRow]
) -> tuple[list[tuple[store.SealedRow, bytes]], int]:
    changes = []
    for row in rows:
        try:
            value = ring.open(row.sealed, bound_to=row.bound_to)
        except SealBroken as error:
            log.warning("sealed_value_broken", column=column.name, key=str(row.key), error=str(error))
            continue
        changes.append((row, ring.seal(value, bound_to=row.bound_to)))
    return changes, len(rows) - len(changes)
