-- The ledger's statements. Every one names its tenant; row-level security is the second lock on the door.

-- name: insert_account(tenant_id, id, code, type, currency, min_balance, max_balance, name, metadata, clears_within, match_by, created_at)!
-- Opens an account: the hot row that postings lock, and its cold half with the bounds of its own. A trigger fits
-- the first into its classes. No row where the currency has no minor unit to count in (gold, test codes).
WITH opened AS (
    INSERT INTO ledger.accounts (tenant_id, id, code, type, currency, min_balance, max_balance)
    SELECT :tenant_id, :id, :code, :type, c.code, :min_balance, :max_balance
    FROM reference.currencies c WHERE c.code = :currency AND c.exponent IS NOT NULL
    RETURNING id
)
INSERT INTO ledger.account_details (tenant_id, account_id, name, metadata, min_balance, max_balance, clears_within,
                                    match_by, created_at)
SELECT :tenant_id, o.id, :name, :metadata, :min_balance, :max_balance, :clears_within, :match_by, :created_at
FROM opened o
RETURNING account_id;

-- name: accounts(tenant_id, ids)
-- These accounts with their balances: bounds of their own and those in force, and how they clear, by their own
-- declaration or that of the nearest class that has one.
SELECT a.id, a.code, d.name, a.type, a.currency, a.status, d.min_balance, d.max_balance, a.min_balance, a.max_balance,
       a.limit_id, coalesce(d.clears_within, n.clears_within),
       CASE WHEN d.clears_within IS NULL THEN coalesce(n.match_by, d.match_by) ELSE d.match_by END,
       CASE WHEN d.clears_within IS NULL THEN n.code END,
       a.balance, a.pending_debits, a.pending_credits, a.entry_seq, d.metadata, d.created_at
FROM ledger.accounts a
JOIN ledger.account_details d ON d.tenant_id = :tenant_id AND d.account_id = ANY (:ids) AND d.account_id = a.id
LEFT JOIN LATERAL (
    SELECT c.code, c.clears_within, c.match_by FROM ledger.chart c
    WHERE c.tenant_id = :tenant_id AND c.code = ANY (ledger.classes(a.code)) AND c.clears_within IS NOT NULL
    ORDER BY c.code DESC LIMIT 1
) n ON true
WHERE a.tenant_id = :tenant_id AND a.id = ANY (:ids)
ORDER BY a.id DESC;

-- name: account_ids(tenant_id, starting_after, type, currency, status, code_prefix, under, limit_id, limit)
-- A page of accounts' ids, newest first. Codes are in byte order, so that a prefix and a subtree are ranges;
-- no code has a byte as high as DEL.
SELECT a.id
FROM ledger.accounts a
WHERE a.tenant_id = :tenant_id
  AND (:starting_after::uuid IS NULL OR a.id < :starting_after)
  AND (:type::text IS NULL OR a.type = :type)
  AND (:currency::text IS NULL OR a.currency = :currency)
  AND (:status::text IS NULL OR a.status = :status)
  AND (:code_prefix::text IS NULL OR (a.code >= :code_prefix AND a.code < :code_prefix::text || chr(127)))
  AND (:under::text IS NULL OR a.code = :under OR (a.code >= :under::text || ':' AND a.code < :under::text || ';'))
  AND (:limit_id::uuid IS NULL OR a.limit_id = :limit_id)
ORDER BY a.id DESC
LIMIT :limit;

-- name: account_ids_by_metadata(tenant_id, key, value, noted, starting_after, type, currency, status, code_prefix, under, limit_id, limit)
-- A page of the ids of accounts that have this noted on them, newest first, and all that `noted` holds besides.
SELECT m.account_id
FROM ledger.account_metadata m
JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = m.account_id
JOIN ledger.account_details d ON d.tenant_id = :tenant_id AND d.account_id = m.account_id
WHERE m.tenant_id = :tenant_id AND m.key = :key AND m.value = :value
  AND d.metadata @> :noted
  AND (:starting_after::uuid IS NULL OR m.account_id < :starting_after)
  AND (:type::text IS NULL OR a.type = :type)
  AND (:currency::text IS NULL OR a.currency = :currency)
  AND (:status::text IS NULL OR a.status = :status)
  AND (:code_prefix::text IS NULL OR (a.code >= :code_prefix AND a.code < :code_prefix::text || chr(127)))
  AND (:under::text IS NULL OR a.code = :under OR (a.code >= :under::text || ':' AND a.code < :under::text || ';'))
  AND (:limit_id::uuid IS NULL OR a.limit_id = :limit_id)
ORDER BY m.account_id DESC
LIMIT :limit;

-- name: hold_chart(tenant_id, alone)$
-- Keeps the chart as it is until the transaction ends; `alone` keeps everybody else from relying on it too.
SELECT ledger.hold_chart(:tenant_id, :alone);

-- name: lock_account(tenant_id, id)^
-- The account's status, with its row locked against postings until the transaction ends.
SELECT status FROM ledger.accounts WHERE tenant_id = :tenant_id AND id = :id FOR NO KEY UPDATE;

