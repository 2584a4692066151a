-- Bulk: imports that come in through COPY, and months that leave for the archive.

-- Where an import puts a chunk before it becomes accounts or transfers. COPY FROM is refused on tables with
-- row-level security, so it fills temporary ones: of one session, emptied at every commit, and made with the
-- owner's rights, because florin_app has no need to make tables of its own.
CREATE FUNCTION ledger.open_import_stage() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
BEGIN
    IF to_regclass('pg_temp.import_legs') IS NOT NULL THEN
        RETURN;
    END IF;
    CREATE TEMPORARY TABLE import_accounts (
        row_number   bigint NOT NULL,
        id           uuid   NOT NULL,
        code         text   COLLATE "C" NOT NULL,
        name         text   NOT NULL,
        type         text   NOT NULL,
        currency     text   NOT NULL,
        min_balance  bigint,
        max_balance  bigint,
        metadata     jsonb  NOT NULL
    ) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE import_transfers (
        item            integer   NOT NULL,
        accounts        integer[] NOT NULL,   -- per leg: which of the call's accounts
        amounts         bigint[]  NOT NULL,   -- debits positive
        numbers         integer[] NOT NULL,   -- per leg: the how manieth of the chunk's entries of its account
        effective_at    timestamptz,
        description     text,
        metadata        jsonb,
        correlation_id  text,
        causation_id    text
    ) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE import_legs (
        item          integer NOT NULL,
        account       integer NOT NULL,
        number        integer NOT NULL,
        amount        bigint  NOT NULL,
        moved         bigint  NOT NULL,       -- by the chunk so far, on the account's normal side, this one included
        effective_at  timestamptz
    ) ON COMMIT DELETE ROWS;
    GRANT SELECT, INSERT, TRUNCATE ON import_accounts, import_transfers, import_legs TO florin_app;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.open_import_stage() TO florin_app;

-- Opens the accounts that stand in import_accounts, in the order of their rows.
-- The bounds that posting enforces are the tighter of an account's own and those of the chart's nodes above it.
-- Returns the rows that were not opened: `against_chart`, where a node above has another type or currency, or bounds
-- that leave nothing of the account's own; and `taken`, whose code another account has, in the books or earlier in
-- the file.
CREATE FUNCTION ledger.import_accounts(
    p_tenant integer, p_now timestamptz, OUT taken bigint[], OUT against_chart bigint[]
)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    SELECT array_agg(s.row_number) INTO against_chart
    FROM pg_temp.import_accounts s
    CROSS JOIN LATERAL (
        SELECT bool_or(c.type <> s.type OR c.currency <> s.currency) AS other_kind,
               max(c.min_balance) AS min_balance, min(c.max_balance) AS max_balance
        FROM ledger.chart c
        WHERE c.tenant_id = p_tenant AND (c.code = s.code OR starts_with(s.code, c.code || ':'))
    ) n
    WHERE n.other_kind OR greatest(s.min_balance, n.min_balance) > least(s.max_balance, n.max_balance);

    WITH opened AS (
        INSERT INTO ledger.accounts (tenant_id, id, code, type, currency, min_balance, max_balance)
        SELECT p_tenant, s.id, s.code, s.type, s.currency, greatest(s.min_balance, n.min_balance),
               least(s.max_balance, n.max_balance)
        FROM pg_temp.import_accounts s
        CROSS JOIN LATERAL (
            SELECT max(c.min_balance) AS min_balance, min(c.max_balance) AS max_balance FROM ledger.chart c
            WHERE c.tenant_id = p_tenant AND (c.code = s.code OR starts_with(s.code, c.code || ':'))
        ) n
        WHERE s.row_number <> ALL (coalesce(against_chart, '{}'))
        ORDER BY s.row_number
        ON CONFLICT ON CONSTRAINT accounts_code_key DO NOTHING
        RETURNING id
    ), described AS (
        INSERT INTO ledger.account_details (tenant_id, account_id, name, metadata, created_at, min_balance, max_balance)
        SELECT p_tenant, s.id, s.name, s.metadata, p_now, s.min_balance, s.max_balance
        FROM opened o JOIN pg_temp.import_accounts s USING (id)
        RETURNING account_id
    )
    SELECT array_agg(s.row_number) INTO taken
    FROM pg_temp.import_accounts s LEFT JOIN described d ON d.account_id = s.id
    WHERE d.account_id IS NULL AND s.row_number <> ALL (coalesce(against_chart, '{}'));
