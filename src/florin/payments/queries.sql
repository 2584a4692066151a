-- name: lock_payment_for_confirmation(tenant_id, payment_id, partner_id)^
-- The payment that a confirmation is about, locked. Null partner: the tenant itself asks.
SELECT status, cancel_pending, jsonb_strip_nulls(to_jsonb(p)) AS payment
FROM payments.payments p
WHERE p.tenant_id = :tenant_id AND p.id = :payment_id
  AND (:partner_id::uuid IS NULL OR p.partner_id = :partner_id::uuid)
FOR NO KEY UPDATE;

-- name: claim_slot(tenant_id, slot, digest, payment_id)^
-- Claims one idempotency slot; says whether the key was used before, and what it was answered.
SELECT c.verdicts[1] AS verdict, k.answer
FROM kernel.claim_slots(:tenant_id, clock_timestamp(), ARRAY[:slot::uuid], ARRAY[:digest::uuid],
                        ARRAY[:payment_id::uuid]) c
LEFT JOIN kernel.idempotency_keys k ON k.tenant_id = :tenant_id AND k.slot = :slot AND c.verdicts[1] IS NOT NULL;

-- name: begin_attempt(grace_s, tenant_id, payment_id, slot)^
-- Moves a pending payment to processing, with its next attempt and its event. The caller holds its lock.
WITH moment AS MATERIALIZED (
    SELECT clock_timestamp() AS at, clock_timestamp() + make_interval(secs => :grace_s) AS due
), moved AS (
    UPDATE payments.payments p SET status = 'processing', attempts = attempts + 1, updated_at = moment.at
    FROM moment
    WHERE p.tenant_id = :tenant_id AND p.id = :payment_id
    RETURNING p AS payment, moment.at, moment.due
), shown AS MATERIALIZED (
    SELECT (m.payment).*, m.at, m.due, jsonb_strip_nulls(to_jsonb(m.payment)) AS data FROM moved m
), sent AS (
    INSERT INTO payments.attempts
        (tenant_id, payment_id, number, provider, slot, answer_status, sent_at, next_inquiry_at)
    SELECT :tenant_id, s.id, s.attempts, s.provider, :slot, 200, s.at, s.due FROM shown s
    RETURNING number
), told AS (
    INSERT INTO kernel.events (tenant_id, id, type, object_id, partner_id, occurred_at, data)
    SELECT :tenant_id, kernel.uuidv7(), 'payment.processing', s.id, s.partner_id, s.at, s.data FROM shown s
    RETURNING id
), owed AS (
    INSERT INTO kernel.outbox (tenant_id, event_id) SELECT :tenant_id, t.id FROM told t RETURNING event_id
)
SELECT s.data AS payment FROM shown s;

-- name: take_over_attempt(slot, tenant_id, payment_id, number)!
-- Makes an open attempt's next outcome the answer of another request. The caller holds the payment's lock.
UPDATE payments.attempts SET slot = :slot, answer_status = 200
WHERE tenant_id = :tenant_id AND payment_id = :payment_id AND number = :number AND next_inquiry_at IS NOT NULL;

-- name: claim_due_attempts(lease_s, tenant_id, batch)
-- Attempts whose provider is due to be asked, claimed for a while, with their payments.
WITH due AS MATERIALIZED (
    SELECT a.payment_id, a.number, clock_timestamp() + make_interval(secs => :lease_s) AS again_at
    FROM payments.attempts a
    WHERE a.tenant_id = :tenant_id AND a.next_inquiry_at <= clock_timestamp()
    ORDER BY a.next_inquiry_at
    LIMIT :batch
    FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE payments.attempts a
    SET inquiries = least(a.inquiries::integer + 1, 30000), next_inquiry_at = due.again_at
    FROM due
    WHERE a.tenant_id = :tenant_id AND a.payment_id = due.payment_id AND a.number = due.number
    RETURNING a.payment_id, a.number, a.status, a.provider, a.inquiries, a.sent_at
)
SELECT c.number, c.status, c.provider, c.inquiries,
       extract(epoch FROM clock_timestamp() - c.sent_at)::double precision AS age_s,
       jsonb_strip_nulls(to_jsonb(p)) AS payment
FROM claimed c
JOIN payments.payments p ON p.tenant_id = :tenant_id AND p.id = c.payment_id;

-- name: claim_due_operations(lease_s, tenant_id, batch)
-- Captures, cancellations and refunds whose provider is due to be asked, claimed for a while.
WITH due AS MATERIALIZED (
    SELECT o.id, clock_timestamp() + make_interval(secs => :lease_s) AS again_at
    FROM payments.operations o
    WHERE o.tenant_id = :tenant_id AND o.next_inquiry_at <= clock_timestamp()
    ORDER BY o.next_inquiry_at
    LIMIT :batch
    FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE payments.operations o
    SET inquiries = least(o.inquiries::integer + 1, 30000), next_inquiry_at = due.again_at
    FROM due
    WHERE o.tenant_id = :tenant_id AND o.id = due.id
    RETURNING o AS operation
)
SELECT jsonb_strip_nulls(to_jsonb(c.operation)) AS operation, (c.operation).inquiries,
       extract(epoch FROM clock_timestamp() - (c.operation).created_at)::double precision AS age_s,
       jsonb_strip_nulls(to_jsonb(p)) AS payment
FROM claimed c
JOIN payments.payments p ON p.tenant_id = :tenant_id AND p.id = (c.operation).payment_id;

