-- What must hold, one statement per group of rules, each over a bounded range. A row is a fault:
-- rule, detail, transfer_id, account_id, seq. No row: it holds. Ranges of ids and of accounts include their start
-- and not their end.

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
-- Every leg that moved money has the entry that it names, with the same amount and the same times.
SELECT 'legs_have_entries',
       CASE WHEN e.transfer_id IS NULL THEN 'the leg has no entry'
            WHEN e.amount <> l.amount THEN format('the entry moves %%s, the log says %%s', e.amount, l.amount)
            WHEN e.recorded_at <> l.recorded_at
                THEN format('the entry was recorded at %%s, the log says %%s', e.recorded_at, l.recorded_at)
            ELSE format('the entry counts at %%s, the log says %%s', e.effective_at, l.effective_at) END,
       l.id, l.account, l.seq
FROM (
    SELECT t.id, u.account, u.amount, u.seq, t.recorded_at, t.effective_at
    FROM ledger.all_transfers t
    CROSS JOIN LATERAL unnest(t.account_ids, t.amounts, t.entry_seqs) AS u (account, amount, seq)
    WHERE t.tenant_id = :tenant_id AND t.id >= :from_id AND t.id < :to_id AND t.entry_seqs IS NOT NULL
) l
LEFT JOIN ledger.all_entries e ON e.tenant_id = :tenant_id AND e.account_id = l.account AND e.seq = l.seq
    AND e.transfer_id = l.id
WHERE e.transfer_id IS NULL OR e.amount <> l.amount OR e.recorded_at <> l.recorded_at
   OR e.effective_at IS DISTINCT FROM l.effective_at
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
    SELECT t.id, u.account, u.amount, u.seq, t.recorded_at, t.effective_at
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
WHERE e.transfer_id IS NULL OR e.amount <> l.amount OR e.recorded_at <> l.recorded_at
   OR e.effective_at IS DISTINCT FROM l.effective_at
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
-- The totals per day and month are those of the entries that the projections have come past.
SELECT 'dated_totals_match', format('the %%s of %%s has %%s, its entries say %%s', coalesce(d.grain, s.grain),
           coalesce(d.starts, s.starts), coalesce(d.amount, 0), coalesce(s.amount, 0)),
       NULL::uuid, coalesce(d.account_id, s.account_id), NULL::bigint
FROM (
    SELECT * FROM ledger.dated_totals
    WHERE tenant_id = :tenant_id AND account_id >= :from_account AND account_id < :to_account
) d
FULL JOIN (
    SELECT e.account_id, g.grain,
           (date_trunc(g.grain, e.effective_at, 'UTC') AT TIME ZONE 'UTC')::date AS starts,
           sum(CASE WHEN a.type IN ('asset', 'expense') THEN e.amount ELSE -e.amount END) AS amount
    FROM ledger.projections p
    JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = p.account_id
    JOIN ledger.all_entries e ON e.tenant_id = :tenant_id AND e.account_id = p.account_id AND e.seq <= p.through
        AND e.effective_at IS NOT NULL
    CROSS JOIN (VALUES ('day'), ('month')) AS g (grain)
    WHERE p.tenant_id = :tenant_id AND p.account_id >= :from_account AND p.account_id < :to_account
    GROUP BY 1, 2, 3
) s ON s.account_id = d.account_id AND s.grain = d.grain AND s.starts = d.starts
WHERE coalesce(d.amount, 0) <> coalesce(s.amount, 0)
LIMIT :limit;

-- name: open_items_match(tenant_id, from_account, to_account, limit)
-- On accounts that have open items, these are what the entries of each correlation leave (and those without one
-- together, under an empty name), as far as the projections have come.
SELECT 'open_items_match', format('%%s has %%s open, its entries say %%s', coalesce(o.correlation_id, s.correlation_id),
           coalesce(o.amount, 0), coalesce(s.amount, 0)),
       o.last_transfer, coalesce(o.account_id, s.account_id), NULL::bigint
