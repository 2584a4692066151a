-- What must hold of the books as a whole. One statement per group of rules; a row is a fault:
-- rule, detail, transfer_id, account_id, seq. No row: it holds.

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
-- The audit log: numbered without a gap, each row the digest of the one before and its own, from where it was pruned
-- up to the head.
SELECT f.rule, f.detail, NULL::uuid, NULL::uuid, x.seq
FROM (
    SELECT l.seq, l.previous, l.digest, audit.digest(l) AS computed, lag(l.seq) OVER w AS last_seq,
           lag(l.digest) OVER w AS last_digest, h.seq AS head_seq, h.digest AS head_digest,
           h.pruned_seq, h.pruned_digest, lead(l.seq) OVER w IS NULL AS is_last
    FROM audit.log l
    LEFT JOIN audit.heads h ON h.tenant_id = :tenant_id
    WHERE l.tenant_id = :tenant_id
    WINDOW w AS (ORDER BY l.seq, l.id)
) x
CROSS JOIN LATERAL (VALUES
    ('audit_numbered', format('row %%s of the audit log follows %%s', x.seq, coalesce(x.last_seq, x.pruned_seq, 0)),
     x.seq <> coalesce(x.last_seq, x.pruned_seq, 0) + 1),
    ('audit_digested', format('row %%s of the audit log is not what its digest says', x.seq), x.digest <> x.computed),
    ('audit_chained', format('row %%s of the audit log does not continue the one before it', x.seq),
     x.previous <> coalesce(x.last_digest, x.pruned_digest, sha256(''))),
    ('audit_ends_at_head', format('the audit log ends at row %%s, its head says %%s', x.seq, x.head_seq),
     x.is_last AND (x.head_seq IS DISTINCT FROM x.seq OR x.head_digest IS DISTINCT FROM x.digest))
) AS f (rule, detail, broken)
WHERE f.broken
ORDER BY x.seq
LIMIT :limit;

-- name: periods_audited(tenant_id, limit)
-- A closing is what the audit log saw being made, and the books are closed up to the latest. What the log saw before it
-- was pruned it cannot tell any more.
SELECT 'periods_audited', f.detail, NULL::uuid, NULL::uuid, NULL::bigint
FROM (
    SELECT format('the closing %%s is not as it was made', coalesce(p.id::text, l.entity_id)) AS detail
    FROM (SELECT * FROM ledger.period_closings WHERE tenant_id = :tenant_id) p
    FULL JOIN (SELECT * FROM audit.log WHERE tenant_id = :tenant_id AND entity_type = 'period' AND action = 'created') l
        ON l.entity_id = p.id::text
    LEFT JOIN audit.heads h ON h.tenant_id = :tenant_id
    WHERE to_jsonb(p) - 'tenant_id' IS DISTINCT FROM l.after
      AND NOT (l.after IS NULL AND p.closed_at < coalesce(h.pruned_before, '-infinity'))
    UNION ALL
    SELECT format('the books are closed before %%s, the closings say %%s', b.closed_before, c.closed_before)
    FROM (SELECT max(closed_before) AS closed_before FROM ledger.period_closings WHERE tenant_id = :tenant_id) c
    LEFT JOIN ledger.books b ON b.tenant_id = :tenant_id
    WHERE b.closed_before IS DISTINCT FROM c.closed_before
) f
LIMIT :limit;

-- name: templates_audited(tenant_id, limit)
-- A recipe is what the audit log saw being made, unless that was pruned since, and its versions have no gap.
SELECT f.rule, f.detail, NULL::uuid, NULL::uuid, NULL::bigint
FROM (
    SELECT 'templates_audited' AS rule,
           format('version %%s of the template %%s is not as it was made', coalesce(t.version::text, l.after ->> 'version'),
                  coalesce(t.name, l.entity_id)) AS detail
    FROM (SELECT * FROM ledger.templates WHERE tenant_id = :tenant_id) t
    FULL JOIN (SELECT * FROM audit.log WHERE tenant_id = :tenant_id AND entity_type = 'template' AND action = 'created') l
        ON l.entity_id = t.name AND l.after ->> 'version' = t.version::text
    LEFT JOIN audit.heads h ON h.tenant_id = :tenant_id
    WHERE to_jsonb(t) - 'tenant_id' IS DISTINCT FROM l.after
      AND NOT (l.after IS NULL AND t.created_at < coalesce(h.pruned_before, '-infinity'))
    UNION ALL
    SELECT 'templates_numbered', format('the template %%s has %%s versions, the last is %%s', t.name, count(*), max(t.version))
    FROM ledger.templates t
    WHERE t.tenant_id = :tenant_id
    GROUP BY t.name
    HAVING count(*) <> max(t.version)
) f
LIMIT :limit;
