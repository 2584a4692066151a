-- How far proofs have come, the sums that verification compares, and what rebuilding keeps. What must hold is in
-- rules/.

-- name: sealed_before(tenant_id)$
-- Every transfer with a smaller id is committed, and no more will come.
SELECT sealed_before FROM ledger.books WHERE tenant_id = :tenant_id;

-- name: advance(tenant_id, grace)$
-- Moves the mark before which the log is complete up to a while ago; never backwards. Null: there is none yet.
SELECT ledger.advance(:tenant_id, :grace);

-- name: skip_transfers(tenant_id, after_id, count)$
-- The id of the transfer so many further on.
SELECT id FROM ledger.all_transfers
WHERE tenant_id = :tenant_id AND id > :after_id
ORDER BY id OFFSET :count - 1 LIMIT 1;

-- name: accounts_after(tenant_id, after_id, limit)
-- A page of accounts with how many entries each says to have.
SELECT id, entry_seq FROM ledger.accounts
WHERE tenant_id = :tenant_id AND id > :after_id
ORDER BY id LIMIT :limit;

-- name: sum_of_legs(tenant_id, from_id, to_id)^
-- A range of the log in four figures: transfers, entries that it speaks of, a sum of hashes of these, and whether
-- all legs balance. The sum is that of sum_of_entries exactly when both speak of the same entries.
SELECT count(*) FILTER (WHERE x.leads), coalesce(sum(x.entries), 0)::bigint, coalesce(sum(x.hash), 0)::text,
       coalesce(bool_and(x.total = 0 AND x.currency IS NOT NULL), true)
FROM (
    SELECT t.id, a.currency, bool_or(l.leg = 1) AS leads, sum(l.amount) AS total, count(l.seq) AS entries,
           sum(hash_record_extended(ROW(l.account, l.seq, t.id, l.amount, t.recorded_at, nullif(t.effective_at, t.recorded_at)), 0))
               FILTER (WHERE l.seq IS NOT NULL) AS hash
    FROM ledger.all_transfers t
    CROSS JOIN LATERAL unnest(t.account_ids, t.amounts, t.entry_seqs) WITH ORDINALITY AS l (account, amount, seq, leg)
    LEFT JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = l.account
    WHERE t.tenant_id = :tenant_id AND t.id >= :from_id AND t.id < :to_id
    GROUP BY t.id, a.currency
) x;

-- name: sum_of_entries(bounds, tenant_id, from_account, to_account, from_seq, to_seq)
-- The entries of a range of accounts, per range of the log: how many, the sum of their hashes, and whether each
-- goes on where the one before it ended.
SELECT x.part, count(*), sum(x.hash)::text, bool_and(x.follows)
FROM (
    SELECT width_bucket(e.transfer_id, :bounds::uuid[]) AS part, e.seq,
           hash_record_extended(ROW(e.account_id, e.seq, e.transfer_id, e.amount, e.recorded_at,
               nullif(e.effective_at, e.recorded_at)), 0) AS hash,
           coalesce(e.seq = coalesce(lag(e.seq) OVER w, 0) + 1
               AND e.balance_after = coalesce(lag(e.balance_after) OVER w, 0)
                   + CASE WHEN a.type IN ('asset', 'expense') THEN e.amount ELSE -e.amount END
               AND e.recorded_at >= coalesce(lag(e.recorded_at) OVER w, '-infinity')
               AND (e.effective_at IS NULL OR a.dated), false) AS follows
    FROM ledger.all_entries e
    LEFT JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = e.account_id
    WHERE e.tenant_id = :tenant_id AND e.account_id >= :from_account AND e.account_id < :to_account
      AND e.seq >= :from_seq - 1 AND e.seq < :to_seq
    WINDOW w AS (PARTITION BY e.account_id ORDER BY e.seq, e.transfer_id)
) x
WHERE x.seq >= :from_seq
GROUP BY x.part;

