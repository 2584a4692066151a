"""The only caller of `queries.sql`, and the one round trip of a dry run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiosql
from psycopg import OperationalError
from psycopg.rows import TupleRow

from florin.kernel.coalescer import array, numbered
from florin.kernel.db import CONNECTION_LOST, Connection, Database, set_tenant
from florin.kernel.errors import Unavailable
from florin.kernel.pipeline import STALE, Statement, run_pipeline
from florin.ledger.model import AccountType, Balance, Posting, SystemAccount
from florin.ledger.posting import POST, encode_postings
from florin.ledger.rehearsal.model import Pool, Standing

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")

_POST: Final = numbered(POST.statement)
_STANDINGS: Final = _queries.standings.sql.replace("%(tenant_id)s", "$1").replace("%(ids)s", "$2").encode()
_ENSURE: Final = (
    b"SELECT ledger.ensure_accounts($1, $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[])"
)
_ATTEMPTS: Final = 3


async def rehearse(
    database: Database,
    tenant_id: int,
    postings: Sequence[Posting],
    *,
    atomic: bool,
    making: Sequence[tuple[UUID, SystemAccount]] = (),
) -> tuple[list[TupleRow], list[Standing]]:
    """The rows of `ledger.post`, and how all accounts of the postings stand then. One round trip.

    `making`: accounts that are made first, for as long as it lasts.

    Raises:
        Unavailable: the database is away, or too many others hold the accounts.
    """
    numbers = array([1] * len(postings)) if atomic else None
    accounts = {leg.account_id for posting in postings for leg in posting.legs}
    statements = [
        Statement(b"BEGIN"),
        Statement(set_tenant(tenant_id).encode()),
        *([_made(tenant_id, making)] if making else []),
        *([Statement(_POST, (tenant_id, *encode_postings(postings, numbers)))] if postings else []),
        Statement(_STANDINGS, (tenant_id, array(sorted(accounts)))),
        Statement(b"ROLLBACK"),
    ]
    for attempt in range(_ATTEMPTS):
        try:
            async with database.connection() as connection:
                rows = await run_pipeline(connection, statements)
        except (*CONNECTION_LOST, *STALE, OperationalError) as error:
            if attempt == _ATTEMPTS - 1:
                raise Unavailable from error
        else:
            return rows[-3] if postings else [], [_standing(row) for row in rows[-2]]
    raise AssertionError("a loop that returns or raises has ended")


def _made(tenant_id: int, making: Sequence[tuple[UUID, SystemAccount]]) -> Statement:
    wanted = [one for _, one in making]
    return Statement(
        _ENSURE,
        (
            tenant_id,
            array([account_id for account_id, _ in making]),
            [one.code for one in wanted],
            [one.name for one in wanted],
            [one.type.value for one in wanted],
            [one.currency for one in wanted],
        ),
    )


async def standings(connection: Connection, tenant_id: int, ids: Sequence[UUID]) -> list[Standing]:
    """How these accounts stand."""
    return [
        _standing(row) async for row in _queries.standings(connection, tenant_id=tenant_id, ids=list(ids))
    ]


def _standing(row: Sequence[Any]) -> Standing:
    (account_id, type_, currency, balance, debits, credits_, seq, lowest, highest, *pool) = row
    return Standing(
        balance=Balance(account_id, AccountType(type_), currency, balance, debits, credits_, seq),
        lowest_minor=lowest,
        highest_minor=highest,
        pool=None if pool[0] is None else Pool(*pool),
    )
