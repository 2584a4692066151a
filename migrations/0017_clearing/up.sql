-- Accounts that are to return to zero: which they are, what on them has not, and who has been told of it.

-- Few accounts are declared one by one, and they are looked for among all.
CREATE INDEX account_details_clearing ON ledger.account_details (tenant_id, account_id)
    WHERE clears_within IS NOT NULL;

-- Items that were told to be overdue: each once, however often it is looked at.
CREATE TABLE ledger.overdue_items (
    tenant_id    integer     NOT NULL,
    account_id   uuid        NOT NULL,
    transfer_id  uuid        NOT NULL,   -- that opened the item
    told_at      timestamptz NOT NULL,
    CONSTRAINT overdue_items_pkey PRIMARY KEY (tenant_id, account_id, transfer_id)
);
CALL kernel.isolate('ledger.overdue_items');
CALL kernel.make_append_only('ledger.overdue_items');
GRANT SELECT, INSERT ON ledger.overdue_items TO florin_app;
GRANT SELECT ON ledger.overdue_items TO florin_readonly;

-- The clearing accounts among these, and the rule of each: its own, or that of the nearest node of the chart
-- at or above its code that has one.
--   p_accounts  null: of all the tenant's accounts
-- match_by belongs to the declaration that it stands beside.
CREATE FUNCTION ledger.clearing_rules(p_tenant integer, p_accounts uuid[])
RETURNS TABLE (account_id uuid, clears_within interval, match_by text)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    RETURN QUERY
    WITH nodes AS MATERIALIZED (
        -- A subtree as a range of codes: ';' is the character after ':'.
        SELECT c.code, c.code || ':' AS first, c.code || ';' AS beyond, length(c.code) AS depth,
               c.clears_within, c.match_by
        FROM ledger.chart c WHERE c.tenant_id = p_tenant AND c.clears_within IS NOT NULL
    ), asked AS (
        SELECT a.id, a.code FROM ledger.accounts a WHERE a.tenant_id = p_tenant AND a.id = ANY (p_accounts)
    ), below AS (
        SELECT a.id, n.depth, n.clears_within, n.match_by
        FROM nodes n JOIN asked a ON a.code = n.code OR a.code >= n.first AND a.code < n.beyond
        WHERE p_accounts IS NOT NULL
        UNION ALL
        SELECT a.id, n.depth, n.clears_within, n.match_by
        FROM nodes n JOIN ledger.accounts a ON a.tenant_id = p_tenant AND a.code = n.code
        WHERE p_accounts IS NULL
        UNION ALL
        SELECT a.id, n.depth, n.clears_within, n.match_by
        FROM nodes n JOIN ledger.accounts a ON a.tenant_id = p_tenant AND a.code >= n.first AND a.code < n.beyond
        WHERE p_accounts IS NULL
    ), declared AS (
        SELECT d.account_id AS id, d.clears_within, d.match_by
        FROM ledger.account_details d
        WHERE d.tenant_id = p_tenant AND d.clears_within IS NOT NULL AND p_accounts IS NULL
        UNION ALL
        SELECT d.account_id, d.clears_within, d.match_by
        FROM ledger.account_details d
        WHERE d.tenant_id = p_tenant AND d.clears_within IS NOT NULL AND d.account_id = ANY (p_accounts)
    )
    SELECT DISTINCT ON (r.id) r.id, r.clears_within, r.match_by
    FROM (SELECT d.id, NULL::integer AS depth, d.clears_within, d.match_by FROM declared d
          UNION ALL SELECT b.id, b.depth, b.clears_within, b.match_by FROM below b) r
    ORDER BY r.id, r.depth DESC NULLS FIRST;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.clearing_rules(integer, uuid[]) TO florin_app;

