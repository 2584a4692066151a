-- The statements of the two times. The array functions are called through coalescers, the rest in a transaction.

-- name: due_projections(tenant_id, limit)^
-- Accounts whose projections are worth bringing up to date, the mark to keep after it, and whether there are more.
SELECT accounts, mark, more FROM ledger.due_projections(:tenant_id, :limit);

-- name: project(tenant_id, account_ids, limit)$
-- Brings projections up to date, up to so many entries per account; how many it took in.
SELECT ledger.project(:tenant_id, :account_ids, :limit);

-- name: unproject(tenant_id, account_ids)!
-- Empties projections.
SELECT ledger.unproject(:tenant_id, :account_ids);

-- name: mark_projected(tenant_id, mark)!
-- Keeps how far the log has been looked through for accounts to project.
SELECT ledger.mark_projected(:tenant_id, :mark);

-- name: trial_balance_at(tenant_id, effective_at, known_at)
-- Per currency and type of account, the balances that stood on the debit and on the credit side. One statement, so
-- that all accounts are seen at one moment.
SELECT b.currency, b.type, sum(greatest(b.debit, 0))::text AS debits, sum(greatest(-b.debit, 0))::text AS credits
FROM (
    SELECT s.currency, s.type, CASE WHEN s.type IN ('asset', 'expense') THEN s.balance ELSE -s.balance END AS debit
    FROM (SELECT array_agg(id) AS ids, count(*)::integer AS n FROM ledger.accounts WHERE tenant_id = :tenant_id) a
    CROSS JOIN LATERAL ledger.balances_at(:tenant_id, a.ids, array_fill(:effective_at::timestamptz, ARRAY[a.n]),
                                          array_fill(:known_at::timestamptz, ARRAY[a.n])) s
    WHERE a.n > 0
) b
GROUP BY b.currency, b.type
ORDER BY b.currency, b.type;

-- name: close_period(tenant_id, id, closed_before, name)^
-- Closes the books before an instant, or says why not.
SELECT refusal, reaches, closed_at FROM ledger.close_period(:tenant_id, :id, :closed_before, :name);

-- name: closings(tenant_id, starting_after, limit)
-- A page of closings, newest first.
SELECT p.id, p.name, p.closed_before, p.closed_at
FROM ledger.period_closings p
WHERE p.tenant_id = :tenant_id AND (:starting_after::uuid IS NULL OR p.id < :starting_after)
ORDER BY p.id DESC
LIMIT :limit;

-- name: account_id_of_code(tenant_id, code)$
-- The account with this code.
SELECT id FROM ledger.accounts WHERE tenant_id = :tenant_id AND code = :code;

-- name: account_page(tenant_id, starting_after, limit)
-- A page of all accounts' ids, in their order.
SELECT a.id FROM ledger.accounts a
WHERE a.tenant_id = :tenant_id AND (:starting_after::uuid IS NULL OR a.id > :starting_after)
ORDER BY a.id
LIMIT :limit;
