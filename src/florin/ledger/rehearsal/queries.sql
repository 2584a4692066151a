-- Dry runs.

-- name: standings(tenant_id, ids)
-- What accounts hold and the bounds that they must keep, their own and those that they share.
SELECT a.id, a.type, a.currency, a.balance, a.pending_debits, a.pending_credits, a.entry_seq, a.min_balance, a.max_balance,
       l.id AS limit_id, l.name, l.balance AS limit_balance, l.pending_debits AS limit_debits,
       l.pending_credits AS limit_credits, l.min_balance AS limit_min, l.max_balance AS limit_max
FROM ledger.accounts a
LEFT JOIN ledger.limits l ON l.tenant_id = :tenant_id AND l.id = a.limit_id
WHERE a.tenant_id = :tenant_id AND a.id = ANY (:ids::uuid[])
ORDER BY a.id;
