-- What must hold of a range of the log. One statement per group of rules; a row is a fault:
-- rule, detail, transfer_id, account_id, seq. No row: it holds. Ranges include their start and not their end.

-- name: legs_balance(tenant_id, from_id, to_id, limit)
-- Debits equal credits in every currency of every transfer, and all its accounts exist.
SELECT CASE WHEN x.currency IS NULL THEN 'legs_on_known_accounts' ELSE 'legs_balance' END,
       CASE WHEN x.currency IS NULL THEN 'a leg is on an account that does not exist'
            ELSE format('the legs in %%s add up to %%s', x.currency, x.total) END,
       x.id, CASE WHEN x.currency IS NULL THEN x.account END, NULL::bigint
FROM (
    SELECT t.id, a.currency, sum(l.amount) AS total, (array_agg(l.account))[1] AS account
    FROM ledger.all_transfers t
    CROSS JOIN LATERAL unnest(t.account_ids, t.amounts) AS l (account, amount)
    LEFT JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = l.account
    WHERE t.tenant_id = :tenant_id AND t.id >= :from_id AND t.id < :to_id
    GROUP BY t.id, a.currency
) x
WHERE x.total <> 0 OR x.currency IS NULL
ORDER BY x.id
LIMIT :limit;

-- name: transfers_shaped(tenant_id, from_id, to_id, limit)
-- A transfer names each account once; what it relates to is there, earlier, and of the right kind; what
-- reserves or releases makes no entries.
SELECT f.rule, f.detail, t.id, NULL::uuid, NULL::bigint
FROM ledger.all_transfers t
LEFT JOIN ledger.all_transfers r ON r.tenant_id = :tenant_id AND r.id = t.related_id
    AND t.kind NOT IN ('transfer', 'hold')
CROSS JOIN LATERAL (VALUES
    ('accounts_distinct', 'an account occurs in two legs',
     CASE cardinality(t.account_ids) WHEN 2 THEN t.account_ids[1] = t.account_ids[2]
          ELSE cardinality(t.account_ids) <> (SELECT count(DISTINCT u.account) FROM unnest(t.account_ids) AS u (account)) END),
    ('kind_has_its_entries', format('a %%s %%s entries', t.kind, CASE WHEN t.entry_seqs IS NULL THEN 'without' ELSE 'with' END),
     (t.kind IN ('hold', 'void', 'expiry')) <> (t.entry_seqs IS NULL)),
    ('related_is_there', format('a %%s of %%s', t.kind, CASE WHEN r.id IS NULL THEN 'something that is not in the log'
                                                      ELSE 'a ' || r.kind END),
     t.kind NOT IN ('transfer', 'hold') AND (r.id IS NULL OR r.recorded_at > t.recorded_at
         OR CASE WHEN t.kind IN ('post', 'void', 'expiry') THEN r.kind <> 'hold'
                 ELSE r.kind NOT IN ('transfer', 'post', 'repost') END))
) AS f (rule, detail, broken)
WHERE t.tenant_id = :tenant_id AND t.id >= :from_id AND t.id < :to_id
  -- What is plain is seen to be so at a glance.
  AND (t.kind <> 'transfer' OR cardinality(t.account_ids) <> 2 OR t.account_ids[1] = t.account_ids[2] OR t.entry_seqs IS NULL)
  AND f.broken
ORDER BY t.id
LIMIT :limit;

-- name: legs_have_entries(tenant_id, from_id, to_id, limit)
-- Every leg that moved money has the entry that it names, with the same amount and the same times. Books from before
-- migration 0014 have transfers that were recorded out of order: their entries say the time of the entry before.
SELECT 'legs_have_entries',
       CASE WHEN e.transfer_id IS NULL THEN 'the leg has no entry'
            WHEN e.amount <> l.amount THEN format('the entry moves %%s, the log says %%s', e.amount, l.amount)
            WHEN e.recorded_at <> l.recorded_at
                THEN format('the entry was recorded at %%s, the log says %%s', e.recorded_at, l.recorded_at)
            ELSE format('the entry counts at %%s, the log says %%s', e.effective_at, l.effective_at) END,
       l.id, l.account, l.seq
FROM (
    SELECT t.id, u.account, u.amount, u.seq, t.recorded_at, nullif(t.effective_at, t.recorded_at) AS effective_at
    FROM ledger.all_transfers t
    CROSS JOIN LATERAL unnest(t.account_ids, t.amounts, t.entry_seqs) AS u (account, amount, seq)
    WHERE t.tenant_id = :tenant_id AND t.id >= :from_id AND t.id < :to_id AND t.entry_seqs IS NOT NULL
) l
LEFT JOIN ledger.all_entries e ON e.tenant_id = :tenant_id AND e.account_id = l.account AND e.seq = l.seq
    AND e.transfer_id = l.id