FROM (
    SELECT * FROM ledger.open_items
    WHERE tenant_id = :tenant_id AND account_id >= :from_account AND account_id < :to_account
) o
FULL JOIN (
    SELECT e.account_id, coalesce(t.correlation_id, '') AS correlation_id, sum(e.amount) AS amount
    FROM ledger.projections p
    JOIN ledger.all_entries e ON e.tenant_id = :tenant_id AND e.account_id = p.account_id AND e.seq <= p.through
    JOIN ledger.all_transfers t ON t.tenant_id = :tenant_id AND t.id = e.transfer_id
    WHERE p.tenant_id = :tenant_id AND p.account_id >= :from_account AND p.account_id < :to_account
      AND EXISTS (SELECT FROM ledger.open_items i WHERE i.tenant_id = :tenant_id AND i.account_id = p.account_id)
    GROUP BY 1, 2
) s ON s.account_id = o.account_id AND s.correlation_id = o.correlation_id
WHERE coalesce(o.amount, 0) <> coalesce(s.amount, 0)
LIMIT :limit;

-- name: holds_fold(tenant_id, limit)
-- A hold is what the log made of it: reserved, posted in parts, voided or expired.
WITH said AS (
    SELECT coalesce(t.related_id, t.id) AS hold, l.account,
           sum(l.amount) FILTER (WHERE t.kind = 'hold') AS reserved,
           coalesce(sum(l.amount) FILTER (WHERE t.kind = 'post'), 0) AS posted,
           coalesce(sum(l.amount) FILTER (WHERE t.kind <> 'hold'), 0) AS freed,
           bool_or(t.kind = 'void') AS voided, bool_or(t.kind = 'expiry') AS expired,
           min(t.recorded_at) AS created_at, max(t.recorded_at) AS updated_at
    FROM ledger.all_transfers t
    CROSS JOIN LATERAL unnest(t.account_ids, t.amounts) AS l (account, amount)
    WHERE t.tenant_id = :tenant_id AND t.kind IN ('hold', 'post', 'void', 'expiry')
    GROUP BY 1, 2
), folded AS (
    SELECT s.hold, bool_or(s.voided) AS voided, bool_or(s.expired) AS expired, bool_and(s.reserved = s.freed) AS empty,
           bool_or(s.posted <> 0) AS posted, max(s.created_at) AS created_at, max(s.updated_at) AS updated_at
    FROM said s
    GROUP BY s.hold
), stored AS (
    SELECT h.id, l.account, l.reserved, l.posted, l.remaining
    FROM ledger.holds h
    CROSS JOIN LATERAL unnest(h.account_ids, h.reserved, h.posted, h.remaining) AS l (account, reserved, posted, remaining)
    WHERE h.tenant_id = :tenant_id
)
SELECT 'holds_fold', x.detail, x.hold, x.account, NULL::bigint
FROM (
    SELECT format('the hold has %%s reserved, %%s posted, %%s remaining; the log says %%s, %%s, %%s', h.reserved, h.posted,
                  h.remaining, s.reserved, s.posted, s.reserved - s.freed) AS detail,
           coalesce(s.hold, h.id) AS hold, coalesce(s.account, h.account) AS account
    FROM said s
    FULL JOIN stored h ON h.id = s.hold AND h.account = s.account
    WHERE (h.reserved, h.posted, h.remaining)
       IS DISTINCT FROM (s.reserved, s.posted, s.reserved - s.freed)
    UNION ALL
    SELECT format('the hold is %%s since %%s, the log says %%s since %%s', h.status, h.updated_at, w.status, f.updated_at),
           h.id, NULL
    FROM ledger.holds h
    JOIN folded f ON f.hold = h.id
    CROSS JOIN LATERAL (SELECT CASE WHEN f.voided THEN 'voided' WHEN f.expired THEN 'expired' WHEN f.empty THEN 'posted'
                                    WHEN f.posted THEN 'partially_posted' ELSE 'reserved' END AS status) w
    WHERE h.tenant_id = :tenant_id
      AND (h.status <> w.status OR h.updated_at <> f.updated_at
           OR h.created_at <> (SELECT t.recorded_at FROM ledger.all_transfers t WHERE t.tenant_id = :tenant_id AND t.id = h.id))
) x
LIMIT :limit;

