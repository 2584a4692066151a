-- How money moves, anew: sets that stand or fall together, shared limits, monitors, two times.

DROP FUNCTION ledger.apply(integer, timestamptz, uuid[], text[], uuid[], text[], integer[], integer[], bigint[],
    bigint[], bigint[]);
DROP FUNCTION ledger.post(integer, uuid[], uuid[], uuid[], text[], text[], timestamptz[], timestamptz[], jsonb, uuid[],
    integer[], integer[], bigint[]);

-- What every function that posts does first. It keeps the door open for the length of the transaction: whoever
-- closes a period or advances the sealed part of the log waits for those inside, and they see the books as
-- he left them or as he found them, never in between.
-- An id from before the sealed mark (its maker waited too long, or his clock is slow) is given up for a new one,
-- which is not below the mark either, should the database's own clock have been set back since.
CREATE FUNCTION ledger.enter(
    p_tenant  integer,
    p_ids     uuid[],
    OUT ids            uuid[],
    OUT closed_before  timestamptz
)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_sealed  uuid;
BEGIN
    IF p_tenant IS DISTINCT FROM current_setting('app.tenant_id')::integer THEN
        PERFORM kernel.require_tenant(p_tenant);
    END IF;
    PERFORM pg_advisory_xact_lock_shared(1279607879, p_tenant);  -- the family of these locks: LEDG in ASCII
    SELECT b.sealed_before, b.closed_before INTO v_sealed, closed_before
    FROM ledger.books b WHERE b.tenant_id = p_tenant;
    ids := p_ids;
    IF NOT v_sealed <= ALL (p_ids) THEN
        SELECT array_agg(CASE WHEN i.id < v_sealed THEN greatest(n.id, encode(overlay(
                   uuid_send(n.id) PLACING substring(uuid_send(v_sealed) FROM 1 FOR 6) FROM 1), 'hex')::uuid)
               ELSE i.id END ORDER BY i.item) INTO ids
        FROM unnest(p_ids) WITH ORDINALITY AS i (id, item),
             LATERAL (SELECT CASE WHEN i.id < v_sealed THEN kernel.uuidv7() END) n (id);
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.enter(integer, uuid[]) TO florin_app;

-- Waits until nobody is inside, and keeps the door shut until the transaction ends.
CREATE FUNCTION ledger.shut(p_tenant integer) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    PERFORM pg_advisory_xact_lock(1279607879, p_tenant);
END
$$;
GRANT EXECUTE ON FUNCTION ledger.shut(integer) TO florin_app;

-- Tells the monitors of some accounts what became of them: an event for each condition that has begun or
-- ceased to hold. Called by ledger.apply, under the locks of the accounts.
--   one element per change, in the order of the changes; `available` as in the API: balance less what holds may take
CREATE FUNCTION ledger.tell_monitors(
    p_tenant            integer,
    p_now               timestamptz,
    p_accounts          uuid[],
    p_transfers         uuid[],
    p_balance_before    bigint[],
    p_balance_after     bigint[],
    p_available_before  bigint[],
    p_available_after   bigint[]
) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    WITH looked AS (
        SELECT c.item, m.*, c.transfer, c.balance, c.available,
               CASE m.metric WHEN 'balance' THEN c.balance_before ELSE c.available_before END AS was,
               CASE m.metric WHEN 'balance' THEN c.balance ELSE c.available END AS value
        FROM unnest(p_accounts, p_transfers, p_balance_before, p_balance_after, p_available_before, p_available_after)
            WITH ORDINALITY AS c (account, transfer, balance_before, balance, available_before, available, item)
        JOIN ledger.monitors m ON m.tenant_id = p_tenant AND m.account_id = ANY (p_accounts) AND m.account_id = c.account
        WHERE m.active
    ), crossed AS (
        SELECT l.*, CASE l.comparison WHEN 'below' THEN l.value < l.threshold ELSE l.value > l.threshold END AS holds
        FROM looked l
        WHERE CASE l.comparison WHEN 'below' THEN l.value < l.threshold ELSE l.value > l.threshold END
           <> CASE l.comparison WHEN 'below' THEN l.was < l.threshold ELSE l.was > l.threshold END
    ), told AS (
        INSERT INTO kernel.events (tenant_id, id, type, object_id, occurred_at, data)
        SELECT p_tenant, kernel.uuidv7(), 'balance_monitor.' || CASE WHEN c.holds THEN 'triggered' ELSE 'cleared' END, c.id,
               p_now, jsonb_build_object('id', c.id, 'account_id', c.account_id, 'name', c.name, 'metric', c.metric,
                   'comparison', c.comparison, 'threshold', c.threshold, 'value', c.value, 'previous_value', c.was,
                   'balance', c.balance, 'available', c.available, 'transfer_id', c.transfer, 'holds', c.holds)
        FROM crossed c
        ORDER BY c.item, c.id
        RETURNING id
    )
    INSERT INTO kernel.outbox (tenant_id, event_id) SELECT p_tenant, t.id FROM told t;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.tell_monitors(integer, timestamptz, uuid[], uuid[], bigint[], bigint[], bigint[],
    bigint[]) TO florin_app;

-- Applies legs, in the order of their items, to one tenant's accounts.
-- An item that breaks a rule is refused with the rule's name and leaves its neighbours untouched:
-- what it would have moved is taken back before the next item is looked at.
--   p_accounts        the accounts touched, distinct and ascending: the lock order of the whole system
--   p_currencies      per item, the currency that it claims; null: whatever its accounts have
--   p_transfers       per item, the transfer that its entries belong to
--   p_refusals        per item, null or the reason why it is already refused
--   p_effective       per item, when it counts; null, or an element null: when it is recorded
--   p_sets            per item, a number: neighbours with the same one stand or fall together, and bounds are
--                     asked of what all of them leave; null, or an element null: the item stands alone
--   p_leg_item, p_leg_account   positions in the arrays above; legs stand in the order of their items
--   p_leg_amount      posted, debits positive; 0 posts nothing
--   p_leg_debit_hold, p_leg_credit_hold   change of what holds reserve; null: no leg changes it
-- Returns when all this was recorded: never earlier than the last entry of any of the accounts. The refusals, the
-- account that caused each ('set_refused': another item of its set was at fault); per leg the entry's number and
-- balance after (of no meaning where the item is refused); per account the sign of its normal side and its currency.
-- A frozen account moves nothing, but what holds reserve on it can be released.
-- Called without legs it takes the locks and does nothing else.
--
-- A few statements and one loop. The loop is arithmetic on arrays and touches no table: a set-based
-- check costs more to start than to run for the few items that a call usually has, and has to begin
-- again for each item that it refuses. Limits and monitors cost an account that has none a glance at a null.
CREATE FUNCTION ledger.apply(
    p_tenant           integer,
    p_accounts         uuid[],
    p_currencies       text[],
    p_transfers        uuid[],
    p_refusals         text[],
    p_effective        timestamptz[],
    p_sets             integer[],
    p_leg_item         integer[],
    p_leg_account      integer[],
    p_leg_amount       bigint[],
    p_leg_debit_hold   bigint[],
    p_leg_credit_hold  bigint[],
    OUT recorded_at       timestamptz,
    OUT refusals          text[],
    OUT refused_accounts  uuid[],
    OUT seqs              bigint[],
    OUT balances          bigint[],
    OUT signs             integer[],
    OUT currencies        text[]
)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    -- No balance passes this, so that a sum of balances and one call's amounts fits a bigint.
    c_limit        CONSTANT bigint := 4000000000000000000;
    c_legs         CONSTANT integer := cardinality(p_leg_item);
    c_holds        CONSTANT boolean := p_leg_debit_hold IS NOT NULL;
    c_sets         CONSTANT boolean := p_sets IS NOT NULL;
    v_ids          uuid[];
    v_status       text[];
    v_balance      bigint[];
    v_seq          bigint[];
    v_debits       bigint[];     -- what holds reserve
    v_credits      bigint[];
    v_min          bigint[];
    v_max          bigint[];
    v_last         timestamptz;
    -- Shared limits: the ids in use, ascending; per account the position of its limit, null without one.
    v_limits       uuid[];
    v_limit        integer[];
    v_pool         bigint[];
    v_pool_debits  bigint[];
    v_pool_credits bigint[];
    v_pool_min     bigint[];
    v_pool_max     bigint[];
    l              integer;
    -- Monitors: whether each account has one, and what became of those that do.
    v_monitored    boolean[];
    v_watched      boolean := false;
    v_seen         integer := 0;
    v_seen_account integer[] := '{}';
    v_seen_item    integer[] := '{}';
    v_seen_was     bigint[] := '{}';
    v_seen_is      bigint[] := '{}';
    v_seen_had     bigint[] := '{}';
    v_seen_has     bigint[] := '{}';
    -- The set that is being looked at: where it began, and how things stood before it.
    v_set          integer;
    v_set_leg      integer;
    v_set_seen     integer;
    v_balance_0    bigint[];
    v_seq_0        bigint[];
    v_debits_0     bigint[];
    v_credits_0    bigint[];
    v_pool_0           bigint[];
    v_pool_debits_0    bigint[];
    v_pool_credits_0   bigint[];
    v_leg          integer := 1;
    v_next         integer;
    v_item         integer;
    v_account      integer;
    v_usable       boolean;
    v_code         text;
    v_moved        bigint;
    v_total        bigint;
    v_held         bigint;
    v_debit        bigint := 0;
    v_credit       bigint := 0;
    v_claimed      text;
    v_first        text;
    v_mixed        boolean;
    v_written      bigint;
