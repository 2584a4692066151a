-- The statements of imports and exports. Every one names its tenant; row-level security is the second lock.

-- name: begin_import(tenant_id, id, kind, digest, now)!
-- Notes a file that has not been imported before.
INSERT INTO ledger.imports (tenant_id, id, kind, digest, created_at, updated_at)
VALUES (:tenant_id, :id, :kind, :digest, :now, :now)
ON CONFLICT ON CONSTRAINT imports_file_key DO NOTHING;

-- name: import_of_file(tenant_id, kind, digest)^
-- The import of a file.
SELECT id, kind, status, rows_total, rows_done, rows_refused, created_at, updated_at
FROM ledger.imports WHERE tenant_id = :tenant_id AND kind = :kind AND digest = :digest;

-- name: import_by_id(tenant_id, id)^
-- One import.
SELECT id, kind, status, rows_total, rows_done, rows_refused, created_at, updated_at
FROM ledger.imports WHERE tenant_id = :tenant_id AND id = :id;

-- name: imports(tenant_id, kind, status, starting_after, limit)
-- A page of imports, newest first.
SELECT id, kind, status, rows_total, rows_done, rows_refused, created_at, updated_at
FROM ledger.imports
WHERE tenant_id = :tenant_id
  AND (:kind::text IS NULL OR kind = :kind)
  AND (:status::text IS NULL OR status = :status)
  AND (:starting_after::uuid IS NULL OR id < :starting_after)
ORDER BY id DESC
LIMIT :limit;

-- name: import_errors(tenant_id, import_id, starting_after, limit)
-- A page of what was wrong with rows, in the order of the file.
SELECT row_number, field, code, message
FROM ledger.import_errors
WHERE tenant_id = :tenant_id AND import_id = :import_id
  AND (:starting_after::bigint IS NULL OR row_number > :starting_after)
ORDER BY row_number
LIMIT :limit;

-- name: advance_import(rows_done, rows_refused, now, tenant_id, id, rows_before)!
-- Counts a chunk, in the transaction that posts it. No row: somebody else has counted it already.
UPDATE ledger.imports
SET rows_done = :rows_done, rows_refused = rows_refused + :rows_refused, status = 'running', updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id AND rows_done = :rows_before AND status <> 'completed';

-- name: end_import(status, rows_total, now, tenant_id, id)!
-- Marks an import as over.
UPDATE ledger.imports SET status = :status, rows_total = :rows_total, updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id AND status <> 'completed';

-- name: add_errors(tenant_id, import_id, row_numbers, fields, codes, messages)!
-- Keeps what was wrong with rows.
INSERT INTO ledger.import_errors (tenant_id, import_id, row_number, field, code, message)
SELECT :tenant_id, :import_id, e.row_number, e.field, e.code, e.message
FROM unnest(:row_numbers::bigint[], :fields::text[], :codes::text[], :messages::text[])
    AS e (row_number, field, code, message)
RETURNING row_number;

-- name: accounts_by_code(tenant_id, codes)
-- What an import has to know of accounts. Delicate: a row may be refused for more than a bound.
SELECT a.id, a.code, a.type, a.currency, a.min_balance IS NOT NULL OR a.max_balance IS NOT NULL,
       a.status <> 'active' OR a.limit_id IS NOT NULL OR a.monitored, a.entry_seq, a.balance, a.last_entry_at
FROM ledger.accounts a
WHERE a.tenant_id = :tenant_id AND a.code = ANY (:codes);

-- name: closed_before(tenant_id)$
-- Before which time the books are closed; nothing where they never were.
SELECT closed_before FROM ledger.books WHERE tenant_id = :tenant_id;

-- name: currencies()
-- The currencies that money can be kept in.
SELECT code FROM reference.currencies WHERE exponent IS NOT NULL;

-- name: open_stage()!
-- Makes this session's tables for COPY, if it has none yet.
SELECT ledger.open_import_stage();

-- name: clear_stage()#
-- Empties them before the end of the transaction.
TRUNCATE pg_temp.import_transfers, pg_temp.import_legs;

-- name: import_accounts(tenant_id, now)^
-- Opens the staged accounts; gives the rows whose code is taken, and those that the chart forbids.
SELECT r.taken, r.against_chart FROM ledger.import_accounts(:tenant_id, :now) r;

-- name: write_import(tenant_id, accounts, seqs, balances, not_before, earliest)^
-- Writes the staged transfers upon these seqs and balances.
SELECT r.recorded_at, r.closed_before
FROM ledger.write_import(:tenant_id, :accounts, :seqs, :balances, :not_before, :earliest) r;

