-- Payments, the tries at a provider that they are made of, and what is asked of a provider afterwards.

CREATE SCHEMA payments;
GRANT USAGE ON SCHEMA payments TO florin_app, florin_readonly;

-- The state machine of a payment. florin/payments/model.py holds the same table; a test compares them.
-- Not STRICT: a strict function around a CASE cannot be inlined into the trigger's condition.
CREATE FUNCTION payments.may_move(p_from text, p_to text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE p_from
    WHEN 'pending' THEN p_to IN ('processing', 'failed', 'cancelled')
    WHEN 'requires_action' THEN p_to IN ('processing', 'authorized', 'completed', 'failed', 'cancelled')
    WHEN 'processing' THEN p_to IN ('requires_action', 'authorized', 'completed', 'failed')
    WHEN 'authorized' THEN p_to IN ('completed', 'cancelled')
    WHEN 'completed' THEN p_to IN ('partially_refunded', 'refunded', 'reversed')
    WHEN 'partially_refunded' THEN p_to IN ('refunded', 'reversed')
    ELSE false
END;

-- The same for the tries at a provider: once told, an outcome stays.
CREATE FUNCTION payments.attempt_may_move(p_from text, p_to text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN p_from IN ('sent', 'unknown', 'pending', 'requires_action') AND p_to <> 'sent';

-- And for captures, cancellations and refunds.
CREATE FUNCTION payments.operation_may_move(p_from text, p_to text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE p_from
    WHEN 'pending' THEN p_to IN ('processing', 'completed', 'failed')
    WHEN 'processing' THEN p_to IN ('completed', 'failed')
    ELSE false
END;
GRANT EXECUTE ON FUNCTION payments.may_move(text, text), payments.attempt_may_move(text, text),
    payments.operation_may_move(text, text) TO florin_app, florin_readonly;

CREATE FUNCTION payments.refuse_move() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% may not move from % to %', TG_ARGV[0],
        CASE TG_OP WHEN 'INSERT' THEN 'nothing' ELSE OLD.status END, NEW.status
        USING ERRCODE = 'check_violation';
END
$$;

CREATE TABLE payments.payments (
    tenant_id             integer     NOT NULL,
    id                    uuid        NOT NULL,
    partner_id            uuid,          -- null: the tenant's own
    customer_id           uuid,
    status                text        NOT NULL,
    currency              text        NOT NULL,
    amount                bigint      NOT NULL,
    authorized            bigint      NOT NULL DEFAULT 0,
    captured              bigint      NOT NULL DEFAULT 0,
    capture_pending       bigint      NOT NULL DEFAULT 0,   -- asked of the provider, not yet answered
    refunded              bigint      NOT NULL DEFAULT 0,
    refund_pending        bigint      NOT NULL DEFAULT 0,
    cancel_pending        boolean     NOT NULL DEFAULT false,
    attempts              smallint    NOT NULL DEFAULT 0,   -- the number of the latest attempt
    capture_method        text        NOT NULL,
    provider              text        NOT NULL,
    provider_reference    text,          -- of the attempt that was charged or authorized
    method_type           text        NOT NULL,
    method                jsonb       NOT NULL,             -- opaque tokens and addresses, never a card number
    description           text,
    statement_descriptor  text,
    return_url            text,
    redirect_url          text,
    metadata              jsonb,
    decline_code          text,
    decline_message       text,
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL,
    authorized_at         timestamptz,
    completed_at          timestamptz,
    failed_at             timestamptz,
    cancelled_at          timestamptz,
    CONSTRAINT payments_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT payments_currency_fkey FOREIGN KEY (currency) REFERENCES reference.currencies (code),
    CONSTRAINT payments_method_type_fkey FOREIGN KEY (method_type) REFERENCES reference.payment_methods (code),
    CONSTRAINT payments_status_known CHECK (status IN ('pending', 'requires_action', 'processing', 'authorized',
        'completed', 'partially_refunded', 'refunded', 'failed', 'cancelled', 'reversed')),
    CONSTRAINT payments_capture_method_known CHECK (capture_method IN ('automatic', 'manual')),
    CONSTRAINT payments_amount_positive CHECK (amount BETWEEN 1 AND 1000000000000000),
    CONSTRAINT payments_authorized_within_amount CHECK (authorized BETWEEN 0 AND amount),
    CONSTRAINT payments_captured_within_authorized
        CHECK (captured >= 0 AND capture_pending >= 0 AND captured + capture_pending <= authorized),
    CONSTRAINT payments_refunded_within_captured
        CHECK (refunded >= 0 AND refund_pending >= 0 AND refunded + refund_pending <= captured),
    CONSTRAINT payments_status_fits_counters CHECK (CASE status
        WHEN 'authorized' THEN authorized > 0
        WHEN 'completed' THEN captured > 0 AND refunded = 0
        WHEN 'partially_refunded' THEN refunded > 0 AND refunded < captured
        WHEN 'refunded' THEN refunded = captured
        WHEN 'reversed' THEN true
        ELSE captured = 0 END),
    CONSTRAINT payments_failed_when_said CHECK ((status = 'failed') = (failed_at IS NOT NULL)),
    CONSTRAINT payments_cancelled_when_said CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX payments_by_partner ON payments.payments (tenant_id, partner_id, id) WHERE partner_id IS NOT NULL;
CREATE INDEX payments_by_customer ON payments.payments (tenant_id, customer_id, id) WHERE customer_id IS NOT NULL;
CREATE TRIGGER starts_well AFTER INSERT ON payments.payments
    FOR EACH ROW WHEN (NEW.status NOT IN ('pending', 'processing'))
    EXECUTE FUNCTION payments.refuse_move('a payment');
CREATE TRIGGER moves_well BEFORE UPDATE ON payments.payments
    FOR EACH ROW WHEN (OLD.status <> NEW.status AND NOT payments.may_move(OLD.status, NEW.status))
    EXECUTE FUNCTION payments.refuse_move('a payment');
CALL kernel.isolate('payments.payments');
GRANT SELECT, INSERT, UPDATE ON payments.payments TO florin_app;
GRANT SELECT ON payments.payments TO florin_readonly;

-- One row per try at a provider, written before the provider is called. The provider knows it by a
-- reference made of payment, number and tenant, which is also its idempotency key there.
CREATE TABLE payments.attempts (
    tenant_id           integer     NOT NULL,
    payment_id          uuid        NOT NULL,
    number              smallint    NOT NULL,
    status              text        NOT NULL DEFAULT 'sent',
    provider            text        NOT NULL,
    provider_reference  text,
    decline_code        text,
    message             text,
    transfer_id         uuid,          -- what it posted to the ledger
    slot                uuid,          -- the idempotency slot whose answer its outcome is
    answer_status       smallint    NOT NULL,
    sent_at             timestamptz NOT NULL,
    settled_at          timestamptz,
    inquiries           smallint    NOT NULL DEFAULT 0,
    next_inquiry_at     timestamptz,   -- null: nothing is left to ask
    CONSTRAINT attempts_pkey PRIMARY KEY (tenant_id, payment_id, number),
    CONSTRAINT attempts_status_known CHECK (status IN
        ('sent', 'unknown', 'pending', 'requires_action', 'authorized', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT attempts_open_is_asked_for CHECK
        ((status IN ('sent', 'unknown', 'pending', 'requires_action')) = (next_inquiry_at IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX attempts_due ON payments.attempts (tenant_id, next_inquiry_at) WHERE next_inquiry_at IS NOT NULL;
CREATE TRIGGER moves_well BEFORE UPDATE ON payments.attempts
    FOR EACH ROW WHEN (OLD.status <> NEW.status AND NOT payments.attempt_may_move(OLD.status, NEW.status))
    EXECUTE FUNCTION payments.refuse_move('an attempt');
CALL kernel.isolate('payments.attempts');
GRANT SELECT, INSERT, UPDATE ON payments.attempts TO florin_app;
GRANT SELECT ON payments.attempts TO florin_readonly;

-- What is asked of a provider about a charge that it made: to capture it, to cancel it, to refund it.
CREATE TABLE payments.operations (
    tenant_id           integer     NOT NULL,
    id                  uuid        NOT NULL,
    kind                text        NOT NULL,
    payment_id          uuid        NOT NULL,
    partner_id          uuid,
    status              text        NOT NULL DEFAULT 'pending',
    amount              bigint      NOT NULL,   -- 0 for a cancellation
    reserved            bigint      NOT NULL,   -- what it holds of the payment's counters until it is settled
    currency            text        NOT NULL,
    final               boolean     NOT NULL DEFAULT false,   -- of a capture: no other will follow
    reason              text,
    metadata            jsonb,
    provider_reference  text,
    failure_code        text,
    failure_message     text,
    transfer_id         uuid,
    slot                uuid,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    completed_at        timestamptz,
    failed_at           timestamptz,
    inquiries           smallint    NOT NULL DEFAULT 0,
    next_inquiry_at     timestamptz,
    CONSTRAINT operations_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT operations_payment_fkey FOREIGN KEY (tenant_id, payment_id) REFERENCES payments.payments (tenant_id, id),
    CONSTRAINT operations_kind_known CHECK (kind IN ('capture', 'cancel', 'refund')),
    CONSTRAINT operations_status_known CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    CONSTRAINT operations_amount_fits_kind CHECK (CASE kind WHEN 'cancel' THEN amount = 0 ELSE amount > 0 END),
    CONSTRAINT operations_reserve_their_amount CHECK (reserved >= amount),
    CONSTRAINT operations_open_is_asked_for
        CHECK ((status IN ('pending', 'processing')) = (next_inquiry_at IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX operations_by_payment ON payments.operations (tenant_id, payment_id, id);
CREATE INDEX operations_due ON payments.operations (tenant_id, next_inquiry_at) WHERE next_inquiry_at IS NOT NULL;
CREATE TRIGGER moves_well BEFORE UPDATE ON payments.operations
    FOR EACH ROW WHEN (OLD.status <> NEW.status AND NOT payments.operation_may_move(OLD.status, NEW.status))
    EXECUTE FUNCTION payments.refuse_move('an operation');
CALL kernel.isolate('payments.operations');
GRANT SELECT, INSERT, UPDATE ON payments.operations TO florin_app;
GRANT SELECT ON payments.operations TO florin_readonly;

CREATE VIEW payments.refunds WITH (security_invoker = true) AS
SELECT tenant_id, id, payment_id, partner_id, status, amount, currency, reason, metadata, provider_reference,
       failure_code, failure_message, transfer_id, created_at, updated_at, completed_at, failed_at
FROM payments.operations WHERE kind = 'refund';
GRANT SELECT ON payments.refunds TO florin_app, florin_readonly;

-- What providers told of their own accord, as they told it: once per event of theirs.
CREATE TABLE payments.provider_events (
    tenant_id    integer     NOT NULL,
    provider     text        NOT NULL,
    event_id     text        NOT NULL,
    reference    text        NOT NULL,
    kind         text        NOT NULL,
    received_at  timestamptz NOT NULL,
    body         bytea       NOT NULL,
    CONSTRAINT provider_events_pkey PRIMARY KEY (tenant_id, provider, event_id)
);
CALL kernel.isolate('payments.provider_events');
CALL kernel.make_append_only('payments.provider_events');
GRANT SELECT, INSERT ON payments.provider_events TO florin_app;
