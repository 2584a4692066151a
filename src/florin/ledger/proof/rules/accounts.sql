-- What must hold of a range of accounts, or of a range of one account's entries. One statement per group of rules; a row is a fault:
-- rule, detail, transfer_id, account_id, seq. No row: it holds. Ranges include their start and not their end.

-- name: entries_chained(tenant_id, from_account, to_account, from_seq, to_seq, limit)
-- An account's entries: on an account that exists, numbered from 1 without a gap, each balance the one before it
-- moved by the amount, never earlier than the one before, and dated only where the account says so.
SELECT f.rule, f.detail, x.transfer_id, x.account_id, x.seq
FROM (
    SELECT e.*, a.id AS known, a.dated,
           CASE WHEN a.type IN ('asset', 'expense') THEN e.amount ELSE -e.amount END AS moved,
           lag(e.seq) OVER w AS last_seq, lag(e.balance_after) OVER w AS last_balance,
           lag(e.recorded_at) OVER w AS last_recorded_at
    FROM ledger.all_entries e
    LEFT JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = e.account_id
    WHERE e.tenant_id = :tenant_id AND e.account_id >= :from_account AND e.account_id < :to_account
      AND e.seq >= :from_seq - 1 AND e.seq < :to_seq
    WINDOW w AS (PARTITION BY e.account_id ORDER BY e.seq, e.transfer_id)
) x
CROSS JOIN LATERAL (VALUES
    ('entries_on_known_accounts', 'the entry is on an account that does not exist', x.known IS NULL),
    ('entries_numbered', format('number %%s follows %%s', x.seq, coalesce(x.last_seq, 0)),
     x.seq <> coalesce(x.last_seq, 0) + 1),
    ('balances_chained', format('%%s after a movement of %%s from %%s', x.balance_after, x.moved, coalesce(x.last_balance, 0)),
     x.balance_after <> coalesce(x.last_balance, 0) + x.moved AND x.seq = coalesce(x.last_seq, 0) + 1),
    ('recorded_in_order', format('it was recorded at %%s, the entry before it at %%s', x.recorded_at, x.last_recorded_at),
     x.recorded_at < x.last_recorded_at),
    ('dated_where_marked', 'it counts at another time, and the account is not marked as dated',
     x.effective_at IS NOT NULL AND x.dated IS FALSE)
) AS f (rule, detail, broken)
WHERE f.broken AND x.seq >= :from_seq
ORDER BY x.account_id, x.seq
LIMIT :limit;

-- name: accounts_at_last_entry(tenant_id, from_account, to_account, limit)
-- An account stands where its last entry left it.
SELECT 'accounts_at_last_entry',
       format('the account says entry %%s, balance %%s, %%s; its last entry says %%s, %%s, %%s', a.entry_seq, a.balance,
              coalesce(a.last_entry_at::text, 'never'), coalesce(e.seq, 0), coalesce(e.balance_after, 0),
              coalesce(e.recorded_at::text, 'never')),
       e.transfer_id, a.id, a.entry_seq
FROM ledger.accounts a
LEFT JOIN LATERAL (
    SELECT l.seq, l.balance_after, l.recorded_at, l.transfer_id
    FROM ledger.all_entries l
    WHERE l.tenant_id = :tenant_id AND l.account_id = a.id
    ORDER BY l.seq DESC LIMIT 1
) e ON true
WHERE a.tenant_id = :tenant_id AND a.id >= :from_account AND a.id < :to_account
  AND (a.entry_seq <> coalesce(e.seq, 0) OR a.balance <> coalesce(e.balance_after, 0)
       OR a.last_entry_at IS DISTINCT FROM e.recorded_at)
ORDER BY a.id
LIMIT :limit;

