-- The statements of clearing. Every one names its tenant; row-level security is the second lock on the door.

-- name: rule(tenant_id, account_id)^
-- Within which time an account is to return to zero, and what clears what on it. No row: it is not declared to.
SELECT r.clears_within, r.match_by FROM ledger.clearing_rules(:tenant_id, ARRAY[:account_id::uuid]) r;

-- name: account_ids(tenant_id)
-- All clearing accounts.
SELECT r.account_id FROM ledger.clearing_rules(:tenant_id, NULL) r ORDER BY r.account_id;

-- name: accounts(tenant_id, account_id, at, starting_after, limit)
-- Clearing accounts as they stood at an instant (null: now), one or a page of them, newest first. Ages are taken at
-- that instant, by the database's clock.
WITH clock AS MATERIALIZED (
    SELECT coalesce(:at::timestamptz, clock_timestamp()) AS at
), ruled AS MATERIALIZED (
    SELECT a.id, a.code, d.name, a.currency, r.clears_within, r.match_by
    FROM ledger.clearing_rules(:tenant_id, CASE WHEN :account_id::uuid IS NOT NULL THEN ARRAY[:account_id::uuid] END) r
    JOIN ledger.accounts a ON a.tenant_id = :tenant_id AND a.id = r.account_id
    JOIN ledger.account_details d ON d.tenant_id = :tenant_id AND d.account_id = r.account_id
    WHERE :starting_after::uuid IS NULL OR a.id < :starting_after
    ORDER BY a.id DESC
    LIMIT :limit
)
SELECT a.id, a.code, a.name, a.currency, a.clears_within, a.match_by, s.balance,
       i.items, i.amount, i.overdue_items, i.overdue, i.oldest, i.oldest_age, i.under_1, i.to_7, i.to_30, i.over_30
FROM ruled a
CROSS JOIN clock c
CROSS JOIN LATERAL ledger.stood(:tenant_id, a.id, :at) s
CROSS JOIN LATERAL (
    SELECT count(*) AS items, coalesce(sum(abs(o.amount)), 0)::bigint AS amount,
           count(*) FILTER (WHERE o.since + a.clears_within < c.at) AS overdue_items,
           coalesce(sum(abs(o.amount)) FILTER (WHERE o.since + a.clears_within < c.at), 0)::bigint AS overdue,
           min(o.since) AS oldest, max(o.age) AS oldest_age,
           coalesce(sum(abs(o.amount)) FILTER (WHERE o.age < interval '1 day'), 0)::bigint AS under_1,
           coalesce(sum(abs(o.amount)) FILTER (WHERE o.age >= interval '1 day' AND o.age < interval '7 days'), 0)::bigint AS to_7,
           coalesce(sum(abs(o.amount)) FILTER (WHERE o.age >= interval '7 days' AND o.age < interval '30 days'), 0)::bigint AS to_30,
           coalesce(sum(abs(o.amount)) FILTER (WHERE o.age >= interval '30 days'), 0)::bigint AS over_30
    FROM (SELECT l.amount, l.since, greatest(c.at - l.since, interval '0') AS age
          FROM ledger.lingering(:tenant_id, a.id, a.match_by, :at) l) o
) i
ORDER BY a.id DESC;

-- name: items(tenant_id, account_id, match_by, clears_within, at, overdue, starting_after, limit)
-- What had not cleared on an account at an instant (null: now), oldest first.
-- A cursor keeps its place when its item has cleared meanwhile: its transfer says where that was.
WITH clock AS MATERIALIZED (
    SELECT coalesce(:at::timestamptz, clock_timestamp()) AS at
)
SELECT i.transfer_id, i.correlation_id, i.amount, i.since, i.last_transfer_id, greatest(c.at - i.since, interval '0'),
       i.since + :clears_within::interval < c.at
