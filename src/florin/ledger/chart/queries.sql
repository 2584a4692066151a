-- Statements of the chart of accounts. Codes are in byte order: what lies below p has codes from p: up to p;.

-- name: nodes(tenant_id, under)
-- The nodes at or below a code; null: all. In no order that matters.
SELECT n.code, n.name, n.type, n.currency, n.min_balance, n.max_balance, n.clears_within, n.match_by, n.created_at
FROM ledger.chart n
WHERE n.tenant_id = :tenant_id
  AND (:under::text IS NULL OR n.code = :under OR (n.code >= :under::text || ':' AND n.code < :under::text || ';'));

-- name: node(tenant_id, code)^
-- One node.
SELECT n.code, n.name, n.type, n.currency, n.min_balance, n.max_balance, n.clears_within, n.match_by, n.created_at
FROM ledger.chart n WHERE n.tenant_id = :tenant_id AND n.code = :code;

-- name: count_nodes(tenant_id)$
-- How many nodes the chart has.
SELECT count(*) FROM ledger.chart WHERE tenant_id = :tenant_id;

-- name: currency_exists(code)$
-- Whether money is kept in this currency.
SELECT EXISTS (SELECT FROM reference.currencies WHERE code = :code AND exponent IS NOT NULL);

-- name: insert_node(tenant_id, code, name, type, currency, min_balance, max_balance, clears_within, match_by, created_at)!
-- A new node; none where there is one.
INSERT INTO ledger.chart (tenant_id, code, name, type, currency, min_balance, max_balance, clears_within, match_by,
                          created_at)
VALUES (:tenant_id, :code, :name, :type, :currency, :min_balance, :max_balance, :clears_within, :match_by, :created_at)
ON CONFLICT ON CONSTRAINT chart_pkey DO NOTHING;

-- name: update_node(name, type, currency, min_balance, max_balance, clears_within, match_by, tenant_id, code)!
-- The node as it shall be from now on.
UPDATE ledger.chart
SET name = :name, type = :type, currency = :currency, min_balance = :min_balance, max_balance = :max_balance,
    clears_within = :clears_within, match_by = :match_by
WHERE tenant_id = :tenant_id AND code = :code;

-- name: delete_node(tenant_id, code)!
-- Takes a node out.
DELETE FROM ledger.chart WHERE tenant_id = :tenant_id AND code = :code;

-- name: conflict(tenant_id, code)^
-- What contradicts the node as it stands now.
SELECT c.rule, c.node, c.account FROM ledger.chart_conflict(:tenant_id, :code) c;

-- name: node_totals(tenant_id, under)
-- Per node at or below a code (null: all) and currency: what the balances of its accounts come to on either side.
SELECT n.code, t.currency, t.debits::text, t.credits::text, t.accounts
FROM ledger.chart n
CROSS JOIN LATERAL (
    SELECT a.currency, sum(greatest(b.debit, 0)) AS debits, sum(greatest(-b.debit, 0)) AS credits, count(*) AS accounts
    FROM ledger.accounts a
    CROSS JOIN LATERAL (SELECT CASE WHEN a.type IN ('asset', 'expense') THEN a.balance ELSE -a.balance END AS debit) b
    WHERE a.tenant_id = :tenant_id AND (a.code = n.code OR (a.code >= n.code || ':' AND a.code < n.code || ';'))
    GROUP BY a.currency
) t
WHERE n.tenant_id = :tenant_id
  AND (:under::text IS NULL OR n.code = :under OR (n.code >= :under::text || ':' AND n.code < :under::text || ';'))
ORDER BY n.code, t.currency;

-- name: subtree_totals(tenant_id, code)
-- What the balances of the accounts at or below a code come to, and how many of them have the normal side debit.
SELECT a.currency, sum(greatest(b.debit, 0))::text AS debits, sum(greatest(-b.debit, 0))::text AS credits,
       count(*) AS accounts, count(*) FILTER (WHERE a.type IN ('asset', 'expense')) AS of_debit_side
FROM ledger.accounts a
CROSS JOIN LATERAL (SELECT CASE WHEN a.type IN ('asset', 'expense') THEN a.balance ELSE -a.balance END AS debit) b
WHERE a.tenant_id = :tenant_id AND (a.code = :code OR (a.code >= :code::text || ':' AND a.code < :code::text || ';'))
GROUP BY a.currency
ORDER BY a.currency;

-- name: child_totals(tenant_id, code, limit)
-- The same of the accounts below a code, by the next segment of theirs.
SELECT split_part(substr(a.code, length(:code::text) + 2), ':', 1) AS segment, a.currency,
       sum(greatest(b.debit, 0))::text AS debits, sum(greatest(-b.debit, 0))::text AS credits, count(*) AS accounts
FROM ledger.accounts a
CROSS JOIN LATERAL (SELECT CASE WHEN a.type IN ('asset', 'expense') THEN a.balance ELSE -a.balance END AS debit) b
WHERE a.tenant_id = :tenant_id AND a.code >= :code::text || ':' AND a.code < :code::text || ';'
GROUP BY segment, a.currency
ORDER BY segment, a.currency
LIMIT :limit;

-- name: nearest_type(tenant_id, code)$
-- The type that the nearest node at or above a code gives its accounts.
SELECT n.type FROM ledger.chart n
WHERE n.tenant_id = :tenant_id AND n.code = ANY (ledger.classes(:code))
ORDER BY n.code DESC LIMIT 1;
