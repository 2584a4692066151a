-- The two times of the books: balances and statements of the past, the projections that make them fast, and the
-- closing of periods.

-- A bound of the ids from an instant on; instants before 2000 count as 2000. As kernel.uuid_floor, but such that the planner
-- puts its body in place: a call for each account costs more than the look-up that it spares.
CREATE FUNCTION ledger.id_floor(at timestamptz) RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN encode(
    substring(int8send((extract(epoch FROM greatest(at, '2000-01-01 00:00+00')) * 1000)::bigint) FROM 3)
    || '\x70008000000000000000'::bytea, 'hex')::uuid;
GRANT EXECUTE ON FUNCTION ledger.id_floor(timestamptz) TO florin_app;

-- After how many entries of an account its next snapshot is due.
CREATE FUNCTION ledger.snapshot_every() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 32;
GRANT EXECUTE ON FUNCTION ledger.snapshot_every() TO florin_app;

-- Where accounts stood, in the order of recording, at instants of recording.
--   p_at, p_or_at   per account, the earlier of the two; null: now. An account may be asked for several times
-- Returns per item the last entry by then (0: none), the balance after it, and the last snapshot before it with
-- what dated entries up to there add up to (base_seq 0: none). Nulls where there is no such account.
--
-- A snapshot stands at every 32nd entry, so at most 31 entries after one are left to look at. Where even the 32nd is old
-- enough, the projections are behind, and the rest is found by bisection: recorded_at never falls from one entry to the next. Ids carry their time to within a day, which leaves out whole partitions.
CREATE FUNCTION ledger.stand_at(
    p_tenant    integer,
    p_accounts  uuid[],
    p_at        timestamptz[],
    p_or_at     timestamptz[],
    OUT types        text[],
    OUT currencies   text[],
    OUT dated        boolean[],
    OUT seqs         bigint[],
    OUT balances     bigint[],
    OUT last_seqs    bigint[],
    OUT base_seqs    bigint[],
    OUT base_dated   bigint[]
)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
DECLARE
    c_every  CONSTANT bigint := ledger.snapshot_every();
    v_at     timestamptz[];    -- null where the last entry is old enough: then it is the answer
    v_from   uuid[];           -- ids of what was recorded in between
    v_to     uuid[];
    v_first  uuid;
    v_last   uuid;
    v_id     uuid;
    v_low    bigint;
    v_mid    bigint;
    v_too    bigint;
    v_seen   record;
BEGIN
    IF p_tenant IS DISTINCT FROM current_setting('app.tenant_id')::integer THEN
        PERFORM kernel.require_tenant(p_tenant);
    END IF;
    -- One look into each index per item, however small the tables were when this was planned (enable_seqscan; OFFSET 0
    -- keeps the planner from other joins).
    SELECT array_agg(f.type), array_agg(f.currency), array_agg(f.dated), array_agg(f.seq), array_agg(f.balance),
           array_agg(f.entry_seq), array_agg(f.low), array_agg(f.base_dated), array_agg(f.at),
           array_agg(f.from_id), array_agg(f.to_id)
    INTO types, currencies, dated, seqs, balances, last_seqs, base_seqs, base_dated, v_at, v_from, v_to
    FROM (
        SELECT a.type, a.currency, a.dated, a.entry_seq, t.at, coalesce(s.seq, 0) AS low, coalesce(s.dated, 0) AS base_dated,
               CASE WHEN t.at IS NULL THEN a.entry_seq ELSE coalesce(s.seq, 0) END AS seq,
               CASE WHEN t.at IS NULL THEN a.balance ELSE coalesce(s.balance, 0) END AS balance,
               CASE WHEN t.at IS NOT NULL THEN ledger.id_floor(coalesce(s.recorded_at, '-infinity') - interval '1 day')
                   END AS from_id,
               ledger.id_floor(t.at + interval '1 day') AS to_id
        FROM unnest(p_accounts, p_at, p_or_at) WITH ORDINALITY AS w (account, at, or_at, item)
        LEFT JOIN LATERAL (
            SELECT c.* FROM ledger.accounts c WHERE c.tenant_id = p_tenant AND c.id = w.account
            OFFSET 0
        ) a ON true
        LEFT JOIN LATERAL (
            SELECT CASE WHEN a.last_entry_at > least(w.at, w.or_at) THEN least(w.at, w.or_at) END AS at,
                   CASE WHEN a.last_entry_at > least(w.at, w.or_at) THEN least(w.at, w.or_at)
                        WHEN a.dated THEN 'infinity' END AS base_at
            OFFSET 0
        ) t ON true
        LEFT JOIN LATERAL (
            SELECT n.seq, n.balance, n.dated, n.recorded_at
            FROM ledger.snapshots n
            WHERE n.tenant_id = p_tenant AND n.account_id = w.account AND n.recorded_at <= t.base_at
            ORDER BY n.recorded_at DESC, n.seq DESC
            LIMIT 1
        ) s ON true
        ORDER BY w.item
    ) f;
    IF array_remove(v_at, NULL) = '{}' THEN
        RETURN;
    END IF;
    FOREACH v_id IN ARRAY v_from LOOP
        v_first := least(v_first, v_id);
    END LOOP;
    FOREACH v_id IN ARRAY v_to LOOP
        v_last := greatest(v_last, v_id);
    END LOOP;

    -- The bounds of all leave out partitions before they are opened, those of each item before they are looked into.
    -- They are plain values: row-level security refuses the index to a comparison with an expression like coalesce().
    SELECT array_agg(coalesce(f.seq, f.low)), array_agg(coalesce(f.balance_after, f.balance))
    INTO seqs, balances
    FROM (
        SELECT e.seq, e.balance_after, w.low, w.balance
        FROM unnest(p_accounts, seqs, balances, v_at, v_from, v_to)
            WITH ORDINALITY AS w (account, low, balance, at, from_id, to_id, item)
        LEFT JOIN LATERAL (
            SELECT n.seq, n.balance_after
            FROM ledger.all_entries n
            WHERE n.tenant_id = p_tenant AND n.account_id = w.account
              AND n.transfer_id >= v_first AND n.transfer_id < v_last
              AND n.transfer_id >= w.from_id AND n.transfer_id < w.to_id
              AND n.seq > w.low AND n.seq <= w.low + c_every
              AND n.recorded_at <= w.at
            ORDER BY n.seq DESC
            LIMIT 1
        ) e ON true
        ORDER BY w.item
    ) f;

    FOR i IN 1 .. cardinality(p_accounts) LOOP
        CONTINUE WHEN (seqs[i] = base_seqs[i] + c_every AND v_at[i] IS NOT NULL) IS NOT TRUE;
        v_low := seqs[i];
        v_too := last_seqs[i];
        WHILE v_too - v_low > 1 LOOP
            v_mid := (v_low + v_too) / 2;
            SELECT n.recorded_at, n.balance_after INTO STRICT v_seen
            FROM ledger.all_entries n
            WHERE n.tenant_id = p_tenant AND n.account_id = p_accounts[i] AND n.seq = v_mid;
            IF v_seen.recorded_at <= v_at[i] THEN
                v_low := v_mid;
                seqs[i] := v_mid;
                balances[i] := v_seen.balance_after;
            ELSE
                v_too := v_mid;
            END IF;
        END LOOP;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.stand_at(integer, uuid[], timestamptz[], timestamptz[]) TO florin_app;

