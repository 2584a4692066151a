-- What becomes of holds and transfers afterwards: post, void, expire; reverse. And accounts made on first use.
--
-- Operations stand in array order, and each meets what the ones before it left. A call is therefore cut
-- into runs: a run ends before an operation whose hold (or transfer) the run has already touched. Nearly
-- always there is one run. Locks: idempotency slots, holds by id, then accounts by id in ledger.apply.

-- Where the run that begins at p_from ends: before the first repetition of a target.
--   p_previous  per operation, the operation before it on the same target; null: none
CREATE FUNCTION ledger.run_end(p_from integer, p_previous integer[]) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN coalesce(
    (SELECT min(p.item) - 1 FROM unnest(p_previous) WITH ORDINALITY AS p (previous, item)
     WHERE p.item > p_from AND p.previous >= p_from),
    cardinality(p_previous))::integer;
GRANT EXECUTE ON FUNCTION ledger.run_end(integer, integer[]) TO florin_app;

-- Posts, voids and expires holds of one tenant.
--   p_ids      the new transfers; p_slots, p_digests: their idempotency, null without a key
--   p_holds    per operation, the hold; p_actions: 'post', 'void' or 'expire'
--   p_amounts  per operation, how much of a two-leg hold to post; null: what p_legs say, else all that remains
--   p_leg_item, p_leg_account, p_leg_amount   posted in part, leg by leg: item, account, debits positive
--   p_details  null, or a JSON array with an object (description, metadata) or null per operation
-- A hold whose time has passed by the database's clock is closed for everything but its expiry.
-- Returns a row per operation: what was posted or released, or a refusal; `replayed` as in ledger.post.
CREATE FUNCTION ledger.settle_holds(
    p_tenant       integer,
    p_ids          uuid[],
    p_slots        uuid[],
    p_digests      uuid[],
    p_holds        uuid[],
    p_actions      text[],
    p_amounts      bigint[],
    p_details      jsonb,
    p_leg_item     integer[],
    p_leg_account  uuid[],
    p_leg_amount   bigint[]
) RETURNS TABLE (
    item             integer,
    refusal          text,
    refused_account  uuid,
    transfer_id      uuid,
    replayed         boolean,
    hold_status      text
)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now        timestamptz := clock_timestamp();
    v_claims     text[];
    v_ids        uuid[];
    v_refusals   text[];
    v_causes     uuid[];
    v_previous   integer[];
    v_accounts   uuid[];
    v_from       integer := 1;
    v_to         integer;
    v_items      integer[];    -- the run's legs: operation, account, amount, amount to release
    v_positions  integer[];
    v_moved      bigint[];
    v_freed      bigint[];
    v_posted     bigint[];
    v_debits     bigint[];
    v_credits    bigint[];
    v_applied    record;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    SELECT c.verdicts, c.resources INTO v_claims, v_ids
    FROM kernel.claim_slots(p_tenant, v_now, p_slots, p_digests, p_ids) c;
    v_refusals := v_claims;
    v_causes := array_fill(NULL::uuid, ARRAY[cardinality(p_ids)]);

    PERFORM FROM ledger.holds h
    WHERE h.tenant_id = p_tenant AND h.id = ANY (p_holds)
    ORDER BY h.id FOR NO KEY UPDATE;
    SELECT coalesce(array_agg(DISTINCT a.id ORDER BY a.id), '{}') INTO v_accounts
    FROM ledger.holds h, unnest(h.account_ids) AS a (id)
    WHERE h.tenant_id = p_tenant AND h.id = ANY (p_holds);
    SELECT array_agg(o.previous ORDER BY o.item) INTO v_previous
    FROM (SELECT w.item, lag(w.item) OVER (PARTITION BY w.hold ORDER BY w.item)::integer AS previous
          FROM unnest(p_holds) WITH ORDINALITY AS w (hold, item)) o;

    WHILE v_from <= cardinality(p_ids) LOOP
        v_to := ledger.run_end(v_from, v_previous);

        -- What each operation asks of each leg of its hold, and whether the hold can give it.
        WITH asked AS (
            SELECT o.item, p_actions[o.item] AS action, h.id AS hold, h.status, h.expires_at, leg.account,
                   leg.remaining, leg.position, p_amounts[o.item] AS amount,
                   CASE
                       WHEN p_actions[o.item] <> 'post' THEN 0
                       WHEN p_amounts[o.item] IS NOT NULL THEN sign(leg.reserved)::bigint * p_amounts[o.item]
                       WHEN o.item = ANY (p_leg_item) THEN coalesce((
                           SELECT sum(g.amount) FROM unnest(p_leg_item, p_leg_account, p_leg_amount)
                               AS g (item, account, amount)
                           WHERE g.item = o.item AND g.account = leg.account), 0)
                       ELSE leg.remaining
                   END AS post,
                   cardinality(h.account_ids) AS legs
            FROM generate_series(v_from, v_to) AS o (item)
            LEFT JOIN ledger.holds h ON h.tenant_id = p_tenant AND h.id = p_holds[o.item]
            LEFT JOIN LATERAL unnest(h.account_ids, h.reserved, h.remaining) WITH ORDINALITY
                AS leg (account, reserved, remaining, position) ON true
            WHERE v_refusals[o.item] IS NULL
        ), judged AS (
            SELECT a.item,
                CASE
                    WHEN min(a.hold::text) IS NULL THEN 'hold_not_found'
                    WHEN min(a.status) NOT IN ('reserved', 'partially_posted') THEN 'hold_closed'
                    WHEN min(a.action) = 'expire' THEN
                        CASE WHEN min(a.expires_at) <= v_now THEN NULL ELSE 'hold_not_expired' END
                    WHEN min(a.expires_at) <= v_now THEN 'hold_closed'
                    WHEN min(a.action) = 'void' THEN NULL
                    WHEN min(a.amount) IS NOT NULL AND min(a.legs) <> 2 THEN 'legs_required'
                    WHEN min(a.amount) < 1 THEN 'amount_out_of_range'
                    WHEN EXISTS (SELECT FROM unnest(p_leg_item, p_leg_account) AS g (item, account)
                                 WHERE g.item = a.item AND NOT g.account = ANY (array_agg(a.account)))
                        THEN 'account_not_in_hold'
                    WHEN bool_or(abs(a.post) > abs(a.remaining) OR a.post::numeric * a.remaining < 0)
                        THEN 'hold_amount_exceeded'
                    WHEN bool_and(a.post = 0) THEN 'amount_out_of_range'
                    WHEN count(*) FILTER (WHERE a.post <> 0) < 2 THEN 'unbalanced'
                END AS refusal
            FROM asked a
            GROUP BY a.item
        ), legs AS (
            SELECT a.*, CASE a.action WHEN 'post' THEN a.post ELSE a.remaining END AS freed
            FROM asked a JOIN judged j USING (item)
            WHERE j.refusal IS NULL
        )
        SELECT (SELECT array_agg(coalesce(r.refusal, j.refusal) ORDER BY r.item)
                FROM unnest(v_refusals) WITH ORDINALITY AS r (refusal, item) LEFT JOIN judged j USING (item)),
               array_agg(l.item ORDER BY l.item, l.position),
               array_agg(array_position(v_accounts, l.account) ORDER BY l.item, l.position),
               array_agg(l.post ORDER BY l.item, l.position),
               array_agg(l.freed ORDER BY l.item, l.position),
               array_agg(-greatest(l.freed, 0) ORDER BY l.item, l.position),
               array_agg(least(l.freed, 0) ORDER BY l.item, l.position)
        INTO v_refusals, v_items, v_positions, v_moved, v_freed, v_debits, v_credits
        FROM legs l
        WHERE l.freed <> 0;

        IF v_items IS NOT NULL THEN
            SELECT * INTO v_applied
            FROM ledger.apply(p_tenant, v_now, v_accounts, array_fill(NULL::text, ARRAY[cardinality(p_ids)]),
                              v_ids, v_refusals, v_items, v_positions, v_moved, v_debits, v_credits);
            v_refusals := v_applied.refusals;
            SELECT array_agg(coalesce(c.old, c.new) ORDER BY c.item) INTO v_causes
            FROM unnest(v_causes, v_applied.refused_accounts) WITH ORDINALITY AS c (old, new, item);

            WITH legs AS (
                SELECT l.item, array_agg(v_accounts[l.account] ORDER BY l.leg) AS accounts,
                       array_agg(l.freed ORDER BY l.leg) AS amounts, array_agg(l.seq ORDER BY l.leg) AS seqs
                FROM unnest(v_items, v_positions, v_freed, v_applied.seqs) WITH ORDINALITY
                    AS l (item, account, freed, seq, leg)
                WHERE v_refusals[l.item] IS NULL
                GROUP BY l.item
            ), written AS (
                INSERT INTO ledger.transfers (tenant_id, id, kind, recorded_at, effective_at, account_ids, amounts,
                                              entry_seqs, related_id, description, metadata)
                SELECT p_tenant, v_ids[l.item],
                       CASE p_actions[l.item] WHEN 'expire' THEN 'expiry' ELSE p_actions[l.item] END,
                       v_now, v_now, l.accounts, l.amounts,
                       CASE p_actions[l.item] WHEN 'post' THEN l.seqs END, p_holds[l.item],
                       p_details -> (l.item - 1) ->> 'description', p_details -> (l.item - 1) -> 'metadata'
                FROM legs l
                RETURNING id
            ), left_over AS MATERIALIZED (
                SELECT h.id, p_actions[l.item] AS action,
                       array_agg(leg.posted + CASE p_actions[l.item] WHEN 'post' THEN leg.freed ELSE 0 END
                                 ORDER BY leg.position) AS posted,
                       array_agg(leg.remaining - leg.freed ORDER BY leg.position) AS remaining
                FROM legs l
                JOIN ledger.holds h ON h.tenant_id = p_tenant AND h.id = p_holds[l.item]
                CROSS JOIN LATERAL (
                    SELECT u.posted, u.remaining, u.position,
                           coalesce(l.amounts[array_position(l.accounts, u.account)], 0) AS freed
                    FROM unnest(h.account_ids, h.posted, h.remaining) WITH ORDINALITY
                        AS u (account, posted, remaining, position)
                ) leg
                GROUP BY h.id, l.item
            )
            UPDATE ledger.holds h
            SET posted = n.posted, remaining = n.remaining, updated_at = v_now,
                status = CASE WHEN n.action = 'void' THEN 'voided' WHEN n.action = 'expire' THEN 'expired'
                              WHEN 0 = ALL (n.remaining) THEN 'posted' ELSE 'partially_posted' END
            FROM left_over n
            WHERE h.tenant_id = p_tenant AND h.id = n.id;
        END IF;
        v_from := v_to + 1;
    END LOOP;

    IF cardinality(array_remove(v_refusals, NULL)) > 0 THEN
        SELECT t.refusals, t.accounts INTO v_refusals, v_causes
        FROM ledger.tell_refusals(p_tenant, p_slots, v_claims, v_refusals, v_causes) t;
    END IF;
    RETURN QUERY
    SELECT o.item::integer, v_refusals[o.item], v_causes[o.item], v_ids[o.item],
           v_claims[o.item] IS NOT DISTINCT FROM 'replay', h.status
    FROM unnest(p_holds) WITH ORDINALITY AS o (hold, item)
    LEFT JOIN ledger.holds h ON h.tenant_id = p_tenant AND h.id = o.hold;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.settle_holds(integer, uuid[], uuid[], uuid[], uuid[], text[], bigint[], jsonb,
    integer[], uuid[], bigint[]) TO florin_app;

