-- Opens captures, cancellations and refunds: checks them, one after the other, against what the payment
-- has left, and reserves it. The provider is called after the commit.
--   p_payments  distinct and ascending; p_item_payment points into it
--   p_partners  null: asked for by the tenant itself, who may act on every payment
--   p_amounts   null: all that is left
--   p_details   a JSON array with an object (reason, metadata) or null per item
-- Returns per item: a refusal (null: opened) and how much was left; the operation and its payment as they
-- are now; and the answer that the key already has.
CREATE FUNCTION payments.open_operations(
    p_tenant        integer,
    p_ids           uuid[],
    p_slots         uuid[],
    p_digests       uuid[],
    p_kinds         text[],
    p_payments      uuid[],
    p_item_payment  integer[],
    p_partners      uuid[],
    p_amounts       bigint[],
    p_finals        boolean[],
    p_details       jsonb,
    p_grace_s       double precision
) RETURNS TABLE (item integer, refusal text, remaining bigint, operation text, payment text, answer text)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now         timestamptz := clock_timestamp();
    v_claimed     record;
    v_verdicts    text[];
    v_resources   uuid[];
    v_refusals    text[];
    v_ids         uuid[];
    v_partner     uuid[];
    v_status      text[];
    v_currency    text[];
    v_uncaptured  bigint[];    -- authorized, less what is captured or about to be
    v_capturing   bigint[];
    v_captured    bigint[];
    v_refundable  bigint[];    -- captured, less what is refunded or about to be
    v_refunding   bigint[];
    v_cancelling  boolean[];
    v_amounts     bigint[] := p_amounts;
    v_reserved    bigint[] := p_amounts;
    v_remaining   bigint[] := p_amounts;
    v_left        bigint;
    v_amount      bigint;
    v_refusal     text;
    n             integer;
    v_written     bigint;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    -- Assigned, not selected: a call in an expression costs a tenth of a query that scans its result.
    v_claimed := kernel.claim_slots(p_tenant, v_now, p_slots, p_digests, p_ids);
    v_verdicts := v_claimed.verdicts;
    v_resources := v_claimed.resources;
    v_refusals := v_verdicts;

    SELECT array_agg(p.id), array_agg(p.partner_id), array_agg(p.status), array_agg(p.currency),
           array_agg(p.authorized - p.captured - p.capture_pending), array_agg(p.capture_pending),
           array_agg(p.captured), array_agg(p.captured - p.refunded - p.refund_pending),
           array_agg(p.refund_pending), array_agg(p.cancel_pending)
    INTO v_ids, v_partner, v_status, v_currency, v_uncaptured, v_capturing, v_captured, v_refundable, v_refunding,
         v_cancelling
    FROM (
        SELECT * FROM payments.payments
        WHERE tenant_id = p_tenant AND id = ANY (p_payments)
        ORDER BY id
        FOR NO KEY UPDATE
    ) p;
    IF v_ids IS DISTINCT FROM p_payments THEN
        -- Some do not exist: put nulls in their places, so that positions mean the same again.
        SELECT array_agg(f.partner ORDER BY w.position), array_agg(f.status ORDER BY w.position),
               array_agg(f.currency ORDER BY w.position), array_agg(f.uncaptured ORDER BY w.position),
               array_agg(f.capturing ORDER BY w.position), array_agg(f.captured ORDER BY w.position),
               array_agg(f.refundable ORDER BY w.position), array_agg(f.refunding ORDER BY w.position),
               array_agg(f.cancelling ORDER BY w.position)
        INTO v_partner, v_status, v_currency, v_uncaptured, v_capturing, v_captured, v_refundable, v_refunding,
             v_cancelling
        FROM unnest(p_payments) WITH ORDINALITY AS w (id, position)
        LEFT JOIN unnest(v_ids, v_partner, v_status, v_currency, v_uncaptured, v_capturing, v_captured, v_refundable,
            v_refunding, v_cancelling) AS f (id, partner, status, currency, uncaptured, capturing, captured, refundable,
            refunding, cancelling) USING (id);
    END IF;

    -- Check, each upon what those before it leave.
    FOR i IN 1 .. cardinality(p_ids) LOOP
        CONTINUE WHEN v_refusals[i] IS NOT NULL;
        n := p_item_payment[i];
        v_refusal := NULL;
        v_amount := p_amounts[i];
        IF v_status[n] IS NULL OR p_partners[i] IS NOT NULL AND v_partner[n] IS DISTINCT FROM p_partners[i] THEN
            v_refusal := 'payment_not_found';
        ELSIF p_kinds[i] = 'refund' THEN
            v_left := v_refundable[n];
            v_amount := coalesce(v_amount, v_left);
            IF v_status[n] NOT IN ('completed', 'partially_refunded', 'refunded') THEN
                v_refusal := 'payment_not_refundable';
            ELSIF v_amount > v_left OR v_amount = 0 THEN
                v_refusal := 'refund_exceeds_remaining';
            ELSE
                v_refundable[n] := v_left - v_amount;
                v_refunding[n] := v_refunding[n] + v_amount;
                v_reserved[i] := v_amount;
            END IF;
        ELSIF p_kinds[i] = 'capture' THEN
            v_left := v_uncaptured[n];
            v_amount := coalesce(v_amount, v_left);
            IF v_status[n] <> 'authorized' OR v_cancelling[n] THEN
                v_refusal := 'payment_not_capturable';
            ELSIF v_amount > v_left OR v_amount = 0 THEN
                v_refusal := 'capture_exceeds_remaining';
            ELSIF p_finals[i] AND v_capturing[n] > 0 THEN
                v_refusal := 'capture_in_progress';
            ELSE
                -- The last capture reserves all, so that none can follow it.
                v_reserved[i] := CASE WHEN p_finals[i] THEN v_left ELSE v_amount END;
                v_uncaptured[n] := v_left - v_reserved[i];
                v_capturing[n] := v_capturing[n] + v_reserved[i];
            END IF;
        ELSE
            v_amount := 0;
            v_reserved[i] := 0;
            IF v_cancelling[n] OR v_capturing[n] > 0 OR v_captured[n] > 0
                OR v_status[n] NOT IN ('pending', 'requires_action', 'authorized')
            THEN
                v_refusal := 'payment_not_cancellable';
            ELSE
                v_cancelling[n] := true;
            END IF;
        END IF;
        v_refusals[i] := v_refusal;
        v_amounts[i] := v_amount;
        IF v_refusal <> 'payment_not_found' THEN
            v_remaining[i] := v_left;
        END IF;
    END LOOP;

    WITH opened AS (
        INSERT INTO payments.operations AS o (tenant_id, id, kind, payment_id, partner_id, amount, reserved, currency,
            final, reason, metadata, slot, created_at, updated_at, next_inquiry_at)
        SELECT p_tenant, i.id, i.kind, p_payments[i.payment], v_partner[i.payment], i.amount, i.reserved,
               v_currency[i.payment], i.final, p_details -> (i.item::integer - 1) ->> 'reason',
               p_details -> (i.item::integer - 1) -> 'metadata', i.slot, v_now, v_now,
               v_now + make_interval(secs => p_grace_s)
        FROM unnest(p_ids, p_kinds, p_item_payment, v_amounts, v_reserved, p_finals, p_slots, v_refusals)
            WITH ORDINALITY AS i (id, kind, payment, amount, reserved, final, slot, refusal, item)
        WHERE i.refusal IS NULL
        RETURNING o.id, o.kind, o.partner_id, o AS operation
    ), told AS (
        INSERT INTO kernel.events (tenant_id, id, type, object_id, partner_id, occurred_at, data)
        SELECT p_tenant, kernel.uuidv7(), 'refund.created', o.id, o.partner_id, v_now,
               jsonb_strip_nulls(to_jsonb(o.operation))
        FROM opened o
        WHERE o.kind = 'refund'
        RETURNING id
    ), owed AS (
        INSERT INTO kernel.outbox (tenant_id, event_id) SELECT p_tenant, t.id FROM told t RETURNING event_id
    )
    SELECT count(*) INTO v_written FROM opened;

    IF v_written > 0 THEN
        UPDATE payments.payments p
        SET capture_pending = m.capturing, refund_pending = m.refunding, cancel_pending = m.cancelling
        FROM unnest(p_payments, v_capturing, v_refunding, v_cancelling) AS m (id, capturing, refunding, cancelling)
        WHERE p.tenant_id = p_tenant AND p.id = ANY (p_payments) AND p.id = m.id
          AND (p.capture_pending <> m.capturing OR p.refund_pending <> m.refunding OR p.cancel_pending <> m.cancelling);
    END IF;
    IF v_written < cardinality(p_ids) THEN
        PERFORM kernel.store_refusals(p_tenant, p_slots, v_verdicts, v_refusals,
            (SELECT jsonb_agg(jsonb_build_object('remaining', r.remaining) ORDER BY r.item)
             FROM unnest(v_remaining) WITH ORDINALITY AS r (remaining, item)));
    END IF;

    RETURN QUERY
    SELECT i.item::integer,
           CASE WHEN i.refusal = 'replay' AND i.resource = i.id AND k.answer IS NULL THEN NULL ELSE i.refusal END,
           i.remaining, to_jsonb(o)::text, to_jsonb(p)::text, k.answer::text
    FROM unnest(p_ids, p_item_payment, p_slots, v_refusals, v_verdicts, v_remaining, v_resources) WITH ORDINALITY
        AS i (id, payment, slot, refusal, verdict, remaining, resource, item)
    LEFT JOIN payments.operations o ON o.tenant_id = p_tenant AND o.id = ANY (p_ids) AND o.id = i.id
    LEFT JOIN payments.payments p ON p.tenant_id = p_tenant AND p.id = o.payment_id
    LEFT JOIN kernel.idempotency_keys k ON k.tenant_id = p_tenant AND k.slot = i.slot AND i.verdict = 'replay';
