-- The chart binds: types, currencies and bounds of classes reach their accounts; limits gain and lose members;
-- accounts are found by what is noted on them.

-- The classes of a code: itself and everything above it, from the top. 'a:b:c' is in a, a:b and a:b:c.
-- In plpgsql because it is called once per account: four times as fast as one SQL expression.
CREATE FUNCTION ledger.classes(p_code text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT
AS $$
DECLARE
    v_classes  text[] := '{}';
    v_class    text;
    v_segment  text;
BEGIN
    FOREACH v_segment IN ARRAY string_to_array(p_code, ':') LOOP
        v_class := CASE WHEN v_class IS NULL THEN v_segment ELSE v_class || ':' || v_segment END;
        v_classes := v_classes || v_class;
    END LOOP;
    RETURN v_classes;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.classes(text) TO florin_app, florin_readonly;

-- Whoever changes the chart is alone with it until he commits: no other change, no new account, no account's
-- own bounds. Postings do not come here. The family of these locks is CHRT in ASCII.
CREATE FUNCTION ledger.hold_chart(p_tenant integer, p_alone boolean) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    IF p_alone THEN
        PERFORM pg_advisory_xact_lock(1128813140, p_tenant);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(1128813140, p_tenant);
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.hold_chart(integer, boolean) TO florin_app;

-- A new account fits its classes, whoever makes it: the same type and currency, and the tighter bounds.
-- What it is given as bounds are its own; what it gets is what posting enforces.
CREATE FUNCTION ledger.classify() RETURNS trigger
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_class  record;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1128813140, NEW.tenant_id);
    SELECT max(n.code) FILTER (WHERE n.type <> NEW.type) AS other_type,
           max(n.code) FILTER (WHERE n.currency <> NEW.currency) AS other_currency,
           max(n.min_balance) AS lowest, min(n.max_balance) AS highest
    INTO v_class
    FROM ledger.chart n
    WHERE n.tenant_id = NEW.tenant_id AND n.code = ANY (ledger.classes(NEW.code));
    IF v_class.other_type IS NOT NULL THEN
        RAISE EXCEPTION 'account % has another type than its class %', NEW.code, v_class.other_type
            USING ERRCODE = 'check_violation', CONSTRAINT = 'accounts_type_of_class', DETAIL = v_class.other_type;
    ELSIF v_class.other_currency IS NOT NULL THEN
        RAISE EXCEPTION 'account % has another currency than its class %', NEW.code, v_class.other_currency
            USING ERRCODE = 'check_violation', CONSTRAINT = 'accounts_currency_of_class', DETAIL = v_class.other_currency;
    END IF;
    NEW.min_balance := greatest(NEW.min_balance, v_class.lowest);
    NEW.max_balance := least(NEW.max_balance, v_class.highest);
    RETURN NEW;
END
$$;
CREATE TRIGGER classified BEFORE INSERT ON ledger.accounts FOR EACH ROW EXECUTE FUNCTION ledger.classify();