-- name: lock_proof(tenant_id)^
-- How far the proof has come, with its row locked: one prover at a time.
INSERT INTO ledger.proofs (tenant_id, proven_before, proven_at, transfers, entries)
VALUES (:tenant_id, '00000000-0000-0000-0000-000000000000', clock_timestamp(), 0, 0)
ON CONFLICT (tenant_id) DO UPDATE SET transfers = proofs.transfers
RETURNING proven_before, transfers, entries;

-- name: proof(tenant_id)^
-- How far the proof has come.
SELECT proven_before, proven_at, transfers, entries FROM ledger.proofs WHERE tenant_id = :tenant_id;

-- name: move_proof(proven_before, transfers, entries, tenant_id)!
-- Moves the proof on by what has been verified.
UPDATE ledger.proofs
SET proven_before = :proven_before, proven_at = clock_timestamp(), transfers = transfers + :transfers,
    entries = entries + :entries
WHERE tenant_id = :tenant_id;

-- name: count_legs(tenant_id, from_id, to_id)^
-- How many transfers and entries a range of the log speaks of.
SELECT count(*), coalesce(sum(cardinality(t.entry_seqs)), 0)::bigint
FROM ledger.all_transfers t
WHERE t.tenant_id = :tenant_id AND t.id >= :from_id AND t.id < :to_id;

-- name: add_faults(tenant_id, ids, rules, details, transfer_ids, account_ids, seqs)
-- Notes faults, each once whoever finds it, and owes the world an event for each that is new.
WITH added AS (
    INSERT INTO ledger.faults (tenant_id, id, found_at, rule, transfer_id, account_id, seq, detail)
    SELECT :tenant_id, f.id, clock_timestamp(), f.rule, f.transfer_id, f.account_id, f.seq, f.detail
    FROM unnest(:ids::uuid[], :rules::text[], :details::text[], :transfer_ids::uuid[], :account_ids::uuid[], :seqs::bigint[])
        AS f (id, rule, detail, transfer_id, account_id, seq)
    ON CONFLICT DO NOTHING
    RETURNING id, found_at, rule, transfer_id, account_id, seq, detail
), told AS (
    INSERT INTO kernel.events (tenant_id, id, type, object_id, occurred_at, data)
    SELECT :tenant_id, kernel.uuidv7(), 'ledger_fault.found', a.id, a.found_at, to_jsonb(a)
    FROM added a
    RETURNING id, object_id
), owed AS (
    INSERT INTO kernel.outbox (tenant_id, event_id) SELECT :tenant_id, t.id FROM told t
    RETURNING event_id
)
SELECT a.rule, a.detail, a.transfer_id, a.account_id, a.seq
FROM added a JOIN told t ON t.object_id = a.id JOIN owed o ON o.event_id = t.id;

-- name: faults(tenant_id, limit)
-- Faults that have been found, the first found first.
SELECT f.rule, f.detail, f.transfer_id, f.account_id, f.seq
FROM ledger.faults f
WHERE f.tenant_id = :tenant_id
ORDER BY f.found_at, f.id
LIMIT :limit;

-- name: count_faults(tenant_id)$
-- How many faults have been found.
SELECT count(*) FROM ledger.faults WHERE tenant_id = :tenant_id;

-- name: behind(tenant_id, proven_before, limit)^
-- The last transfer that is proven and when it was recorded; how many are not, counted up to the limit; how long
-- the first of these has waited.
SELECT l.id, l.recorded_at, n.count, coalesce(extract(epoch FROM clock_timestamp() - w.recorded_at), 0)::float8
FROM (SELECT count(*) FROM (
          SELECT FROM ledger.transfers WHERE tenant_id = :tenant_id AND id >= :proven_before LIMIT :limit) x) n
LEFT JOIN LATERAL (
    SELECT id, recorded_at FROM ledger.all_transfers
    WHERE tenant_id = :tenant_id AND id < :proven_before ORDER BY id DESC LIMIT 1) l ON true
LEFT JOIN LATERAL (
    SELECT recorded_at FROM ledger.transfers
    WHERE tenant_id = :tenant_id AND id >= :proven_before ORDER BY id LIMIT 1) w ON true;