END
$$;
GRANT EXECUTE ON FUNCTION payments.open_operations(integer, uuid[], uuid[], uuid[], text[], uuid[], integer[], uuid[],
    bigint[], boolean[], jsonb, double precision) TO florin_app;

-- Writes down what the provider made of captures, cancellations and refunds. Each is settled once.
--   p_outcomes  succeeded, failed, pending or unknown; p_inquire_s where it is one of the last two
--   legs        of the succeeded captures and refunds, in the form of ledger.apply
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
    p_leg_amount    bigint[]
) RETURNS TABLE (item integer, verdict text, operation text, payment text)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now         timestamptz := clock_timestamp();
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
    PERFORM kernel.require_tenant(p_tenant);

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
        v_applied := ledger.apply(p_tenant, v_now, p_accounts,
            array_fill(NULL::text, ARRAY[cardinality(p_ids)]), p_transfers, v_verdicts,
            p_leg_item, p_leg_account, p_leg_amount, NULL, NULL);
        v_verdicts := v_applied.refusals;
        WITH posted AS (
            INSERT INTO ledger.transfers
                (tenant_id, id, kind, recorded_at, effective_at, account_ids, amounts, entry_seqs, description)
            SELECT p_tenant, p_transfers[l.item], 'transfer', v_now, v_now, array_agg(p_accounts[l.account]),
                   array_agg(l.amount), array_agg(l.seq),
                   CASE v_kinds[l.item] WHEN 'refund' THEN 'Refund completed' ELSE 'Payment captured' END
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
        FROM unnest(p_ids, v_outcomes, p_references, v_codes, p_messages, p_transfers, p_inquire_s, v_verdicts)
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
    double precision[], uuid[], uuid[], integer[], integer[], bigint[]) TO florin_app;