-- name: count_import(tenant_id, accounts, counts, totals, lows, highs, dated, seqs, balances, recorded_at)^
-- Locks the accounts and counts what was written, or says what is in the way.
SELECT r.counted, r.in_the_way, r.seqs, r.balances, r.last_at
FROM ledger.count_import(:tenant_id, :accounts, :counts, :totals, :lows, :highs, :dated, :seqs, :balances,
                         :recorded_at) r;

-- name: export_accounts(tenant_id, subtree)
-- Accounts as an import takes them, with the bounds that are their own.
SELECT a.code, d.name, a.type, a.currency, d.min_balance, d.max_balance, d.metadata::text AS metadata, a.status
FROM ledger.accounts a
JOIN ledger.account_details d ON d.tenant_id = :tenant_id AND d.account_id = a.id
WHERE a.tenant_id = :tenant_id
  AND (:subtree::text IS NULL OR a.code = :subtree OR starts_with(a.code, :subtree || ':'))
ORDER BY a.code;

-- name: export_balances(tenant_id, subtree)
-- What each account holds now, on its normal side.
SELECT a.code, a.balance AS amount, a.currency
FROM ledger.accounts a
WHERE a.tenant_id = :tenant_id
  AND (:subtree::text IS NULL OR a.code = :subtree OR starts_with(a.code, :subtree || ':'))
ORDER BY a.code;

-- name: export_entries(tenant_id, subtree, since, until)
-- Entries, account by account in the order of their numbers; debits are positive. Ids carry their time to within
-- the day's slack that lets whole partitions be left out.
SELECT a.code AS account, e.seq, e.transfer_id AS transfer, e.amount, a.currency, e.balance_after,
       to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS recorded_at,
       to_char(coalesce(e.effective_at, e.recorded_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
           AS effective_at
FROM ledger.all_entries e
JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = e.account_id
WHERE e.tenant_id = :tenant_id
  AND (:subtree::text IS NULL OR a.code = :subtree OR starts_with(a.code, :subtree || ':'))
  AND (:since::timestamptz IS NULL
       OR (e.recorded_at >= :since AND e.transfer_id >= kernel.uuid_floor(:since::timestamptz - interval '1 day')))
  AND (:until::timestamptz IS NULL
       OR (e.recorded_at < :until AND e.transfer_id < kernel.uuid_floor(:until::timestamptz + interval '1 day')))
ORDER BY e.account_id, e.seq;

-- name: export_transfers(tenant_id, subtree, since, until)
-- What moved money, as an import takes it: two legs in one row, more in a row each. The name in `transfer` holds the
-- rows of one together.
SELECT t.id AS transfer, l.debit_account, l.credit_account, l.amount, l.currency,
       to_char(coalesce(t.effective_at, t.recorded_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
           AS effective_at,
       t.description, t.correlation_id, t.causation_id, t.metadata::text AS metadata, t.kind,
       to_char(t.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS recorded_at
FROM ledger.all_transfers t
CROSS JOIN LATERAL (
    SELECT d.code AS debit_account, c.code AS credit_account, abs(t.amounts[1]) AS amount, d.currency, 1 AS leg
    FROM ledger.accounts d, ledger.accounts c
    WHERE cardinality(t.amounts) = 2 AND d.tenant_id = :tenant_id AND c.tenant_id = :tenant_id
      AND d.id = t.account_ids[CASE WHEN t.amounts[1] > 0 THEN 1 ELSE 2 END]
      AND c.id = t.account_ids[CASE WHEN t.amounts[1] > 0 THEN 2 ELSE 1 END]
    UNION ALL
    SELECT CASE WHEN u.amount > 0 THEN a.code END, CASE WHEN u.amount < 0 THEN a.code END, abs(u.amount), a.currency, u.leg
    FROM unnest(t.account_ids, t.amounts) WITH ORDINALITY AS u (account_id, amount, leg)
    JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = u.account_id
    WHERE cardinality(t.amounts) > 2
) l
WHERE t.tenant_id = :tenant_id AND t.entry_seqs IS NOT NULL
  AND (:subtree::text IS NULL OR t.account_ids && ARRAY(
      SELECT s.id FROM ledger.accounts s
      WHERE s.tenant_id = :tenant_id AND (s.code = :subtree OR starts_with(s.code, :subtree || ':'))))
  AND (:since::timestamptz IS NULL
       OR (t.recorded_at >= :since AND t.id >= kernel.uuid_floor(:since::timestamptz - interval '1 day')))
  AND (:until::timestamptz IS NULL
       OR (t.recorded_at < :until AND t.id < kernel.uuid_floor(:until::timestamptz + interval '1 day')))
ORDER BY t.id, l.leg;