-- name: attempt(tenant_id, payment_id, number)^
-- One attempt with its payment, as a provider's message refers to it.
SELECT a.status, a.provider, a.inquiries, jsonb_strip_nulls(to_jsonb(p)) AS payment
FROM payments.attempts a
JOIN payments.payments p ON p.tenant_id = :tenant_id AND p.id = a.payment_id
WHERE a.tenant_id = :tenant_id AND a.payment_id = :payment_id AND a.number = :number;

-- name: operation(tenant_id, operation_id)^
-- One capture, cancellation or refund with its payment.
SELECT o.inquiries, jsonb_strip_nulls(to_jsonb(o)) AS operation, jsonb_strip_nulls(to_jsonb(p)) AS payment
FROM payments.operations o
JOIN payments.payments p ON p.tenant_id = :tenant_id AND p.id = o.payment_id
WHERE o.tenant_id = :tenant_id AND o.id = :operation_id;

-- name: keep_provider_event(tenant_id, provider, event_id, reference, kind, body)!
-- Keeps what a provider told, once.
INSERT INTO payments.provider_events (tenant_id, provider, event_id, reference, kind, received_at, body)
VALUES (:tenant_id, :provider, :event_id, :reference, :kind, clock_timestamp(), :body)
ON CONFLICT DO NOTHING;

-- name: refund(tenant_id, refund_id, partner_id)^
-- One refund, if the partner may see it. Null partner: the tenant itself asks.
SELECT jsonb_strip_nulls(to_jsonb(r)) AS refund
FROM payments.refunds r
WHERE r.tenant_id = :tenant_id AND r.id = :refund_id
  AND (:partner_id::uuid IS NULL OR r.partner_id = :partner_id::uuid);

-- name: payments_page(tenant_id, partner_id, customer_id, status, currency, metadata_key, metadata_value, created_from, created_to, starting_after, limit)
-- Payments, newest first; each filter that is null lets all pass.
SELECT jsonb_strip_nulls(to_jsonb(p)) AS payment
FROM payments.payments p
WHERE p.tenant_id = :tenant_id
  AND (:partner_id::uuid IS NULL OR p.partner_id = :partner_id::uuid)
  AND (:customer_id::uuid IS NULL OR p.customer_id = :customer_id::uuid)
  AND (:status::text IS NULL OR p.status = :status::text)
  AND (:currency::text IS NULL OR p.currency = :currency::text)
  AND (:metadata_key::text IS NULL OR CASE WHEN :metadata_value::text IS NULL
           THEN p.metadata ? :metadata_key::text
           ELSE p.metadata ->> :metadata_key::text = :metadata_value::text END)
  AND (:created_from::timestamptz IS NULL OR p.created_at >= :created_from::timestamptz)
  AND (:created_to::timestamptz IS NULL OR p.created_at < :created_to::timestamptz)
  AND (:starting_after::uuid IS NULL OR p.id < :starting_after::uuid)
ORDER BY p.id DESC
LIMIT :limit;

-- name: refunds_page(tenant_id, partner_id, payment_id, status, starting_after, limit)
-- Refunds, newest first; each filter that is null lets all pass.
SELECT jsonb_strip_nulls(to_jsonb(r)) AS refund
FROM payments.refunds r
WHERE r.tenant_id = :tenant_id
  AND (:partner_id::uuid IS NULL OR r.partner_id = :partner_id::uuid)
  AND (:payment_id::uuid IS NULL OR r.payment_id = :payment_id::uuid)
  AND (:status::text IS NULL OR r.status = :status::text)
  AND (:starting_after::uuid IS NULL OR r.id < :starting_after::uuid)
ORDER BY r.id DESC
LIMIT :limit;

-- name: events_page(tenant_id, partner_id, type, object_id, starting_after, limit)
-- Events of whatever kind, newest first; each filter that is null lets all pass.
SELECT e.id, e.type, e.occurred_at, e.data
FROM kernel.events e
WHERE e.tenant_id = :tenant_id
  AND (:partner_id::uuid IS NULL OR e.partner_id = :partner_id::uuid)
  AND (:type::text IS NULL OR e.type = :type::text)
  AND (:object_id::uuid IS NULL OR e.object_id = :object_id::uuid)
  AND (:starting_after::uuid IS NULL OR e.id < :starting_after::uuid)
ORDER BY e.id DESC
LIMIT :limit;

-- name: payment_history(tenant_id, payment_id, starting_after, limit)
-- What happened to a payment and to its refunds, oldest first.
SELECT e.id, e.type, e.occurred_at, e.data
FROM kernel.events e
WHERE e.tenant_id = :tenant_id
  AND e.object_id = ANY (
      SELECT :payment_id::uuid
      UNION ALL
      SELECT o.id FROM payments.operations o
      WHERE o.tenant_id = :tenant_id AND o.payment_id = :payment_id AND o.kind = 'refund')
  AND (:starting_after::uuid IS NULL OR e.id > :starting_after::uuid)
ORDER BY e.id
LIMIT :limit;

-- name: event(tenant_id, event_id, partner_id)^
-- One event, if the partner may see it.
SELECT e.id, e.type, e.occurred_at, e.data
FROM kernel.events e
WHERE e.tenant_id = :tenant_id AND e.id = :event_id
  AND (:partner_id::uuid IS NULL OR e.partner_id = :partner_id::uuid);

-- name: currencies()
-- The currencies that money can be kept in: those with minor units.
SELECT code, numeric_code, name, exponent FROM reference.currencies WHERE exponent IS NOT NULL ORDER BY code;

-- name: payment_methods()
-- The kinds of payment methods.
SELECT code, name FROM reference.payment_methods ORDER BY code;