-- name: snapshots_match(tenant_id, from_account, to_account, limit)
-- A snapshot says where its entry left the account, and how much of that counts at other times.
SELECT 'snapshots_match', f.detail, f.transfer_id, f.account_id, f.seq
FROM (
    SELECT format('the snapshot says %%s at %%s, its entry %%s at %%s', s.balance, s.recorded_at, e.balance_after, e.recorded_at) AS detail,
           e.transfer_id, s.account_id, s.seq
    FROM ledger.snapshots s
    LEFT JOIN ledger.all_entries e ON e.tenant_id = :tenant_id AND e.account_id = s.account_id AND e.seq = s.seq
    WHERE s.tenant_id = :tenant_id AND s.account_id >= :from_account AND s.account_id < :to_account
      AND (e.balance_after IS DISTINCT FROM s.balance OR e.recorded_at IS DISTINCT FROM s.recorded_at)
    UNION ALL
    SELECT format('the snapshot says %%s counts at other times, its entries say %%s', x.claimed, x.dated), NULL, x.account_id, x.seq
    FROM (
        SELECT m.account_id, m.seq, m.claimed,
               sum(m.amount) OVER (PARTITION BY m.account_id ORDER BY m.seq, m.claimed NULLS FIRST) AS dated
        FROM (
            SELECT s.account_id, s.seq, s.dated AS claimed, 0::bigint AS amount
            FROM ledger.snapshots s
            WHERE s.tenant_id = :tenant_id AND s.account_id >= :from_account AND s.account_id < :to_account
            UNION ALL
            SELECT e.account_id, e.seq, NULL, CASE WHEN a.type IN ('asset', 'expense') THEN e.amount ELSE -e.amount END
            FROM ledger.all_entries e
            JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = e.account_id
            WHERE e.tenant_id = :tenant_id AND e.account_id >= :from_account AND e.account_id < :to_account
              AND e.effective_at IS NOT NULL
        ) m
    ) x
    WHERE x.claimed <> x.dated
) f
ORDER BY f.account_id, f.seq
LIMIT :limit;

-- name: dated_totals_match(tenant_id, from_account, to_account, limit)
-- The totals per day and month, over the whole account and over stretches of its entries, are those of the entries that
-- the projections have come past.
SELECT 'dated_totals_match', format('the %%s of %%s has %%s, its entries say %%s', coalesce(d.grain, s.grain),
           coalesce(d.starts, s.starts), coalesce(d.amount, 0), coalesce(s.amount, 0)),
       NULL::uuid, coalesce(d.account_id, s.account_id), NULL::bigint
FROM (
    SELECT * FROM ledger.dated_totals
    WHERE tenant_id = :tenant_id AND account_id >= :from_account AND account_id < :to_account
) d
FULL JOIN (
    SELECT e.account_id, n.span, CASE n.span WHEN 0 THEN 0 ELSE (e.seq - 1) / n.span END AS stretch, g.grain,
           (date_trunc(g.grain, e.effective_at, 'UTC') AT TIME ZONE 'UTC')::date AS starts,
           sum(CASE WHEN a.type IN ('asset', 'expense') THEN e.amount ELSE -e.amount END) AS amount
    FROM ledger.projections p
    JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = p.account_id
    JOIN ledger.all_entries e ON e.tenant_id = :tenant_id AND e.account_id = p.account_id AND e.seq <= p.through
        AND e.effective_at IS NOT NULL
    CROSS JOIN (VALUES ('day'), ('month')) AS g (grain)
    CROSS JOIN (VALUES (0), (1024), (32768), (1048576)) AS n (span)
    WHERE p.tenant_id = :tenant_id AND p.account_id >= :from_account AND p.account_id < :to_account
    GROUP BY 1, 2, 3, 4, 5
) s ON s.account_id = d.account_id AND s.grain = d.grain AND s.starts = d.starts AND s.span = d.span
   AND s.stretch = d.stretch
WHERE coalesce(d.amount, 0) <> coalesce(s.amount, 0)
LIMIT :limit;

-- name: open_items_match(tenant_id, from_account, to_account, limit)
-- On accounts whose open items are kept, these are what the entries of each correlation leave, as far as the
-- projections have come.
SELECT 'open_items_match', format('%%s has %%s open, its entries say %%s', coalesce(o.correlation_id, s.correlation_id),
           coalesce(o.amount, 0), coalesce(s.amount, 0)),
       o.last_transfer, coalesce(o.account_id, s.account_id), NULL::bigint
FROM (
    SELECT * FROM ledger.open_items
    WHERE tenant_id = :tenant_id AND account_id >= :from_account AND account_id < :to_account
) o
FULL JOIN (
    SELECT e.account_id, t.correlation_id, sum(e.amount) AS amount
    FROM ledger.projections p
    JOIN ledger.all_entries e ON e.tenant_id = :tenant_id AND e.account_id = p.account_id AND e.seq <= p.through
    JOIN ledger.all_transfers t ON t.tenant_id = :tenant_id AND t.id = e.transfer_id AND t.correlation_id IS NOT NULL
    WHERE p.tenant_id = :tenant_id AND p.account_id >= :from_account AND p.account_id < :to_account AND p.itemised
    GROUP BY 1, 2
) s ON s.account_id = o.account_id AND s.correlation_id = o.correlation_id
WHERE coalesce(o.amount, 0) <> coalesce(s.amount, 0)
LIMIT :limit;