-- What in the chart contradicts this node, as it stands now: the first thing found, or nulls.
-- Called with the chart held, before bounds are bound.
--   rule    type, currency or bounds
--   node    the other node; null: it is an account
--   account its code
CREATE FUNCTION ledger.chart_conflict(
    p_tenant  integer,
    p_code    text,
    OUT rule     text,
    OUT node     text,
    OUT account  text
)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_node   ledger.chart;
BEGIN
    SELECT * INTO v_node FROM ledger.chart n WHERE n.tenant_id = p_tenant AND n.code = p_code;

    WITH related AS (
        SELECT n.* FROM ledger.chart n
        WHERE n.tenant_id = p_tenant AND (n.code = ANY (ledger.classes(p_code))
              OR (n.code >= p_code || ':' AND n.code < p_code || ';'))
    )
    SELECT f.rule, f.code INTO rule, node
    FROM (
        SELECT 1 AS turn, 'type' AS rule, r.code FROM related r WHERE r.type <> v_node.type
        UNION ALL
        SELECT 2, 'currency', r.code FROM related r WHERE r.currency <> v_node.currency
        UNION ALL
        -- Some two nodes of one line, this node or one below it at their end, leave no balance between them.
        SELECT 3, 'bounds', CASE WHEN low.code = p_code THEN high.code ELSE low.code END
        FROM related low JOIN related high ON low.min_balance > high.max_balance
        WHERE low.code = ANY (ledger.classes(high.code)) OR high.code = ANY (ledger.classes(low.code))
    ) f
    ORDER BY f.turn, f.code LIMIT 1;
    IF rule IS NOT NULL THEN
        RETURN;
    END IF;

    SELECT CASE WHEN a.type <> v_node.type THEN 'type' ELSE 'currency' END, a.code INTO rule, account
    FROM ledger.accounts a
    WHERE a.tenant_id = p_tenant AND (a.code = p_code OR (a.code >= p_code || ':' AND a.code < p_code || ';'))
      AND (a.type <> v_node.type OR a.currency <> v_node.currency)
    LIMIT 1;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.chart_conflict(integer, text) TO florin_app;

-- Gives accounts the bounds that posting enforces: the tighter of their own and those of their classes.
-- Locks the accounts in the order of their ids, as postings do. Where an account's bounds would cross, it
-- changes nothing and names the account and the class.
--   p_code     the accounts at or below this code; null: the one account
CREATE FUNCTION ledger.bind_bounds(
    p_tenant   integer,
    p_code     text,
    p_account  uuid,
    OUT account  text,
    OUT class    text,
    OUT changed  bigint
)
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    v_ids      uuid[];
    v_lowest   bigint[];
    v_highest  bigint[];
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    IF p_code IS NULL THEN
        PERFORM FROM ledger.accounts a WHERE a.tenant_id = p_tenant AND a.id = p_account FOR NO KEY UPDATE;
        v_ids := ARRAY[p_account];
    ELSE
        SELECT array_agg(a.id) INTO v_ids FROM (
            SELECT id FROM ledger.accounts
            WHERE tenant_id = p_tenant AND (code = p_code OR (code >= p_code || ':' AND code < p_code || ';'))
            ORDER BY id
            FOR NO KEY UPDATE
        ) a;
    END IF;

    WITH bound AS MATERIALIZED (
        SELECT a.id, a.code, a.min_balance, a.max_balance,
               greatest(d.min_balance, c.lowest) AS lowest, least(d.max_balance, c.highest) AS highest
        FROM ledger.accounts a
        JOIN ledger.account_details d
            ON d.tenant_id = p_tenant AND d.account_id = ANY (v_ids) AND d.account_id = a.id
        CROSS JOIN LATERAL (
            SELECT max(n.min_balance) AS lowest, min(n.max_balance) AS highest
            FROM ledger.chart n WHERE n.tenant_id = p_tenant AND n.code = ANY (ledger.classes(a.code))
        ) c
        WHERE a.tenant_id = p_tenant AND a.id = ANY (v_ids)
    )
    SELECT array_agg(b.id), array_agg(b.lowest), array_agg(b.highest),
           min(b.code) FILTER (WHERE b.lowest > b.highest)
    INTO v_ids, v_lowest, v_highest, account
    FROM bound b
    WHERE (b.lowest, b.highest) IS DISTINCT FROM (b.min_balance, b.max_balance);
    IF account IS NOT NULL THEN
        SELECT n.code INTO class
        FROM ledger.chart n
        WHERE n.tenant_id = p_tenant AND n.code = ANY (ledger.classes(account))
          AND (n.min_balance IS NOT NULL OR n.max_balance IS NOT NULL)
        ORDER BY n.code DESC LIMIT 1;
        RETURN;
    END IF;

    UPDATE ledger.accounts a SET min_balance = b.lowest, max_balance = b.highest
    FROM unnest(v_ids, v_lowest, v_highest) AS b (id, lowest, highest)
    WHERE a.tenant_id = p_tenant AND a.id = ANY (v_ids) AND a.id = b.id;
    GET DIAGNOSTICS changed = ROW_COUNT;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.bind_bounds(integer, text, uuid) TO florin_app;