END
$$;
GRANT EXECUTE ON FUNCTION ledger.import_accounts(integer, timestamptz) TO florin_app;

-- Writes the transfers that stand in import_transfers and import_legs, and their entries, upon the accounts as the
-- caller says that they stand; ledger.count_import has the last word on that, in the same transaction.
-- It takes no lock on an account, so that two chunks of an import can be written side by side.
--   p_accounts            what `account` in import_legs and `accounts` in import_transfers point into
--   p_seqs, p_balances    per account, where the chunk begins
--   p_not_before          when the last entry of any of the accounts was recorded
--   p_earliest            the smallest effective_at; null: there is none
-- Returns when all this is recorded; or the time before which the books are closed, where p_earliest lies before
-- it: then nothing was written.
CREATE FUNCTION ledger.write_import(
    p_tenant      integer,
    p_accounts    uuid[],
    p_seqs        bigint[],
    p_balances    bigint[],
    p_not_before  timestamptz,
    p_earliest    timestamptz,
    OUT recorded_at    timestamptz,
    OUT closed_before  timestamptz
)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_entered  record;
    v_prefix   text;
    v_ids      uuid[];
    v_now      timestamptz;
    v_written  bigint;
BEGIN
    v_entered := ledger.enter(p_tenant, ARRAY[kernel.uuidv7()]);
    IF p_earliest < v_entered.closed_before THEN
        closed_before := v_entered.closed_before;
        RETURN;
    END IF;
    v_now := greatest(clock_timestamp(), p_not_before);
    recorded_at := v_now;

    -- Ids of one millisecond, counted up in the order of the file.
    v_prefix := left(v_entered.ids[1]::text, 24);
    SELECT array_agg((v_prefix || lpad(i.item::text, 12, '0'))::uuid ORDER BY i.item) INTO v_ids
    FROM generate_series(1, (SELECT count(*) FROM pg_temp.import_transfers)) AS i (item);

    WITH written AS (
        INSERT INTO ledger.entries
            (tenant_id, account_id, seq, transfer_id, amount, balance_after, recorded_at, effective_at)
        SELECT p_tenant, p_accounts[g.account], p_seqs[g.account] + g.number, v_ids[g.item], g.amount,
               p_balances[g.account] + g.moved, v_now, g.effective_at
        FROM pg_temp.import_legs g
        RETURNING seq
    )
    SELECT count(*) INTO v_written FROM written;

    WITH written AS (
        INSERT INTO ledger.transfers (tenant_id, id, kind, recorded_at, effective_at, account_ids, amounts, entry_seqs,
                                      description, metadata, correlation_id, causation_id)
        SELECT p_tenant, v_ids[s.item], 'transfer', v_now, s.effective_at,
               CASE cardinality(s.accounts)
                   WHEN 2 THEN ARRAY[p_accounts[s.accounts[1]], p_accounts[s.accounts[2]]]
                   ELSE (SELECT array_agg(p_accounts[u.account] ORDER BY u.leg)
                         FROM unnest(s.accounts) WITH ORDINALITY AS u (account, leg))
               END,
               s.amounts,
               CASE cardinality(s.accounts)
                   WHEN 2 THEN ARRAY[p_seqs[s.accounts[1]] + s.numbers[1], p_seqs[s.accounts[2]] + s.numbers[2]]
                   ELSE (SELECT array_agg(p_seqs[u.account] + u.number ORDER BY u.leg)
                         FROM unnest(s.accounts, s.numbers) WITH ORDINALITY AS u (account, number, leg))
               END,
               s.description, s.metadata, s.correlation_id, s.causation_id
        FROM pg_temp.import_transfers s
        RETURNING id
    )
    SELECT count(*) INTO v_written FROM written;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.write_import(integer, uuid[], bigint[], bigint[], timestamptz, timestamptz) TO florin_app;

