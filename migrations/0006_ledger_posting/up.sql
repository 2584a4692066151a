-- How money moves. Every posting goes through ledger.apply: lock, check, write, in that order.

-- Applies legs, in the order of their items, to one tenant's accounts.
-- An item that breaks a rule is refused with the rule's name and leaves its neighbours untouched:
-- what it would have moved is taken back before the next item is looked at.
--   p_accounts        the accounts touched, distinct and ascending: the lock order of the whole system
--   p_currencies      per item, the currency that it claims; null: whatever its accounts have
--   p_transfers       per item, the transfer that its entries belong to
--   p_refusals        per item, null or the reason why it is already refused
--   p_leg_item, p_leg_account   positions in the arrays above; legs stand in the order of their items
--   p_leg_amount      posted, debits positive; 0 posts nothing
--   p_leg_debit_hold, p_leg_credit_hold   change of what holds reserve; null: no leg changes it
-- Returns the refusals, the account that caused each; per leg the entry's number and balance after (of no
-- meaning where the item is refused); per account the sign of its normal side and its currency.
-- A frozen account moves nothing, but what holds reserve on it can be released.
-- Called without legs it takes the locks and does nothing else.
--
-- Three statements and one loop. The loop is arithmetic on arrays and touches no table: a set-based
-- check costs more to start than to run for the few items that a call usually has, and has to begin
-- again for each item that it refuses.
CREATE FUNCTION ledger.apply(
    p_tenant           integer,
    p_now              timestamptz,
    p_accounts         uuid[],
    p_currencies       text[],
    p_transfers        uuid[],
    p_refusals         text[],
    p_leg_item         integer[],
    p_leg_account      integer[],
    p_leg_amount       bigint[],
    p_leg_debit_hold   bigint[],
    p_leg_credit_hold  bigint[],
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
    v_ids          uuid[];
    v_status       text[];
    v_balance      bigint[];
    v_seq          bigint[];
    v_debits       bigint[];     -- what holds reserve
    v_credits      bigint[];
    v_min          bigint[];
    v_max          bigint[];
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
           array_agg(coalesce(a.min_balance, -c_limit)), array_agg(coalesce(a.max_balance, c_limit))
    INTO v_ids, v_status, currencies, signs, v_balance, v_seq, v_debits, v_credits, v_min, v_max
    FROM (
        SELECT * FROM ledger.accounts
        WHERE tenant_id = p_tenant AND id = ANY (p_accounts)
        ORDER BY id
        FOR NO KEY UPDATE
    ) a;

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
                    SELECT FROM generate_series(v_leg, v_next - 1) AS l (leg)
                    GROUP BY currencies[p_leg_account[l.leg]]
                    HAVING sum(p_leg_amount[l.leg]) <> 0
                        OR sum(p_leg_debit_hold[l.leg] - p_leg_credit_hold[l.leg]) <> 0
                ) THEN
                    v_code := 'unbalanced';
                END IF;
            ELSIF v_total <> 0 OR v_held <> 0 THEN
                v_code := 'unbalanced';
            END IF;
            IF v_code IS NOT NULL THEN
                refusals[v_item] := v_code;
                v_written := v_next - 1;
            END IF;
        ELSIF p_refusals[v_item] IS NOT NULL THEN
            v_written := 0;
        END IF;

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
            END LOOP;
        END IF;
        v_leg := v_next;
    END LOOP;

    -- Write: each account once, however many entries it gains.
    UPDATE ledger.accounts a
    SET balance = m.balance, entry_seq = m.seq, pending_debits = m.debits, pending_credits = m.credits
    FROM unnest(p_accounts, v_balance, v_seq, v_debits, v_credits) AS m (id, balance, seq, debits, credits)
    WHERE a.tenant_id = p_tenant AND a.id = ANY (p_accounts) AND a.id = m.id
      AND (a.entry_seq <> m.seq OR a.pending_debits <> m.debits OR a.pending_credits <> m.credits);

    WITH written AS (
        INSERT INTO ledger.entries
            (tenant_id, account_id, seq, transfer_id, amount, balance_before, balance_after, recorded_at)
        SELECT p_tenant, p_accounts[l.account], l.seq, p_transfers[l.item], l.amount,
               l.balance - signs[l.account] * l.amount, l.balance, p_now
        FROM unnest(p_leg_item, p_leg_account, p_leg_amount, seqs, balances)
            AS l (item, account, amount, seq, balance)
        WHERE l.amount <> 0 AND refusals[l.item] IS NULL
        RETURNING seq
    )
    SELECT count(*) INTO v_written FROM written;
END
$$;

