-- Statements and reports. Every query names its tenant and reads one page; no transaction outlives it.
-- Ids carry their time to within the day's slack that lets whole partitions be left out.

-- name: present(tenant_id)$
-- An instant after everything that is committed and before everything that is not: whoever is posting is waited for.
SELECT clock_timestamp() FROM ledger.shut(:tenant_id);

-- name: accounts(tenant_id, account_id, account_code, under, after, limit)
-- A page of the accounts of a report, in the order of their codes. All of a subtree's codes lie between the code itself
-- and the code with the character after the colon; not all that lies there is below it. One account is shown
-- whatever it holds; of many, those that ever moved.
SELECT a.id, a.code, d.name, a.type, a.currency, c.exponent
FROM ledger.accounts a
JOIN ledger.account_details d ON d.tenant_id = :tenant_id AND d.account_id = a.id
JOIN reference.currencies c ON c.code = a.currency
WHERE a.tenant_id = :tenant_id
  AND (:account_id::uuid IS NULL OR a.id = :account_id)
  AND (:account_code::text IS NULL OR a.code = :account_code)
  AND (:under::text IS NULL
       OR (a.code >= :under AND a.code < :under || ';'
           AND (a.code = :under OR starts_with(a.code, :under || ':'))))
  AND (:after::text IS NULL OR a.code > :after)
  AND (a.entry_seq > 0 OR :account_id::uuid IS NOT NULL OR :account_code::text IS NOT NULL)
ORDER BY a.code
LIMIT :limit;

-- name: has_accounts(tenant_id, under)$
-- Whether any account lies at or below a code.
SELECT EXISTS (
    SELECT FROM ledger.accounts a
    WHERE a.tenant_id = :tenant_id AND a.code >= :under AND a.code < :under || ';'
      AND (a.code = :under OR starts_with(a.code, :under || ':')));

-- name: edges_recorded(tenant_id, ids, since, until)
-- Where accounts stood before a period and at its end, and the last entry before each, in the order of recording.
-- Instants are whole microseconds: "before this" is "by the one before".
SELECT w.id, w.opening, w.closing, w.after_seq, w.last_seq, w.last_seq
FROM ledger.stand_at(
    :tenant_id, :ids,
    array_fill(:since::timestamptz - interval '1 microsecond', ARRAY[cardinality(:ids::uuid[])]), NULL) o
CROSS JOIN ledger.stand_at(
    :tenant_id, :ids,
    array_fill(:until::timestamptz - interval '1 microsecond', ARRAY[cardinality(:ids::uuid[])]), NULL) c
CROSS JOIN LATERAL unnest(:ids::uuid[], o.balances, c.balances, o.seqs, c.seqs)
    AS w (id, opening, closing, after_seq, last_seq);

-- name: edges_effective(tenant_id, ids, since, until, known_at)
-- The same by the time at which entries count: entries without a time of their own lie between the two numbers, those
-- with one are known up to the third.
SELECT w.id, o.balance, c.balance, o.seq, c.seq, c.known_seq
FROM unnest(:ids::uuid[]) WITH ORDINALITY AS w (id, item)
JOIN ledger.balances_at(:tenant_id, :ids,
                        array_fill(:since::timestamptz - interval '1 microsecond', ARRAY[cardinality(:ids::uuid[])]),
                        array_fill(:known_at::timestamptz - interval '1 microsecond', ARRAY[cardinality(:ids::uuid[])])) o
    ON o.item = w.item
JOIN ledger.balances_at(:tenant_id, :ids,
                        array_fill(:until::timestamptz - interval '1 microsecond', ARRAY[cardinality(:ids::uuid[])]),
                        array_fill(:known_at::timestamptz - interval '1 microsecond', ARRAY[cardinality(:ids::uuid[])])) c
    ON c.item = w.item;

-- name: turnover_recorded(tenant_id, ids, after_seqs, last_seqs, since, until)
-- What accounts moved by the entries of a period, which lie between two numbers.
SELECT w.id, t.*
FROM unnest(:ids::uuid[], :after_seqs::bigint[], :last_seqs::bigint[]) AS w (id, after_seq, last_seq)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(e.amount) FILTER (WHERE e.amount > 0), 0)::text,
           coalesce(-sum(e.amount) FILTER (WHERE e.amount < 0), 0)::text,
           count(*) FILTER (WHERE e.amount > 0), count(*) FILTER (WHERE e.amount < 0)
    FROM ledger.all_entries e
    WHERE e.tenant_id = :tenant_id AND e.account_id = w.id AND e.seq > w.after_seq AND e.seq <= w.last_seq
      AND e.transfer_id >= kernel.uuid_floor(greatest(:since::timestamptz, '1970-01-02 UTC') - interval '1 day')
      AND e.transfer_id < kernel.uuid_floor(greatest(:until::timestamptz, '1970-01-02 UTC') + interval '1 day')
) t
WHERE w.last_seq > w.after_seq;

