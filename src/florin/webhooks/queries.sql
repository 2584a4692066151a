-- Columns stand in the order of the dataclasses' fields in model.py.

-- name: take_turn(tenant_id)!
-- Waits until no other transaction works on this tenant's deliveries; held until the transaction ends.
SELECT webhooks.take_turn(:tenant_id);

-- name: insert_endpoint(tenant_id, id, partner_id, include_partners, url, description, events, max_in_flight, now)!
-- A new endpoint, enabled.
INSERT INTO webhooks.endpoints
    (tenant_id, id, partner_id, include_partners, url, description, events, status, max_in_flight,
     created_at, updated_at)
VALUES (:tenant_id, :id, :partner_id, :include_partners, :url, :description, :events, 'enabled', :max_in_flight,
        :now, :now);

-- name: count_endpoints(tenant_id, partner_id)$
-- How many endpoints this owner has.
SELECT count(*) FROM webhooks.endpoints
WHERE tenant_id = :tenant_id AND partner_id IS NOT DISTINCT FROM :partner_id::uuid;

-- name: endpoint(tenant_id, partner_id, id)^
-- One endpoint, if the asker may see it: a partner its own, the tenant (null) all.
SELECT id, partner_id, include_partners, url, description, events, status, disabled_reason, disabled_at,
       max_in_flight, failing_since, paused_until, created_at, updated_at
FROM webhooks.endpoints
WHERE tenant_id = :tenant_id AND id = :id AND (:partner_id::uuid IS NULL OR partner_id = :partner_id);

-- name: endpoints(tenant_id, partner_id, before, limit)
-- A page of endpoints, newest first.
SELECT id, partner_id, include_partners, url, description, events, status, disabled_reason, disabled_at,
       max_in_flight, failing_since, paused_until, created_at, updated_at
FROM webhooks.endpoints
WHERE tenant_id = :tenant_id AND (:partner_id::uuid IS NULL OR partner_id = :partner_id)
  AND (:before::uuid IS NULL OR id < :before)
ORDER BY id DESC LIMIT :limit;

-- name: update_endpoint(tenant_id, id, url, description, events, max_in_flight, include_partners, now)!
-- An endpoint's settings, all of them.
UPDATE webhooks.endpoints
SET url = :url, description = :description, events = :events, max_in_flight = :max_in_flight,
    include_partners = :include_partners, updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id;

-- name: enable_endpoint(tenant_id, id, now)!
-- Enables it with a clean slate.
UPDATE webhooks.endpoints
SET status = 'enabled', disabled_reason = NULL, disabled_at = NULL, failing_since = NULL, paused_until = NULL,
    updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id AND status = 'disabled';

-- name: disable_endpoint(tenant_id, id, reason, now)$
-- Disables it and discards what it was still owed.
SELECT webhooks.disable(:tenant_id, :id, :reason, :now);

-- name: end_pause(tenant_id, id)!
-- Forgets the rest that the endpoint asked for.
UPDATE webhooks.endpoints SET paused_until = NULL
WHERE tenant_id = :tenant_id AND id = :id AND paused_until IS NOT NULL;

-- name: insert_secret(tenant_id, endpoint_id, id, sealed, now)!
-- A new current secret.
INSERT INTO webhooks.secrets (tenant_id, endpoint_id, id, sealed, created_at)
VALUES (:tenant_id, :endpoint_id, :id, :sealed, :now);

-- name: expire_secrets(tenant_id, endpoint_id, at)!
-- Lets the secrets so far sign along until a time, and no longer than they did before.
UPDATE webhooks.secrets SET expires_at = :at
WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND (expires_at IS NULL OR expires_at > :at);

-- name: count_secrets(tenant_id, endpoint_id, now)$
-- How many secrets sign now.
SELECT count(*) FROM webhooks.secrets
WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND (expires_at IS NULL OR expires_at > :now);

-- name: insert_event(tenant_id, id, type, endpoint_id, partner_id, now)!
-- An event about an endpoint, with the endpoint as it is. Its object id is its own: it waits for nothing.
INSERT INTO kernel.events (tenant_id, id, type, object_id, partner_id, occurred_at, data)
SELECT :tenant_id, :id, :type, :id, :partner_id, :now, to_jsonb(n)
FROM webhooks.endpoints n WHERE n.tenant_id = :tenant_id AND n.id = :endpoint_id
ON CONFLICT (tenant_id, id) DO NOTHING;

