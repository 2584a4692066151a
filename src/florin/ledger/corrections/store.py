"""The only caller of `queries.sql`. The caller's transaction is its tenant's."""

from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import aiosql
from psycopg.types.json import Jsonb

from florin.kernel.db import Connection
from florin.kernel.errors import Refusal
from florin.ledger.model import Correcting, Recorded
from florin.ledger.posting import detail, refusal

_queries: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "apsycopg")


class NotCorrected(NamedTuple):
    """Why a transfer was not corrected, and the account that caused it, if it was one."""

    refusal: Refusal
    account_id: UUID | None


async def correct(connection: Connection, tenant_id: int, correcting: Correcting) -> Recorded | NotCorrected:
    """The repost, or why there is none. A refusal is kept under the key: commit it too."""
    key, said = correcting.idempotency, detail(correcting)
    row = await _queries.correct(
        connection,
        tenant_id=tenant_id,
        reversal_id=correcting.reversal_id,
        repost_id=correcting.repost_id,
        slot=None if key is None else key.slot,
        digest=None if key is None else key.digest,
        transfer_id=correcting.transfer_id,
        currency=correcting.currency,
        effective_at=correcting.effective_at,
        details=None if said is None else Jsonb(said),
        accounts=[leg.account_id for leg in correcting.legs],
        amounts=[leg.amount_minor for leg in correcting.legs],
    )
    code, account_id, transfer_id, replayed = row
    if code is not None:
        return NotCorrected(refusal(code, account_id, correcting.legs), account_id)
    return Recorded(transfer_id, replayed)
