-- Payments post as the ledger does now: through its door, recorded under its locks, and joined by the payment.

DROP FUNCTION payments.settle(integer, uuid[], smallint[], text[], text[], text[], text[], text[], double precision[],
    uuid[], uuid[], integer[], integer[], bigint[]);
DROP FUNCTION payments.settle_operations(integer, uuid[], uuid[], integer[], text[], text[], text[], text[],
    double precision[], uuid[], uuid[], integer[], integer[], bigint[]);

-- Writes down what the provider made of attempts: status and counters, ledger postings, events, and the
-- answer of the request. An attempt is settled once; a late or second outcome changes nothing.
--   p_outcomes  succeeded, authorized, requires_action, pending, failed, or unknown (no answer came)
--   p_inquire_s after how long to ask the provider, where the outcome is none yet
--   legs        of the succeeded ones, in the form of ledger.apply; p_transfers are the transfers' ids,
--               p_correlations what joins them: the payments as the API shows them
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
    p_leg_amount   bigint[],
    p_correlations text[]
) RETURNS TABLE (item integer, verdict text, payment text)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now         timestamptz := clock_timestamp();
    v_entered     record;
    v_transfers   uuid[];
    v_recorded    timestamptz;
    v_verdicts    text[];
    v_targets     text[];      -- null: stays where it is
    v_references  text[];
    v_slots       uuid[];
    v_statuses    smallint[];
    v_applied     record;
    v_seqs        bigint[];
    v_answered    bigint;