BEGIN
    refusals := p_refusals;
    refused_accounts := array_fill(NULL::uuid, ARRAY[cardinality(p_refusals)]);
    seqs := array_fill(NULL::bigint, ARRAY[c_legs]);
    balances := seqs;

    -- Lock. One statement, ascending; whoever waits for a row reads it again after the wait.
    SELECT array_agg(a.id), array_agg(a.status), array_agg(a.currency),
           array_agg(CASE WHEN a.type IN ('asset', 'expense') THEN 1 ELSE -1 END),
           array_agg(a.balance), array_agg(a.entry_seq),
           array_agg(a.pending_debits), array_agg(a.pending_credits),
           array_agg(coalesce(a.min_balance, -c_limit)), array_agg(coalesce(a.max_balance, c_limit)),
           max(a.last_entry_at), array_agg(a.limit_id) FILTER (WHERE a.limit_id IS NOT NULL),
           bool_or(a.monitored)
    INTO v_ids, v_status, currencies, signs, v_balance, v_seq, v_debits, v_credits, v_min, v_max,
         v_last, v_limits, v_watched
    FROM (
        SELECT * FROM ledger.accounts
        WHERE tenant_id = p_tenant AND id = ANY (p_accounts)
        ORDER BY id
        FOR NO KEY UPDATE
    ) a;
    -- Under the locks: whoever posts to one of these accounts next records it later.
    recorded_at := greatest(clock_timestamp(), v_last);

    IF v_ids IS DISTINCT FROM p_accounts THEN
        IF EXISTS (SELECT FROM unnest(p_accounts) WITH ORDINALITY AS w (id, position)
                   WHERE w.id <= p_accounts[w.position - 1]) THEN
            RAISE EXCEPTION 'accounts must be distinct and ascending' USING ERRCODE = 'invalid_parameter_value';
        END IF;
        -- Some do not exist: put nulls in their places, so that positions mean the same again.
        SELECT array_agg(f.status ORDER BY w.position), array_agg(f.currency ORDER BY w.position),
               array_agg(f.sign ORDER BY w.position), array_agg(f.balance ORDER BY w.position),
               array_agg(f.seq ORDER BY w.position), array_agg(f.debits ORDER BY w.position),
               array_agg(f.credits ORDER BY w.position), array_agg(f.min ORDER BY w.position),
               array_agg(f.max ORDER BY w.position)
        INTO v_status, currencies, signs, v_balance, v_seq, v_debits, v_credits, v_min, v_max
        FROM unnest(p_accounts) WITH ORDINALITY AS w (id, position)
        LEFT JOIN unnest(v_ids, v_status, currencies, signs, v_balance, v_seq, v_debits, v_credits, v_min, v_max)
            AS f (id, status, currency, sign, balance, seq, debits, credits, min, max) USING (id);
    END IF;

    IF v_limits IS NOT NULL THEN
        -- The locks of limits come after those of accounts, ascending too.
        SELECT array_agg(s.id), array_agg(s.balance), array_agg(s.pending_debits), array_agg(s.pending_credits),
               array_agg(coalesce(s.min_balance, -c_limit)), array_agg(coalesce(s.max_balance, c_limit))
        INTO v_limits, v_pool, v_pool_debits, v_pool_credits, v_pool_min, v_pool_max
        FROM (
            SELECT * FROM ledger.limits
            WHERE tenant_id = p_tenant AND id = ANY (v_limits)
            ORDER BY id
            FOR NO KEY UPDATE
        ) s;
        SELECT array_agg(array_position(v_limits, a.limit_id) ORDER BY w.position) INTO v_limit
        FROM unnest(p_accounts) WITH ORDINALITY AS w (id, position)
        LEFT JOIN ledger.accounts a ON a.tenant_id = p_tenant AND a.id = ANY (p_accounts) AND a.id = w.id;
    END IF;
    IF v_watched THEN
        SELECT array_agg(coalesce(a.monitored, false) ORDER BY w.position) INTO v_monitored
        FROM unnest(p_accounts) WITH ORDINALITY AS w (id, position)
        LEFT JOIN ledger.accounts a ON a.tenant_id = p_tenant AND a.id = ANY (p_accounts) AND a.id = w.id;
    END IF;

    -- Check, item by item, each upon what the items before it leave.
    WHILE v_leg <= c_legs LOOP
        v_item := p_leg_item[v_leg];
        v_code := refusals[v_item];
        v_claimed := p_currencies[v_item];
        v_next := v_leg;
        v_total := 0;
        v_held := 0;
        v_first := NULL;
        v_mixed := false;
        IF c_sets AND p_sets[v_item] IS NOT NULL AND v_set IS NULL THEN
            v_set := p_sets[v_item];
            v_set_leg := v_leg;
            v_set_seen := v_seen;
            v_balance_0 := v_balance;
            v_seq_0 := v_seq;
            v_debits_0 := v_debits;
            v_credits_0 := v_credits;
            v_pool_0 := v_pool;
            v_pool_debits_0 := v_pool_debits;
            v_pool_credits_0 := v_pool_credits;
        END IF;
        WHILE p_leg_item[v_next] = v_item LOOP
            IF v_code IS NULL THEN
                v_account := p_leg_account[v_next];
                IF v_first IS NULL THEN
                    v_first := currencies[v_account];
                ELSIF v_first <> currencies[v_account] THEN
                    v_mixed := true;
                END IF;
                v_usable := v_status[v_account] = 'active' OR (
                    c_holds AND v_status[v_account] = 'frozen' AND p_leg_amount[v_next] = 0
                    AND p_leg_debit_hold[v_next] <= 0 AND p_leg_credit_hold[v_next] <= 0);
                IF v_usable THEN
                    v_moved := signs[v_account] * p_leg_amount[v_next];
                    v_total := v_total + p_leg_amount[v_next];
                    IF c_holds THEN
                        v_debit := p_leg_debit_hold[v_next];
                        v_credit := p_leg_credit_hold[v_next];
                        v_held := v_held + v_debit - v_credit;
                        v_debits[v_account] := v_debits[v_account] + v_debit;
                        v_credits[v_account] := v_credits[v_account] + v_credit;
                    END IF;
                    IF v_moved <> 0 THEN
                        v_seq[v_account] := v_seq[v_account] + 1;
                        v_balance[v_account] := v_balance[v_account] + v_moved;
                        seqs[v_next] := v_seq[v_account];
                        balances[v_next] := v_balance[v_account];
                    END IF;
                    -- A bound stands in the way of what moves towards it, with what holds may still move.
                    IF v_set IS NULL THEN
                        IF signs[v_account] = 1 THEN
                            IF v_moved < v_credit AND v_balance[v_account] - v_credits[v_account] < v_min[v_account] THEN
                                v_code := 'insufficient_funds';
                            ELSIF v_moved + v_debit > 0 AND v_balance[v_account] + v_debits[v_account] > v_max[v_account] THEN
                                v_code := 'balance_above_maximum';
                            END IF;
                        ELSE
                            IF v_moved < v_debit AND v_balance[v_account] - v_debits[v_account] < v_min[v_account] THEN
                                v_code := 'insufficient_funds';
                            ELSIF v_moved + v_credit > 0 AND v_balance[v_account] + v_credits[v_account] > v_max[v_account] THEN
                                v_code := 'balance_above_maximum';
                            END IF;
                        END IF;
                    END IF;
                    IF v_limits IS NOT NULL THEN
                        l := v_limit[v_account];
                        IF l IS NOT NULL THEN
                            v_pool[l] := v_pool[l] + v_moved;
                            v_pool_debits[l] := v_pool_debits[l] + v_debit;
                            v_pool_credits[l] := v_pool_credits[l] + v_credit;
                        END IF;
                    END IF;
                    IF v_watched AND v_set IS NULL AND v_monitored[v_account] THEN
                        v_seen := v_seen + 1;
                        v_seen_account[v_seen] := v_account;
                        v_seen_item[v_seen] := v_item;
                        v_seen_was[v_seen] := v_balance[v_account] - v_moved;
                        v_seen_is[v_seen] := v_balance[v_account];
                        v_seen_has[v_seen] := v_balance[v_account]
                            - CASE signs[v_account] WHEN 1 THEN v_credits[v_account] ELSE v_debits[v_account] END;
                        v_seen_had[v_seen] := v_seen_has[v_seen] - v_moved
                            + CASE signs[v_account] WHEN 1 THEN v_credit ELSE v_debit END;
                    END IF;
                    IF v_claimed <> currencies[v_account] THEN
                        v_code := 'currency_mismatch';
                    END IF;
                ELSE
                    v_code := CASE v_status[v_account] WHEN 'frozen' THEN 'account_frozen'
                        WHEN 'closed' THEN 'account_closed' ELSE 'account_not_found' END;
                END IF;
                IF v_code IS NOT NULL THEN
                    refusals[v_item] := v_code;
                    refused_accounts[v_item] := p_accounts[v_account];
                    v_mixed := false;
                    -- Legs up to here have been counted, this one too unless its account is unusable.
                    v_written := v_next - CASE WHEN v_usable THEN 0 ELSE 1 END;
                END IF;
            END IF;
            v_next := v_next + 1;
        END LOOP;

        IF v_code IS NULL THEN
            IF v_mixed THEN
                IF EXISTS (
                    SELECT FROM generate_series(v_leg, v_next - 1) AS g (leg)
                    GROUP BY currencies[p_leg_account[g.leg]]
                    HAVING sum(p_leg_amount[g.leg]) <> 0
                        OR sum(p_leg_debit_hold[g.leg] - p_leg_credit_hold[g.leg]) <> 0
                ) THEN
                    v_code := 'unbalanced';
                END IF;
            ELSIF v_total <> 0 OR v_held <> 0 THEN
                v_code := 'unbalanced';
            END IF;
            -- A shared limit looks at the item as a whole: what moves between two that share it moves nothing.
            IF v_code IS NULL AND v_limits IS NOT NULL AND v_set IS NULL THEN
                FOR i IN v_leg .. v_next - 1 LOOP
                    l := v_limit[p_leg_account[i]];
                    CONTINUE WHEN l IS NULL;
                    v_account := p_leg_account[i];
                    SELECT sum(signs[v_account] * p_leg_amount[g.leg]), coalesce(sum(p_leg_debit_hold[g.leg]), 0),
                           coalesce(sum(p_leg_credit_hold[g.leg]), 0)
                    INTO v_moved, v_debit, v_credit
                    FROM generate_series(v_leg, v_next - 1) AS g (leg)
                    WHERE v_limit[p_leg_account[g.leg]] = l;
                    v_code := ledger.bound_broken(signs[v_account], v_moved, v_debit, v_credit, v_pool[l],
                        v_pool_debits[l], v_pool_credits[l], v_pool_min[l], v_pool_max[l], 'shared_limit_exceeded');
                    IF v_code IS NOT NULL THEN
                        refused_accounts[v_item] := p_accounts[v_account];
                        EXIT;
                    END IF;
                END LOOP;
                v_debit := 0;
                v_credit := 0;
            END IF;
            IF v_code IS NOT NULL THEN
                refusals[v_item] := v_code;
                v_written := v_next - 1;
            END IF;
        ELSIF p_refusals[v_item] IS NOT NULL THEN
            v_written := 0;
        END IF;

        IF v_set IS NULL THEN
            IF v_code IS NOT NULL THEN
                FOR i IN v_leg .. v_written LOOP
                    v_account := p_leg_account[i];
                    IF p_leg_amount[i] <> 0 THEN
                        v_balance[v_account] := v_balance[v_account] - signs[v_account] * p_leg_amount[i];
                        v_seq[v_account] := v_seq[v_account] - 1;
                    END IF;
                    IF c_holds THEN
                        v_debits[v_account] := v_debits[v_account] - p_leg_debit_hold[i];
                        v_credits[v_account] := v_credits[v_account] - p_leg_credit_hold[i];
                    END IF;
                    IF v_limits IS NOT NULL THEN
                        l := v_limit[v_account];
                        IF l IS NOT NULL THEN
                            v_pool[l] := v_pool[l] - signs[v_account] * p_leg_amount[i];
                            v_pool_debits[l] := v_pool_debits[l] - coalesce(p_leg_debit_hold[i], 0);
                            v_pool_credits[l] := v_pool_credits[l] - coalesce(p_leg_credit_hold[i], 0);
                        END IF;
                    END IF;
                END LOOP;
                WHILE v_seen > 0 AND v_seen_item[v_seen] = v_item LOOP
                    v_seen := v_seen - 1;
                END LOOP;
            END IF;
        ELSIF v_code IS NOT NULL OR v_next > c_legs OR p_sets[p_leg_item[v_next]] IS DISTINCT FROM v_set THEN
            -- The set is complete, or one of its items has failed it.
            IF v_code IS NULL THEN
                FOR i IN v_set_leg .. v_next - 1 LOOP
                    v_account := p_leg_account[i];
                    v_item := p_leg_item[i];
                    -- What moves an account the other way than the set as a whole does is not to blame.
                    CONTINUE WHEN sign(signs[v_account] * p_leg_amount[i])
                        = -sign(v_balance[v_account] - v_balance_0[v_account]) AND p_leg_amount[i] <> 0;
                    v_code := ledger.bound_broken(signs[v_account], v_balance[v_account] - v_balance_0[v_account],
                        v_debits[v_account] - v_debits_0[v_account], v_credits[v_account] - v_credits_0[v_account],
                        v_balance[v_account], v_debits[v_account], v_credits[v_account],
                        v_min[v_account], v_max[v_account], NULL);
                    IF v_code IS NULL AND v_limits IS NOT NULL THEN
                        l := v_limit[v_account];
                        IF l IS NOT NULL THEN
                            v_code := ledger.bound_broken(signs[v_account], v_pool[l] - v_pool_0[l],
                                v_pool_debits[l] - v_pool_debits_0[l], v_pool_credits[l] - v_pool_credits_0[l],
                                v_pool[l], v_pool_debits[l], v_pool_credits[l],
                                v_pool_min[l], v_pool_max[l], 'shared_limit_exceeded');
                        END IF;
                    END IF;
                    IF v_code IS NOT NULL THEN
                        refusals[v_item] := v_code;
                        refused_accounts[v_item] := p_accounts[v_account];
                        EXIT;
                    END IF;
                END LOOP;
            END IF;
            IF v_code IS NOT NULL THEN
                v_next := v_set_leg;
                WHILE v_next <= c_legs AND p_sets[p_leg_item[v_next]] = v_set LOOP
                    refusals[p_leg_item[v_next]] := coalesce(refusals[p_leg_item[v_next]], 'set_refused');
                    v_next := v_next + 1;
                END LOOP;
                v_balance := v_balance_0;
                v_seq := v_seq_0;
                v_debits := v_debits_0;
                v_credits := v_credits_0;
                v_pool := v_pool_0;
                v_pool_debits := v_pool_debits_0;
                v_pool_credits := v_pool_credits_0;
            ELSIF v_watched THEN
                FOR i IN v_set_leg .. v_next - 1 LOOP
                    v_account := p_leg_account[i];
                    CONTINUE WHEN NOT v_monitored[v_account]
                        OR v_account = ANY (v_seen_account[v_set_seen + 1 : v_seen]);
                    v_seen := v_seen + 1;
                    v_seen_account[v_seen] := v_account;
                    v_seen_item[v_seen] := p_leg_item[i];
                    v_seen_was[v_seen] := v_balance_0[v_account];
                    v_seen_is[v_seen] := v_balance[v_account];
                    v_seen_had[v_seen] := v_balance_0[v_account]
                        - CASE signs[v_account] WHEN 1 THEN v_credits_0[v_account] ELSE v_debits_0[v_account] END;
                    v_seen_has[v_seen] := v_balance[v_account]
                        - CASE signs[v_account] WHEN 1 THEN v_credits[v_account] ELSE v_debits[v_account] END;
                END LOOP;
            END IF;
            v_set := NULL;
        END IF;
        v_leg := v_next;
    END LOOP;

    -- Write: each account once, however many entries it gains.
    UPDATE ledger.accounts a
    SET balance = m.balance, entry_seq = m.seq, pending_debits = m.debits, pending_credits = m.credits,
        last_entry_at = CASE a.entry_seq WHEN m.seq THEN a.last_entry_at ELSE recorded_at END
    FROM unnest(p_accounts, v_balance, v_seq, v_debits, v_credits) AS m (id, balance, seq, debits, credits)
    WHERE a.tenant_id = p_tenant AND a.id = ANY (p_accounts) AND a.id = m.id
      AND (a.entry_seq <> m.seq OR a.pending_debits <> m.debits OR a.pending_credits <> m.credits);

    WITH written AS (
        INSERT INTO ledger.entries
            (tenant_id, account_id, seq, transfer_id, amount, balance_after, recorded_at, effective_at)
        SELECT p_tenant, p_accounts[g.account], g.seq, p_transfers[g.item], g.amount, g.balance, recorded_at,
               p_effective[g.item]
        FROM unnest(p_leg_item, p_leg_account, p_leg_amount, seqs, balances)
            AS g (item, account, amount, seq, balance)
        WHERE g.amount <> 0 AND refusals[g.item] IS NULL
        RETURNING seq
    )
    SELECT count(*) INTO v_written FROM written;

    IF v_limits IS NOT NULL THEN
        UPDATE ledger.limits s
        SET balance = m.balance, pending_debits = m.debits, pending_credits = m.credits
        FROM unnest(v_limits, v_pool, v_pool_debits, v_pool_credits) AS m (id, balance, debits, credits)
        WHERE s.tenant_id = p_tenant AND s.id = ANY (v_limits) AND s.id = m.id;
    END IF;
    IF p_effective IS NOT NULL AND array_remove(p_effective, NULL) <> '{}' THEN
        UPDATE ledger.accounts a SET dated = true
        WHERE a.tenant_id = p_tenant AND NOT a.dated AND a.id IN (
            SELECT p_accounts[g.account] FROM unnest(p_leg_item, p_leg_account, p_leg_amount) AS g (item, account, amount)
            WHERE g.amount <> 0 AND refusals[g.item] IS NULL AND p_effective[g.item] IS NOT NULL);
    END IF;
    IF v_seen > 0 THEN
        PERFORM ledger.tell_monitors(p_tenant, recorded_at,
            (SELECT array_agg(p_accounts[s.account] ORDER BY s.n) FROM unnest(v_seen_account[1 : v_seen]) WITH ORDINALITY AS s (account, n)),
            (SELECT array_agg(p_transfers[s.item] ORDER BY s.n) FROM unnest(v_seen_item[1 : v_seen]) WITH ORDINALITY AS s (item, n)),
            v_seen_was[1 : v_seen], v_seen_is[1 : v_seen], v_seen_had[1 : v_seen], v_seen_has[1 : v_seen]);
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.apply(integer, uuid[], text[], uuid[], text[], timestamptz[], integer[], integer[],
    integer[], bigint[], bigint[], bigint[]) TO florin_app;