-- How an account stood at an instant of recording: the number of its last entry then, and its balance after it.
--   p_at  null: now
-- Entries never go back in time, so the last one up to an instant is found by bisection.
CREATE FUNCTION ledger.stood(p_tenant integer, p_account uuid, p_at timestamptz, OUT seq bigint, OUT balance bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_low     bigint := 0;   -- recorded in time
    v_high    bigint;        -- the first that is known to be too late
    v_middle  bigint;
    v_at      timestamptz;
BEGIN
    SELECT a.entry_seq, a.balance, a.entry_seq + 1, a.last_entry_at INTO seq, balance, v_high, v_at
    FROM ledger.accounts a WHERE a.tenant_id = p_tenant AND a.id = p_account;
    IF p_at IS NULL OR v_at IS NULL OR v_at <= p_at THEN
        RETURN;
    END IF;
    WHILE v_high - v_low > 1 LOOP
        v_middle := (v_low + v_high) / 2;
        SELECT e.recorded_at INTO STRICT v_at
        FROM ledger.all_entries e
        WHERE e.tenant_id = p_tenant AND e.account_id = p_account AND e.seq = v_middle;
        IF v_at <= p_at THEN v_low := v_middle; ELSE v_high := v_middle; END IF;
    END LOOP;
    seq := v_low;
    balance := coalesce((
        SELECT e.balance_after FROM ledger.all_entries e
        WHERE e.tenant_id = p_tenant AND e.account_id = p_account AND e.seq = v_low), 0);
END
$$;
GRANT EXECUTE ON FUNCTION ledger.stood(integer, uuid, timestamptz) TO florin_app;

-- What of an account has not returned to zero, as it stood at an instant of recording.
--   p_match_by  order: what comes in is cleared by what goes out, oldest first, so that a balance consists of
--               the latest entries on its side. They are walked back until they make up the balance, however
--               long the account's history is.
--               correlation: each correlation is to return to zero by itself; entries without one are
--               matched in order, among themselves
--   p_at        null: now
-- Returns an item per entry that is still open, or per correlation: amount (debits positive), the transfer
-- that opened it and when, and the last transfer that changed it.
-- STABLE, and so all its statements see one moment, that of the query that calls it.
CREATE FUNCTION ledger.lingering(p_tenant integer, p_account uuid, p_match_by text, p_at timestamptz)
RETURNS TABLE (transfer_id uuid, correlation_id text, amount bigint, since timestamptz, last_transfer_id uuid)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    c_chunk    CONSTANT bigint := 1000;
    v_through  bigint;
    v_left     bigint;      -- of the balance, not accounted for yet; debits positive
    v_known    bigint := 0; -- entries up to here are in ledger.open_items
    v_row      record;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    SELECT s.seq, s.balance * CASE WHEN a.type IN ('asset', 'expense') THEN 1 ELSE -1 END INTO v_through, v_left
    FROM ledger.accounts a CROSS JOIN LATERAL ledger.stood(p_tenant, p_account, p_at) s
    WHERE a.tenant_id = p_tenant AND a.id = p_account;

    IF p_match_by = 'correlation' THEN
        SELECT p.through INTO v_known FROM ledger.projections p
        WHERE p.tenant_id = p_tenant AND p.account_id = p_account AND p.through <= v_through AND p.itemised;
        v_known := coalesce(v_known, 0);
        FOR v_row IN
            WITH moved AS MATERIALIZED (
                SELECT o.correlation_id, 0 AS seq, o.amount, o.since AS at, o.first_transfer AS first, o.last_transfer AS last
                FROM ledger.open_items o
                WHERE o.tenant_id = p_tenant AND o.account_id = p_account AND v_known > 0
                UNION ALL
                SELECT (SELECT t.correlation_id FROM ledger.all_transfers t
                        WHERE t.tenant_id = p_tenant AND t.id = e.transfer_id),
                       e.seq, e.amount, e.recorded_at, e.transfer_id, e.transfer_id
                FROM ledger.all_entries e
                WHERE e.tenant_id = p_tenant AND e.account_id = p_account AND e.seq > v_known AND e.seq <= v_through
            ), summed AS (
                SELECT m.*, sum(m.amount) OVER (PARTITION BY m.correlation_id ORDER BY m.seq) AS after
                FROM moved m WHERE m.correlation_id IS NOT NULL
            ), opened AS (
                -- An item begins anew where it leaves zero, or changes sides.
                SELECT s.*, sign(s.after) <> sign(s.after - s.amount) AS opens FROM summed s
            )
            SELECT o.correlation_id, (array_agg(o.after ORDER BY o.seq DESC))[1]::bigint AS amount,
                   (array_agg(o.at ORDER BY o.seq DESC) FILTER (WHERE o.opens))[1] AS since,
                   (array_agg(o.first ORDER BY o.seq DESC) FILTER (WHERE o.opens))[1] AS first,
                   (array_agg(o.last ORDER BY o.seq DESC))[1] AS last
            FROM opened o
            GROUP BY o.correlation_id
            HAVING (array_agg(o.after ORDER BY o.seq DESC))[1] <> 0
        LOOP
            transfer_id := v_row.first;
            correlation_id := v_row.correlation_id;
            amount := v_row.amount;
            since := v_row.since;
            last_transfer_id := v_row.last;
            v_left := v_left - amount;
            RETURN NEXT;
        END LOOP;
    END IF;

    WHILE v_left <> 0 AND v_through > 0 LOOP
        FOR v_row IN
            SELECT e.transfer_id, e.amount, e.recorded_at,
                   (SELECT t.correlation_id FROM ledger.all_transfers t
                    WHERE t.tenant_id = p_tenant AND t.id = e.transfer_id) AS correlation_id
            FROM ledger.all_entries e
            WHERE e.tenant_id = p_tenant AND e.account_id = p_account
              AND e.seq > v_through - c_chunk AND e.seq <= v_through AND sign(e.amount) = sign(v_left)
            ORDER BY e.seq DESC
        LOOP
            CONTINUE WHEN p_match_by = 'correlation' AND v_row.correlation_id IS NOT NULL;
            transfer_id := v_row.transfer_id;
            correlation_id := v_row.correlation_id;
            amount := sign(v_left)::bigint * least(abs(v_row.amount), abs(v_left));
            since := v_row.recorded_at;
            last_transfer_id := v_row.transfer_id;
            v_left := v_left - amount;
            RETURN NEXT;
            EXIT WHEN v_left = 0;
        END LOOP;
        v_through := v_through - c_chunk;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.lingering(integer, uuid, text, timestamptz) TO florin_app;

-- Writes an event for each item of some accounts that has become overdue and was not told yet; accounts that are
-- no clearing accounts are left alone. Returns how many.
CREATE FUNCTION ledger.tell_overdue(p_tenant integer, p_accounts uuid[]) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now   timestamptz := clock_timestamp();
    v_told  bigint;
BEGIN
    WITH overdue AS MATERIALIZED (
        SELECT a.id AS account_id, i.transfer_id, jsonb_build_object('account_id', a.id, 'code', a.code,
                   'currency', a.currency, 'transfer_id', i.transfer_id, 'correlation_id', i.correlation_id,
                   'amount', i.amount, 'since', i.since, 'due_at', i.since + r.clears_within) AS data,
               row_number() OVER (ORDER BY i.since, i.transfer_id) AS turn
        FROM ledger.clearing_rules(p_tenant, p_accounts) r
        JOIN ledger.accounts a ON a.tenant_id = p_tenant AND a.id = ANY (p_accounts) AND a.id = r.account_id
        CROSS JOIN LATERAL ledger.lingering(p_tenant, a.id, r.match_by, NULL) i
        WHERE i.since + r.clears_within < v_now
    ), fresh AS (
        -- Two at once: the second waits here for the first, and then finds that all has been told.
        INSERT INTO ledger.overdue_items (tenant_id, account_id, transfer_id, told_at)
        SELECT p_tenant, o.account_id, o.transfer_id, v_now FROM overdue o
        ORDER BY o.account_id, o.transfer_id
        ON CONFLICT DO NOTHING
        RETURNING account_id, transfer_id
    ), told AS (
        INSERT INTO kernel.events (tenant_id, id, type, object_id, occurred_at, data)
        SELECT p_tenant, kernel.uuidv7(), 'clearing.overdue', o.account_id, v_now, o.data
        FROM overdue o JOIN fresh f USING (account_id, transfer_id)
        ORDER BY o.turn
        RETURNING id
    ), owed AS (
        INSERT INTO kernel.outbox (tenant_id, event_id) SELECT p_tenant, t.id FROM told t RETURNING event_id
    )
    SELECT count(*) INTO v_told FROM owed;
    RETURN v_told;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.tell_overdue(integer, uuid[]) TO florin_app;