WHERE e.transfer_id IS NULL OR e.amount <> l.amount OR nullif(e.effective_at, e.recorded_at) IS DISTINCT FROM l.effective_at
   OR (e.recorded_at <> l.recorded_at AND NOT (e.recorded_at > l.recorded_at AND EXISTS (
           SELECT FROM ledger.all_entries p
           WHERE p.tenant_id = :tenant_id AND p.account_id = e.account_id AND p.seq = e.seq - 1
             AND p.recorded_at = e.recorded_at)))
LIMIT :limit;

-- name: entries_have_legs(tenant_id, from_id, to_id, limit)
-- Every entry belongs to a leg of the log. No index leads from a transfer's id to its entries: this scans
-- the months of the range.
SELECT 'entries_have_legs', 'the entry belongs to no leg of the log', e.transfer_id, e.account_id, e.seq
FROM ledger.all_entries e
WHERE e.tenant_id = :tenant_id AND e.transfer_id >= :from_id AND e.transfer_id < :to_id
  AND NOT EXISTS (
      SELECT FROM ledger.all_transfers t, unnest(t.account_ids, t.entry_seqs) AS l (account, seq)
      WHERE t.tenant_id = :tenant_id AND t.id = e.transfer_id AND l.account = e.account_id AND l.seq = e.seq)
LIMIT :limit;

-- name: entries_follow(tenant_id, from_id, to_id, limit)
-- legs_have_entries, and that these entries go on where the ones before them ended: the next number, the balance moved
-- by the amount, no earlier time; and what stands between them and just before them is in the log itself. One
-- range of entries per account is read, from before the first to the last of them.
WITH legs AS MATERIALIZED (
    SELECT t.id, u.account, u.amount, u.seq, t.recorded_at, nullif(t.effective_at, t.recorded_at) AS effective_at
    FROM ledger.all_transfers t
    CROSS JOIN LATERAL unnest(t.account_ids, t.amounts, t.entry_seqs) AS u (account, amount, seq)
    WHERE t.tenant_id = :tenant_id AND t.id >= :from_id AND t.id < :to_id AND t.entry_seqs IS NOT NULL
), touched AS MATERIALIZED (
    SELECT l.account, min(l.seq) AS first, max(l.seq) AS last FROM legs l GROUP BY l.account
), found AS MATERIALIZED (
    SELECT e.account_id, e.seq, e.transfer_id, e.amount, e.balance_after, e.recorded_at, e.effective_at, c.first,
           CASE WHEN a.type IN ('asset', 'expense') THEN e.amount ELSE -e.amount END AS moved,
           coalesce(lag(e.seq) OVER w, 0) AS last_seq, coalesce(lag(e.balance_after) OVER w, 0) AS last_balance,
           lag(e.recorded_at) OVER w AS last_recorded_at
    FROM touched c
    CROSS JOIN LATERAL (
        SELECT * FROM ledger.all_entries n
        WHERE n.tenant_id = :tenant_id AND n.account_id = c.account AND n.seq >= c.first - 1 AND n.seq <= c.last
        OFFSET 0  -- so that both ends of the range reach the index
    ) e
    JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = e.account_id
    WINDOW w AS (PARTITION BY e.account_id ORDER BY e.seq, e.transfer_id)
), others AS MATERIALIZED (
    SELECT e.transfer_id, e.account_id, e.seq
    FROM found e
    WHERE NOT EXISTS (SELECT FROM legs l WHERE l.account = e.account_id AND l.seq = e.seq AND l.id = e.transfer_id)
)
SELECT 'legs_have_entries',
       CASE WHEN e.transfer_id IS NULL THEN 'the leg has no entry'
            WHEN e.amount <> l.amount THEN format('the entry moves %%s, the log says %%s', e.amount, l.amount)
            WHEN e.recorded_at <> l.recorded_at
                THEN format('the entry was recorded at %%s, the log says %%s', e.recorded_at, l.recorded_at)
            ELSE format('the entry counts at %%s, the log says %%s', e.effective_at, l.effective_at) END,
       l.id, l.account, l.seq
FROM legs l
LEFT JOIN found e ON e.account_id = l.account AND e.seq = l.seq AND e.transfer_id = l.id
WHERE e.transfer_id IS NULL OR e.amount <> l.amount OR nullif(e.effective_at, e.recorded_at) IS DISTINCT FROM l.effective_at
   OR (e.recorded_at <> l.recorded_at
       AND (e.recorded_at < l.recorded_at OR e.recorded_at IS DISTINCT FROM e.last_recorded_at))