-- name: insert_delivery(tenant_id, endpoint_id, event_id, id, now)!
-- A delivery beside the outbox, due at once.
INSERT INTO webhooks.deliveries
    (tenant_id, endpoint_id, event_id, id, object_id, status, attempt_count, next_attempt_at, created_at)
VALUES (:tenant_id, :endpoint_id, :event_id, :id, :event_id, 'pending', 0, :now, :now);

-- name: deliveries(tenant_id, endpoint_id, status, before, limit)
-- A page of an endpoint's deliveries, newest event first.
SELECT d.id, d.endpoint_id, d.event_id, e.type, d.object_id, d.status, d.attempt_count, d.next_attempt_at,
       d.claimed_until, d.created_at, d.finished_at
FROM webhooks.deliveries d JOIN kernel.events e ON e.tenant_id = :tenant_id AND e.id = d.event_id
WHERE d.tenant_id = :tenant_id AND d.endpoint_id = :endpoint_id
  AND (:status::text IS NULL OR d.status = :status) AND (:before::uuid IS NULL OR d.event_id < :before)
ORDER BY d.event_id DESC LIMIT :limit;

-- name: delivery(tenant_id, partner_id, id)^
-- One delivery, if the asker may see its endpoint.
SELECT d.id, d.endpoint_id, d.event_id, e.type, d.object_id, d.status, d.attempt_count, d.next_attempt_at,
       d.claimed_until, d.created_at, d.finished_at
FROM webhooks.deliveries d
JOIN kernel.events e ON e.tenant_id = :tenant_id AND e.id = d.event_id
JOIN webhooks.endpoints n ON n.tenant_id = :tenant_id AND n.id = d.endpoint_id
WHERE d.tenant_id = :tenant_id AND d.id = :id AND (:partner_id::uuid IS NULL OR n.partner_id = :partner_id);

-- name: attempts(tenant_id, endpoint_id, event_id, limit)
-- The last attempts of a delivery, newest first.
SELECT id, url, duration_ms, status_code, error, response_excerpt
FROM webhooks.attempts
WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND event_id = :event_id
ORDER BY id DESC LIMIT :limit;

-- name: put_in_line(tenant_id, endpoint_id, event_id)!
-- Makes a delivery pending again, with its schedule from the start. It has no time yet.
UPDATE webhooks.deliveries
SET status = 'pending', attempt_count = 0, finished_at = NULL
WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND event_id = :event_id;

-- name: bring_forward(tenant_id, endpoint_id, event_id, now)!
-- Makes the first in line due now.
UPDATE webhooks.deliveries SET next_attempt_at = :now
WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND event_id = :event_id
  AND next_attempt_at IS NOT NULL;

-- name: line_up(tenant_id, endpoint_id, object_id, now)!
-- Puts the pending deliveries about one object in the order of their events.
SELECT webhooks.line_up(:tenant_id, :endpoint_id, ARRAY[:object_id::uuid], :now);

-- name: replay(tenant_id, endpoint_id, since, delivered, limit, now)
-- Puts events since a time in line again: each event looked at, and whether it was.
SELECT event_id, queued
FROM webhooks.replay(:tenant_id, :endpoint_id, kernel.uuid_floor(:since), :delivered, :limit, :now);

-- name: fan_out(tenant_id, now, limit)$
-- Turns outbox rows into deliveries; how many it took.
SELECT webhooks.fan_out(:tenant_id, :now, :limit);

-- name: claim(tenant_id, now, claim_id, until, limit)
-- Leases deliveries that are due.
SELECT endpoint_id, event_id, attempt_count, url, failing_since, secrets, type, occurred_at, data
FROM webhooks.claim(:tenant_id, :now, :claim_id, :until, :limit);

-- name: tenants()
-- Every tenant there is. It runs without a tenant's context.
SELECT tenant_id FROM tenancy.registry ORDER BY tenant_id;