-- Counts a chunk of an import on its accounts, under their locks; those are taken here, in order of the ids.
--   p_accounts   distinct; the accounts of the legs, and those that the same transaction will post to afterwards
--   per account: p_counts how many entries it gains, p_totals by how much its balance changes on its normal side;
--                p_lows, p_highs the lowest and highest change on the way, 0 included; p_dated whether any of its
--                entries has an effective_at
--   p_seqs, p_balances, p_recorded_at   upon what and when ledger.write_import has written the chunk; p_recorded_at
--                null: it has not been written yet, take the locks and look
-- Returns whether the chunk is counted. If not, why: `in_the_way` are the accounts on which a row might be refused
-- (not active, under a shared limit, monitored, or out of bounds on the way); otherwise somebody else has posted
-- meanwhile, and what was written must be rolled back. And how the accounts stand before the chunk.
CREATE FUNCTION ledger.count_import(
    p_tenant       integer,
    p_accounts     uuid[],
    p_counts       integer[],
    p_totals       bigint[],
    p_lows         bigint[],
    p_highs        bigint[],
    p_dated        boolean[],
    p_seqs         bigint[],
    p_balances     bigint[],
    p_recorded_at  timestamptz,
    OUT counted     boolean,
    OUT in_the_way  uuid[],
    OUT seqs        bigint[],
    OUT balances    bigint[],
    OUT last_at     timestamptz
)
-- A plan made for the ten accounts that PostgreSQL expects in an array would compare each of 10,000 with each.
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_nestloop = off
AS $$
DECLARE
    c_limit  CONSTANT bigint := 4000000000000000000;    -- as in ledger.apply
    v_moved  boolean;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    SELECT array_agg(m.id) FILTER (WHERE m.count > 0 AND (
               a.id IS NULL OR a.status <> 'active' OR a.limit_id IS NOT NULL OR a.monitored
               OR m.low < 0 AND a.balance + m.low - a.against < coalesce(a.min_balance, -c_limit)
               OR m.high > 0 AND a.balance + m.high + a.towards > coalesce(a.max_balance, c_limit))),
           array_agg(a.entry_seq ORDER BY m.position), array_agg(a.balance ORDER BY m.position), max(a.last_entry_at),
           bool_or(m.count > 0 AND (a.entry_seq <> p_seqs[m.position] OR a.balance <> p_balances[m.position]))
    INTO in_the_way, seqs, balances, last_at, v_moved
    FROM unnest(p_accounts, p_counts, p_lows, p_highs) WITH ORDINALITY AS m (id, count, low, high, position)
    LEFT JOIN (
        SELECT l.*, CASE WHEN l.type IN ('asset', 'expense') THEN l.pending_credits ELSE l.pending_debits END AS against,
               CASE WHEN l.type IN ('asset', 'expense') THEN l.pending_debits ELSE l.pending_credits END AS towards
        FROM (
            SELECT * FROM ledger.accounts WHERE tenant_id = p_tenant AND id = ANY (p_accounts)
            ORDER BY id
            FOR NO KEY UPDATE
        ) l
    ) a USING (id);
    counted := p_recorded_at IS NOT NULL AND in_the_way IS NULL AND NOT coalesce(v_moved, false)
        AND NOT coalesce(last_at > p_recorded_at, false);
    IF NOT counted THEN
        RETURN;
    END IF;
    seqs := NULL;
    balances := NULL;
    UPDATE ledger.accounts a
    SET balance = a.balance + m.total, entry_seq = a.entry_seq + m.count, last_entry_at = p_recorded_at,
        dated = a.dated OR m.dated
    FROM unnest(p_accounts, p_counts, p_totals, p_dated) AS m (id, count, total, dated)
    WHERE a.tenant_id = p_tenant AND a.id = ANY (p_accounts) AND a.id = m.id AND m.count > 0;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.count_import(integer, uuid[], integer[], bigint[], bigint[], bigint[], boolean[],
    bigint[], bigint[], timestamptz) TO florin_app;

-- Archives.

-- The months whose partitions are still among the live ones although they ended at least so many whole months before
-- the present one; never the present month nor the one before it.
CREATE FUNCTION ledger.archivable_months(p_keep integer) RETURNS SETOF date
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT DISTINCT m.month
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid,
         LATERAL (SELECT to_date(substring(c.relname FROM '_y(\d{4}m\d{2})$'), 'YYYY"m"MM') AS month) m
    WHERE i.inhparent IN ('ledger.transfers'::regclass, 'ledger.entries'::regclass)
      AND m.month < date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => greatest(p_keep, 1))
    ORDER BY m.month;
END;
GRANT EXECUTE ON FUNCTION ledger.archivable_months(integer) TO florin_app;

