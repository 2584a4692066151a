"""The only caller of `queries.sql` and `rules/`. The caller's transaction is its tenant's."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict
from datetime import timedelta
from hashlib import md5
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiosql
import orjson
from psycopg.types.json import Jsonb

from florin.kernel.db import Connection
from florin.ledger.proof.model import (
    AccountRange,
    EntrySum,
    Fault,
    LegSum,
    Proven,
    Standing,
    fault_of,
)

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")
_rules: Any = aiosql.from_path(Path(__file__).with_name("rules"), "apsycopg")

MAX_FAULTS: Final = 100
"""No statement names more: whoever finds a hundred has seen enough."""


async def faults_of(connection: Connection, rule: str, tenant_id: int, **bounds: Any) -> list[Fault]:
    """What breaks this rule of `rules/` within bounds, at most MAX_FAULTS."""
    rows = getattr(_rules, rule)(connection, tenant_id=tenant_id, limit=MAX_FAULTS, **bounds)
    return [Fault(*row) async for row in rows]


async def advance(connection: Connection, tenant_id: int, grace: timedelta) -> UUID | None:
    """Moves the mark before which the log is complete; returns it. Raises LockNotAvailable."""
    mark: UUID | None = await _queries.advance(connection, tenant_id=tenant_id, grace=grace)
    return mark


async def sealed_before(connection: Connection, tenant_id: int) -> UUID | None:
    """The mark before which the log is complete."""
    mark: UUID | None = await _queries.sealed_before(connection, tenant_id=tenant_id)
    return mark


async def skip_transfers(connection: Connection, tenant_id: int, after: UUID, count: int) -> UUID | None:
    """The id of the transfer so many after this id; None: there are not so many."""
    found: UUID | None = await _queries.skip_transfers(
        connection, tenant_id=tenant_id, after_id=after, count=count
    )
    return found


async def accounts_after(
    connection: Connection, tenant_id: int, after: UUID, limit: int
) -> list[tuple[UUID, int]]:
    """A page of accounts by id, each with the number of its last entry."""
    rows = _queries.accounts_after(connection, tenant_id=tenant_id, after_id=after, limit=limit)
    return [(row[0], row[1]) async for row in rows]


async def sum_of_legs(connection: Connection, tenant_id: int, from_id: UUID, to_id: UUID) -> LegSum:
    """A range of the log in a few figures."""
    transfers, entries, total, balanced = await _queries.sum_of_legs(
        connection, tenant_id=tenant_id, from_id=from_id, to_id=to_id
    )
    return LegSum(transfers, entries, int(total), balanced)


async def sums_of_entries(
    connection: Connection, tenant_id: int, bounds: Sequence[UUID], accounts: AccountRange
) -> AsyncIterator[EntrySum]:
    """The entries of a range of accounts in a few figures per range of the log."""
    rows = _queries.sum_of_entries(
        connection,
        tenant_id=tenant_id,
        bounds=list(bounds),
        from_account=accounts.from_account,
        to_account=accounts.to_account,
        from_seq=accounts.from_seq,
        to_seq=accounts.to_seq,
    )
    async for part, entries, total, follows in rows:
        yield EntrySum(part, entries, int(total), follows)


async def lock_proof(connection: Connection, tenant_id: int) -> UUID:
    """Up to which transfer the books are proven; nobody else goes on before this transaction ends."""
    row = await _queries.lock_proof(connection, tenant_id=tenant_id)
    proven_before: UUID = row[0]
    return proven_before


async def proven_before(connection: Connection, tenant_id: int) -> UUID | None:
    """Up to which transfer the books are proven."""
    row = await _queries.proof(connection, tenant_id=tenant_id)
    return None if row is None else row[0]


async def move_proof(connection: Connection, tenant_id: int, to_id: UUID, proven: Proven) -> None:
    """Moves the proof on."""
    await _queries.move_proof(
        connection,
        tenant_id=tenant_id,
        proven_before=to_id,
        transfers=proven.transfers,
        entries=proven.entries,
    )


async def count_legs(connection: Connection, tenant_id: int, from_id: UUID, to_id: UUID) -> tuple[int, int]:
    """How many transfers and entries a range of the log speaks of."""
    transfers, entries = await _queries.count_legs(
        connection, tenant_id=tenant_id, from_id=from_id, to_id=to_id
    )
    return transfers, entries


def fault_id(fault: Fault) -> UUID:
    """The same for the same fault, whoever finds it: so it is noted once."""
    said = f"{fault.rule}|{fault.transfer_id}|{fault.account_id}|{fault.seq}"
    return UUID(bytes=md5(said.encode(), usedforsecurity=False).digest())


async def add_faults(connection: Connection, tenant_id: int, faults: Iterable[Fault]) -> list[Fault]:
    """Notes faults, with an event for each; returns those that nobody had noted before."""
    by_id = {fault_id(fault): fault for fault in faults}
    if not by_id:
        return []
    rows = _queries.add_faults(
        connection,
        tenant_id=tenant_id,
        ids=list(by_id),
        rules=[one.rule for one in by_id.values()],
        details=[one.detail for one in by_id.values()],
        transfer_ids=[one.transfer_id for one in by_id.values()],
        account_ids=[one.account_id for one in by_id.values()],
        seqs=[one.seq for one in by_id.values()],
    )
    return [Fault(*row) async for row in rows]


async def standing(connection: Connection, tenant_id: int, *, count_up_to: int) -> Standing:
    """How the proof stands: how far, how far behind, what it has found."""
    row = await _queries.proof(connection, tenant_id=tenant_id)
    before, proven_at, transfers, entries = row or (UUID(int=0), None, 0, 0)
    last_id, last_recorded_at, behind, waited_s = await _queries.behind(
        connection, tenant_id=tenant_id, proven_before=before, limit=count_up_to
    )
    found = _queries.faults(connection, tenant_id=tenant_id, limit=MAX_FAULTS)
    return Standing(
        transfers=transfers,
        entries=entries,
        last_transfer_id=last_id,
        last_recorded_at=last_recorded_at,
        proven_at=proven_at,
        behind_transfers=behind,
        behind_s=waited_s,
        fault_count=await _queries.count_faults(connection, tenant_id=tenant_id),
        faults=tuple([Fault(*one) async for one in found]),
    )


async def rebuilt_before(connection: Connection, tenant_id: int) -> UUID | None:
    """How far a rebuild has come; None: none is under way."""
    found: UUID | None = await _queries.rebuild_begun(connection, tenant_id=tenant_id)
    return found


async def begin_rebuild(connection: Connection, tenant_id: int) -> None:
    """Begins a rebuild anew."""
    await forget_rebuild(connection, tenant_id)
    await _queries.begin_rebuild(connection, tenant_id=tenant_id)


async def forget_rebuild(connection: Connection, tenant_id: int) -> None:
    """Forgets the rebuild that is under way, if there is one."""
    await _queries.forget_rebuilt_accounts(connection, tenant_id=tenant_id)
    await _queries.forget_rebuild(connection, tenant_id=tenant_id)


async def lock_rebuild(connection: Connection, tenant_id: int) -> UUID:
    """How far the rebuild has come, with its row locked. One must be under way."""
    found: UUID = await _queries.lock_rebuild(connection, tenant_id=tenant_id)
    return found


async def rebuild_range(
    connection: Connection, tenant_id: int, from_id: UUID, to_id: UUID, faults: Sequence[Fault]
) -> None:
    """Adds up what a range of the log does to each account; notes how far that went and what was found."""
    await _queries.rebuild_range(connection, tenant_id=tenant_id, from_id=from_id, to_id=to_id)
    found = [asdict(one) for one in faults]
    await _queries.move_rebuild(
        connection,
        tenant_id=tenant_id,
        rebuilt_before=to_id,
        faults=Jsonb(found, dumps=orjson.dumps),
    )


async def faults_of_rebuild(connection: Connection, tenant_id: int) -> list[Fault]:
    """What the rebuild has found on the way."""
    return [fault_of(**one) for one in await _queries.faults_of_rebuild(connection, tenant_id=tenant_id)]


async def rebuilt_differently(connection: Connection, tenant_id: int) -> list[Fault]:
    """Accounts that do not stand where the log leaves them."""
    rows = _queries.rebuilt_differently(connection, tenant_id=tenant_id, limit=MAX_FAULTS)
    return [Fault(*row) async for row in rows]


async def shut(connection: Connection, tenant_id: int) -> None:
    """Keeps everybody from posting until the transaction ends."""
    await _queries.shut(connection, tenant_id=tenant_id)


async def write_accounts(connection: Connection, tenant_id: int) -> list[UUID]:
    """Puts accounts where the log leaves them; those that stood elsewhere."""
    return [row[0] async for row in _queries.write_accounts(connection, tenant_id=tenant_id)]


async def write_limits(connection: Connection, tenant_id: int) -> list[UUID]:
    """Makes shared limits the sums of their accounts; those that were not."""
    return [row[0] async for row in _queries.write_limits(connection, tenant_id=tenant_id)]


async def drop_projections(connection: Connection, tenant_id: int, account_ids: Sequence[UUID]) -> None:
    """Forgets snapshots, dated totals and open items of some accounts: they are projected anew."""
    given = {"tenant_id": tenant_id, "account_ids": list(account_ids)}
    await _queries.drop_projections(connection, **given)  # first: whoever projects one of them has its lock
    await _queries.drop_snapshots(connection, **given)
    await _queries.drop_dated_totals(connection, **given)
    await _queries.drop_open_items(connection, **given)