-- name: turnover_effective(tenant_id, ids, after_seqs, last_seqs, known_seqs, since, until, recorded_until)
-- What accounts moved by entries that count in a period: those recorded in it that have no other time, and those that
-- have one in it.
SELECT w.id, t.*
FROM unnest(:ids::uuid[], :after_seqs::bigint[], :last_seqs::bigint[], :known_seqs::bigint[])
    AS w (id, after_seq, last_seq, known_seq)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(e.amount) FILTER (WHERE e.amount > 0), 0)::text,
           coalesce(-sum(e.amount) FILTER (WHERE e.amount < 0), 0)::text,
           count(*) FILTER (WHERE e.amount > 0), count(*) FILTER (WHERE e.amount < 0)
    FROM (
        SELECT u.amount
        FROM ledger.all_entries u
        WHERE u.tenant_id = :tenant_id AND u.account_id = w.id AND u.effective_at IS NULL
          AND u.seq > w.after_seq AND u.seq <= w.last_seq
          AND u.transfer_id >= kernel.uuid_floor(greatest(:since::timestamptz, '1970-01-02 UTC') - interval '1 day')
          AND u.transfer_id < kernel.uuid_floor(greatest(:recorded_until::timestamptz, '1970-01-02 UTC') + interval '1 day')
        UNION ALL
        SELECT d.amount
        FROM ledger.all_entries d
        WHERE d.tenant_id = :tenant_id AND d.account_id = w.id AND d.seq <= w.known_seq
          AND d.effective_at >= :since AND d.effective_at < :until
    ) e
) t;

-- name: lines_recorded(tenant_id, account_id, since, until, after_seq, last_seq, limit)
-- A page of an account's entries of a period, in the order of recording.
SELECT e.seq, e.transfer_id, e.recorded_at, coalesce(e.effective_at, e.recorded_at), e.amount
FROM ledger.all_entries e
WHERE e.tenant_id = :tenant_id AND e.account_id = :account_id AND e.seq > :after_seq AND e.seq <= :last_seq
  AND e.transfer_id >= kernel.uuid_floor(greatest(:since::timestamptz, '1970-01-02 UTC') - interval '1 day')
  AND e.transfer_id < kernel.uuid_floor(greatest(:until::timestamptz, '1970-01-02 UTC') + interval '1 day')
ORDER BY e.seq
LIMIT :limit;

-- name: lines_effective(tenant_id, account_id, since, until, recorded_until, after_undated, last_seq, known_seq, after_at, after_seq, limit)
-- A page of an account's entries that count in a period, in the order in which they count: two ordered streams, of
-- entries that count when they are recorded and of those that have a time of their own.
(
    SELECT u.seq, u.transfer_id, u.recorded_at, u.recorded_at AS counts_at, u.amount, true AS undated
    FROM ledger.all_entries u
    WHERE u.tenant_id = :tenant_id AND u.account_id = :account_id AND u.effective_at IS NULL
      AND u.seq > :after_undated AND u.seq <= :last_seq
      AND u.transfer_id >= kernel.uuid_floor(greatest(:since::timestamptz, '1970-01-02 UTC') - interval '1 day')
      AND u.transfer_id < kernel.uuid_floor(greatest(:recorded_until::timestamptz, '1970-01-02 UTC') + interval '1 day')
    ORDER BY u.seq
    LIMIT :limit
)
UNION ALL
(
    SELECT d.seq, d.transfer_id, d.recorded_at, d.effective_at, d.amount, false
    FROM ledger.all_entries d
    WHERE d.tenant_id = :tenant_id AND d.account_id = :account_id AND d.seq <= :known_seq
      AND d.effective_at >= :after_at AND d.effective_at < :until
      AND (d.effective_at > :after_at OR d.seq > :after_seq)
    ORDER BY d.effective_at, d.seq
    LIMIT :limit
)
ORDER BY counts_at, seq
LIMIT :limit;

-- name: notes(tenant_id, ids)
-- What the log says of some transfers, and between which accounts they moved money.
SELECT t.id, t.kind, t.description, t.correlation_id, t.account_ids
FROM ledger.all_transfers t
WHERE t.tenant_id = :tenant_id AND t.id = ANY (:ids);

-- name: names(tenant_id, codes)
-- What the chart calls some of its nodes.
SELECT n.code, n.name FROM ledger.chart n WHERE n.tenant_id = :tenant_id AND n.code = ANY (:codes);