-- Which bound a change has broken, if any: a bound stands in the way of what moves towards it only.
--   p_moved, p_debit, p_credit    what has changed: balance on the normal side, and what holds reserve
--   p_balance, p_debits, p_credits   how things stand after it
--   p_name    the refusal's name; null: named after the bound
CREATE FUNCTION ledger.bound_broken(
    p_sign integer, p_moved bigint, p_debit bigint, p_credit bigint, p_balance bigint, p_debits bigint,
    p_credits bigint, p_min bigint, p_max bigint, p_name text
) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN p_sign = 1 AND p_moved < p_credit AND p_balance - p_credits < p_min
      OR p_sign = -1 AND p_moved < p_debit AND p_balance - p_debits < p_min
        THEN coalesce(p_name, 'insufficient_funds')
    WHEN p_sign = 1 AND p_moved + p_debit > 0 AND p_balance + p_debits > p_max
      OR p_sign = -1 AND p_moved + p_credit > 0 AND p_balance + p_credits > p_max
        THEN coalesce(p_name, 'balance_above_maximum')
END;
GRANT EXECUTE ON FUNCTION ledger.bound_broken(integer, bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint,
    text) TO florin_app;

-- Refuses what would count in a closed period. A time of null is now, and now is never closed.
CREATE FUNCTION ledger.refuse_closed(p_closed_before timestamptz, p_effective timestamptz[], p_refusals text[])
RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN (
    SELECT array_agg(coalesce(r.refusal, CASE WHEN r.effective_at < p_closed_before THEN 'period_closed' END)
                     ORDER BY r.item)
    FROM unnest(p_refusals, p_effective) WITH ORDINALITY AS r (refusal, effective_at, item));
