"""Books of any size, written set-based: what a bench measures on millions of entries needs them in a minute.

Every account is debited once and credited once in each round, in an order that changes from round to
round, so that entries of one account lie as far apart as postings would leave them. What such a round
does to an account is known without looking: a statement writes all transfers of some rounds, another
all their entries.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from florin.kernel.db import Database

ROUNDS_AT_A_TIME: Final = 20
PER_SECOND: Final = 100_000
"""How many transfers the books seem to have taken in a second: their past ends before it is written."""

_BASES: Final = """
    SELECT clock_timestamp(), array_agg(a.entry_seq ORDER BY u.n), array_agg(a.balance ORDER BY u.n)
    FROM unnest(%(accounts)s::uuid[]) WITH ORDINALITY AS u (id, n)
    JOIN ledger.accounts a ON a.tenant_id = %(tenant)s AND a.id = u.id"""

_TRANSFERS: Final = """
    INSERT INTO ledger.transfers (tenant_id, id, kind, recorded_at, account_ids, amounts, entry_seqs)
    SELECT %(tenant)s, (substr(kernel.uuid_floor(x.at)::text, 1, 24) || lpad(to_hex(x.n), 12, '0'))::uuid,
           'transfer', x.at, ARRAY[a.ids[x.debit + 1], a.ids[x.credit + 1]],
           ARRAY[100 + x.round %% 900, -100 - x.round %% 900]::bigint[],
           -- An account's two entries of a round: the one whose transfer comes first has the odd number.
           ARRAY[a.seqs[x.debit + 1] + 2 * x.round + CASE WHEN x.debited_by < x.debit THEN 2 ELSE 1 END,
                 a.seqs[x.credit + 1] + 2 * x.round + CASE WHEN x.credit < x.debit THEN 2 ELSE 1 END]
    FROM (SELECT %(accounts)s::uuid[] AS ids, %(seqs)s::bigint[] AS seqs) a,
         LATERAL (
             SELECT g.n, g.n / %(count)s AS round, g.n %% %(count)s AS debit,
                    (g.n %% %(count)s + 1 + g.n / %(count)s %% (%(count)s - 1)) %% %(count)s AS credit,
                    (g.n %% %(count)s - 1 - g.n / %(count)s %% (%(count)s - 1) + %(count)s) %% %(count)s
                        AS debited_by,
                    %(begun)s::timestamptz + make_interval(secs => g.n / %(per_second)s::float8) AS at
             FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS g (n)
             OFFSET 0
         ) x"""

_ENTRIES: Final = """
    INSERT INTO ledger.entries (tenant_id, account_id, seq, transfer_id, amount, balance_after, recorded_at)
    SELECT %(tenant)s, l.account, l.seq, t.id, l.amount,
           b.balance - CASE (l.seq - b.seq) %% 2 WHEN 0 THEN 0 ELSE l.amount END, t.recorded_at
    FROM ledger.transfers t
    CROSS JOIN LATERAL unnest(t.account_ids, t.amounts, t.entry_seqs) AS l (account, amount, seq)
    JOIN unnest(%(accounts)s::uuid[], %(seqs)s::bigint[], %(balances)s::bigint[]) AS b (id, seq, balance)
        ON b.id = l.account
    CROSS JOIN (
        SELECT m.begun + make_interval(secs => %(first)s / m.per_second) AS since,
               m.begun + make_interval(secs => (%(last)s + 1) / m.per_second) AS until
        FROM (SELECT %(begun)s::timestamptz AS begun, %(per_second)s::float8 AS per_second) m
    ) r
    WHERE t.tenant_id = %(tenant)s AND t.recorded_at >= r.since AND t.recorded_at < r.until
      AND t.id >= kernel.uuid_floor(r.since - interval '1 s')
      AND t.id < kernel.uuid_floor(r.until + interval '1 s')"""

_ACCOUNTS: Final = """
    UPDATE ledger.accounts a
    SET entry_seq = a.entry_seq + 2 * %(rounds)s, last_entry_at = e.recorded_at
    FROM unnest(%(accounts)s::uuid[], %(seqs)s::bigint[]) AS b (id, seq)
    CROSS JOIN LATERAL (
        SELECT n.recorded_at FROM ledger.entries n
        WHERE n.tenant_id = %(tenant)s AND n.account_id = b.id AND n.seq = b.seq + 2 * %(rounds)s) e
    WHERE a.tenant_id = %(tenant)s AND a.id = b.id"""

Report = Callable[[int], None]


async def fill(
    database: Database,
    tenant_id: int,
    accounts: Sequence[UUID],
    rounds: int,
    report: Report = lambda _entries: None,
) -> int:
    """Writes rounds of transfers among liabilities of one currency; returns how many entries that made.

    Nobody may post to these accounts meanwhile. `report` hears how many entries have been written.
    """
    async with database.tenant(tenant_id) as connection:
        given = {"tenant": tenant_id, "accounts": list(accounts)}
        cursor = await connection.execute(_BASES, given)
        row = await cursor.fetchone()
    assert row is not None
    begun: datetime = row[0]
    given |= {"begun": begun, "seqs": row[1], "balances": row[2], "count": len(accounts)}
    given |= {"per_second": PER_SECOND, "rounds": rounds}
    for first in range(0, rounds, ROUNDS_AT_A_TIME):
        last = min(first + ROUNDS_AT_A_TIME, rounds)
        some = given | {"first": first * len(accounts), "last": last * len(accounts) - 1}
        async with database.tenant(tenant_id) as connection:
            await connection.execute(_TRANSFERS, some)
            await connection.execute(_ENTRIES, some)
        report(2 * last * len(accounts))
    async with database.tenant(tenant_id) as connection:
        await connection.execute(_ACCOUNTS, given)
    return 2 * rounds * len(accounts)