-- Claims idempotency slots for the items that carry one, in one order for all callers.
-- Returns per item: null, 'replay' (same key, same body: `resources` names what it made)
-- or 'idempotency_key_reused' (same key, another body).
CREATE FUNCTION kernel.claim_slots(
    p_tenant     integer,
    p_now        timestamptz,
    p_slots      uuid[],
    p_digests    uuid[],
    p_resources  uuid[],
    OUT verdicts   text[],
    OUT resources  uuid[]
)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_claimed  uuid[];
    v_found    record;
BEGIN
    verdicts := array_fill(NULL::text, ARRAY[cardinality(p_slots)]);
    resources := p_resources;

    WITH claimed AS (
        INSERT INTO kernel.idempotency_keys (tenant_id, slot, digest, resource_id, created_at)
        SELECT p_tenant, s.slot, s.digest, s.resource, p_now
        FROM unnest(p_slots, p_digests, p_resources) WITH ORDINALITY AS s (slot, digest, resource, item)
        WHERE s.slot IS NOT NULL
        ORDER BY s.slot, s.item  -- of two items with one key, the first has it
        ON CONFLICT DO NOTHING
        RETURNING resource_id
    )
    SELECT array_agg(resource_id) INTO v_claimed FROM claimed;
    IF cardinality(v_claimed) = cardinality(p_slots) THEN
        RETURN;
    END IF;

    -- A statement of its own: it sees what the others, whom the insert waited for, have committed.
    -- A row that this call did not claim is a replay even if it names the same resource: the same call
    -- came once before, and its answer was lost on the way.
    FOR v_found IN
        SELECT s.item, k.resource_id, k.digest = p_digests[s.item] AS same_body
        FROM unnest(p_slots) WITH ORDINALITY AS s (slot, item)
        JOIN kernel.idempotency_keys k ON k.tenant_id = p_tenant AND k.slot = ANY (p_slots) AND k.slot = s.slot
        LEFT JOIN unnest(v_claimed) AS c (resource_id) ON c.resource_id = p_resources[s.item]
        WHERE c.resource_id IS NULL
    LOOP
        verdicts[v_found.item] := CASE WHEN v_found.same_body THEN 'replay' ELSE 'idempotency_key_reused' END;
        resources[v_found.item] := v_found.resource_id;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION kernel.claim_slots(integer, timestamptz, uuid[], uuid[], uuid[]) TO florin_app;