-- name: holds_are_pending(tenant_id, limit)
-- What is pending on an account is what its open holds reserve.
SELECT 'holds_are_pending',
       format('%%s to debit and %%s to credit are pending, its holds reserve %%s and %%s', a.pending_debits, a.pending_credits,
              coalesce(h.debits, 0), coalesce(h.credits, 0)),
       NULL::uuid, a.id, NULL::bigint
FROM ledger.accounts a
LEFT JOIN (
    SELECT l.account, sum(greatest(l.remaining, 0)) AS debits, sum(-least(l.remaining, 0)) AS credits
    FROM ledger.holds h
    CROSS JOIN LATERAL unnest(h.account_ids, h.remaining) AS l (account, remaining)
    WHERE h.tenant_id = :tenant_id AND h.status IN ('reserved', 'partially_posted')
    GROUP BY l.account
) h ON h.account = a.id
WHERE a.tenant_id = :tenant_id
  AND (a.pending_debits <> coalesce(h.debits, 0) OR a.pending_credits <> coalesce(h.credits, 0))
LIMIT :limit;

-- name: limits_add_up(tenant_id, limit)
-- A shared limit is the sum of the accounts that share it.
SELECT 'limits_add_up',
       format('limit %%s says %%s, %%s, %%s; its accounts say %%s, %%s, %%s', s.name, s.balance, s.pending_debits, s.pending_credits,
              coalesce(m.balance, 0), coalesce(m.debits, 0), coalesce(m.credits, 0)),
       NULL::uuid, NULL::uuid, NULL::bigint
FROM ledger.limits s
LEFT JOIN (
    SELECT a.limit_id, sum(a.balance) AS balance, sum(a.pending_debits) AS debits, sum(a.pending_credits) AS credits
    FROM ledger.accounts a
    WHERE a.tenant_id = :tenant_id AND a.limit_id IS NOT NULL
    GROUP BY a.limit_id
) m ON m.limit_id = s.id
WHERE s.tenant_id = :tenant_id
  AND (s.balance, s.pending_debits, s.pending_credits)
      IS DISTINCT FROM (coalesce(m.balance, 0), coalesce(m.debits, 0), coalesce(m.credits, 0))
LIMIT :limit;

-- name: limits_fit_members(tenant_id, limit)
-- Accounts that share a limit have its currency and its normal side.
SELECT 'limits_fit_members', format('a %%s account in %%s shares the limit %%s in %%s', a.type, a.currency, s.name, s.currency),
       NULL::uuid, a.id, NULL::bigint
FROM ledger.accounts a
JOIN ledger.limits s ON s.tenant_id = :tenant_id AND s.id = a.limit_id
WHERE a.tenant_id = :tenant_id AND a.limit_id IS NOT NULL
  AND (a.currency <> s.currency OR (a.type IN ('asset', 'expense')) <> (s.side = 'debit'))
LIMIT :limit;

-- name: closed_at_zero(tenant_id, limit)
-- A closed account holds nothing and reserves nothing.
SELECT 'closed_at_zero', format('closed with %%s, %%s to debit and %%s to credit', a.balance, a.pending_debits, a.pending_credits),
       NULL::uuid, a.id, NULL::bigint
FROM ledger.accounts a
WHERE a.tenant_id = :tenant_id AND a.status = 'closed'
  AND (a.balance <> 0 OR a.pending_debits <> 0 OR a.pending_credits <> 0)
LIMIT :limit;

-- name: monitored_where_marked(tenant_id, limit)
-- An account that an active monitor looks at is marked, or posting would pass the monitor by.
SELECT 'monitored_where_marked', 'an active monitor looks at the account, which is not marked', NULL::uuid, a.id, NULL::bigint
FROM ledger.accounts a
WHERE a.tenant_id = :tenant_id AND NOT a.monitored AND EXISTS (
    SELECT FROM ledger.monitors m WHERE m.tenant_id = :tenant_id AND m.account_id = a.id AND m.active)
LIMIT :limit;

-- name: trial_balance_is_zero(tenant_id, limit)
-- Over all accounts, debits equal credits in every currency.
SELECT 'trial_balance_is_zero', format('debits less credits in %%s are %%s', x.currency, x.total), NULL::uuid, NULL::uuid,
       NULL::bigint