UNION ALL
SELECT 'entries_have_legs', 'the entry belongs to no leg of the log', e.transfer_id, e.account_id, e.seq
FROM others e
WHERE NOT EXISTS (
      SELECT FROM ledger.all_transfers t, unnest(t.account_ids, t.entry_seqs) AS l (account, seq)
      WHERE t.tenant_id = :tenant_id AND t.id = e.transfer_id AND l.account = e.account_id AND l.seq = e.seq)
UNION ALL
SELECT f.rule, f.detail, e.transfer_id, e.account_id, e.seq
FROM found e
CROSS JOIN LATERAL (VALUES
    ('entries_numbered', format('number %%s follows %%s', e.seq, e.last_seq), e.seq <> e.last_seq + 1),
    ('balances_chained', format('%%s after a movement of %%s from %%s', e.balance_after, e.moved, e.last_balance),
     e.balance_after <> e.last_balance + e.moved AND e.seq = e.last_seq + 1),
    ('recorded_in_order', format('it was recorded at %%s, the entry before it at %%s', e.recorded_at, e.last_recorded_at),
     e.recorded_at < e.last_recorded_at)
) AS f (rule, detail, broken)
WHERE e.seq >= e.first
  AND (e.seq <> e.last_seq + 1 OR e.balance_after <> e.last_balance + e.moved OR e.recorded_at < e.last_recorded_at)
  AND f.broken
LIMIT :limit;

-- name: reversals_recorded(tenant_id, from_id, to_id, limit)
-- Every reversal in the log is counted among what has been taken back of its transfer.
SELECT 'reversals_recorded', 'the reversal is not counted among those of its transfer', t.id, NULL::uuid, NULL::bigint
FROM ledger.all_transfers t
WHERE t.tenant_id = :tenant_id AND t.id >= :from_id AND t.id < :to_id AND t.kind = 'reversal'
  AND 1 <> (SELECT count(*) FROM ledger.reversals r
            WHERE r.tenant_id = :tenant_id AND r.transfer_id = t.related_id AND r.reversal_id = t.id)
LIMIT :limit;

-- name: reversals_add_up(tenant_id, from_id, to_id, limit)
-- What has been taken back of these transfers: numbered without a gap, each part as its reversal says, the sums
-- right, and never more than there was.
SELECT f.rule, f.detail, x.transfer_id, NULL::uuid, x.number::bigint
FROM (
    SELECT r.*, t.amounts AS original, v.kind, v.related_id,
           lag(r.number) OVER w AS last_number, lag(r.reversed) OVER w AS last_reversed,
           (SELECT array_agg(coalesce(-v.amounts[array_position(v.account_ids, u.account)], 0) ORDER BY u.leg)
            FROM unnest(t.account_ids) WITH ORDINALITY AS u (account, leg)) AS taken
    FROM ledger.reversals r
    LEFT JOIN ledger.all_transfers t ON t.tenant_id = :tenant_id AND t.id = r.transfer_id
    LEFT JOIN ledger.all_transfers v ON v.tenant_id = :tenant_id AND v.id = r.reversal_id
    WHERE r.tenant_id = :tenant_id AND r.transfer_id >= :from_id AND r.transfer_id < :to_id
    WINDOW w AS (PARTITION BY r.transfer_id ORDER BY r.number)
) x
CROSS JOIN LATERAL (VALUES
    ('reversals_numbered', format('number %%s follows %%s', x.number, coalesce(x.last_number, 0)),
     x.number <> coalesce(x.last_number, 0) + 1),
    ('reversals_in_log', 'the reversal is not in the log, or is of another transfer',
     x.kind IS DISTINCT FROM 'reversal' OR x.related_id IS DISTINCT FROM x.transfer_id),
    ('reversals_add_up', format('it takes back %%s, the log says %%s', x.amounts, x.taken),
     x.amounts IS DISTINCT FROM x.taken AND x.kind = 'reversal'),
    ('reversals_add_up', format('%%s so far, after %%s and this one', x.reversed, x.last_reversed),
     EXISTS (SELECT FROM unnest(x.amounts, x.reversed, x.last_reversed) AS u (part, now, before)
             WHERE u.now IS DISTINCT FROM u.part + coalesce(u.before, 0))),
    ('reversed_at_most_once', format('%%s taken back of %%s', x.reversed, x.original),
     EXISTS (SELECT FROM unnest(x.reversed, x.original) AS u (now, whole)
             WHERE abs(u.now) > abs(u.whole) OR u.now::numeric * u.whole < 0))
) AS f (rule, detail, broken)
WHERE f.broken
ORDER BY x.transfer_id, x.number
LIMIT :limit;