-- The partition of a month, or null.
CREATE FUNCTION ledger.partition_of(p_table regclass, p_month date) RETURNS regclass
LANGUAGE sql STABLE
RETURN (
    SELECT c.oid::regclass FROM pg_class c JOIN pg_class p ON p.oid = p_table
    WHERE c.relnamespace = p.relnamespace AND c.relname = p.relname || to_char(p_month, '"_y"YYYY"m"MM'));

-- Raises where a month may not be archived.
CREATE FUNCTION ledger.require_archivable(p_month date) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF p_month IS NULL OR p_month <> date_trunc('month', p_month)
       OR p_month >= date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month' THEN
        RAISE EXCEPTION '% cannot be archived: only whole months before the previous one can', p_month
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;

-- Proves a month's bounds by a constraint, so that attaching its partitions needs no scan. Readers and posters go on:
-- adding the constraint is a matter of the catalogue, validating it locks neither out. Called again it does what is left.
-- Returns what has been done, for a second call to make sure: 'added', 'validated', 'ready'.
CREATE FUNCTION ledger.prepare_archive(p_month date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms'
AS $$
DECLARE
    v_table      regclass;
    v_partition  regclass;
    v_valid      boolean;
    v_done       text := 'ready';
BEGIN
    PERFORM ledger.require_archivable(p_month);
    FOREACH v_table IN ARRAY ARRAY['ledger.transfers', 'ledger.entries']::regclass[] LOOP
        SELECT i.inhrelid INTO v_partition FROM pg_inherits i
        WHERE i.inhparent = v_table AND i.inhrelid = ledger.partition_of(v_table, p_month);
        CONTINUE WHEN v_partition IS NULL;
        SELECT k.convalidated INTO v_valid FROM pg_constraint k
        WHERE k.conrelid = v_partition AND k.conname = 'archive_bounds';
        IF v_valid IS NULL THEN
            EXECUTE format('ALTER TABLE %s ADD CONSTRAINT archive_bounds CHECK (%I >= %L AND %I < %L) NOT VALID', v_partition,
                CASE v_table WHEN 'ledger.transfers'::regclass THEN 'id' ELSE 'transfer_id' END,
                kernel.uuid_floor(p_month::timestamp AT TIME ZONE 'UTC'),
                CASE v_table WHEN 'ledger.transfers'::regclass THEN 'id' ELSE 'transfer_id' END,
                kernel.uuid_floor((p_month + interval '1 month')::timestamp AT TIME ZONE 'UTC'));
            v_done := 'added';
        ELSIF NOT v_valid AND v_done = 'ready' THEN
            EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT archive_bounds', v_partition);
            v_done := 'validated';
        END IF;
    END LOOP;
    RETURN v_done;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.prepare_archive(date) TO florin_app;

-- Moves a month of transfers and entries to the archive; the tables that it moved. Called again it does nothing.
-- Raises lock_not_available where it would have to wait.
CREATE FUNCTION ledger.archive_month(p_month date) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms'
AS $$
DECLARE
    v_from       uuid;
    v_to         uuid;
    v_table      regclass;
    v_archive    regclass;
    v_partition  regclass;
    v_moved      text[] := '{}';
BEGIN
    PERFORM ledger.require_archivable(p_month);
    v_from := kernel.uuid_floor(p_month::timestamp AT TIME ZONE 'UTC');
    v_to := kernel.uuid_floor((p_month + interval '1 month')::timestamp AT TIME ZONE 'UTC');
    PERFORM pg_advisory_xact_lock(hashtext('kernel.ensure_partitions'));
    FOR v_table, v_archive IN
        VALUES ('ledger.transfers'::regclass, 'ledger.archived_transfers'::regclass),
               ('ledger.entries'::regclass, 'ledger.archived_entries'::regclass)
    LOOP
        SELECT i.inhrelid INTO v_partition FROM pg_inherits i
        WHERE i.inhparent = v_table AND i.inhrelid = ledger.partition_of(v_table, p_month);
        CONTINUE WHEN v_partition IS NULL;
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', v_table, v_partition);
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', v_archive, v_partition, v_from, v_to);
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS archive_bounds', v_partition);
        v_moved := v_moved || v_partition::text;
    END LOOP;
    RETURN v_moved;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.archive_month(date) TO florin_app;