GRANT EXECUTE ON FUNCTION ledger.refuse_closed(timestamptz, timestamptz[], text[]) TO florin_app;

-- Posts an array of transfers and holds for one tenant, in array order.
--   p_ids       the new transfers; p_slots, p_digests: their idempotency (kernel.claim_slots), null without a key
--   p_kinds     'transfer' or 'hold'
--   p_effective null, or per item when it counts: not in a closed period
--   p_sets      null, or per item the set that it stands or falls with (ledger.apply)
--   p_details   null, or per item an object (description, metadata, correlation_id, causation_id, template,
--               exchange) or null, in a JSON array
--   p_accounts  distinct and ascending; p_leg_account points into it, p_leg_item into p_ids
-- Returns a row per item, in no order: what was recorded, per leg in the order given; or a refusal and the
-- account that caused it. `replayed`: the key was used before; then `transfer_id` is what it made, or
-- `refusal` what it met. A refusal is kept under its key, as a success is.
CREATE FUNCTION ledger.post(
    p_tenant       integer,
    p_ids          uuid[],
    p_slots        uuid[],
    p_digests      uuid[],
    p_kinds        text[],
    p_currencies   text[],
    p_effective    timestamptz[],
    p_expires      timestamptz[],
    p_sets         integer[],
    p_details      jsonb,
    p_accounts     uuid[],
    p_leg_item     integer[],
    p_leg_account  integer[],
    p_leg_amount   bigint[]
) RETURNS TABLE (
    item             integer,
    refusal          text,
    refused_account  uuid,
    transfer_id      uuid,
    replayed         boolean,
    recorded_at      timestamptz,
    entry_seqs       bigint[],
    balances         bigint[],   -- after the transfer
    balances_before  bigint[],
    currencies       text[]
)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    c_max         CONSTANT bigint := 1000000000000000;
    v_now         timestamptz;
    v_entered     record;
    v_claims      text[];
    v_ids         uuid[];
    v_amounts     bigint[] := p_leg_amount;
    v_debits      bigint[];
    v_credits     bigint[];
    v_refusals    text[];
    v_told        text[];      -- the refusals as the caller hears them
    v_accounts    uuid[];      -- which account caused them
    v_seqs        bigint[];
    v_balances    bigint[];
    v_signs       integer[];
    v_currencies  text[];
    v_claimed     record;
    v_applied     record;
    v_written     bigint;
