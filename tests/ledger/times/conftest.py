"""Ways to post at a time of one's own, and to write many entries at once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import psycopg
import pytest

from florin.ledger import service
from florin.ledger.model import Transfer
from tests.conftest import AllDatabaseUrls
from tests.ledger.books import Books, posting


async def post(books: Books, debit: UUID, credit: UUID, amount: int, at: datetime | None = None) -> Transfer:
    """A transfer that counts at `at`, if not when it is recorded."""
    asked = replace(posting((debit, amount), (credit, -amount)), effective_at=at)
    return await service.post_transfer(books.ledger, books.tenant_id, asked)


FILL = """
INSERT INTO ledger.transfers
    (tenant_id, id, kind, recorded_at, effective_at, account_ids, amounts, entry_seqs)
SELECT %(tenant)s, kernel.uuid_floor(r.at), 'transfer', r.at,
       CASE WHEN n %% %(dated_every)s = 0 THEN r.at - (n * 7919 %% 50) * interval '7 hours' END,
       ARRAY[%(debit)s, %(credit)s]::uuid[], ARRAY[n %% 7 + 1, -(n %% 7 + 1)], ARRAY[n, n]
FROM generate_series(1, %(n)s) n, LATERAL (
    SELECT %(start)s::timestamptz + n * %(step)s::interval AS at
) r;
INSERT INTO ledger.entries
    (tenant_id, account_id, seq, transfer_id, amount, balance_after, recorded_at, effective_at)
SELECT t.tenant_id, l.account, t.entry_seqs[1], t.id, l.amount,
       sum(t.amounts[1]) OVER (PARTITION BY l.account ORDER BY t.id), t.recorded_at, t.effective_at
FROM ledger.transfers t, LATERAL unnest(t.account_ids, t.amounts) AS l (account, amount)
WHERE t.tenant_id = %(tenant)s;
UPDATE ledger.accounts a
SET entry_seq = e.seq, balance = e.balance_after, last_entry_at = e.recorded_at, dated = true
FROM (SELECT DISTINCT ON (account_id) * FROM ledger.entries
      WHERE tenant_id = %(tenant)s ORDER BY account_id, seq DESC) e
WHERE a.tenant_id = %(tenant)s AND a.id = e.account_id
"""

Fill = Callable[..., None]


@pytest.fixture
def fill(database_urls: AllDatabaseUrls) -> Fill:
    """Writes history past all functions: `n` transfers between two accounts, every so many of them dated."""

    def write(books: Books, debit: UUID, credit: UUID, **numbers: object) -> None:
        with psycopg.connect(database_urls.root) as root:
            for statement in FILL.split(";"):
                root.execute(
                    statement.encode(),
                    {"tenant": books.tenant_id, "debit": debit, "credit": credit, **numbers},
                )

    return write
