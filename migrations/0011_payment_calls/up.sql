-- Opens payments: claims the idempotency slots, writes the rows and the first events. The provider is
-- called after the commit, for those that have an attempt.
--   p_items    a JSON array with the columns of each payment
--   p_numbers  1 where the provider will be called, null where the payment waits for its confirmation
--   p_grace_s  how long the caller may take before others look after the attempt
-- Returns per item: a verdict (null: opened), when it was opened, and where there is one the answer
-- that the key already has. Calling again with the same ids after a lost connection is harmless.
CREATE FUNCTION payments.open(
    p_tenant     integer,
    p_ids        uuid[],
    p_slots      uuid[],
    p_digests    uuid[],
    p_numbers    smallint[],
    p_providers  text[],
    p_items      jsonb,
    p_grace_s    double precision
) RETURNS TABLE (item integer, verdict text, opened_at timestamptz, answer text)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now        timestamptz := clock_timestamp();
    v_claimed    record;
    v_verdicts   text[];
    v_resources  uuid[];
    v_written    bigint;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    -- Assigned, not selected: a call in an expression costs a tenth of a query that scans its result.
    v_claimed := kernel.claim_slots(p_tenant, v_now, p_slots, p_digests, p_ids);
    v_verdicts := v_claimed.verdicts;
    v_resources := v_claimed.resources;

    WITH opened AS (
        INSERT INTO payments.payments AS p (tenant_id, id, partner_id, customer_id, status, currency, amount, attempts,
            capture_method, provider, method_type, method, description, statement_descriptor, return_url, metadata,
            created_at, updated_at)
        SELECT p_tenant, p_ids[i.item], i.partner_id, i.customer_id,
               CASE WHEN p_numbers[i.item] IS NULL THEN 'pending' ELSE 'processing' END, i.currency, i.amount,
               coalesce(p_numbers[i.item], 0), i.capture_method, p_providers[i.item], i.method_type, i.method,
               i.description, i.statement_descriptor, i.return_url, i.metadata, v_now, v_now
        FROM ROWS FROM (jsonb_to_recordset(p_items) AS (partner_id uuid, customer_id uuid, currency text,
            amount bigint, capture_method text, method_type text, method jsonb, description text,
            statement_descriptor text, return_url text, metadata jsonb)) WITH ORDINALITY AS i (partner_id, customer_id,
            currency, amount, capture_method, method_type, method, description, statement_descriptor, return_url,
            metadata, item)
        WHERE v_verdicts[i.item] IS NULL
        RETURNING p.id, p.partner_id, p AS payment
    ), told AS (
        INSERT INTO kernel.events (tenant_id, id, type, object_id, partner_id, occurred_at, data)
        SELECT p_tenant, kernel.uuidv7(), 'payment.created', o.id, o.partner_id, v_now,
               jsonb_strip_nulls(to_jsonb(o.payment))
        FROM opened o
        RETURNING id
    ), owed AS (
        INSERT INTO kernel.outbox (tenant_id, event_id) SELECT p_tenant, t.id FROM told t RETURNING event_id
    ), sent AS (
        INSERT INTO payments.attempts
            (tenant_id, payment_id, number, provider, slot, answer_status, sent_at, next_inquiry_at)
        SELECT p_tenant, i.id, i.number, i.provider, i.slot, 201, v_now, v_now + make_interval(secs => p_grace_s)
        FROM unnest(p_ids, p_numbers, p_providers, p_slots, v_verdicts) AS i (id, number, provider, slot, verdict)
        WHERE i.verdict IS NULL AND i.number IS NOT NULL
        RETURNING number
    )
    SELECT count(*) INTO v_written FROM opened;

    IF v_written = cardinality(p_ids) AND array_position(p_numbers, NULL) IS NULL THEN
        RETURN QUERY SELECT i, NULL::text, v_now, NULL::text FROM generate_series(1, cardinality(p_ids)) i;
        RETURN;
    END IF;

    -- A payment that only waits is its request's whole answer.
    UPDATE kernel.idempotency_keys k SET status = 201, answer = i.snapshot
    FROM (
        SELECT s.slot, jsonb_strip_nulls(to_jsonb(p)) AS snapshot
        FROM unnest(p_ids, p_slots, p_numbers, v_verdicts) AS s (id, slot, number, verdict)
        JOIN payments.payments p ON p.tenant_id = p_tenant AND p.id = ANY (p_ids) AND p.id = s.id
        WHERE s.number IS NULL AND s.verdict IS NULL
    ) i
    WHERE k.tenant_id = p_tenant AND k.slot = ANY (p_slots) AND k.slot = i.slot;

    RETURN QUERY
    SELECT i.item::integer,
           CASE WHEN i.verdict = 'replay' AND i.resource = i.id AND k.answer IS NULL THEN NULL
                WHEN i.verdict IS NULL AND i.number IS NULL THEN 'answered' ELSE i.verdict END,
           coalesce(p.created_at, v_now), k.answer::text
    FROM unnest(p_ids, p_slots, p_numbers, v_verdicts, v_resources) WITH ORDINALITY
        AS i (id, slot, number, verdict, resource, item)
    LEFT JOIN kernel.idempotency_keys k ON k.tenant_id = p_tenant AND k.slot = ANY (p_slots) AND k.slot = i.slot
    LEFT JOIN payments.payments p ON p.tenant_id = p_tenant AND p.id = ANY (p_ids) AND p.id = i.id;