-- name: journal_recorded(tenant_id, account_id, account_code, under, since, until, after, limit)
-- A page of what a period recorded, in the order of the log. Only what moved money: holds have a log of their own.
SELECT t.id, t.kind, t.recorded_at, coalesce(t.effective_at, t.recorded_at), t.description, t.correlation_id,
       t.account_ids, t.amounts, t.id
FROM ledger.all_transfers t
WHERE t.tenant_id = :tenant_id AND t.id > :after
  AND t.recorded_at >= :since AND t.recorded_at < :until
  AND t.id >= kernel.uuid_floor(greatest(:since::timestamptz, '1970-01-02 UTC') - interval '1 day')
  AND t.id < kernel.uuid_floor(greatest(:until::timestamptz, '1970-01-02 UTC') + interval '1 day')
  AND t.kind IN ('transfer', 'post', 'reversal', 'repost')
  AND ((:account_id::uuid IS NULL AND :account_code::text IS NULL AND :under::text IS NULL)
       OR EXISTS (
           SELECT FROM ledger.accounts a
           WHERE a.tenant_id = :tenant_id AND a.id = ANY (t.account_ids)
             AND (a.id = :account_id OR a.code = :account_code
                  OR a.code = :under OR starts_with(a.code, :under || ':'))))
ORDER BY t.id
LIMIT :limit;

-- name: journal_effective(tenant_id, account_id, account_code, under, since, until, recorded_until, known_at, after_place, after, limit)
-- A page of what counts in a period. A transfer with a time of its own stands where an id of that time would stand.
SELECT p.id, p.kind, p.recorded_at, p.counts_at, p.description, p.correlation_id, p.account_ids, p.amounts, p.place
FROM (
    (
        SELECT t.id, t.kind, t.recorded_at, t.recorded_at AS counts_at, t.description, t.correlation_id,
               t.account_ids, t.amounts, t.id AS place
        FROM ledger.all_transfers t
        WHERE t.tenant_id = :tenant_id AND t.id > :after_place AND t.effective_at IS NULL
          AND t.recorded_at >= :since AND t.recorded_at < :recorded_until
          AND t.id >= kernel.uuid_floor(greatest(:since::timestamptz, '1970-01-02 UTC') - interval '1 day')
          AND t.id < kernel.uuid_floor(greatest(:recorded_until::timestamptz, '1970-01-02 UTC') + interval '1 day')
          AND t.kind IN ('transfer', 'post', 'reversal', 'repost')
          AND ((:account_id::uuid IS NULL AND :account_code::text IS NULL AND :under::text IS NULL)
               OR EXISTS (
                   SELECT FROM ledger.accounts a
                   WHERE a.tenant_id = :tenant_id AND a.id = ANY (t.account_ids)
                     AND (a.id = :account_id OR a.code = :account_code
                          OR a.code = :under OR starts_with(a.code, :under || ':'))))
        ORDER BY t.id
        LIMIT :limit
    )
    UNION ALL
    (
        SELECT d.id, d.kind, d.recorded_at, d.effective_at, d.description, d.correlation_id,
               d.account_ids, d.amounts, d.place
        FROM (
            SELECT t.*, kernel.uuid_floor(greatest(t.effective_at, '1970-01-02 UTC')) AS place
            FROM ledger.all_transfers t
            WHERE t.tenant_id = :tenant_id AND t.id IN (
                SELECT e.transfer_id FROM ledger.all_entries e
                WHERE e.tenant_id = :tenant_id AND e.effective_at >= :since AND e.effective_at < :until
                  AND e.recorded_at < :known_at)
        ) d
        WHERE (d.place, d.id) > (:after_place, :after)
          AND ((:account_id::uuid IS NULL AND :account_code::text IS NULL AND :under::text IS NULL)
               OR EXISTS (
                   SELECT FROM ledger.accounts a
                   WHERE a.tenant_id = :tenant_id AND a.id = ANY (d.account_ids)
                     AND (a.id = :account_id OR a.code = :account_code
                          OR a.code = :under OR starts_with(a.code, :under || ':'))))
        ORDER BY d.place, d.id
        LIMIT :limit
    )
) p
ORDER BY p.place, p.id
LIMIT :limit;

-- name: heads(tenant_id, ids)
-- Accounts by id.
SELECT a.id, a.code, d.name, a.type, a.currency, c.exponent
FROM ledger.accounts a
JOIN ledger.account_details d ON d.tenant_id = :tenant_id AND d.account_id = a.id
JOIN reference.currencies c ON c.code = a.currency
WHERE a.tenant_id = :tenant_id AND a.id = ANY (:ids);