FROM (
    SELECT a.currency, sum(CASE WHEN a.type IN ('asset', 'expense') THEN a.balance ELSE -a.balance END) AS total
    FROM ledger.accounts a
    WHERE a.tenant_id = :tenant_id
    GROUP BY a.currency
) x
WHERE x.total <> 0
LIMIT :limit;

-- name: audit_chained(tenant_id, limit)
-- The audit log: numbered without a gap, each row the digest of the one before and its own, up to the head.
SELECT f.rule, f.detail, NULL::uuid, NULL::uuid, x.seq
FROM (
    SELECT l.seq, l.previous, l.digest, audit.digest(l) AS computed, lag(l.seq) OVER w AS last_seq,
           lag(l.digest) OVER w AS last_digest, h.seq AS head_seq, h.digest AS head_digest,
           lead(l.seq) OVER w IS NULL AS is_last
    FROM audit.log l
    LEFT JOIN audit.heads h ON h.tenant_id = :tenant_id
    WHERE l.tenant_id = :tenant_id
    WINDOW w AS (ORDER BY l.seq, l.id)
) x
CROSS JOIN LATERAL (VALUES
    ('audit_numbered', format('row %%s of the audit log follows %%s', x.seq, coalesce(x.last_seq, 0)),
     x.seq <> coalesce(x.last_seq, 0) + 1),
    ('audit_digested', format('row %%s of the audit log is not what its digest says', x.seq), x.digest <> x.computed),
    ('audit_chained', format('row %%s of the audit log does not continue the one before it', x.seq),
     x.previous <> coalesce(x.last_digest, sha256(''))),
    ('audit_ends_at_head', format('the audit log ends at row %%s, its head says %%s', x.seq, x.head_seq),
     x.is_last AND (x.head_seq IS DISTINCT FROM x.seq OR x.head_digest IS DISTINCT FROM x.digest))
) AS f (rule, detail, broken)
WHERE f.broken
ORDER BY x.seq
LIMIT :limit;

-- name: periods_audited(tenant_id, limit)
-- A closing is what the audit log saw being made, and the books are closed up to the latest.
SELECT 'periods_audited', f.detail, NULL::uuid, NULL::uuid, NULL::bigint
FROM (
    SELECT format('the closing %%s is not as it was made', coalesce(p.id::text, l.entity_id)) AS detail
    FROM (SELECT * FROM ledger.period_closings WHERE tenant_id = :tenant_id) p
    FULL JOIN (SELECT * FROM audit.log WHERE tenant_id = :tenant_id AND entity_type = 'period' AND action = 'created') l
        ON l.entity_id = p.id::text
    WHERE to_jsonb(p) - 'tenant_id' IS DISTINCT FROM l.after
    UNION ALL
    SELECT format('the books are closed before %%s, the closings say %%s', b.closed_before, c.closed_before)
    FROM (SELECT max(closed_before) AS closed_before FROM ledger.period_closings WHERE tenant_id = :tenant_id) c
    LEFT JOIN ledger.books b ON b.tenant_id = :tenant_id
    WHERE b.closed_before IS DISTINCT FROM c.closed_before
) f
LIMIT :limit;

-- name: templates_audited(tenant_id, limit)
-- A recipe is what the audit log saw being made, and its versions have no gap.
SELECT f.rule, f.detail, NULL::uuid, NULL::uuid, NULL::bigint
FROM (
    SELECT 'templates_audited' AS rule,
           format('version %%s of the template %%s is not as it was made', coalesce(t.version::text, l.after ->> 'version'),
                  coalesce(t.name, l.entity_id)) AS detail
    FROM (SELECT * FROM ledger.templates WHERE tenant_id = :tenant_id) t
    FULL JOIN (SELECT * FROM audit.log WHERE tenant_id = :tenant_id AND entity_type = 'template' AND action = 'created') l
        ON l.entity_id = t.name AND l.after ->> 'version' = t.version::text
    WHERE to_jsonb(t) - 'tenant_id' IS DISTINCT FROM l.after
    UNION ALL
    SELECT 'templates_numbered', format('the template %%s has %%s versions, the last is %%s', t.name, count(*), max(t.version))
    FROM ledger.templates t
    WHERE t.tenant_id = :tenant_id
    GROUP BY t.name
    HAVING count(*) <> max(t.version)
) f
LIMIT :limit;