-- Lets accounts share a limit, or with a null limit share none. The running sums move with them: balances and
-- what holds reserve leave the old limit and join the new one. Locks accounts by id, then limits by id: the order
-- of the whole system. What the sum then is may break the bounds; they stop only what moves it further.
-- Returns the first refusal and its account, and changes nothing then.
CREATE FUNCTION ledger.share_limit(
    p_tenant    integer,
    p_accounts  uuid[],
    p_limit     uuid,
    OUT refusal  text,
    OUT account  uuid
)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_ids     uuid[];
    v_limits  uuid[];
    v_locked  uuid[];
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    SELECT array_agg(a.id), array_agg(a.limit_id) INTO v_ids, v_limits FROM (
        SELECT id, limit_id FROM ledger.accounts
        WHERE tenant_id = p_tenant AND id = ANY (p_accounts)
        ORDER BY id
        FOR NO KEY UPDATE
    ) a;
    SELECT w.id INTO account FROM unnest(p_accounts) AS w (id) WHERE w.id <> ALL (coalesce(v_ids, '{}')) LIMIT 1;
    IF account IS NOT NULL THEN
        refusal := 'account_not_found';
        RETURN;
    END IF;
    SELECT array_agg(s.id) INTO v_locked FROM (
        SELECT id FROM ledger.limits
        WHERE tenant_id = p_tenant AND id = ANY (v_limits || p_limit)
        ORDER BY id
        FOR NO KEY UPDATE
    ) s;
    IF p_limit IS NOT NULL AND p_limit <> ALL (coalesce(v_locked, '{}')) THEN
        refusal := 'limit_not_found';
        RETURN;
    END IF;
    SELECT CASE WHEN a.currency <> s.currency THEN 'limit_currency_mismatch' ELSE 'limit_side_mismatch' END, a.id
    INTO refusal, account
    FROM ledger.accounts a
    JOIN ledger.limits s ON s.tenant_id = p_tenant AND s.id = p_limit
    WHERE a.tenant_id = p_tenant AND a.id = ANY (v_ids)
      AND (a.currency, CASE WHEN a.type IN ('asset', 'expense') THEN 'debit' ELSE 'credit' END)
          IS DISTINCT FROM (s.currency, s.side)
    ORDER BY a.id LIMIT 1;
    IF refusal IS NOT NULL THEN
        RETURN;
    END IF;

    WITH moving AS (
        SELECT a.limit_id AS old, a.balance, a.pending_debits, a.pending_credits
        FROM ledger.accounts a
        WHERE a.tenant_id = p_tenant AND a.id = ANY (v_ids) AND a.limit_id IS DISTINCT FROM p_limit
    ), change AS (
        SELECT c.id, sum(c.balance)::bigint AS balance, sum(c.debits)::bigint AS debits, sum(c.credits)::bigint AS credits
        FROM (SELECT m.old, -m.balance, -m.pending_debits, -m.pending_credits FROM moving m WHERE m.old IS NOT NULL
              UNION ALL
              SELECT p_limit, m.balance, m.pending_debits, m.pending_credits FROM moving m WHERE p_limit IS NOT NULL
             ) c (id, balance, debits, credits)
        GROUP BY c.id
    )
    UPDATE ledger.limits s
    SET balance = s.balance + c.balance, pending_debits = s.pending_debits + c.debits,
        pending_credits = s.pending_credits + c.credits
    FROM change c
    WHERE s.tenant_id = p_tenant AND s.id = ANY (v_locked) AND s.id = c.id;

    UPDATE ledger.accounts a SET limit_id = p_limit
    WHERE a.tenant_id = p_tenant AND a.id = ANY (v_ids) AND a.limit_id IS DISTINCT FROM p_limit;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.share_limit(integer, uuid[], uuid) TO florin_app;

