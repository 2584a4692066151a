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

-- name: import_accounts(tenant_id, now)$
-- Opens the staged accounts; gives the rows whose code is taken.
SELECT ledger.import_accounts(:tenant_id, :now);

-- name: write_import(tenant_id, accounts, seqs, balances, not_before, earliest)^
-- Writes the staged transfers upon these seqs and balances.
SELECT r.recorded_at, r.closed_before
FROM ledger.write_import(:tenant_id, :accounts, :seqs, :balances, :not_before, :earliest) r;

-- name: count_import(tenant_id, accounts, counts, totals, lows, highs, dated, seqs, balances, recorded_at)^
-- Locks the accounts and counts what was written, or says what is in the way.
SELECT r.counted, r.in_the_way, r.seqs, r.balances, r.last_at
FROM ledger.count_import(:tenant_id, :accounts, :counts, :totals, :lows, :highs, :dated, :seqs, :balances,
                         :recorded_at) r;
