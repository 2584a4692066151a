-- Statements of shared limits. Postings change the running sums; here only bounds and names.

-- name: insert_limit(tenant_id, id, name, side, currency, min_balance, max_balance, created_at)!
-- A new limit without members. No row where the currency has no minor unit to count in.
INSERT INTO ledger.limits (tenant_id, id, name, side, currency, min_balance, max_balance, created_at)
SELECT :tenant_id, :id, :name, :side, c.code, :min_balance, :max_balance, :created_at
FROM reference.currencies c WHERE c.code = :currency AND c.exponent IS NOT NULL
RETURNING id;

-- name: limits(tenant_id, id, starting_after, limit)
-- One limit, or a page of them, newest first.
SELECT s.id, s.name, s.side, s.currency, s.min_balance, s.max_balance, s.balance, s.pending_debits, s.pending_credits,
       s.created_at
FROM ledger.limits s
WHERE s.tenant_id = :tenant_id AND (:id::uuid IS NULL OR s.id = :id)
  AND (:starting_after::uuid IS NULL OR s.id < :starting_after)
ORDER BY s.id DESC
LIMIT :limit;

-- name: lock_limit(tenant_id, id)$
-- Keeps postings to the limit's members waiting until the transaction ends.
SELECT s.id FROM ledger.limits s WHERE s.tenant_id = :tenant_id AND s.id = :id FOR NO KEY UPDATE;

-- name: update_limit(name, set_min_balance, min_balance, set_max_balance, max_balance, tenant_id, id)!
-- Changes name and bounds; flags tell a bound that is removed from one that stays.
UPDATE ledger.limits
SET name = coalesce(:name, name),
    min_balance = CASE WHEN :set_min_balance THEN :min_balance ELSE min_balance END,
    max_balance = CASE WHEN :set_max_balance THEN :max_balance ELSE max_balance END
WHERE tenant_id = :tenant_id AND id = :id;

-- name: limit_sums(tenant_id)
-- Limits whose running sums are not those of their members.
SELECT m.limit_id, m.balance, m.pending_debits, m.pending_credits,
       m.member_balance::text, m.member_debits::text, m.member_credits::text
FROM ledger.limit_sums(:tenant_id) m
ORDER BY m.limit_id;