-- name: rebuild_begun(tenant_id)$
-- How far a rebuild has come, if one is under way.
SELECT rebuilt_before FROM ledger.rebuilds WHERE tenant_id = :tenant_id;

-- name: begin_rebuild(tenant_id)!
-- Begins a rebuild.
INSERT INTO ledger.rebuilds (tenant_id, rebuilt_before, begun_at)
VALUES (:tenant_id, '00000000-0000-0000-0000-000000000000', clock_timestamp());

-- name: forget_rebuilt_accounts(tenant_id)!
-- Forgets what a rebuild has added up.
DELETE FROM ledger.rebuilt_accounts WHERE tenant_id = :tenant_id;

-- name: forget_rebuild(tenant_id)!
-- Forgets how far a rebuild has come.
DELETE FROM ledger.rebuilds WHERE tenant_id = :tenant_id;

-- name: rebuild_range(tenant_id, from_id, to_id)!
-- Adds what a range of the log does to each account.
INSERT INTO ledger.rebuilt_accounts AS r (tenant_id, account_id, debits, entries, pending_debits, pending_credits, last_entry_at, dated)
SELECT :tenant_id, l.account,
       coalesce(sum(l.amount) FILTER (WHERE l.seq IS NOT NULL), 0), count(l.seq),
       coalesce(sum(greatest(w.held, 0) * w.sign), 0), coalesce(sum(-least(w.held, 0) * w.sign), 0),
       max(t.recorded_at) FILTER (WHERE l.seq IS NOT NULL), coalesce(bool_or(l.seq IS NOT NULL AND t.effective_at <> t.recorded_at), false)
FROM ledger.all_transfers t
CROSS JOIN LATERAL unnest(t.account_ids, t.amounts, t.entry_seqs) AS l (account, amount, seq)
CROSS JOIN LATERAL (SELECT CASE WHEN t.kind IN ('hold', 'post', 'void', 'expiry') THEN l.amount ELSE 0 END AS held,
                           CASE t.kind WHEN 'hold' THEN 1 ELSE -1 END AS sign) w
WHERE t.tenant_id = :tenant_id AND t.id >= :from_id AND t.id < :to_id
GROUP BY l.account
ON CONFLICT (tenant_id, account_id) DO UPDATE
SET debits = r.debits + excluded.debits, entries = r.entries + excluded.entries,
    pending_debits = r.pending_debits + excluded.pending_debits,
    pending_credits = r.pending_credits + excluded.pending_credits,
    last_entry_at = greatest(r.last_entry_at, excluded.last_entry_at), dated = r.dated OR excluded.dated;

-- name: move_rebuild(rebuilt_before, faults, tenant_id)!
-- Notes how far the rebuild has come, and what it found on the way.
UPDATE ledger.rebuilds SET rebuilt_before = :rebuilt_before, faults = faults || :faults WHERE tenant_id = :tenant_id;

-- name: lock_rebuild(tenant_id)$
-- How far the rebuild has come; nobody else goes on with it before this transaction ends.
SELECT rebuilt_before FROM ledger.rebuilds WHERE tenant_id = :tenant_id FOR UPDATE;

-- name: faults_of_rebuild(tenant_id)$
-- What the rebuild has found on the way.
SELECT faults FROM ledger.rebuilds WHERE tenant_id = :tenant_id;

-- name: rebuilt_differently(tenant_id, limit)
-- Accounts that are not what the log makes of them.
SELECT 'accounts_rebuilt',
       format('entry %%s, balance %%s, pending %%s and %%s, last entry %%s; the log makes it %%s, %%s, %%s and %%s, %%s',
              a.entry_seq, a.balance, a.pending_debits, a.pending_credits, coalesce(a.last_entry_at::text, 'never'),
              r.entries, r.balance, r.pending_debits, r.pending_credits, coalesce(r.last_entry_at::text, 'never')),
       NULL::uuid, a.id, a.entry_seq