BEGIN
    -- Assigned, not selected: a call in an expression costs a tenth of a query that scans its result.
    v_entered := ledger.enter(p_tenant, p_ids);
    v_now := clock_timestamp();
    v_claimed := kernel.claim_slots(p_tenant, v_now, p_slots, p_digests, v_entered.ids);
    v_claims := v_claimed.verdicts;
    v_ids := v_claimed.resources;
    v_refusals := v_claims;

    IF NOT (c_max >= ALL (p_leg_amount) AND -c_max <= ALL (p_leg_amount) AND 0 <> ALL (p_leg_amount)) THEN
        SELECT array_agg(coalesce(v_claims[i.item],
                                  CASE WHEN i.item = ANY (wrong.items) THEN 'amount_out_of_range' END)
                         ORDER BY i.item)
        INTO v_refusals
        FROM generate_series(1, cardinality(p_ids)) AS i (item),
             (SELECT array_agg(g.item) AS items FROM unnest(p_leg_item, p_leg_amount) AS g (item, amount)
              WHERE g.amount NOT BETWEEN -c_max AND c_max OR g.amount = 0) wrong;
    END IF;
    IF p_effective IS NOT NULL AND v_entered.closed_before IS NOT NULL THEN
        v_refusals := ledger.refuse_closed(v_entered.closed_before, p_effective, v_refusals);
    END IF;

    IF 'hold' = ANY (p_kinds) THEN
        SELECT array_agg(CASE k.kind WHEN 'hold' THEN 0 ELSE g.amount END ORDER BY g.leg),
               array_agg(CASE k.kind WHEN 'hold' THEN greatest(g.amount, 0) ELSE 0 END ORDER BY g.leg),
               array_agg(CASE k.kind WHEN 'hold' THEN -least(greatest(g.amount, -c_max), 0) ELSE 0 END ORDER BY g.leg)
        INTO v_amounts, v_debits, v_credits
        FROM unnest(p_leg_item, p_leg_amount) WITH ORDINALITY AS g (item, amount, leg),
             LATERAL (SELECT p_kinds[g.item] AS kind) k;
        SELECT array_agg(coalesce(r.refusal,
                                  CASE WHEN r.kind = 'hold' AND r.expires_at <= v_now THEN 'expiry_in_the_past' END)
                         ORDER BY r.item)
        INTO v_refusals
        FROM unnest(v_refusals, p_kinds, p_expires) WITH ORDINALITY AS r (refusal, kind, expires_at, item);
    END IF;

    v_applied := ledger.apply(p_tenant, p_accounts, p_currencies, v_ids, v_refusals, p_effective, p_sets,
                              p_leg_item, p_leg_account, v_amounts, v_debits, v_credits);
    v_now := v_applied.recorded_at;
    v_refusals := v_applied.refusals;
    v_accounts := v_applied.refused_accounts;
    v_seqs := v_applied.seqs;
    v_balances := v_applied.balances;
    v_signs := v_applied.signs;
    v_currencies := v_applied.currencies;

    v_told := v_refusals;
    IF cardinality(array_remove(v_refusals, NULL)) > 0 THEN
        SELECT t.refusals, t.accounts INTO v_told, v_accounts
        FROM ledger.tell_refusals(p_tenant, p_slots, v_claims, v_refusals, v_accounts) t;
    END IF;

    RETURN QUERY
    WITH legs AS (
        SELECT g.item,
               array_agg(p_accounts[g.account] ORDER BY g.leg) AS accounts,
               array_agg(g.amount ORDER BY g.leg) AS amounts,
               array_agg(g.seq ORDER BY g.leg) AS seqs,
               array_agg(g.balance ORDER BY g.leg) AS balances,
               array_agg(CASE WHEN g.balance IS NOT NULL THEN g.balance - v_signs[g.account] * g.amount END
                         ORDER BY g.leg) AS befores,
               array_agg(v_currencies[g.account] ORDER BY g.leg) AS currencies
        FROM unnest(p_leg_item, p_leg_account, p_leg_amount, v_seqs, v_balances) WITH ORDINALITY
            AS g (item, account, amount, seq, balance, leg)
        GROUP BY g.item
    ), written AS (
        INSERT INTO ledger.transfers
            (tenant_id, id, kind, recorded_at, effective_at, account_ids, amounts, entry_seqs, description, metadata,
             correlation_id, causation_id, template, exchange)
        SELECT p_tenant, v_ids[g.item], p_kinds[g.item], v_now, p_effective[g.item], g.accounts,
               g.amounts, CASE p_kinds[g.item] WHEN 'hold' THEN NULL ELSE g.seqs END,
               d.detail ->> 'description', d.detail -> 'metadata', d.detail ->> 'correlation_id',
               d.detail ->> 'causation_id', d.detail -> 'template', d.detail -> 'exchange'
        FROM legs g, LATERAL (SELECT p_details -> (g.item - 1) AS detail) d
        WHERE v_refusals[g.item] IS NULL
        RETURNING id
    )
    SELECT g.item, v_told[g.item], v_accounts[g.item], v_ids[g.item], v_claims[g.item] IS NOT DISTINCT FROM 'replay',
           v_now, g.seqs, g.balances, g.befores, g.currencies
    FROM legs g;

    IF v_debits IS NOT NULL THEN
        WITH written AS (
            INSERT INTO ledger.holds
                (tenant_id, id, account_ids, reserved, posted, remaining, expires_at, created_at, updated_at)
            SELECT p_tenant, v_ids[g.item], array_agg(p_accounts[g.account] ORDER BY g.leg),
                   array_agg(g.amount ORDER BY g.leg), array_agg(0::bigint), array_agg(g.amount ORDER BY g.leg),
                   p_expires[g.item], v_now, v_now
            FROM unnest(p_leg_item, p_leg_account, p_leg_amount) WITH ORDINALITY AS g (item, account, amount, leg)
            WHERE p_kinds[g.item] = 'hold' AND v_refusals[g.item] IS NULL
            GROUP BY g.item
            RETURNING id
        )
        SELECT count(*) INTO v_written FROM written;
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.post(integer, uuid[], uuid[], uuid[], text[], text[], timestamptz[], timestamptz[],
    integer[], jsonb, uuid[], integer[], integer[], bigint[]) TO florin_app;