-- Limits whose running sums are not those of their members. None: all is well. One statement, one snapshot:
-- postings may go on meanwhile.
CREATE FUNCTION ledger.limit_sums(p_tenant integer) RETURNS TABLE (
    limit_id          uuid,
    balance           bigint,     -- as kept
    pending_debits    bigint,
    pending_credits   bigint,
    member_balance    numeric,    -- as the members add up
    member_debits     numeric,
    member_credits    numeric
)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT s.id, s.balance, s.pending_debits, s.pending_credits, m.balance, m.debits, m.credits
    FROM ledger.limits s
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(a.balance), 0) AS balance, coalesce(sum(a.pending_debits), 0) AS debits,
               coalesce(sum(a.pending_credits), 0) AS credits
        FROM ledger.accounts a WHERE a.tenant_id = p_tenant AND a.limit_id = s.id
    ) m
    WHERE s.tenant_id = p_tenant
      AND (s.balance, s.pending_debits, s.pending_credits) IS DISTINCT FROM (m.balance, m.debits, m.credits);
END;
GRANT EXECUTE ON FUNCTION ledger.limit_sums(integer) TO florin_app, florin_readonly;

-- Accounts by what is noted on them. Row-level security lets only leakproof operators use an index, and jsonb's
-- @> is not one: an index on metadata would never be read. Equality of text is leakproof.
CREATE TABLE ledger.account_metadata (
    tenant_id   integer NOT NULL,
    key         text    NOT NULL,
    value       text    NOT NULL,
    account_id  uuid    NOT NULL,
    CONSTRAINT account_metadata_pkey PRIMARY KEY (tenant_id, key, value, account_id)
);
CALL kernel.isolate('ledger.account_metadata');
GRANT SELECT, INSERT, DELETE ON ledger.account_metadata TO florin_app;
GRANT SELECT ON ledger.account_metadata TO florin_readonly;
DO $$
DECLARE
    v_tenant  integer;
BEGIN
    FOR v_tenant IN SELECT tenant_id FROM tenancy.registry LOOP
        PERFORM set_config('app.tenant_id', v_tenant::text, true);
        INSERT INTO ledger.account_metadata (tenant_id, key, value, account_id)
        SELECT v_tenant, m.key, m.value, d.account_id
        FROM ledger.account_details d CROSS JOIN LATERAL jsonb_each_text(d.metadata) m
        WHERE d.tenant_id = v_tenant AND m.value IS NOT NULL;
    END LOOP;
    PERFORM set_config('app.tenant_id', '0', true);
END
$$;

-- Keeps account_metadata what account_details says.
CREATE FUNCTION ledger.index_metadata() RETURNS trigger
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM ledger.account_metadata m
        USING jsonb_each_text(OLD.metadata) o
        WHERE m.tenant_id = OLD.tenant_id AND m.key = o.key AND m.value = o.value AND m.account_id = OLD.account_id;
    END IF;
    INSERT INTO ledger.account_metadata (tenant_id, key, value, account_id)
    SELECT NEW.tenant_id, m.key, m.value, NEW.account_id FROM jsonb_each_text(NEW.metadata) m WHERE m.value IS NOT NULL
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER metadata_noted AFTER INSERT ON ledger.account_details FOR EACH ROW
    WHEN (NEW.metadata <> '{}') EXECUTE FUNCTION ledger.index_metadata();
CREATE TRIGGER metadata_changed AFTER UPDATE OF metadata ON ledger.account_details FOR EACH ROW
    WHEN (NEW.metadata IS DISTINCT FROM OLD.metadata) EXECUTE FUNCTION ledger.index_metadata();

-- The audit log is walked in the order of its numbers.
CREATE INDEX log_by_seq ON audit.log (tenant_id, seq);