-- name: update_account_status(status, tenant_id, id)!
-- Freezes, unfreezes or closes an account.
UPDATE ledger.accounts SET status = :status WHERE tenant_id = :tenant_id AND id = :id;

-- name: update_account_details(name, metadata, set_min_balance, min_balance, set_max_balance, max_balance, set_clears_within, clears_within, match_by, tenant_id, id)!
-- Changes what may change of an account; null leaves a value, and flags tell one that is removed from one that stays.
UPDATE ledger.account_details
SET name = coalesce(:name, name), metadata = coalesce(:metadata, metadata),
    min_balance = CASE WHEN :set_min_balance THEN :min_balance ELSE min_balance END,
    max_balance = CASE WHEN :set_max_balance THEN :max_balance ELSE max_balance END,
    clears_within = CASE WHEN :set_clears_within THEN :clears_within ELSE clears_within END,
    match_by = coalesce(:match_by, match_by)
WHERE tenant_id = :tenant_id AND account_id = :id;

-- name: bind_bounds(tenant_id, code, account_id)^
-- Gives an account, or those at or below a code, the bounds that posting enforces; names what crosses.
SELECT b.account, b.class, b.changed FROM ledger.bind_bounds(:tenant_id, :code, :account_id) b;

-- name: share_limit(tenant_id, ids, limit_id)^
-- Lets accounts share a limit, or none; their balances and pendings move between the running sums.
SELECT s.refusal, s.account FROM ledger.share_limit(:tenant_id, :ids, :limit_id) s;

-- name: ensure_accounts(tenant_id, ids, codes, names, types, currencies)$
-- The ids of accounts with these codes, made where they do not exist.
SELECT ledger.ensure_accounts(:tenant_id, :ids, :codes, :names, :types, :currencies);

-- name: entries(tenant_id, account_id, before_seq, since, until, limit)
-- A page of an account's entries, newest first. Ids carry their time to within the day's slack
-- that lets whole partitions be left out.
SELECT e.seq, e.transfer_id, e.amount,
       e.balance_after - CASE WHEN a.type IN ('asset', 'expense') THEN e.amount ELSE -e.amount END,
       e.balance_after, e.recorded_at, coalesce(e.effective_at, e.recorded_at)
FROM ledger.all_entries e
JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = :account_id
WHERE e.tenant_id = :tenant_id AND e.account_id = :account_id
  AND (:before_seq::bigint IS NULL OR e.seq < :before_seq)
  AND (:since::timestamptz IS NULL
       OR (e.recorded_at >= :since AND e.transfer_id >= kernel.uuid_floor(:since::timestamptz - interval '1 day')))
  AND (:until::timestamptz IS NULL
       OR (e.recorded_at < :until AND e.transfer_id < kernel.uuid_floor(:until::timestamptz + interval '1 day')))
ORDER BY e.seq DESC
LIMIT :limit;

-- name: account_exists(tenant_id, id)$
-- Whether there is such an account.
SELECT true FROM ledger.accounts WHERE tenant_id = :tenant_id AND id = :id;

-- name: transfer_ids(tenant_id, starting_after, kind, correlation_id, since, until, limit)
-- A page of transfers' ids, newest first.
SELECT t.id
FROM ledger.all_transfers t
WHERE t.tenant_id = :tenant_id
  AND (:starting_after::uuid IS NULL OR t.id < :starting_after)
  AND (:kind::text IS NULL OR t.kind = :kind)
  AND (:correlation_id::text IS NULL OR t.correlation_id = :correlation_id)
  AND (:since::timestamptz IS NULL
       OR (t.recorded_at >= :since AND t.id >= kernel.uuid_floor(:since::timestamptz - interval '1 day')))
  AND (:until::timestamptz IS NULL
       OR (t.recorded_at < :until AND t.id < kernel.uuid_floor(:until::timestamptz + interval '1 day')))
ORDER BY t.id DESC
LIMIT :limit;

-- name: transfer_ids_of_account(tenant_id, account_id, starting_after, kind, correlation_id, since, until, limit)
-- A page of the ids of transfers that moved money on one account, in the order of its entries, newest first.
SELECT e.transfer_id
FROM ledger.all_entries e
JOIN ledger.all_transfers t ON t.tenant_id = :tenant_id AND t.id = e.transfer_id
WHERE e.tenant_id = :tenant_id AND e.account_id = :account_id
  AND (:starting_after::uuid IS NULL OR e.seq < (
      SELECT s.entry_seqs[array_position(s.account_ids, :account_id)]
      FROM ledger.all_transfers s WHERE s.tenant_id = :tenant_id AND s.id = :starting_after))
  AND (:kind::text IS NULL OR t.kind = :kind)
  AND (:correlation_id::text IS NULL OR t.correlation_id = :correlation_id)
  AND (:since::timestamptz IS NULL
       OR (e.recorded_at >= :since AND e.transfer_id >= kernel.uuid_floor(:since::timestamptz - interval '1 day')))
  AND (:until::timestamptz IS NULL
       OR (e.recorded_at < :until AND e.transfer_id < kernel.uuid_floor(:until::timestamptz + interval '1 day')))