FROM clock c CROSS JOIN ledger.lingering(:tenant_id, :account_id, :match_by, :at) i
WHERE (:overdue::boolean IS NULL OR (i.since + :clears_within::interval < c.at) = :overdue)
  AND (:starting_after::uuid IS NULL OR (i.since, i.transfer_id) > (
      SELECT t.recorded_at, t.id FROM ledger.all_transfers t
      WHERE t.tenant_id = :tenant_id AND t.id = :starting_after))
ORDER BY i.since, i.transfer_id
LIMIT :limit;

-- name: item_of(tenant_id, account_id, match_by, clears_within, transfer_id, correlation_id)^
-- What is open now of that to which a transfer belongs: its correlation where that is what clears, else its entry.
SELECT i.transfer_id, i.correlation_id, i.amount, i.since, i.last_transfer_id,
       greatest(clock_timestamp() - i.since, interval '0'), i.since + :clears_within::interval < clock_timestamp()
FROM ledger.lingering(:tenant_id, :account_id, :match_by, NULL) i
WHERE CASE WHEN :match_by = 'correlation' AND :correlation_id::text IS NOT NULL THEN i.correlation_id = :correlation_id
           ELSE i.transfer_id = :transfer_id END;

-- name: touches(tenant_id, account_id, transfer_id)^
-- The correlation id of a transfer. No row: there is none, or it moved nothing on this account.
SELECT t.correlation_id FROM ledger.all_transfers t
WHERE t.tenant_id = :tenant_id AND t.id = :transfer_id AND :account_id = ANY (t.account_ids);

-- name: trail_transfers(tenant_id, account_id, transfer_id, correlation_id, limit)
-- A transfer and what hangs together with it: all of its correlation, what these came from (a hold, what they
-- reverse or replace), and what has reversed any of them. Oldest first.
WITH joined AS MATERIALIZED (
    (SELECT t.id, t.related_id FROM ledger.all_transfers t WHERE t.tenant_id = :tenant_id AND t.id = :transfer_id)
    UNION
    (SELECT t.id, t.related_id FROM ledger.all_transfers t
     WHERE t.tenant_id = :tenant_id AND t.correlation_id = :correlation_id
     ORDER BY t.id LIMIT :limit)
), wider AS MATERIALIZED (
    SELECT j.id FROM joined j
    UNION SELECT j.related_id FROM joined j WHERE j.related_id IS NOT NULL
    UNION SELECT r.reversal_id FROM ledger.reversals r
          WHERE r.tenant_id = :tenant_id AND r.transfer_id = ANY (ARRAY(SELECT j.id FROM joined j))
)
SELECT t.id, t.kind, t.recorded_at, t.description, t.correlation_id, t.causation_id, t.related_id,
       CASE WHEN t.entry_seqs[array_position(t.account_ids, :account_id::uuid)] IS NULL THEN 0
            ELSE t.amounts[array_position(t.account_ids, :account_id::uuid)] END
FROM ledger.all_transfers t
WHERE t.tenant_id = :tenant_id AND t.id = ANY (ARRAY(SELECT w.id FROM wider w))
ORDER BY t.recorded_at, t.id
LIMIT :limit;

-- name: trail_events(tenant_id, object_ids, event_ids, limit)
-- The events about these objects, and these events themselves, oldest first.
SELECT e.id, e.type, e.occurred_at
FROM (
    SELECT o.id FROM kernel.events o WHERE o.tenant_id = :tenant_id AND o.object_id = ANY (:object_ids)
    UNION SELECT c.id FROM kernel.events c WHERE c.tenant_id = :tenant_id AND c.id = ANY (:event_ids)
) w
JOIN kernel.events e ON e.tenant_id = :tenant_id AND e.id = w.id
ORDER BY e.id
LIMIT :limit;

-- name: tell_overdue(tenant_id, account_ids)$
-- Writes an event for each item that has become overdue and was not told yet; how many.
SELECT ledger.tell_overdue(:tenant_id, :account_ids);