END
$$;
GRANT EXECUTE ON FUNCTION payments.open(integer, uuid[], uuid[], uuid[], smallint[], text[], jsonb, double precision)
    TO florin_app;

-- Writes down what the provider made of attempts: status and counters, ledger postings, events, and the
-- answer of the request. An attempt is settled once; a late or second outcome changes nothing.
--   p_outcomes  succeeded, authorized, requires_action, pending, failed, or unknown (no answer came)
--   p_inquire_s after how long to ask the provider, where the outcome is none yet
--   legs        of the succeeded ones, in the form of ledger.apply; p_transfers are the transfers' ids
-- Returns per item: a verdict and the payment as it is now. Verdicts: null; 'settled' (it was settled
-- before); 'again' (another item of this call was about the same attempt: call again); or the ledger's
-- refusal, which leaves the attempt open.
CREATE FUNCTION payments.settle(
    p_tenant       integer,
    p_payments     uuid[],
    p_numbers      smallint[],
    p_outcomes     text[],
    p_references   text[],
    p_codes        text[],
    p_messages     text[],
    p_redirects    text[],
    p_inquire_s    double precision[],
    p_transfers    uuid[],
    p_accounts     uuid[],
    p_leg_item     integer[],
    p_leg_account  integer[],
    p_leg_amount   bigint[]
) RETURNS TABLE (item integer, verdict text, payment text)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now         timestamptz := clock_timestamp();
    v_verdicts    text[];
    v_targets     text[];      -- null: stays where it is
    v_references  text[];
    v_slots       uuid[];
    v_statuses    smallint[];
    v_applied     record;
    v_seqs        bigint[];
    v_answered    bigint;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);

    -- Lock. Payments in the order of their ids, each with its attempt; who waits reads both again.
    SELECT array_agg(CASE WHEN NOT l.open THEN 'settled' WHEN l.turn > 1 THEN 'again' END ORDER BY l.item),
           array_agg(nullif(CASE p_outcomes[l.item] WHEN 'succeeded' THEN 'completed' WHEN 'pending' THEN 'processing'
               WHEN 'unknown' THEN l.status ELSE p_outcomes[l.item] END, l.status) ORDER BY l.item),
           array_agg(coalesce(p_references[l.item], l.reference) ORDER BY l.item),
           array_agg(l.slot ORDER BY l.item), array_agg(l.answer_status ORDER BY l.item)
    INTO v_verdicts, v_targets, v_references, v_slots, v_statuses
    FROM (
        SELECT k.item, k.status, k.reference, k.slot, k.answer_status, k.open,
               row_number() OVER (PARTITION BY k.id, k.number ORDER BY k.item) AS turn
        FROM (
            SELECT i.item, p.id, p.status, a.number, a.provider_reference AS reference, a.slot, a.answer_status,
                   a.next_inquiry_at IS NOT NULL AS open
            FROM unnest(p_payments, p_numbers) WITH ORDINALITY AS i (payment, number, item)
            JOIN payments.payments p ON p.tenant_id = p_tenant AND p.id = ANY (p_payments) AND p.id = i.payment
            JOIN payments.attempts a ON a.tenant_id = p_tenant AND a.payment_id = ANY (p_payments)
                AND a.payment_id = i.payment AND a.number = i.number
            ORDER BY p.id
            FOR NO KEY UPDATE OF p, a
        ) k
    ) l;
    IF cardinality(v_verdicts) IS DISTINCT FROM cardinality(p_payments) THEN
        RAISE EXCEPTION 'an attempt to settle does not exist' USING ERRCODE = 'no_data_found';
    END IF;

    IF p_leg_item <> '{}' THEN
        v_applied := ledger.apply(p_tenant, v_now, p_accounts,
            array_fill(NULL::text, ARRAY[cardinality(p_payments)]), p_transfers, v_verdicts,
            p_leg_item, p_leg_account, p_leg_amount, NULL, NULL);
        v_verdicts := v_applied.refusals;
        v_seqs := v_applied.seqs;
    END IF;

    RETURN QUERY
    WITH posted AS (
        INSERT INTO ledger.transfers
            (tenant_id, id, kind, recorded_at, effective_at, account_ids, amounts, entry_seqs, description)
        SELECT p_tenant, p_transfers[l.item], 'transfer', v_now, v_now, array_agg(p_accounts[l.account]),
               array_agg(l.amount), array_agg(l.seq), 'Payment captured'
        FROM unnest(p_leg_item, p_leg_account, p_leg_amount, v_seqs) AS l (item, account, amount, seq)
        WHERE v_verdicts[l.item] IS NULL
        GROUP BY l.item
        RETURNING id
    ), tried AS (
        UPDATE payments.attempts a
        SET status = i.outcome, provider_reference = i.reference, decline_code = i.code, message = i.message,
            transfer_id = CASE i.outcome WHEN 'succeeded' THEN i.transfer END,
            settled_at = CASE WHEN i.inquire_s IS NULL THEN v_now END, next_inquiry_at = i.inquire_at
        FROM (
            SELECT u.*, v_now + make_interval(secs => u.inquire_s) AS inquire_at
            FROM unnest(p_payments, p_numbers, p_outcomes, v_references, p_codes, p_messages, p_transfers,
                p_inquire_s, v_verdicts) AS u (payment, number, outcome, reference, code, message, transfer,
                inquire_s, verdict)
            WHERE u.verdict IS NULL
        ) i
        WHERE a.tenant_id = p_tenant AND a.payment_id = ANY (p_payments)
          AND a.payment_id = i.payment AND a.number = i.number
        RETURNING a.number
    ), moved AS (
        UPDATE payments.payments p
        SET status = i.target,
            authorized = CASE WHEN i.target IN ('authorized', 'completed') THEN p.amount ELSE p.authorized END,
            captured = CASE i.target WHEN 'completed' THEN p.amount ELSE p.captured END,
            provider_reference = i.reference,
            redirect_url = i.redirect,
            decline_code = i.code, decline_message = i.message, updated_at = v_now,
            authorized_at = CASE WHEN i.target IN ('authorized', 'completed') THEN v_now END,
            completed_at = CASE i.target WHEN 'completed' THEN v_now END,
            failed_at = CASE i.target WHEN 'failed' THEN v_now END
        FROM unnest(p_payments, v_targets, v_references, p_codes, p_messages, p_redirects, v_verdicts) WITH ORDINALITY
            AS i (payment, target, reference, code, message, redirect, verdict, item)
        WHERE p.tenant_id = p_tenant AND p.id = ANY (p_payments) AND p.id = i.payment
          AND i.verdict IS NULL AND i.target IS NOT NULL
        RETURNING i.item, p AS payment
    ), shown AS MATERIALIZED (
        -- An integer here: a cast further down would not be leakproof, and row-level security would keep
        -- the index of the idempotency keys from being used.
        SELECT m.item::integer AS item, (m.payment).id AS id, (m.payment).partner_id AS partner_id, (m.payment).status AS status,
               jsonb_strip_nulls(to_jsonb(m.payment)) AS data
        FROM moved m
    ), told AS (
        INSERT INTO kernel.events (tenant_id, id, type, object_id, partner_id, occurred_at, data)
        SELECT p_tenant, kernel.uuidv7(), 'payment.' || s.status, s.id, s.partner_id, v_now, s.data FROM shown s
        RETURNING id
    ), owed AS (
        INSERT INTO kernel.outbox (tenant_id, event_id) SELECT p_tenant, t.id FROM told t RETURNING event_id
    ), answered AS (
        UPDATE kernel.idempotency_keys k SET status = v_statuses[s.item], answer = s.data
        FROM shown s
        WHERE k.tenant_id = p_tenant AND k.slot = ANY (v_slots) AND k.slot = v_slots[s.item] AND k.answer IS NULL
        RETURNING k.slot
    )
    SELECT s.item, NULL::text, s.data::text FROM shown s;

    GET DIAGNOSTICS v_answered = ROW_COUNT;
    IF v_answered = cardinality(p_payments) THEN
        RETURN;
    END IF;

    -- Those whose payment did not move: nothing to tell, but the request is still owed its answer.
    UPDATE kernel.idempotency_keys k SET status = i.answer_status, answer = i.data
    FROM (
        SELECT u.slot, u.answer_status, jsonb_strip_nulls(to_jsonb(p)) AS data
        FROM unnest(p_payments, v_slots, v_statuses, v_verdicts) AS u (payment, slot, answer_status, verdict)
        JOIN payments.payments p ON p.tenant_id = p_tenant AND p.id = ANY (p_payments) AND p.id = u.payment
        WHERE u.verdict IS NULL
    ) i
    WHERE k.tenant_id = p_tenant AND k.slot = ANY (v_slots) AND k.slot = i.slot AND k.answer IS NULL;

    RETURN QUERY
    SELECT i.item::integer, i.verdict, jsonb_strip_nulls(to_jsonb(p))::text
    FROM unnest(p_payments, v_targets, v_verdicts) WITH ORDINALITY AS i (payment, target, verdict, item)
    JOIN payments.payments p ON p.tenant_id = p_tenant AND p.id = ANY (p_payments) AND p.id = i.payment
    WHERE i.verdict IS NOT NULL OR i.target IS NULL;
END
$$;
GRANT EXECUTE ON FUNCTION payments.settle(integer, uuid[], smallint[], text[], text[], text[], text[], text[],
    double precision[], uuid[], uuid[], integer[], integer[], bigint[]) TO florin_app;