ORDER BY e.seq DESC
LIMIT :limit;

-- name: transfers(tenant_id, ids)
-- Transfers with their legs and what these did to each account. The two bounds say nothing new: an array of ids
-- does not tell a prepared statement which months it can leave out, they do.
SELECT t.id, t.kind, t.recorded_at, coalesce(t.effective_at, t.recorded_at), t.related_id, t.description, t.metadata,
       t.correlation_id, t.causation_id, t.template, t.exchange, r.reversal_ids,
       l.account_ids, l.currencies, l.amounts, l.seqs, l.befores, l.afters, l.reversed
FROM ledger.all_transfers t
LEFT JOIN LATERAL (
    SELECT array_agg(v.reversal_id ORDER BY v.number) AS reversal_ids,
           (array_agg(v.number ORDER BY v.number DESC))[1] AS last_number
    FROM ledger.reversals v WHERE v.tenant_id = :tenant_id AND v.transfer_id = t.id
) r ON true
LEFT JOIN ledger.reversals f ON f.tenant_id = :tenant_id AND f.transfer_id = t.id AND f.number = r.last_number
CROSS JOIN LATERAL (
    SELECT array_agg(u.account_id ORDER BY u.leg) AS account_ids, array_agg(a.currency ORDER BY u.leg) AS currencies,
           array_agg(u.amount ORDER BY u.leg) AS amounts, array_agg(u.seq ORDER BY u.leg) AS seqs,
           array_agg(e.balance_after - CASE WHEN a.type IN ('asset', 'expense') THEN e.amount ELSE -e.amount END
                     ORDER BY u.leg) AS befores,
           array_agg(e.balance_after ORDER BY u.leg) AS afters,
           array_agg(coalesce(f.reversed[u.leg], 0) ORDER BY u.leg) AS reversed
    FROM unnest(t.account_ids, t.amounts, t.entry_seqs) WITH ORDINALITY AS u (account_id, amount, seq, leg)
    JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = u.account_id
    LEFT JOIN ledger.all_entries e ON e.tenant_id = :tenant_id AND e.account_id = u.account_id
        AND e.seq = u.seq AND e.transfer_id = t.id
) l
WHERE t.tenant_id = :tenant_id AND t.id = ANY (:ids)
  AND t.id >= (SELECT i FROM unnest(:ids::uuid[]) AS i ORDER BY i LIMIT 1)
  AND t.id <= (SELECT i FROM unnest(:ids::uuid[]) AS i ORDER BY i DESC LIMIT 1);

-- name: holds(tenant_id, id, starting_after, status, account_id, limit)
-- Holds with their legs, by id or a page of them, newest first.
SELECT h.id, h.status, h.expires_at, t.description, t.metadata, h.created_at, h.updated_at,
       h.account_ids, l.currencies, h.reserved, h.posted, h.remaining
FROM ledger.holds h
JOIN ledger.all_transfers t ON t.tenant_id = :tenant_id AND t.id = h.id
CROSS JOIN LATERAL (
    SELECT array_agg(a.currency ORDER BY u.leg) AS currencies
    FROM unnest(h.account_ids) WITH ORDINALITY AS u (account_id, leg)
    JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = u.account_id
) l
WHERE h.tenant_id = :tenant_id
  AND (:id::uuid IS NULL OR h.id = :id)
  AND (:starting_after::uuid IS NULL OR h.id < :starting_after)
  AND (:status::text IS NULL OR h.status = :status)
  AND (:account_id::uuid IS NULL OR :account_id = ANY (h.account_ids))
ORDER BY h.id DESC
LIMIT :limit;

-- name: due_holds(tenant_id, limit)
-- Holds whose time has passed by the database's clock and that still reserve, longest overdue first.
SELECT id
FROM ledger.holds
WHERE tenant_id = :tenant_id AND expires_at <= clock_timestamp()
  AND status IN ('reserved', 'partially_posted')
ORDER BY expires_at
LIMIT :limit;

-- name: trial_balance(tenant_id)
-- Per currency and type of account, the balances that stand on the debit and on the credit side.
SELECT b.currency, b.type, sum(greatest(b.debit, 0))::text AS debits, sum(greatest(-b.debit, 0))::text AS credits
FROM (
    SELECT currency, type, CASE WHEN type IN ('asset', 'expense') THEN balance ELSE -balance END AS debit
    FROM ledger.accounts
    WHERE tenant_id = :tenant_id
) b
GROUP BY b.currency, b.type
ORDER BY b.currency, b.type;

-- name: exponents()
-- How many decimal places the minor unit of each currency has, for those that money is kept in.
SELECT code, exponent FROM reference.currencies WHERE exponent IS NOT NULL;

-- name: accounts_by_code(tenant_id, codes)
-- The ids, types and currencies of the accounts with these codes.
SELECT a.code, a.id, a.type, a.currency
FROM ledger.accounts a
WHERE a.tenant_id = :tenant_id AND a.code = ANY (:codes::text[]);