BEGIN
    v_entered := ledger.enter(p_tenant, p_transfers);
    v_transfers := v_entered.ids;

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
        v_applied := ledger.apply(p_tenant, p_accounts,
            array_fill(NULL::text, ARRAY[cardinality(p_payments)]), v_transfers, v_verdicts, NULL, NULL,
            p_leg_item, p_leg_account, p_leg_amount, NULL, NULL);
        v_verdicts := v_applied.refusals;
        v_seqs := v_applied.seqs;
        v_recorded := v_applied.recorded_at;
    END IF;

    RETURN QUERY
    WITH posted AS (
        INSERT INTO ledger.transfers
            (tenant_id, id, kind, recorded_at, account_ids, amounts, entry_seqs, description, correlation_id)
        SELECT p_tenant, v_transfers[l.item], 'transfer', v_recorded, array_agg(p_accounts[l.account]),
               array_agg(l.amount), array_agg(l.seq), 'Payment captured', p_correlations[l.item]
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
            FROM unnest(p_payments, p_numbers, p_outcomes, v_references, p_codes, p_messages, v_transfers,
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
    double precision[], uuid[], uuid[], integer[], integer[], bigint[], text[]) TO florin_app;

-- Writes down what the provider made of captures, cancellations and refunds. Each is settled once.
--   p_outcomes  succeeded, failed, pending or unknown; p_inquire_s where it is one of the last two
--   legs        of the succeeded captures and refunds, in the form of ledger.apply; p_correlations as above
-- Returns per item: a verdict as payments.settle does, the operation and the payment as they are now.
CREATE FUNCTION payments.settle_operations(
    p_tenant        integer,
    p_ids           uuid[],
    p_payments      uuid[],
    p_item_payment  integer[],
    p_outcomes      text[],
    p_references    text[],
    p_codes         text[],
    p_messages      text[],
    p_inquire_s     double precision[],
    p_transfers     uuid[],
    p_accounts      uuid[],
    p_leg_item      integer[],
    p_leg_account   integer[],
    p_leg_amount    bigint[],
    p_correlations  text[]
) RETURNS TABLE (item integer, verdict text, operation text, payment text)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now         timestamptz := clock_timestamp();
    v_entered     record;
    v_transfers   uuid[];
    v_ids         uuid[];
    v_status      text[];
    v_authorized  bigint[];
    v_captured    bigint[];
    v_capturing   bigint[];
    v_refunded    bigint[];
    v_refunding   bigint[];
    v_cancelling  boolean[];
    v_news        text[];      -- per payment, the event that its change makes; null: none
    v_outcomes    text[] := p_outcomes;
    v_codes       text[] := p_codes;
    v_verdicts    text[];
    v_kinds       text[];
    v_amounts     bigint[];
    v_reserved    bigint[];
    v_finals      boolean[];
    v_slots       uuid[];
    v_applied     record;
    n             integer;
    v_written     bigint;
BEGIN
    v_entered := ledger.enter(p_tenant, p_transfers);
    v_transfers := v_entered.ids;

    SELECT array_agg(p.id), array_agg(p.status), array_agg(p.authorized), array_agg(p.captured),
           array_agg(p.capture_pending), array_agg(p.refunded), array_agg(p.refund_pending), array_agg(p.cancel_pending)
    INTO v_ids, v_status, v_authorized, v_captured, v_capturing, v_refunded, v_refunding, v_cancelling
    FROM (
        SELECT * FROM payments.payments
        WHERE tenant_id = p_tenant AND id = ANY (p_payments)
        ORDER BY id
        FOR NO KEY UPDATE
    ) p;
    v_news := array_fill(NULL::text, ARRAY[cardinality(p_payments)]);

    -- Operations change only under the lock of their payment, so this statement sees the last word.
    SELECT array_agg(CASE WHEN NOT o.open THEN 'settled' WHEN o.turn > 1 THEN 'again' END ORDER BY o.item),
           array_agg(o.kind ORDER BY o.item), array_agg(o.amount ORDER BY o.item),
           array_agg(o.reserved ORDER BY o.item), array_agg(o.final ORDER BY o.item), array_agg(o.slot ORDER BY o.item)
    INTO v_verdicts, v_kinds, v_amounts, v_reserved, v_finals, v_slots
    FROM (
        SELECT i.item, s.kind, s.amount, s.reserved, s.final, s.slot, s.next_inquiry_at IS NOT NULL AS open,
               row_number() OVER (PARTITION BY s.id ORDER BY i.item) AS turn
        FROM unnest(p_ids, p_item_payment) WITH ORDINALITY AS i (id, payment, item)
        JOIN payments.operations s
          ON s.tenant_id = p_tenant AND s.id = ANY (p_ids) AND s.id = i.id AND s.payment_id = p_payments[i.payment]
    ) o;
    IF v_ids IS DISTINCT FROM p_payments OR cardinality(v_verdicts) IS DISTINCT FROM cardinality(p_ids) THEN
        RAISE EXCEPTION 'an operation to settle does not exist, or payments are not distinct and ascending'
            USING ERRCODE = 'no_data_found';
    END IF;

    IF p_leg_item <> '{}' THEN
        v_applied := ledger.apply(p_tenant, p_accounts,
            array_fill(NULL::text, ARRAY[cardinality(p_ids)]), v_transfers, v_verdicts, NULL, NULL,
            p_leg_item, p_leg_account, p_leg_amount, NULL, NULL);
        v_verdicts := v_applied.refusals;
        WITH posted AS (
            INSERT INTO ledger.transfers
                (tenant_id, id, kind, recorded_at, account_ids, amounts, entry_seqs, description, correlation_id)
            SELECT p_tenant, v_transfers[l.item], 'transfer', v_applied.recorded_at, array_agg(p_accounts[l.account]),
                   array_agg(l.amount), array_agg(l.seq),
                   CASE v_kinds[l.item] WHEN 'refund' THEN 'Refund completed' ELSE 'Payment captured' END, p_correlations[l.item]
            FROM unnest(p_leg_item, p_leg_account, p_leg_amount, v_applied.seqs) AS l (item, account, amount, seq)
            WHERE v_verdicts[l.item] IS NULL
            GROUP BY l.item
            RETURNING id
        )
        SELECT count(*) INTO v_written FROM posted;
    END IF;

    FOR i IN 1 .. cardinality(p_ids) LOOP
        CONTINUE WHEN v_verdicts[i] IS NOT NULL OR p_inquire_s[i] IS NOT NULL;
        n := p_item_payment[i];
        IF v_kinds[i] = 'refund' THEN
            v_refunding[n] := v_refunding[n] - v_reserved[i];
            IF p_outcomes[i] = 'succeeded' THEN
                v_refunded[n] := v_refunded[n] + v_amounts[i];
                v_status[n] := CASE WHEN v_refunded[n] = v_captured[n] THEN 'refunded' ELSE 'partially_refunded' END;
                v_news[n] := 'payment.' || v_status[n];
            END IF;
        ELSIF v_kinds[i] = 'capture' THEN
            v_capturing[n] := v_capturing[n] - v_reserved[i];
            IF p_outcomes[i] = 'succeeded' THEN
                v_captured[n] := v_captured[n] + v_amounts[i];
                IF v_finals[i] OR v_captured[n] = v_authorized[n] THEN
                    v_status[n] := 'completed';
                    v_news[n] := 'payment.completed';
                ELSE
                    v_news[n] := 'payment.partially_captured';
                END IF;
            END IF;
        ELSE
            v_cancelling[n] := false;
            IF p_outcomes[i] = 'succeeded' THEN
                IF payments.may_move(v_status[n], 'cancelled') THEN
                    v_status[n] := 'cancelled';
                    v_news[n] := 'payment.cancelled';
                ELSE
                    -- The customer was faster: the charge went through while we were asking.
                    v_outcomes[i] := 'failed';
                    v_codes[i] := 'payment_not_cancellable';
                END IF;
            END IF;
        END IF;
    END LOOP;

    UPDATE payments.operations o
    SET status = CASE i.outcome WHEN 'succeeded' THEN 'completed' WHEN 'failed' THEN 'failed' ELSE 'processing' END,
        provider_reference = coalesce(i.reference, o.provider_reference), failure_code = i.code,
        failure_message = i.message, updated_at = v_now, next_inquiry_at = i.inquire_at,
        transfer_id = CASE WHEN i.outcome = 'succeeded' AND o.amount > 0 THEN i.transfer END,
        completed_at = CASE i.outcome WHEN 'succeeded' THEN v_now END,
        failed_at = CASE i.outcome WHEN 'failed' THEN v_now END
    FROM (
        SELECT u.*, v_now + make_interval(secs => u.inquire_s) AS inquire_at
        FROM unnest(p_ids, v_outcomes, p_references, v_codes, p_messages, v_transfers, p_inquire_s, v_verdicts)
            AS u (id, outcome, reference, code, message, transfer, inquire_s, verdict)
        WHERE u.verdict IS NULL
    ) i
    WHERE o.tenant_id = p_tenant AND o.id = ANY (p_ids) AND o.id = i.id;

    UPDATE payments.payments p
    SET status = m.status, captured = m.captured, capture_pending = m.capturing, refunded = m.refunded,
        refund_pending = m.refunding, cancel_pending = m.cancelling, updated_at = v_now,
        completed_at = CASE WHEN m.status = 'completed' AND p.status <> m.status THEN v_now ELSE p.completed_at END,
        cancelled_at = CASE m.status WHEN 'cancelled' THEN v_now END
    FROM unnest(p_payments, v_status, v_captured, v_capturing, v_refunded, v_refunding, v_cancelling)
        AS m (id, status, captured, capturing, refunded, refunding, cancelling)
    WHERE p.tenant_id = p_tenant AND p.id = ANY (p_payments) AND p.id = m.id
      AND (p.capture_pending, p.refund_pending, p.cancel_pending)
          IS DISTINCT FROM (m.capturing, m.refunding, m.cancelling);

    -- A payment that is cancelled while the customer was asked to act: nothing more is expected of that.
    IF 'payment.cancelled' = ANY (v_news) THEN
        UPDATE payments.attempts a SET status = 'cancelled', next_inquiry_at = NULL, settled_at = v_now
        FROM unnest(p_payments, v_news) AS m (id, news)
        WHERE a.tenant_id = p_tenant AND a.payment_id = ANY (p_payments) AND a.payment_id = m.id AND m.news = 'payment.cancelled'
          AND a.next_inquiry_at IS NOT NULL;
    END IF;

    WITH told AS (
        INSERT INTO kernel.events (tenant_id, id, type, object_id, partner_id, occurred_at, data)
        SELECT p_tenant, kernel.uuidv7(), e.type, e.id, e.partner_id, v_now, e.data
        FROM (
            SELECT 'refund.' || o.status AS type, o.id, o.partner_id, jsonb_strip_nulls(to_jsonb(o)) AS data, 1 AS turn
            FROM unnest(p_ids, v_kinds, v_verdicts, p_inquire_s) AS i (id, kind, verdict, inquire_s)
            JOIN payments.operations o ON o.tenant_id = p_tenant AND o.id = ANY (p_ids) AND o.id = i.id
            WHERE i.kind = 'refund' AND i.verdict IS NULL AND i.inquire_s IS NULL
            UNION ALL
            SELECT m.news, p.id, p.partner_id, jsonb_strip_nulls(to_jsonb(p)), 2
            FROM unnest(p_payments, v_news) AS m (id, news)
            JOIN payments.payments p ON p.tenant_id = p_tenant AND p.id = ANY (p_payments) AND p.id = m.id
            WHERE m.news IS NOT NULL
            ORDER BY turn
        ) e
        RETURNING id
    ), owed AS (
        INSERT INTO kernel.outbox (tenant_id, event_id) SELECT p_tenant, t.id FROM told t RETURNING event_id
    )
    SELECT count(*) INTO v_written FROM owed;

    RETURN QUERY
    WITH shown AS MATERIALIZED (
        SELECT i.item::integer AS item, i.verdict, i.kind, i.slot, o.status, o.failure_code, o.failure_message,
               jsonb_strip_nulls(to_jsonb(o)) AS operation, jsonb_strip_nulls(to_jsonb(p)) AS payment
        FROM unnest(p_ids, p_item_payment, v_kinds, v_slots, v_verdicts) WITH ORDINALITY
            AS i (id, payment, kind, slot, verdict, item)
        JOIN payments.operations o ON o.tenant_id = p_tenant AND o.id = ANY (p_ids) AND o.id = i.id
        JOIN payments.payments p ON p.tenant_id = p_tenant AND p.id = p_payments[i.payment]
    ), answered AS (
        UPDATE kernel.idempotency_keys k
        SET status = CASE s.kind WHEN 'refund' THEN 201 ELSE 200 END,
            answer = CASE
                WHEN s.kind = 'refund' THEN s.operation
                WHEN s.status = 'failed' THEN jsonb_build_object('refusal', s.kind || '_failed', 'detail',
                    jsonb_build_object('failure_code', s.failure_code, 'message', s.failure_message))
                ELSE s.payment END
        FROM shown s
        WHERE k.tenant_id = p_tenant AND k.slot = s.slot AND k.answer IS NULL AND s.verdict IS NULL
        RETURNING k.slot
    )
    SELECT s.item, s.verdict, s.operation::text, s.payment::text FROM shown s;
END
$$;
GRANT EXECUTE ON FUNCTION payments.settle_operations(integer, uuid[], uuid[], integer[], text[], text[], text[], text[],
    double precision[], uuid[], uuid[], integer[], integer[], bigint[], text[]) TO florin_app;