FROM ledger.accounts a
LEFT JOIN ledger.rebuilt_accounts s ON s.tenant_id = :tenant_id AND s.account_id = a.id
CROSS JOIN LATERAL (
    SELECT coalesce(s.entries, 0) AS entries, coalesce(s.pending_debits, 0) AS pending_debits,
           coalesce(s.pending_credits, 0) AS pending_credits, s.last_entry_at,
           coalesce(CASE WHEN a.type IN ('asset', 'expense') THEN s.debits ELSE -s.debits END, 0) AS balance) r
WHERE a.tenant_id = :tenant_id
  AND (a.entry_seq <> r.entries OR a.balance <> r.balance OR a.pending_debits <> r.pending_debits
       OR a.pending_credits <> r.pending_credits OR a.last_entry_at IS DISTINCT FROM r.last_entry_at
       OR (s.dated AND NOT a.dated))
ORDER BY a.id
LIMIT :limit;

-- name: shut(tenant_id)$
-- Keeps everybody from posting until the transaction ends.
SELECT ledger.shut(:tenant_id);

-- name: write_accounts(tenant_id)
-- Puts accounts where the log leaves them; the ids of those that stood elsewhere.
UPDATE ledger.accounts a
SET balance = r.balance, entry_seq = r.entries, pending_debits = r.pending_debits, pending_credits = r.pending_credits,
    last_entry_at = r.last_entry_at, dated = a.dated OR r.dated
FROM (
    SELECT b.id, coalesce(s.entries, 0) AS entries, coalesce(s.pending_debits, 0) AS pending_debits,
           coalesce(s.pending_credits, 0) AS pending_credits, s.last_entry_at, coalesce(s.dated, false) AS dated,
           coalesce(CASE WHEN b.type IN ('asset', 'expense') THEN s.debits ELSE -s.debits END, 0) AS balance
    FROM ledger.accounts b
    LEFT JOIN ledger.rebuilt_accounts s ON s.tenant_id = :tenant_id AND s.account_id = b.id
    WHERE b.tenant_id = :tenant_id
) r
WHERE a.tenant_id = :tenant_id AND a.id = r.id
  AND (a.entry_seq <> r.entries OR a.balance <> r.balance OR a.pending_debits <> r.pending_debits
       OR a.pending_credits <> r.pending_credits OR a.last_entry_at IS DISTINCT FROM r.last_entry_at
       OR (r.dated AND NOT a.dated))
RETURNING a.id;

-- name: write_limits(tenant_id)
-- Makes every shared limit the sum of its accounts; the ids of those that were not.
UPDATE ledger.limits s
SET balance = m.balance, pending_debits = m.debits, pending_credits = m.credits
FROM (
    SELECT l.id, coalesce(sum(a.balance), 0) AS balance, coalesce(sum(a.pending_debits), 0) AS debits,
           coalesce(sum(a.pending_credits), 0) AS credits
    FROM ledger.limits l
    LEFT JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.limit_id = l.id
    WHERE l.tenant_id = :tenant_id
    GROUP BY l.id
) m
WHERE s.tenant_id = :tenant_id AND s.id = m.id
  AND (s.balance <> m.balance OR s.pending_debits <> m.debits OR s.pending_credits <> m.credits)
RETURNING s.id;

-- name: drop_snapshots(tenant_id, account_ids)!
-- Forgets the snapshots of some accounts.
DELETE FROM ledger.snapshots WHERE tenant_id = :tenant_id AND account_id = ANY (:account_ids);

-- name: drop_dated_totals(tenant_id, account_ids)!
-- Forgets the dated totals of some accounts.
DELETE FROM ledger.dated_totals WHERE tenant_id = :tenant_id AND account_id = ANY (:account_ids);

-- name: drop_open_items(tenant_id, account_ids)!
-- Forgets the open items of some accounts.
DELETE FROM ledger.open_items WHERE tenant_id = :tenant_id AND account_id = ANY (:account_ids);

-- name: drop_projections(tenant_id, account_ids)!
-- Lets the projections of some accounts begin again.
DELETE FROM ledger.projections WHERE tenant_id = :tenant_id AND account_id = ANY (:account_ids);