-- Per account the last entry that was recorded by then; 0: none, null: there is no such account.
CREATE FUNCTION ledger.seq_at(p_tenant integer, p_accounts uuid[], p_at timestamptz[]) RETURNS bigint[]
LANGUAGE sql STABLE
RETURN (SELECT s.seqs FROM ledger.stand_at(p_tenant, p_accounts, p_at, NULL) s);
GRANT EXECUTE ON FUNCTION ledger.seq_at(integer, uuid[], timestamptz[]) TO florin_app;

-- What one account's dated entries up to p_seq add up to that count by p_effective; normal side positive.
-- Months, days and one part of a day by the projections; then at most 1,023 entries, and those not projected yet.
CREATE FUNCTION ledger.dated_until(p_tenant integer, p_account uuid, p_effective timestamptz, p_seq bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    c_day     CONSTANT date := (p_effective AT TIME ZONE 'UTC')::date;
    c_month   CONSTANT date := date_trunc('month', c_day::timestamp)::date;
    c_dawn    CONSTANT timestamptz := c_day::timestamp AT TIME ZONE 'UTC';
    -- The shorter part of the day is counted; the day's own total stands for the other.
    c_late    CONSTANT boolean := p_effective - c_dawn >= interval '12 hours';
    v_through bigint;
    v_sign    integer;
    v_sum     bigint;
    v_part    bigint;
    v_tail    bigint;
BEGIN
    SELECT coalesce(j.through, 0), CASE WHEN a.type IN ('asset', 'expense') THEN 1 ELSE -1 END INTO v_through, v_sign
    FROM ledger.accounts a
    LEFT JOIN ledger.projections j ON j.tenant_id = p_tenant AND j.account_id = p_account
    WHERE a.tenant_id = p_tenant AND a.id = p_account;
    IF p_seq >= v_through THEN
        SELECT sum(t.amount) INTO v_sum
        FROM (VALUES ('month', '-infinity'::date, c_month), ('day', c_month, c_day + c_late::integer)) AS g (grain, since, until)
        CROSS JOIN LATERAL (
            SELECT d.amount FROM ledger.dated_totals d
            WHERE d.tenant_id = p_tenant AND d.account_id = p_account AND d.span = 0 AND d.stretch = 0
              AND d.grain = g.grain AND d.starts >= g.since AND d.starts < g.until
        ) t;
    ELSE
        v_through := p_seq - p_seq % 1024;
        SELECT sum(t.amount) INTO v_sum
        FROM (SELECT 1048576 AS span, generate_series(0, p_seq / 1048576 - 1) AS stretch
              UNION ALL SELECT 32768, generate_series(p_seq / 1048576 * 32, p_seq / 32768 - 1)
              UNION ALL SELECT 1024, generate_series(p_seq / 32768 * 32, p_seq / 1024 - 1)) s
        CROSS JOIN (VALUES ('month', '-infinity'::date, c_month), ('day', c_month, c_day + c_late::integer)) AS g (grain, since, until)
        CROSS JOIN LATERAL (
            SELECT d.amount FROM ledger.dated_totals d
            WHERE d.tenant_id = p_tenant AND d.account_id = p_account AND d.span = s.span AND d.stretch = s.stretch
              AND d.grain = g.grain AND d.starts >= g.since AND d.starts < g.until
        ) t;
    END IF;
    IF c_late THEN
        SELECT -sum(e.amount) INTO v_part FROM ledger.all_entries e
        WHERE e.tenant_id = p_tenant AND e.account_id = p_account AND e.seq <= v_through
          AND e.effective_at > p_effective AND e.effective_at < c_dawn + interval '24 hours';
    ELSE
        SELECT sum(e.amount) INTO v_part FROM ledger.all_entries e
        WHERE e.tenant_id = p_tenant AND e.account_id = p_account AND e.seq <= v_through
          AND e.effective_at >= c_dawn AND e.effective_at <= p_effective;
    END IF;
    SELECT sum(e.amount) INTO v_tail FROM ledger.all_entries e
    WHERE e.tenant_id = p_tenant AND e.account_id = p_account AND e.seq > v_through AND e.seq <= p_seq
      AND e.effective_at <= p_effective;
    RETURN coalesce(v_sum, 0) + v_sign * (coalesce(v_part, 0) + coalesce(v_tail, 0));
END
$$;
GRANT EXECUTE ON FUNCTION ledger.dated_until(integer, uuid, timestamptz, bigint) TO florin_app;

-- Balances of the past: what counts by p_effective of what was recorded by p_known, each null for now.
--   seq     the last entry recorded by the earlier of the two; known_seq: the last entry recorded by p_known
-- No row where there is no such account.
CREATE FUNCTION ledger.balances_at(
    p_tenant     integer,
    p_accounts   uuid[],
    p_effective  timestamptz[],
    p_known      timestamptz[]
) RETURNS TABLE (item integer, type text, currency text, balance bigint, seq bigint, known_seq bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_then   record;
    v_known  bigint[];
    v_moved  bigint;
BEGIN
    v_then := ledger.stand_at(p_tenant, p_accounts, p_effective, p_known);
    v_known := v_then.last_seqs;
    IF p_effective = p_known OR array_remove(p_effective, NULL) = '{}' THEN
        v_known := v_then.seqs;
    ELSIF array_remove(p_known, NULL) <> '{}' THEN
        v_known := ledger.seq_at(p_tenant, p_accounts, p_known);
    END IF;
    IF true = ANY (v_then.dated) THEN
        FOR i IN 1 .. cardinality(p_accounts) LOOP
            CONTINUE WHEN v_then.dated[i] IS NOT TRUE;
            -- Of the entries recorded by then the ordinary ones; of all that are known those dated to count by then.
            SELECT sum(CASE WHEN v_then.types[i] IN ('asset', 'expense') THEN e.amount ELSE -e.amount END) INTO v_moved
            FROM ledger.all_entries e
            WHERE e.tenant_id = p_tenant AND e.account_id = p_accounts[i]
              AND e.seq > v_then.base_seqs[i] AND e.seq <= v_then.seqs[i] AND e.effective_at IS NOT NULL;
            v_then.balances[i] := v_then.balances[i] - v_then.base_dated[i] - coalesce(v_moved, 0)
                + ledger.dated_until(p_tenant, p_accounts[i], coalesce(p_effective[i], clock_timestamp()), v_known[i]);
        END LOOP;
    END IF;
    RETURN QUERY
    SELECT w.item::integer, w.type, w.currency, w.balance, w.seq, w.known_seq
    FROM unnest(v_then.types, v_then.currencies, v_then.balances, v_then.seqs, v_known) WITH ORDINALITY
        AS w (type, currency, balance, seq, known_seq, item)
    WHERE w.type IS NOT NULL;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.balances_at(integer, uuid[], timestamptz[], timestamptz[]) TO florin_app;

-- A statement without its lines. `seq` counts ordinary entries: those of the period are first_seq to last_seq.
--   p_axis   'recorded' or 'effective'; p_since inclusive, p_until exclusive, on that axis; p_known null: now
CREATE FUNCTION ledger.statement(
    p_tenant   integer,
    p_account  uuid,
    p_axis     text,
    p_since    timestamptz,
    p_until    timestamptz,
    p_known    timestamptz
) RETURNS TABLE (
    code text, name text, type text, currency text, opening_balance bigint, closing_balance bigint,
    first_seq bigint, last_seq bigint, known_seq bigint, dated boolean
)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    -- Instants are whole microseconds: "before this" is "by the one before".
    v_at      timestamptz[];
    v_edges   record;
    v_known   bigint;
BEGIN
    v_at := ARRAY[p_since - interval '1 microsecond', p_until - interval '1 microsecond'];
    IF p_axis = 'effective' THEN
        SELECT array_agg(b.balance ORDER BY b.item) AS balances, array_agg(b.seq ORDER BY b.item) AS seqs,
               max(b.known_seq) AS known_seq
        INTO v_edges
        FROM ledger.balances_at(p_tenant, ARRAY[p_account, p_account], v_at, ARRAY[p_known, p_known]) b;
        v_known := v_edges.known_seq;
    ELSE
        v_edges := ledger.stand_at(p_tenant, ARRAY[p_account, p_account, p_account],
                                   ARRAY[v_at[1], v_at[2], NULL], ARRAY[p_known, p_known, p_known]);
        v_known := v_edges.seqs[3];
    END IF;
    RETURN QUERY
    SELECT a.code, d.name, a.type, a.currency, v_edges.balances[1], v_edges.balances[2],
           v_edges.seqs[1] + 1, v_edges.seqs[2], v_known, a.dated
    FROM ledger.accounts a
    JOIN ledger.account_details d ON d.tenant_id = p_tenant AND d.account_id = p_account
    WHERE a.tenant_id = p_tenant AND a.id = p_account;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.statement(integer, uuid, text, timestamptz, timestamptz, timestamptz) TO florin_app;

-- A page of a statement's lines in the order of recording: entries p_first to p_last.
--   p_since, p_until   no entry of the page was recorded outside these: whole partitions are left out
-- effective_at is null where it is recorded_at.
-- The transfers are looked for by one array of ids, which stand close together: a fourth of what a look-up for each costs.
CREATE FUNCTION ledger.lines_recorded(
    p_tenant   integer,
    p_account  uuid,
    p_first    bigint,
    p_last     bigint,
    p_since    timestamptz,
    p_until    timestamptz
) RETURNS TABLE (
    seq bigint, transfer_id uuid, kind text, amount bigint, balance_after bigint, recorded_at timestamptz,
    effective_at timestamptz, related_id uuid, description text, correlation_id text, metadata jsonb
)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_nestloop = off
AS $$
DECLARE
    c_from  CONSTANT uuid := ledger.id_floor(p_since - interval '1 day');
    c_to    CONSTANT uuid := ledger.id_floor(p_until + interval '1 day');
    v_ids   uuid[];
BEGIN
    SELECT array_agg(e.transfer_id) INTO v_ids
    FROM ledger.all_entries e
    WHERE e.tenant_id = p_tenant AND e.account_id = p_account AND e.seq BETWEEN p_first AND p_last
      AND e.transfer_id >= c_from AND e.transfer_id < c_to;
    RETURN QUERY
    SELECT e.seq, e.transfer_id, t.kind, e.amount, e.balance_after, e.recorded_at, e.effective_at, t.related_id,
           t.description, t.correlation_id, t.metadata
    FROM ledger.all_entries e
    JOIN ledger.all_transfers t ON t.tenant_id = p_tenant AND t.id = e.transfer_id AND t.id = ANY (v_ids)
        AND t.id >= c_from AND t.id < c_to
    WHERE e.tenant_id = p_tenant AND e.account_id = p_account AND e.seq BETWEEN p_first AND p_last
      AND e.transfer_id >= c_from AND e.transfer_id < c_to
    ORDER BY e.seq;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.lines_recorded(integer, uuid, bigint, bigint, timestamptz, timestamptz) TO florin_app;

-- A page of a statement's lines in the order in which they count. Two ordered streams meet: ordinary entries, which
-- count when they were recorded, and dated ones.
--   p_first, p_last    the ordinary entries still to come, none recorded before p_after
--   p_after, p_after_seq   the dated ones come after this; p_until: before this; p_known_seq: entries that are known
-- effective_at is null where it is recorded_at.
CREATE FUNCTION ledger.lines_effective(
    p_tenant     integer,
    p_account    uuid,
    p_first      bigint,
    p_last       bigint,
    p_after      timestamptz,
    p_after_seq  bigint,
    p_until      timestamptz,
    p_known_seq  bigint,
    p_limit      integer
) RETURNS TABLE (
    seq bigint, transfer_id uuid, kind text, amount bigint, balance_after bigint, recorded_at timestamptz,
    effective_at timestamptz, related_id uuid, description text, correlation_id text, metadata jsonb
)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_nestloop = off
AS $$
DECLARE
    v_seqs      bigint[];
    v_ids       uuid[];
    v_amounts   bigint[];
    v_balances  bigint[];
    v_recorded  timestamptz[];
    v_dated     timestamptz[];
BEGIN
    SELECT array_agg(e.seq), array_agg(e.transfer_id), array_agg(e.amount), array_agg(e.balance_after),
           array_agg(e.recorded_at), array_agg(e.effective_at)
    INTO v_seqs, v_ids, v_amounts, v_balances, v_recorded, v_dated
    FROM (
        SELECT u.* FROM (
            (SELECT o.* FROM ledger.all_entries o
             WHERE o.tenant_id = p_tenant AND o.account_id = p_account AND o.seq BETWEEN p_first AND p_last
               AND o.effective_at IS NULL
               AND o.transfer_id >= ledger.id_floor(p_after - interval '1 day')
               AND o.transfer_id < ledger.id_floor(p_until + interval '1 day')
             ORDER BY o.seq
             LIMIT p_limit)
            UNION ALL
            (SELECT d.* FROM ledger.all_entries d
             WHERE d.tenant_id = p_tenant AND d.account_id = p_account AND d.seq <= p_known_seq
               AND d.effective_at >= p_after AND d.effective_at < p_until
               AND (d.effective_at > p_after OR d.seq > p_after_seq)
             ORDER BY d.effective_at, d.seq
             LIMIT p_limit)
        ) u
        ORDER BY coalesce(u.effective_at, u.recorded_at), u.seq
        LIMIT p_limit
    ) e;
    RETURN QUERY
    SELECT e.seq, e.transfer_id, t.kind, e.amount, e.balance_after, e.recorded_at, e.effective_at, t.related_id,
           t.description, t.correlation_id, t.metadata
    FROM unnest(v_seqs, v_ids, v_amounts, v_balances, v_recorded, v_dated) WITH ORDINALITY
        AS e (seq, transfer_id, amount, balance_after, recorded_at, effective_at, place)
    JOIN ledger.all_transfers t ON t.tenant_id = p_tenant AND t.id = e.transfer_id AND t.id = ANY (v_ids)
    ORDER BY e.place;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.lines_effective(integer, uuid, bigint, bigint, timestamptz, bigint, timestamptz, bigint,
    integer) TO florin_app;

-- What has changed the balance of one moment since it was known: the entries after p_known_seq that count by
-- p_effective, in the order of recording.
--   p_last_ordinary   the last entry recorded by p_effective: ordinary entries up to it count
--   p_last_seq        the last entry to look at
--   p_since           no entry after p_known_seq was recorded before this
CREATE FUNCTION ledger.lines_restated(
    p_tenant         integer,
    p_account        uuid,
    p_known_seq      bigint,
    p_last_ordinary  bigint,
    p_last_seq       bigint,
    p_effective      timestamptz,
    p_since          timestamptz,
    p_limit          integer
) RETURNS TABLE (
    seq bigint, transfer_id uuid, kind text, amount bigint, balance_after bigint, recorded_at timestamptz,
    effective_at timestamptz, related_id uuid, description text, correlation_id text, metadata jsonb
)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT e.seq, e.transfer_id, t.kind, e.amount, e.balance_after, e.recorded_at,
           e.effective_at, t.related_id, t.description, t.correlation_id, t.metadata
    FROM (
        SELECT u.* FROM (
            (SELECT o.* FROM ledger.all_entries o
             WHERE o.tenant_id = p_tenant AND o.account_id = p_account
               AND o.seq > p_known_seq AND o.seq <= p_last_ordinary AND o.effective_at IS NULL
             ORDER BY o.seq
             LIMIT p_limit)
            UNION ALL
            (SELECT d.* FROM ledger.all_entries d
             WHERE d.tenant_id = p_tenant AND d.account_id = p_account AND d.seq > p_known_seq AND d.seq <= p_last_seq
               AND d.effective_at <= p_effective
               AND d.transfer_id >= ledger.id_floor(p_since - interval '1 day')
             ORDER BY d.seq
             LIMIT p_limit)
        ) u
        ORDER BY u.seq
        LIMIT p_limit
    ) e
    JOIN ledger.all_transfers t ON t.tenant_id = p_tenant AND t.id = e.transfer_id
    ORDER BY e.seq;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.lines_restated(integer, uuid, bigint, bigint, bigint, timestamptz, timestamptz, integer)
    TO florin_app;

-- Brings the projections of some accounts up to date: snapshots, sums of dated entries, open items. Locks each account's
-- line in ledger.projections and leaves out those that somebody else is at. Postings are not in its way, nor it in theirs.
--   p_limit   entries per account and call: what is left is for the next call
-- Returns how many entries it has taken in; 0: nothing is left, or all are somebody else's.
-- Entries without a correlation are no items: among themselves they are matched in order (ledger.lingering).
CREATE FUNCTION ledger.project(p_tenant integer, p_accounts uuid[], p_limit integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_accounts  uuid[];
    v_through   bigint[];
    v_signs     integer[];
    v_from      bigint[];      -- where the look begins: the last snapshot, for what dated entries add up to
    v_dated     bigint[];
    v_reached   bigint[];
    v_matched   uuid[];        -- those that match by correlation; whose open items are kept; where the two differ
    v_itemised  uuid[];
    v_turned    uuid[];
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    INSERT INTO ledger.projections (tenant_id, account_id, through)
    SELECT p_tenant, a.id, 0 FROM ledger.accounts a
    WHERE a.tenant_id = p_tenant AND a.id = ANY (p_accounts) AND a.entry_seq > 0
      AND NOT EXISTS (SELECT FROM ledger.projections j WHERE j.tenant_id = p_tenant AND j.account_id = a.id)
    ORDER BY a.id
    ON CONFLICT DO NOTHING;
    SELECT array_agg(l.account_id), array_agg(l.account_id) FILTER (WHERE l.itemised) INTO v_accounts, v_itemised
    FROM (
        SELECT j.account_id, j.itemised FROM ledger.projections j
        WHERE j.tenant_id = p_tenant AND j.account_id = ANY (p_accounts)
        ORDER BY j.account_id
        FOR UPDATE SKIP LOCKED
    ) l;
    IF v_accounts IS NULL THEN
        RETURN 0;
    END IF;
    -- Where an account has come to match by correlation since, or ceased to, it is projected anew.
    v_matched := ARRAY(SELECT r.account_id FROM ledger.clearing_rules(p_tenant, v_accounts) r WHERE r.match_by = 'correlation');
    v_turned := ARRAY(SELECT a.id FROM unnest(v_accounts) AS a (id)
                      WHERE (a.id = ANY (v_matched)) <> coalesce(a.id = ANY (v_itemised), false));
    IF v_turned <> '{}' THEN
        PERFORM ledger.unproject(p_tenant, v_turned);
        UPDATE ledger.projections j SET itemised = j.account_id = ANY (v_matched)
        WHERE j.tenant_id = p_tenant AND j.account_id = ANY (v_turned);
    END IF;
    -- Under the locks. Whoever has read an account's last number sees all its entries up to there.
    SELECT array_agg(l.account ORDER BY l.account), array_agg(j.through ORDER BY l.account),
           array_agg(least(a.entry_seq, j.through + p_limit) ORDER BY l.account),
           array_agg(CASE WHEN a.type IN ('asset', 'expense') THEN 1 ELSE -1 END ORDER BY l.account),
           array_agg(coalesce(s.seq, 0) ORDER BY l.account), array_agg(coalesce(s.dated, 0) ORDER BY l.account)
    INTO v_accounts, v_through, v_reached, v_signs, v_from, v_dated
    FROM unnest(v_accounts) AS l (account)
    JOIN ledger.projections j ON j.tenant_id = p_tenant AND j.account_id = ANY (v_accounts) AND j.account_id = l.account
    JOIN ledger.accounts a ON a.tenant_id = p_tenant AND a.id = ANY (v_accounts) AND a.id = l.account
    LEFT JOIN LATERAL (
        SELECT n.seq, n.dated FROM ledger.snapshots n
        WHERE n.tenant_id = p_tenant AND n.account_id = l.account
        ORDER BY n.recorded_at DESC, n.seq DESC
        LIMIT 1
    ) s ON true
    WHERE a.entry_seq > j.through;
    IF v_accounts IS NULL THEN
        RETURN 0;
    END IF;

    INSERT INTO ledger.snapshots (tenant_id, account_id, recorded_at, seq, balance, dated)
    SELECT p_tenant, r.account, r.recorded_at, r.seq, r.balance_after, r.dated
    FROM (
        SELECT l.account, e.seq, e.recorded_at, e.balance_after,
               l.dated + coalesce(sum(l.sign * e.amount) FILTER (WHERE e.effective_at IS NOT NULL)
                                  OVER (PARTITION BY l.account ORDER BY e.seq), 0) AS dated
        FROM unnest(v_accounts, v_from, v_reached, v_signs, v_dated) AS l (account, start, reached, sign, dated)
        CROSS JOIN LATERAL (
            SELECT f.* FROM ledger.all_entries f
            WHERE f.tenant_id = p_tenant AND f.account_id = l.account AND f.seq > l.start AND f.seq <= l.reached
        ) e
    ) r
    WHERE r.seq % ledger.snapshot_every() = 0;

    INSERT INTO ledger.dated_totals AS d (tenant_id, account_id, span, stretch, grain, starts, amount)
    SELECT p_tenant, l.account, s.span, CASE s.span WHEN 0 THEN 0 ELSE (e.seq - 1) / s.span END AS stretch, g.grain,
           date_trunc(g.grain, e.effective_at, 'UTC') AT TIME ZONE 'UTC' AS starts, sum(l.sign * e.amount)
    FROM unnest(v_accounts, v_through, v_reached, v_signs) AS l (account, through, reached, sign)
    JOIN ledger.accounts a ON a.tenant_id = p_tenant AND a.id = ANY (v_accounts) AND a.id = l.account AND a.dated
    CROSS JOIN LATERAL (
        SELECT f.seq, f.amount, f.effective_at FROM ledger.all_entries f
        WHERE f.tenant_id = p_tenant AND f.account_id = l.account AND f.seq > l.through AND f.seq <= l.reached
          AND f.effective_at IS NOT NULL
    ) e
    CROSS JOIN (VALUES (0), (1024), (32768), (1048576)) AS s (span)
    CROSS JOIN (VALUES ('day'), ('month')) AS g (grain)
    GROUP BY 2, 3, 4, 5, 6
    ON CONFLICT (tenant_id, account_id, span, stretch, grain, starts)
    DO UPDATE SET amount = d.amount + excluded.amount;

    IF v_matched <> '{}' THEN
        PERFORM ledger.project_items(p_tenant, v_matched, v_accounts, v_through, v_reached);
    END IF;

    UPDATE ledger.projections j SET through = l.reached
    FROM unnest(v_accounts, v_reached) AS l (account, reached)
    WHERE j.tenant_id = p_tenant AND j.account_id = ANY (v_accounts) AND j.account_id = l.account;
    RETURN (SELECT sum(l.reached - l.through) FROM unnest(v_through, v_reached) AS l (through, reached));
END
$$;
GRANT EXECUTE ON FUNCTION ledger.project(integer, uuid[], integer) TO florin_app;

-- Takes entries into the open items of accounts that match by correlation. An item begins where it leaves zero or
-- changes sides, as in ledger.lingering, however the entries are divided among calls.
--   p_matched   which of p_accounts; entries through + 1 to reached of each
CREATE FUNCTION ledger.project_items(
    p_tenant    integer,
    p_matched   uuid[],
    p_accounts  uuid[],
    p_through   bigint[],
    p_reached   bigint[]
) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    INSERT INTO ledger.open_items AS o (tenant_id, account_id, correlation_id, amount, since, first_transfer, last_transfer)
    SELECT p_tenant, z.account, z.correlation, (array_agg(z.stands ORDER BY z.seq DESC))[1],
           coalesce(max(z.recorded_at) FILTER (WHERE z.opens), min(z.since)),
           coalesce((array_agg(z.transfer ORDER BY z.seq DESC) FILTER (WHERE z.opens))[1], (array_agg(z.first_transfer))[1]),
           (array_agg(z.transfer ORDER BY z.seq DESC))[1]
    FROM (
        SELECT r.*, sign(r.stands) <> sign(r.stands - r.amount) AS opens
        FROM (
            SELECT l.account, t.correlation_id AS correlation, e.seq, e.recorded_at, e.amount, e.transfer_id AS transfer,
                   i.since, i.first_transfer,
                   coalesce(i.amount, 0) + sum(e.amount) OVER (PARTITION BY l.account, t.correlation_id ORDER BY e.seq) AS stands
            FROM unnest(p_accounts, p_through, p_reached) AS l (account, through, reached)
            CROSS JOIN LATERAL (
                SELECT f.* FROM ledger.all_entries f
                WHERE f.tenant_id = p_tenant AND f.account_id = l.account AND f.seq > l.through AND f.seq <= l.reached
            ) e
            JOIN ledger.all_transfers t ON t.tenant_id = p_tenant AND t.id = e.transfer_id AND t.correlation_id IS NOT NULL
            LEFT JOIN ledger.open_items i ON i.tenant_id = p_tenant AND i.account_id = ANY (p_matched)
                AND i.account_id = l.account AND i.correlation_id = t.correlation_id
            WHERE l.account = ANY (p_matched)
        ) r
    ) z
    GROUP BY z.account, z.correlation
    ON CONFLICT (tenant_id, account_id, correlation_id) DO UPDATE
    SET amount = excluded.amount, since = excluded.since, first_transfer = excluded.first_transfer,
        last_transfer = excluded.last_transfer;
    DELETE FROM ledger.open_items o
    WHERE o.tenant_id = p_tenant AND o.account_id = ANY (p_matched) AND o.amount = 0;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.project_items(integer, uuid[], uuid[], bigint[], bigint[]) TO florin_app;

-- Empties the projections of some accounts; ledger.project makes them anew. Waits for whoever is at them.
CREATE FUNCTION ledger.unproject(p_tenant integer, p_accounts uuid[]) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    PERFORM FROM ledger.projections j
    WHERE j.tenant_id = p_tenant AND j.account_id = ANY (p_accounts)
    ORDER BY j.account_id
    FOR UPDATE;
    DELETE FROM ledger.snapshots n WHERE n.tenant_id = p_tenant AND n.account_id = ANY (p_accounts);
    DELETE FROM ledger.dated_totals d WHERE d.tenant_id = p_tenant AND d.account_id = ANY (p_accounts);
    DELETE FROM ledger.open_items o WHERE o.tenant_id = p_tenant AND o.account_id = ANY (p_accounts);
    UPDATE ledger.projections j SET through = 0 WHERE j.tenant_id = p_tenant AND j.account_id = ANY (p_accounts);
END
$$;
GRANT EXECUTE ON FUNCTION ledger.unproject(integer, uuid[]) TO florin_app;

-- Accounts whose projections are worth bringing up to date, found through the transfers since the last look. An account
-- without dated entries and open items is due when it has passed another snapshot's entry.
--   p_limit   transfers to look through
-- Returns the mark to keep once they are projected (null: nothing was ever posted), and whether more transfers wait.
--
-- The mark never passes books.sealed_before, before which no transfer is still to come; where nothing seals, it stays a
-- minute behind. Whatever commits later than that is taken in with the next entry of its account: until then its
-- balances take a few entries more to find.
CREATE FUNCTION ledger.due_projections(
    p_tenant  integer,
    p_limit   integer,
    OUT accounts  uuid[],
    OUT mark      uuid,
    OUT more      boolean
)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
DECLARE
    v_mark     uuid;
    v_sealed   uuid;
    v_safe     uuid;
    v_touched  uuid[];
    v_looked   integer;
    v_last     uuid;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    SELECT b.projected_before, b.sealed_before INTO v_mark, v_sealed FROM ledger.books b WHERE b.tenant_id = p_tenant;
    v_safe := kernel.uuid_floor(clock_timestamp() - interval '1 minute');
    IF v_sealed > v_safe THEN
        v_safe := v_sealed;
    END IF;
    SELECT array_agg(DISTINCT u.id), count(DISTINCT w.id), (array_agg(w.id ORDER BY w.id DESC))[1]
    INTO v_touched, v_looked, v_last
    FROM (
        SELECT t.id, t.account_ids FROM ledger.transfers t
        WHERE t.tenant_id = p_tenant AND t.id >= coalesce(v_mark, '00000000-0000-0000-0000-000000000000')
        ORDER BY t.id
        LIMIT p_limit
    ) w
    CROSS JOIN LATERAL unnest(w.account_ids) AS u (id);
    more := v_looked = p_limit AND v_last < v_safe;
    -- The last one itself is looked at again; where nothing was posted, the mark stays.
    mark := greatest(v_mark, least(v_last, v_safe));
    SELECT coalesce(array_agg(w.id) FILTER (WHERE d.due), '{}'), coalesce(array_agg(w.id) FILTER (WHERE NOT d.due), '{}')
    INTO accounts, v_touched
    FROM unnest(v_touched) AS w (id)
    CROSS JOIN LATERAL (
        SELECT a.entry_seq, a.dated FROM ledger.accounts a WHERE a.tenant_id = p_tenant AND a.id = w.id
        OFFSET 0
    ) a
    LEFT JOIN LATERAL (
        SELECT p.through FROM ledger.projections p WHERE p.tenant_id = p_tenant AND p.account_id = w.id
        OFFSET 0
    ) j ON true
    CROSS JOIN LATERAL (
        SELECT a.dated OR a.entry_seq / ledger.snapshot_every() > coalesce(j.through, 0) / ledger.snapshot_every() AS due
    ) d
    WHERE a.entry_seq > coalesce(j.through, 0);
    IF v_touched <> '{}' THEN
        accounts := accounts || ARRAY(SELECT r.account_id FROM ledger.clearing_rules(p_tenant, v_touched) r
                                      WHERE r.match_by = 'correlation');
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.due_projections(integer, integer) TO florin_app;

-- Keeps the mark that ledger.due_projections gave, once what it named has been done. Marks only go forward.
CREATE FUNCTION ledger.mark_projected(p_tenant integer, p_mark uuid) RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO ledger.books AS b (tenant_id, projected_before)
    SELECT p_tenant, p_mark WHERE p_mark IS NOT NULL
    ON CONFLICT (tenant_id) DO UPDATE SET projected_before = excluded.projected_before
    WHERE b.projected_before IS NULL OR b.projected_before < excluded.projected_before;
END;
GRANT EXECUTE ON FUNCTION ledger.mark_projected(integer, uuid) TO florin_app;

-- Closes the books before an instant: from the commit on, nothing more counts earlier. Waits for those who are posting
-- and keeps new ones waiting meanwhile.
-- Returns a refusal ('period_not_over': the instant lies ahead; 'period_already_closed': an earlier closing reaches as
-- far; then `reaches` says how far), or when it was closed.
CREATE FUNCTION ledger.close_period(
    p_tenant         integer,
    p_id             uuid,
    p_closed_before  timestamptz,
    p_name           text,
    OUT refusal    text,
    OUT reaches    timestamptz,
    OUT closed_at  timestamptz
)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM ledger.shut(p_tenant);
    -- The clock is read with the door shut: what is recorded from here on is recorded later.
    closed_at := clock_timestamp();
    SELECT b.closed_before INTO reaches FROM ledger.books b WHERE b.tenant_id = p_tenant;
    refusal := CASE WHEN p_closed_before > closed_at THEN 'period_not_over'
                    WHEN p_closed_before <= reaches THEN 'period_already_closed' END;
    IF refusal IS NOT NULL THEN
        RETURN;
    END IF;
    INSERT INTO ledger.books (tenant_id, closed_before) VALUES (p_tenant, p_closed_before)
    ON CONFLICT (tenant_id) DO UPDATE SET closed_before = excluded.closed_before;
    INSERT INTO ledger.period_closings (tenant_id, id, closed_before, closed_at, name)
    VALUES (p_tenant, p_id, p_closed_before, closed_at, p_name);
    reaches := p_closed_before;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.close_period(integer, uuid, timestamptz, text) TO florin_app;