-- Reverses transfers of one tenant, each in full and once.
--   p_ids        the reversals; p_slots, p_digests: their idempotency, null without a key
--   p_transfers  per operation, the transfer (kind 'transfer' or 'post') that it undoes
-- The accounts' bounds hold for reversals too. Returns as ledger.settle_holds does.
CREATE FUNCTION ledger.reverse(
    p_tenant     integer,
    p_ids        uuid[],
    p_slots      uuid[],
    p_digests    uuid[],
    p_transfers  uuid[],
    p_details    jsonb
) RETURNS TABLE (
    item             integer,
    refusal          text,
    refused_account  uuid,
    transfer_id      uuid,
    replayed         boolean
)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now        timestamptz := clock_timestamp();
    v_claims     text[];
    v_ids        uuid[];
    v_refusals   text[];
    v_causes     uuid[];
    v_previous   integer[];
    v_accounts   uuid[];
    v_from       integer := 1;
    v_to         integer;
    v_items      integer[];
    v_positions  integer[];
    v_amounts    bigint[];
    v_applied    record;
    v_written    bigint;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    SELECT c.verdicts, c.resources INTO v_claims, v_ids
    FROM kernel.claim_slots(p_tenant, v_now, p_slots, p_digests, p_ids) c;
    v_causes := array_fill(NULL::uuid, ARRAY[cardinality(p_ids)]);

    SELECT coalesce(array_agg(DISTINCT a.id ORDER BY a.id), '{}') INTO v_accounts
    FROM ledger.transfers t, unnest(t.account_ids) AS a (id)
    WHERE t.tenant_id = p_tenant AND t.id = ANY (p_transfers);
    -- With the accounts locked, nobody else is reversing the same transfer: what the next statements see
    -- of earlier reversals stays true.
    PERFORM ledger.apply(p_tenant, v_now, v_accounts, '{}', '{}', '{}', '{}', '{}', '{}', NULL, NULL);

    SELECT array_agg(coalesce(w.claim, CASE
               WHEN t.id IS NULL THEN 'transfer_not_found'
               WHEN t.kind NOT IN ('transfer', 'post') THEN 'not_reversible'
               WHEN r.transfer_id IS NOT NULL THEN 'already_reversed' END) ORDER BY w.item),
           array_agg(w.previous ORDER BY w.item)
    INTO v_refusals, v_previous
    FROM (SELECT o.*, lag(o.item) OVER (PARTITION BY o.transfer ORDER BY o.item)::integer AS previous
          FROM unnest(p_transfers, v_claims) WITH ORDINALITY AS o (transfer, claim, item)) w
    LEFT JOIN ledger.transfers t ON t.tenant_id = p_tenant AND t.id = w.transfer
    LEFT JOIN ledger.reversals r ON r.tenant_id = p_tenant AND r.transfer_id = w.transfer;

    WHILE v_from <= cardinality(p_ids) LOOP
        v_to := ledger.run_end(v_from, v_previous);
        -- What an earlier run has reversed is reversed for this one.
        SELECT array_agg(coalesce(w.refusal, CASE
                   WHEN w.item BETWEEN v_from AND v_to AND r.transfer_id IS NOT NULL THEN 'already_reversed' END)
                   ORDER BY w.item)
        INTO v_refusals
        FROM unnest(p_transfers, v_refusals) WITH ORDINALITY AS w (transfer, refusal, item)
        LEFT JOIN ledger.reversals r
            ON v_from > 1 AND r.tenant_id = p_tenant AND r.transfer_id = w.transfer;

        SELECT array_agg(o.item ORDER BY o.item, leg.position),
               array_agg(array_position(v_accounts, leg.account) ORDER BY o.item, leg.position),
               array_agg(-leg.amount ORDER BY o.item, leg.position)
        INTO v_items, v_positions, v_amounts
        FROM generate_series(v_from, v_to) AS o (item)
        JOIN ledger.transfers t ON t.tenant_id = p_tenant AND t.id = p_transfers[o.item]
        CROSS JOIN LATERAL unnest(t.account_ids, t.amounts) WITH ORDINALITY AS leg (account, amount, position)
        WHERE v_refusals[o.item] IS NULL;

        IF v_items IS NOT NULL THEN
            SELECT * INTO v_applied
            FROM ledger.apply(p_tenant, v_now, v_accounts, array_fill(NULL::text, ARRAY[cardinality(p_ids)]),
                              v_ids, v_refusals, v_items, v_positions, v_amounts, NULL, NULL);
            v_refusals := v_applied.refusals;
            SELECT array_agg(coalesce(c.old, c.new) ORDER BY c.item) INTO v_causes
            FROM unnest(v_causes, v_applied.refused_accounts) WITH ORDINALITY AS c (old, new, item);

            WITH legs AS (
                SELECT l.item, array_agg(v_accounts[l.account] ORDER BY l.leg) AS accounts,
                       array_agg(l.amount ORDER BY l.leg) AS amounts, array_agg(l.seq ORDER BY l.leg) AS seqs
                FROM unnest(v_items, v_positions, v_amounts, v_applied.seqs) WITH ORDINALITY
                    AS l (item, account, amount, seq, leg)
                WHERE v_refusals[l.item] IS NULL
                GROUP BY l.item
            ), written AS (
                INSERT INTO ledger.transfers (tenant_id, id, kind, recorded_at, effective_at, account_ids, amounts,
                                              entry_seqs, related_id, description, metadata)
                SELECT p_tenant, v_ids[l.item], 'reversal', v_now, v_now, l.accounts, l.amounts, l.seqs,
                       p_transfers[l.item],
                       p_details -> (l.item - 1) ->> 'description', p_details -> (l.item - 1) -> 'metadata'
                FROM legs l
                RETURNING id
            ), remembered AS (
                INSERT INTO ledger.reversals (tenant_id, transfer_id, reversal_id)
                SELECT p_tenant, p_transfers[l.item], v_ids[l.item] FROM legs l
                RETURNING reversal_id
            )
            SELECT count(*) INTO v_written FROM remembered;
        END IF;
        v_from := v_to + 1;
    END LOOP;

    IF cardinality(array_remove(v_refusals, NULL)) > 0 THEN
        SELECT t.refusals, t.accounts INTO v_refusals, v_causes
        FROM ledger.tell_refusals(p_tenant, p_slots, v_claims, v_refusals, v_causes) t;
    END IF;
    RETURN QUERY
    SELECT o.item::integer, v_refusals[o.item], v_causes[o.item], v_ids[o.item],
           v_claims[o.item] IS NOT DISTINCT FROM 'replay'
    FROM generate_subscripts(p_ids, 1) AS o (item);