-- Posts, voids and expires holds of one tenant.
--   p_ids      the new transfers; p_slots, p_digests: their idempotency, null without a key
--   p_holds    per operation, the hold; p_actions: 'post', 'void' or 'expire'
--   p_amounts  per operation, how much of a two-leg hold to post; null: what p_legs say, else all that remains
--   p_leg_item, p_leg_account, p_leg_amount   posted in part, leg by leg: item, account, debits positive
--   p_details  null, or a JSON array with an object (description, metadata) or null per operation
-- A hold whose time has passed by the database's clock is closed for everything but its expiry.
-- Returns a row per operation: what was posted or released, or a refusal; `replayed` as in ledger.post.
CREATE OR REPLACE FUNCTION ledger.settle_holds(
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
    v_now        timestamptz;
    v_entered    record;
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
    v_entered := ledger.enter(p_tenant, p_ids);
    v_now := clock_timestamp();
    SELECT c.verdicts, c.resources INTO v_claims, v_ids
    FROM kernel.claim_slots(p_tenant, v_now, p_slots, p_digests, v_entered.ids) c;
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
            FROM ledger.apply(p_tenant, v_accounts, array_fill(NULL::text, ARRAY[cardinality(p_ids)]),
                              v_ids, v_refusals, NULL, NULL, v_items, v_positions, v_moved, v_debits, v_credits);
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
                INSERT INTO ledger.transfers (tenant_id, id, kind, recorded_at, account_ids, amounts, entry_seqs,
                                              related_id, description, metadata, correlation_id, causation_id)
                SELECT p_tenant, v_ids[l.item],
                       CASE p_actions[l.item] WHEN 'expire' THEN 'expiry' ELSE p_actions[l.item] END,
                       v_applied.recorded_at, l.accounts, l.amounts,
                       CASE p_actions[l.item] WHEN 'post' THEN l.seqs END, p_holds[l.item],
                       d.detail ->> 'description', d.detail -> 'metadata', d.detail ->> 'correlation_id',
                       d.detail ->> 'causation_id'
                FROM legs l, LATERAL (SELECT p_details -> (l.item - 1) AS detail) d
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
            SET posted = n.posted, remaining = n.remaining, updated_at = v_applied.recorded_at,
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

DROP FUNCTION ledger.reverse(integer, uuid[], uuid[], uuid[], uuid[], jsonb);

-- Reverses transfers of one tenant, in full or in part; no amount twice.
--   p_ids        the reversals; p_slots, p_digests: their idempotency, null without a key
--   p_transfers  per operation, the transfer (kind 'transfer', 'post' or 'repost') that it undoes
--   p_amounts    per operation, how much of a two-leg transfer; null: what p_legs say, else all that is left
--   p_leg_item, p_leg_account, p_leg_amount   leg by leg: how much of each, with the signs of the transfer
--   p_effective  per operation, when it counts; null: when it is recorded
-- The accounts' bounds hold for reversals too. Returns as ledger.settle_holds does.
CREATE FUNCTION ledger.reverse(
    p_tenant       integer,
    p_ids          uuid[],
    p_slots        uuid[],
    p_digests      uuid[],
    p_transfers    uuid[],
    p_effective    timestamptz[],
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
    replayed         boolean
)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_entered    record;
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
    v_entered := ledger.enter(p_tenant, p_ids);
    SELECT c.verdicts, c.resources INTO v_claims, v_ids
    FROM kernel.claim_slots(p_tenant, clock_timestamp(), p_slots, p_digests, v_entered.ids) c;
    v_causes := array_fill(NULL::uuid, ARRAY[cardinality(p_ids)]);
    v_refusals := ledger.refuse_closed(v_entered.closed_before, p_effective, v_claims);

    SELECT coalesce(array_agg(DISTINCT a.id ORDER BY a.id), '{}') INTO v_accounts
    FROM ledger.all_transfers t, unnest(t.account_ids) AS a (id)
    WHERE t.tenant_id = p_tenant AND t.id = ANY (p_transfers);
    -- With the accounts locked, nobody else is reversing the same transfer: what the next statements see
    -- of earlier reversals stays true.
    PERFORM ledger.apply(p_tenant, v_accounts, '{}', '{}', '{}', NULL, NULL, '{}', '{}', '{}', NULL, NULL);

    SELECT array_agg(o.previous ORDER BY o.item) INTO v_previous
    FROM (SELECT w.item, lag(w.item) OVER (PARTITION BY w.transfer ORDER BY w.item)::integer AS previous
          FROM unnest(p_transfers) WITH ORDINALITY AS w (transfer, item)) o;

    WHILE v_from <= cardinality(p_ids) LOOP
        v_to := ledger.run_end(v_from, v_previous);

        -- What each operation asks of each leg of its transfer, and whether that much is left of it.
        WITH asked AS (
            SELECT o.item, t.id AS transfer, t.kind, leg.account, leg.position, leg.remaining,
                   p_amounts[o.item] AS amount, cardinality(t.account_ids) AS legs,
                   CASE
                       WHEN p_amounts[o.item] IS NOT NULL THEN sign(leg.amount)::bigint * p_amounts[o.item]
                       WHEN o.item = ANY (p_leg_item) THEN coalesce((
                           SELECT sum(g.amount) FROM unnest(p_leg_item, p_leg_account, p_leg_amount)
                               AS g (item, account, amount)
                           WHERE g.item = o.item AND g.account = leg.account), 0)
                       ELSE leg.remaining
                   END AS taken
            FROM generate_series(v_from, v_to) AS o (item)
            LEFT JOIN ledger.all_transfers t
                ON t.tenant_id = p_tenant AND t.id = ANY (p_transfers) AND t.id = p_transfers[o.item]
            LEFT JOIN LATERAL (
                SELECT r.reversed FROM ledger.reversals r
                WHERE r.tenant_id = p_tenant AND r.transfer_id = t.id
                ORDER BY r.number DESC LIMIT 1
            ) so_far ON true
            LEFT JOIN LATERAL (
                SELECT u.account, u.amount, u.position, u.amount - coalesce(so_far.reversed[u.position], 0) AS remaining
                FROM unnest(t.account_ids, t.amounts) WITH ORDINALITY AS u (account, amount, position)
            ) leg ON true
            WHERE v_refusals[o.item] IS NULL
        ), judged AS (
            SELECT a.item,
                CASE
                    WHEN min(a.transfer::text) IS NULL THEN 'transfer_not_found'
                    WHEN min(a.kind) NOT IN ('transfer', 'post', 'repost') THEN 'not_reversible'
                    WHEN bool_and(a.remaining = 0) THEN 'already_reversed'
                    WHEN min(a.amount) IS NOT NULL AND min(a.legs) <> 2 THEN 'legs_required'
                    WHEN min(a.amount) < 1 THEN 'amount_out_of_range'
                    WHEN EXISTS (SELECT FROM unnest(p_leg_item, p_leg_account) AS g (item, account)
                                 WHERE g.item = a.item AND NOT g.account = ANY (array_agg(a.account)))
                        THEN 'account_not_in_transfer'
                    WHEN bool_or(abs(a.taken) > abs(a.remaining) OR a.taken::numeric * a.remaining < 0)
                        THEN 'reversal_amount_exceeded'
                    WHEN count(*) FILTER (WHERE a.taken <> 0) < 2 THEN 'unbalanced'
                END AS refusal
            FROM asked a
            GROUP BY a.item
        )
        SELECT (SELECT array_agg(coalesce(r.refusal, j.refusal) ORDER BY r.item)
                FROM unnest(v_refusals) WITH ORDINALITY AS r (refusal, item) LEFT JOIN judged j USING (item)),
               array_agg(a.item ORDER BY a.item, a.position),
               array_agg(array_position(v_accounts, a.account) ORDER BY a.item, a.position),
               array_agg(-a.taken ORDER BY a.item, a.position)
        INTO v_refusals, v_items, v_positions, v_amounts
        FROM asked a JOIN judged j USING (item)
        WHERE j.refusal IS NULL AND a.taken <> 0;

        IF v_items IS NOT NULL THEN
            SELECT * INTO v_applied
            FROM ledger.apply(p_tenant, v_accounts, array_fill(NULL::text, ARRAY[cardinality(p_ids)]), v_ids,
                              v_refusals, p_effective, NULL, v_items, v_positions, v_amounts, NULL, NULL);
            v_refusals := v_applied.refusals;
            SELECT array_agg(coalesce(c.old, c.new) ORDER BY c.item) INTO v_causes
            FROM unnest(v_causes, v_applied.refused_accounts) WITH ORDINALITY AS c (old, new, item);
            PERFORM ledger.log_reversals(p_tenant, v_applied.recorded_at, v_ids, p_transfers, p_effective, p_details,
                v_refusals, v_accounts, v_items, v_positions, v_amounts, v_applied.seqs);
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
GRANT EXECUTE ON FUNCTION ledger.reverse(integer, uuid[], uuid[], uuid[], uuid[], timestamptz[], bigint[], jsonb,
    integer[], uuid[], bigint[]) TO florin_app;

-- Writes reversals that ledger.apply has let through: their lines in the log, and how much of each transfer
-- has been taken back by now. No transfer occurs twice.
CREATE FUNCTION ledger.log_reversals(
    p_tenant       integer,
    p_now          timestamptz,
    p_ids          uuid[],
    p_transfers    uuid[],
    p_effective    timestamptz[],
    p_details      jsonb,
    p_refusals     text[],
    p_accounts     uuid[],
    p_leg_item     integer[],
    p_leg_account  integer[],
    p_leg_amount   bigint[],
    p_leg_seq      bigint[]
) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    WITH legs AS (
        SELECT g.item, array_agg(p_accounts[g.account] ORDER BY g.leg) AS accounts,
               array_agg(g.amount ORDER BY g.leg) AS amounts, array_agg(g.seq ORDER BY g.leg) AS seqs
        FROM unnest(p_leg_item, p_leg_account, p_leg_amount, p_leg_seq) WITH ORDINALITY
            AS g (item, account, amount, seq, leg)
        WHERE p_refusals[g.item] IS NULL AND p_transfers[g.item] IS NOT NULL
        GROUP BY g.item
    ), written AS (
        INSERT INTO ledger.transfers (tenant_id, id, kind, recorded_at, effective_at, account_ids, amounts, entry_seqs,
                                      related_id, description, metadata, correlation_id, causation_id)
        SELECT p_tenant, p_ids[g.item], 'reversal', p_now, p_effective[g.item], g.accounts, g.amounts, g.seqs,
               p_transfers[g.item], d.detail ->> 'description', d.detail -> 'metadata',
               coalesce(d.detail ->> 'correlation_id', t.correlation_id), d.detail ->> 'causation_id'
        FROM legs g
        JOIN ledger.all_transfers t ON t.tenant_id = p_tenant AND t.id = ANY (p_transfers) AND t.id = p_transfers[g.item],
             LATERAL (SELECT p_details -> (g.item - 1) AS detail) d
        RETURNING id
    )
    INSERT INTO ledger.reversals (tenant_id, transfer_id, number, reversal_id, amounts, reversed)
    SELECT p_tenant, t.id, coalesce(so_far.number, 0) + 1, p_ids[g.item], taken.amounts, taken.reversed
    FROM legs g
    JOIN ledger.all_transfers t ON t.tenant_id = p_tenant AND t.id = ANY (p_transfers) AND t.id = p_transfers[g.item]
    LEFT JOIN LATERAL (
        SELECT r.number, r.reversed FROM ledger.reversals r
        WHERE r.tenant_id = p_tenant AND r.transfer_id = t.id
        ORDER BY r.number DESC LIMIT 1
    ) so_far ON true
    CROSS JOIN LATERAL (
        SELECT array_agg(u.taken ORDER BY u.position) AS amounts,
               array_agg(u.taken + coalesce(so_far.reversed[u.position], 0) ORDER BY u.position) AS reversed
        FROM (SELECT a.position, coalesce(-g.amounts[array_position(g.accounts, a.account)], 0) AS taken
              FROM unnest(t.account_ids) WITH ORDINALITY AS a (account, position)) u
    ) taken;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.log_reversals(integer, timestamptz, uuid[], uuid[], timestamptz[], jsonb, text[], uuid[],
    integer[], integer[], bigint[], bigint[]) TO florin_app;

-- Corrects a transfer: takes back what is left of it and posts anew, in one set: both or neither, and bounds are
-- asked of what the two leave together.
--   p_reversal, p_repost   the new transfers; the second is what the idempotency slot stands for
--   p_details    an object for both (description, metadata, correlation_id, causation_id), or null
--   p_accounts, p_amounts  the legs of the repost, debits positive
--   p_effective  when the repost counts, and the reversal: null, when they are recorded
-- Returns the repost, or a refusal and the account that caused it.
CREATE FUNCTION ledger.correct(
    p_tenant     integer,
    p_reversal   uuid,
    p_repost     uuid,
    p_slot       uuid,
    p_digest     uuid,
    p_transfer   uuid,
    p_currency   text,
    p_effective  timestamptz,
    p_details    jsonb,
    p_accounts   uuid[],
    p_amounts    bigint[],
    OUT refusal          text,
    OUT refused_account  uuid,
    OUT transfer_id      uuid,
    OUT replayed         boolean
)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    c_max       CONSTANT bigint := 1000000000000000;
    v_entered   record;
    v_claimed   record;
    v_ids       uuid[];
    v_accounts  uuid[];
    v_found     record;
    v_items     integer[];
    v_legs      integer[];
    v_amounts   bigint[];
    v_times     timestamptz[] := ARRAY[p_effective, p_effective];
    v_applied   record;
BEGIN
    v_entered := ledger.enter(p_tenant, ARRAY[p_reversal, p_repost]);
    v_claimed := kernel.claim_slots(p_tenant, clock_timestamp(), ARRAY[p_slot], ARRAY[p_digest], v_entered.ids[2:2]);
    v_ids := v_entered.ids[1:1] || v_claimed.resources;
    transfer_id := v_ids[2];
    replayed := v_claimed.verdicts[1] IS NOT DISTINCT FROM 'replay';
    refusal := v_claimed.verdicts[1];

    IF refusal IS NULL THEN
        SELECT array_agg(DISTINCT a.id ORDER BY a.id) INTO v_accounts
        FROM (SELECT unnest(t.account_ids) FROM ledger.all_transfers t WHERE t.tenant_id = p_tenant AND t.id = p_transfer
              UNION ALL SELECT unnest(p_accounts)) a (id);
        PERFORM ledger.apply(p_tenant, v_accounts, '{}', '{}', '{}', NULL, NULL, '{}', '{}', '{}', NULL, NULL);

        SELECT t.kind, t.account_ids, (SELECT array_agg(u.amount - coalesce(r.reversed[u.position], 0) ORDER BY u.position)
                                       FROM unnest(t.amounts) WITH ORDINALITY AS u (amount, position)) AS remaining
        INTO v_found
        FROM ledger.all_transfers t
        LEFT JOIN LATERAL (
            SELECT r.reversed FROM ledger.reversals r
            WHERE r.tenant_id = p_tenant AND r.transfer_id = t.id ORDER BY r.number DESC LIMIT 1
        ) r ON true
        WHERE t.tenant_id = p_tenant AND t.id = p_transfer;
        refusal := CASE
            WHEN v_found.kind IS NULL THEN 'transfer_not_found'
            WHEN v_found.kind NOT IN ('transfer', 'post', 'repost') THEN 'not_reversible'
            WHEN 0 = ALL (v_found.remaining) THEN 'already_reversed'
            WHEN NOT (c_max >= ALL (p_amounts) AND -c_max <= ALL (p_amounts) AND 0 <> ALL (p_amounts)) THEN 'amount_out_of_range'
            WHEN p_effective < v_entered.closed_before THEN 'period_closed'
        END;
    END IF;
    IF refusal IS NULL THEN
        SELECT array_agg(g.item ORDER BY g.item, g.leg), array_agg(array_position(v_accounts, g.account) ORDER BY g.item, g.leg),
               array_agg(g.amount ORDER BY g.item, g.leg)
        INTO v_items, v_legs, v_amounts
        FROM (SELECT 1, u.account, -u.remaining, u.leg FROM unnest(v_found.account_ids, v_found.remaining) WITH ORDINALITY
                  AS u (account, remaining, leg) WHERE u.remaining <> 0
              UNION ALL SELECT 2, u.account, u.amount, u.leg FROM unnest(p_accounts, p_amounts) WITH ORDINALITY
                  AS u (account, amount, leg)) g (item, account, amount, leg);
        v_applied := ledger.apply(p_tenant, v_accounts, ARRAY[NULL, p_currency], v_ids, ARRAY[NULL, NULL]::text[],
                                  v_times, '{1,1}', v_items, v_legs, v_amounts, NULL, NULL);
        refusal := coalesce(nullif(v_applied.refusals[1], 'set_refused'), v_applied.refusals[2]);
        refused_account := coalesce(v_applied.refused_accounts[1], v_applied.refused_accounts[2]);
    END IF;

    IF refusal IS NOT NULL THEN
        SELECT t.refusals[1], t.accounts[1] INTO refusal, refused_account
        FROM ledger.tell_refusals(p_tenant, ARRAY[p_slot], v_claimed.verdicts, ARRAY[refusal], ARRAY[refused_account]) t;
        RETURN;
    END IF;
    PERFORM ledger.log_reversals(p_tenant, v_applied.recorded_at, v_ids, ARRAY[p_transfer, NULL], v_times,
        jsonb_build_array(p_details), ARRAY[NULL, NULL]::text[], v_accounts, v_items, v_legs, v_amounts, v_applied.seqs);
    INSERT INTO ledger.transfers (tenant_id, id, kind, recorded_at, effective_at, account_ids, amounts, entry_seqs,
                                  related_id, description, metadata, correlation_id, causation_id)
    SELECT p_tenant, v_ids[2], 'repost', v_applied.recorded_at, p_effective, p_accounts, p_amounts,
           array_agg(g.seq ORDER BY g.leg), p_transfer, p_details ->> 'description', p_details -> 'metadata',
           coalesce(p_details ->> 'correlation_id', (SELECT t.correlation_id FROM ledger.all_transfers t
                                                     WHERE t.tenant_id = p_tenant AND t.id = p_transfer)),
           p_details ->> 'causation_id'
    FROM unnest(v_items, v_applied.seqs) WITH ORDINALITY AS g (item, seq, leg)
    WHERE g.item = 2;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.correct(integer, uuid, uuid, uuid, uuid, uuid, text, timestamptz, jsonb, uuid[],
    bigint[]) TO florin_app;

-- Keeps the refusals that keys have just met, and turns a replay into what its key met before: null where
-- that was a success. The answer names the account, so that a retry hears the same.
CREATE OR REPLACE FUNCTION ledger.tell_refusals(
    p_tenant    integer,
    p_slots     uuid[],
    p_claims    text[],    -- the verdicts of kernel.claim_slots
    p_refusals  text[],
    p_accounts  uuid[],    -- the account that caused each
    OUT refusals  text[],
    OUT accounts  uuid[]
)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_found  record;
BEGIN
    refusals := p_refusals;
    accounts := p_accounts;
    PERFORM kernel.store_refusals(p_tenant, p_slots, p_claims, p_refusals, (
        SELECT jsonb_agg(CASE WHEN a.id IS NOT NULL THEN jsonb_build_object('account', a.id) END ORDER BY a.item)
        FROM unnest(p_accounts) WITH ORDINALITY AS a (id, item)));
    IF cardinality(array_positions(p_claims, 'replay')) = 0 THEN
        RETURN;
    END IF;
    FOR v_found IN
        SELECT r.item, k.answer ->> 'refusal' AS refusal, (k.answer #>> '{detail,account}')::uuid AS account
        FROM unnest(p_slots, p_claims) WITH ORDINALITY AS r (slot, claim, item)
        JOIN kernel.idempotency_keys k ON k.tenant_id = p_tenant AND k.slot = ANY (p_slots) AND k.slot = r.slot
        WHERE r.claim = 'replay'
    LOOP
        refusals[v_found.item] := v_found.refusal;
        accounts[v_found.item] := v_found.account;
    END LOOP;
END
$$;

-- These join what they lock to arrays of their own size. On statistics of many tenants the planner takes one row for
-- what may be thousands, and a nested loop over two such arrays is quadratic. Without it a hash does.
ALTER FUNCTION ledger.apply(integer, uuid[], text[], uuid[], text[], timestamptz[], integer[], integer[], integer[],
    bigint[], bigint[], bigint[]) SET enable_nestloop = off;
ALTER FUNCTION kernel.claim_slots(integer, timestamptz, uuid[], uuid[], uuid[]) SET enable_nestloop = off;
ALTER FUNCTION kernel.store_refusals(integer, uuid[], text[], text[], jsonb) SET enable_nestloop = off;
ALTER FUNCTION ledger.tell_refusals(integer, uuid[], text[], text[], uuid[]) SET enable_nestloop = off;
