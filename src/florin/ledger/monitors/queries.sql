-- The statements of monitors. Every one names its tenant; row-level security is the second lock on the door.

-- name: monitors(tenant_id, id, account_id, active, starting_after, limit)
-- Monitors with the present value of what they look at, by id or a page of them, newest first.
SELECT m.id, m.account_id, m.name, m.metric, m.comparison, m.threshold, m.active, m.created_at,
       a.balance - CASE WHEN m.metric = 'balance' THEN 0
                        WHEN a.type IN ('asset', 'expense') THEN a.pending_credits ELSE a.pending_debits END
FROM ledger.monitors m
JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = m.account_id
WHERE m.tenant_id = :tenant_id
  AND (:id::uuid IS NULL OR m.id = :id)
  AND (:account_id::uuid IS NULL OR m.account_id = :account_id)
  AND (:active::boolean IS NULL OR m.active = :active)
  AND (:starting_after::uuid IS NULL OR m.id < :starting_after)
ORDER BY m.id DESC
LIMIT :limit;

-- name: account_of(tenant_id, id)$
-- The account that a monitor looks at; it never changes.
SELECT account_id FROM ledger.monitors WHERE tenant_id = :tenant_id AND id = :id;

-- name: insert_monitor(tenant_id, id, account_id, name, metric, comparison, threshold, created_at)!
-- Makes a monitor, active.
INSERT INTO ledger.monitors (tenant_id, id, account_id, name, metric, comparison, threshold, created_at)
VALUES (:tenant_id, :id, :account_id, :name, :metric, :comparison, :threshold, :created_at);

-- name: update_monitor(name, threshold, active, tenant_id, id)!
-- Changes what may change of a monitor; null leaves it.
UPDATE ledger.monitors
SET name = coalesce(:name, name), threshold = coalesce(:threshold, threshold), active = coalesce(:active, active)
WHERE tenant_id = :tenant_id AND id = :id;

-- name: mark_account(tenant_id, account_id)!
-- Notes on the account whether any active monitor looks at it: postings go by that.
UPDATE ledger.accounts a
SET monitored = NOT a.monitored
WHERE a.tenant_id = :tenant_id AND a.id = :account_id AND a.monitored <> EXISTS (
    SELECT FROM ledger.monitors m WHERE m.tenant_id = :tenant_id AND m.account_id = :account_id AND m.active);

-- name: active_count(tenant_id, account_id)$
-- How many active monitors look at an account.
SELECT count(*) FROM ledger.monitors WHERE tenant_id = :tenant_id AND account_id = :account_id AND active;