END
$$;
GRANT EXECUTE ON FUNCTION ledger.reverse(integer, uuid[], uuid[], uuid[], uuid[], jsonb) TO florin_app;

-- The accounts with these codes, in the order asked for; those that do not exist yet are made.
-- One that exists with another type or currency is an error: its code means something else already.
CREATE FUNCTION ledger.ensure_accounts(
    p_tenant integer, p_ids uuid[], p_codes text[], p_names text[], p_types text[], p_currencies text[]
) RETURNS uuid[]
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now    timestamptz := clock_timestamp();
    v_made   bigint;
    v_found  uuid[];
    v_other  text;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    WITH asked AS (
        SELECT DISTINCT ON (a.code) a.*
        FROM unnest(p_ids, p_codes, p_names, p_types, p_currencies) WITH ORDINALITY
            AS a (id, code, name, type, currency, item)
        ORDER BY a.code, a.item
    ), made AS (
        INSERT INTO ledger.accounts (tenant_id, id, code, type, currency)
        SELECT p_tenant, a.id, a.code, a.type, a.currency FROM asked a ORDER BY a.code
        ON CONFLICT ON CONSTRAINT accounts_code_key DO NOTHING
        RETURNING id
    ), described AS (
        INSERT INTO ledger.account_details (tenant_id, account_id, name, created_at)
        SELECT p_tenant, m.id, a.name, v_now FROM made m JOIN asked a USING (id)
        RETURNING account_id
    )
    SELECT count(*) INTO v_made FROM described;

    -- A statement of its own: it sees what another call has made meanwhile.
    SELECT array_agg(a.id ORDER BY w.item),
           string_agg(w.code, ', ') FILTER (WHERE (a.type, a.currency) IS DISTINCT FROM (w.type, w.currency))
    INTO v_found, v_other
    FROM unnest(p_codes, p_types, p_currencies) WITH ORDINALITY AS w (code, type, currency, item)
    LEFT JOIN ledger.accounts a ON a.tenant_id = p_tenant AND a.code = w.code;
    IF v_other IS NOT NULL THEN
        RAISE EXCEPTION 'accounts % exist with another type or currency', v_other
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN v_found;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.ensure_accounts(integer, uuid[], text[], text[], text[], text[]) TO florin_app;