-- Writes down refusals under the keys that met them, so that a retry hears the same again.
CREATE FUNCTION kernel.store_refusals(
    p_tenant integer, p_slots uuid[], p_claims text[], p_refusals text[], p_details jsonb
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE kernel.idempotency_keys k
    SET answer = jsonb_build_object('refusal', r.refusal, 'detail', p_details -> (r.item::integer - 1))
    FROM unnest(p_slots, p_claims, p_refusals) WITH ORDINALITY AS r (slot, claim, refusal, item)
    WHERE k.tenant_id = p_tenant AND k.slot = ANY (p_slots) AND k.slot = r.slot AND r.refusal IS NOT NULL AND r.claim IS NULL;
END
$$;
GRANT EXECUTE ON FUNCTION kernel.store_refusals(integer, uuid[], text[], text[], jsonb) TO florin_app;

-- Keeps the refusals that keys have just met, and turns a replay into what its key met before: null where
-- that was a success. The answer names the account, so that a retry hears the same.
CREATE FUNCTION ledger.tell_refusals(
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
GRANT EXECUTE ON FUNCTION ledger.tell_refusals(integer, uuid[], text[], text[], uuid[]) TO florin_app;

-- Posts an array of transfers and holds for one tenant, in array order.
--   p_ids       the new transfers; p_slots, p_digests: their idempotency (kernel.claim_slots), null without a key
--   p_kinds     'transfer' or 'hold'
--   p_details   null, or a JSON array with an object (description, metadata) or null per item
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
    v_now         timestamptz := clock_timestamp();
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
    PERFORM kernel.require_tenant(p_tenant);
    -- Assigned, not selected: a call in an expression costs a tenth of a query that scans its result.
    v_claimed := kernel.claim_slots(p_tenant, v_now, p_slots, p_digests, p_ids);
    v_claims := v_claimed.verdicts;
    v_ids := v_claimed.resources;
    v_refusals := v_claims;

    IF NOT (c_max >= ALL (p_leg_amount) AND -c_max <= ALL (p_leg_amount) AND 0 <> ALL (p_leg_amount)) THEN
        SELECT array_agg(coalesce(v_claims[i.item],
                                  CASE WHEN i.item = ANY (wrong.items) THEN 'amount_out_of_range' END)
                         ORDER BY i.item)
        INTO v_refusals
        FROM generate_series(1, cardinality(p_ids)) AS i (item),
             (SELECT array_agg(l.item) AS items FROM unnest(p_leg_item, p_leg_amount) AS l (item, amount)
              WHERE l.amount NOT BETWEEN -c_max AND c_max OR l.amount = 0) wrong;
    END IF;

    IF 'hold' = ANY (p_kinds) THEN
        SELECT array_agg(CASE k.kind WHEN 'hold' THEN 0 ELSE l.amount END ORDER BY l.leg),
               array_agg(CASE k.kind WHEN 'hold' THEN greatest(l.amount, 0) ELSE 0 END ORDER BY l.leg),
               array_agg(CASE k.kind WHEN 'hold' THEN -least(greatest(l.amount, -c_max), 0) ELSE 0 END ORDER BY l.leg)
        INTO v_amounts, v_debits, v_credits
        FROM unnest(p_leg_item, p_leg_amount) WITH ORDINALITY AS l (item, amount, leg),
             LATERAL (SELECT p_kinds[l.item] AS kind) k;
        SELECT array_agg(coalesce(r.refusal,
                                  CASE WHEN r.kind = 'hold' AND r.expires_at <= v_now THEN 'expiry_in_the_past' END)
                         ORDER BY r.item)
        INTO v_refusals
        FROM unnest(v_refusals, p_kinds, p_expires) WITH ORDINALITY AS r (refusal, kind, expires_at, item);
    END IF;

    v_applied := ledger.apply(p_tenant, v_now, p_accounts, p_currencies, v_ids, v_refusals,
                              p_leg_item, p_leg_account, v_amounts, v_debits, v_credits);
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
        SELECT l.item,
               array_agg(p_accounts[l.account] ORDER BY l.leg) AS accounts,
               array_agg(l.amount ORDER BY l.leg) AS amounts,
               array_agg(l.seq ORDER BY l.leg) AS seqs,
               array_agg(l.balance ORDER BY l.leg) AS balances,
               array_agg(CASE WHEN l.balance IS NOT NULL THEN l.balance - v_signs[l.account] * l.amount END
                         ORDER BY l.leg) AS befores,
               array_agg(v_currencies[l.account] ORDER BY l.leg) AS currencies
        FROM unnest(p_leg_item, p_leg_account, p_leg_amount, v_seqs, v_balances) WITH ORDINALITY
            AS l (item, account, amount, seq, balance, leg)
        GROUP BY l.item
    ), written AS (
        INSERT INTO ledger.transfers
            (tenant_id, id, kind, recorded_at, effective_at, account_ids, amounts, entry_seqs, description, metadata)
        SELECT p_tenant, v_ids[l.item], p_kinds[l.item], v_now, coalesce(p_effective[l.item], v_now), l.accounts,
               l.amounts, CASE p_kinds[l.item] WHEN 'hold' THEN NULL ELSE l.seqs END,
               p_details -> (l.item - 1) ->> 'description', p_details -> (l.item - 1) -> 'metadata'
        FROM legs l
        WHERE v_refusals[l.item] IS NULL
        RETURNING id
    )
    SELECT l.item, v_told[l.item], v_accounts[l.item], v_ids[l.item], v_claims[l.item] IS NOT DISTINCT FROM 'replay',
           v_now, l.seqs, l.balances, l.befores, l.currencies
    FROM legs l;

    IF v_debits IS NOT NULL THEN
        WITH written AS (
            INSERT INTO ledger.holds
                (tenant_id, id, account_ids, reserved, posted, remaining, expires_at, created_at, updated_at)
            SELECT p_tenant, v_ids[l.item], array_agg(p_accounts[l.account] ORDER BY l.leg),
                   array_agg(l.amount ORDER BY l.leg), array_agg(0::bigint), array_agg(l.amount ORDER BY l.leg),
                   p_expires[l.item], v_now, v_now
            FROM unnest(p_leg_item, p_leg_account, p_leg_amount) WITH ORDINALITY AS l (item, account, amount, leg)
            WHERE p_kinds[l.item] = 'hold' AND v_refusals[l.item] IS NULL
            GROUP BY l.item
            RETURNING id
        )
        SELECT count(*) INTO v_written FROM written;
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.post(integer, uuid[], uuid[], uuid[], text[], text[], timestamptz[], timestamptz[],
    jsonb, uuid[], integer[], integer[], bigint[]) TO florin_app;
GRANT EXECUTE ON FUNCTION ledger.apply(integer, timestamptz, uuid[], text[], uuid[], text[], integer[], integer[],
    bigint[], bigint[], bigint[]) TO florin_app;
