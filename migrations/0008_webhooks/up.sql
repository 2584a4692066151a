-- Webhooks: endpoints, deliveries and attempts. The reasons stand in note.md.

CREATE SCHEMA webhooks;
GRANT USAGE ON SCHEMA webhooks TO florin_app, florin_readonly;

CREATE TABLE webhooks.endpoints (
    tenant_id         integer     NOT NULL,
    id                uuid        NOT NULL,
    partner_id        uuid,                   -- null: the tenant's own
    include_partners  boolean     NOT NULL,   -- the tenant's own endpoint also hears what its partners hear
    url               text        NOT NULL,
    description       text,
    events            text[]      NOT NULL,   -- `payment.completed`, `payment.*`, `*`
    status            text        NOT NULL,
    disabled_reason   text,
    disabled_at       timestamptz,
    max_in_flight     smallint    NOT NULL,   -- requests at a time, while it answers well
    failing_since     timestamptz,            -- first failure after the last success
    paused_until      timestamptz,            -- it asked for rest with Retry-After
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    CONSTRAINT endpoints_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT endpoints_status_known CHECK (status IN ('enabled', 'disabled')),
    CONSTRAINT endpoints_reason_known CHECK (disabled_reason IN ('requested', 'gone', 'failing')),
    CONSTRAINT endpoints_disabled_has_reason CHECK (
        (status = 'disabled') = (disabled_reason IS NOT NULL)
        AND (status = 'disabled') = (disabled_at IS NOT NULL)),
    CONSTRAINT endpoints_only_tenant_includes_partners CHECK (partner_id IS NULL OR NOT include_partners),
    CONSTRAINT endpoints_in_flight_range CHECK (max_in_flight BETWEEN 1 AND 50),
    CONSTRAINT endpoints_url_length CHECK (length(url) <= 2000),
    CONSTRAINT endpoints_events_given CHECK (cardinality(events) BETWEEN 1 AND 100)
);
CREATE INDEX endpoints_by_partner ON webhooks.endpoints (tenant_id, partner_id, id);
CALL kernel.isolate('webhooks.endpoints');
GRANT SELECT, INSERT, UPDATE ON webhooks.endpoints TO florin_app;
GRANT SELECT ON webhooks.endpoints TO florin_readonly;

CREATE TABLE webhooks.secrets (
    tenant_id    integer     NOT NULL,
    endpoint_id  uuid        NOT NULL,
    id           uuid        NOT NULL,
    sealed       bytea       NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,               -- null: the current one; else it signs along until then
    CONSTRAINT secrets_pkey PRIMARY KEY (tenant_id, endpoint_id, id),
    CONSTRAINT secrets_endpoint_fkey FOREIGN KEY (tenant_id, endpoint_id)
        REFERENCES webhooks.endpoints (tenant_id, id)
);
CALL kernel.isolate('webhooks.secrets');
GRANT SELECT, INSERT, UPDATE ON webhooks.secrets TO florin_app;

CREATE TABLE webhooks.deliveries (
    tenant_id        integer     NOT NULL,
    endpoint_id      uuid        NOT NULL,
    event_id         uuid        NOT NULL,
    id               uuid        NOT NULL,
    object_id        uuid        NOT NULL,   -- the event's: deliveries about one object keep their order
    status           text        NOT NULL,
    attempt_count    integer     NOT NULL,   -- since it was last put in line
    next_attempt_at  timestamptz,            -- null while an earlier one about the same object is pending
    claim_id         uuid,
    claimed_until    timestamptz,
    created_at       timestamptz NOT NULL,
    finished_at      timestamptz,
    CONSTRAINT deliveries_pkey PRIMARY KEY (tenant_id, endpoint_id, event_id),
    CONSTRAINT deliveries_endpoint_fkey FOREIGN KEY (tenant_id, endpoint_id)
        REFERENCES webhooks.endpoints (tenant_id, id),
    CONSTRAINT deliveries_status_known CHECK (status IN ('pending', 'delivered', 'failed', 'discarded')),
    CONSTRAINT deliveries_finished_is_at_rest CHECK (
        (status = 'pending') = (finished_at IS NULL)
        AND (status = 'pending' OR (next_attempt_at IS NULL AND claim_id IS NULL))),
    CONSTRAINT deliveries_claim_has_lease CHECK ((claim_id IS NULL) = (claimed_until IS NULL))
) PARTITION BY RANGE (event_id);
CREATE INDEX deliveries_due ON webhooks.deliveries (tenant_id, endpoint_id, next_attempt_at)
    WHERE status = 'pending' AND next_attempt_at IS NOT NULL;
CREATE INDEX deliveries_in_line ON webhooks.deliveries (tenant_id, endpoint_id, object_id, event_id)
    WHERE status = 'pending';
CREATE INDEX deliveries_in_flight ON webhooks.deliveries (tenant_id, endpoint_id, claimed_until)
    WHERE claimed_until IS NOT NULL;
CREATE INDEX deliveries_given_up ON webhooks.deliveries (tenant_id, endpoint_id, event_id)
    WHERE status IN ('failed', 'discarded');
CREATE INDEX deliveries_by_id ON webhooks.deliveries (tenant_id, id);
CALL kernel.isolate('webhooks.deliveries');
CALL kernel.partition_monthly('webhooks.deliveries');
GRANT SELECT, INSERT, UPDATE ON webhooks.deliveries TO florin_app;
GRANT SELECT ON webhooks.deliveries TO florin_readonly;

CREATE TABLE webhooks.attempts (
    tenant_id         integer  NOT NULL,
    id                uuid     NOT NULL,   -- carries the time of its start
    endpoint_id       uuid     NOT NULL,
    event_id          uuid     NOT NULL,
    url               text     NOT NULL,   -- as it was then
    duration_ms       integer  NOT NULL,
    status_code       smallint,            -- null: no answer
    error             text,                -- null: answered with a 2xx
    response_excerpt  text,
    CONSTRAINT attempts_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT attempts_excerpt_length CHECK (length(response_excerpt) <= 1000)
) PARTITION BY RANGE (id);
CREATE INDEX attempts_by_delivery ON webhooks.attempts (tenant_id, endpoint_id, event_id, id);
CALL kernel.isolate('webhooks.attempts');
CALL kernel.make_append_only('webhooks.attempts');
CALL kernel.partition_monthly('webhooks.attempts');
GRANT SELECT, INSERT ON webhooks.attempts TO florin_app;
GRANT SELECT ON webhooks.attempts TO florin_readonly;

-- One worker at a time looks after a tenant's deliveries; a turn is one short transaction.
CREATE FUNCTION webhooks.take_turn(p_tenant integer) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    PERFORM pg_advisory_xact_lock(hashtext('webhooks.take_turn'), p_tenant);
END
$$;
GRANT EXECUTE ON FUNCTION webhooks.take_turn(integer) TO florin_app;

-- Whether an endpoint's filter lets a type of event through.
CREATE FUNCTION webhooks.wants(p_filters text[], p_type text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN EXISTS (
    SELECT FROM unnest(p_filters) AS f (filter)
    WHERE f.filter = p_type OR f.filter = '*'
       OR (right(f.filter, 2) = '.*' AND starts_with(p_type, left(f.filter, -1))));
GRANT EXECUTE ON FUNCTION webhooks.wants(text[], text) TO florin_app;

-- Takes up to p_limit events from the outbox, oldest first, and notes a delivery for every endpoint
-- that wants them. Returns how many events it took: fewer than p_limit means that the outbox is empty.
CREATE FUNCTION webhooks.fan_out(p_tenant integer, p_now timestamptz, p_limit integer) RETURNS integer
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_events uuid[];
BEGIN
    PERFORM webhooks.take_turn(p_tenant);
    WITH oldest AS MATERIALIZED (
        SELECT event_id FROM kernel.outbox WHERE tenant_id = p_tenant
        ORDER BY event_id LIMIT p_limit FOR UPDATE SKIP LOCKED
    ), taken AS (
        DELETE FROM kernel.outbox o USING oldest
        WHERE o.tenant_id = p_tenant AND o.event_id = oldest.event_id
        RETURNING o.event_id
    )
    SELECT array_agg(event_id) INTO v_events FROM taken;
    IF v_events IS NULL THEN
        RETURN 0;
    END IF;
    INSERT INTO webhooks.deliveries
        (tenant_id, endpoint_id, event_id, id, object_id, status, attempt_count, next_attempt_at, created_at)
    SELECT p_tenant, o.endpoint_id, o.event_id, kernel.uuidv7(), o.object_id, 'pending', 0,
           CASE WHEN o.place = 1 AND NOT EXISTS (
               SELECT FROM webhooks.deliveries d
               WHERE d.tenant_id = p_tenant AND d.endpoint_id = o.endpoint_id
                 AND d.object_id = o.object_id AND d.status = 'pending' AND d.event_id < o.event_id)
           THEN p_now END,
           p_now
    FROM (
        SELECT n.id AS endpoint_id, e.id AS event_id, e.object_id,
               row_number() OVER (PARTITION BY n.id, e.object_id ORDER BY e.id) AS place
        FROM unnest(v_events) AS t (event_id)
        JOIN kernel.events e ON e.tenant_id = p_tenant AND e.id = t.event_id
        JOIN webhooks.endpoints n ON n.tenant_id = p_tenant AND n.status = 'enabled'
            AND (n.partner_id IS NOT DISTINCT FROM e.partner_id OR n.include_partners)
            AND webhooks.wants(n.events, e.type)
    ) o
    ORDER BY o.event_id
    ON CONFLICT (tenant_id, endpoint_id, event_id) DO NOTHING;
    RETURN cardinality(v_events);
END
$$;
GRANT EXECUTE ON FUNCTION webhooks.fan_out(integer, timestamptz, integer) TO florin_app;

-- Leases what is due: at most p_limit, per endpoint no more than may be in flight there (one while it is
-- failing), every endpoint's first before any endpoint's second.
CREATE FUNCTION webhooks.claim(
    p_tenant integer, p_now timestamptz, p_claim uuid, p_until timestamptz, p_limit integer)
RETURNS TABLE (
    endpoint_id uuid, event_id uuid, attempt_count integer, url text, failing_since timestamptz,
    secrets bytea[], type text, occurred_at timestamptz, data jsonb)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_endpoints uuid[];
    v_events    uuid[];
BEGIN
    PERFORM webhooks.take_turn(p_tenant);
    SELECT array_agg(c.endpoint_id), array_agg(c.event_id) INTO v_endpoints, v_events
    FROM (
        SELECT n.id AS endpoint_id, d.event_id
        FROM webhooks.endpoints n
        CROSS JOIN LATERAL (
            SELECT CASE WHEN n.failing_since IS NULL THEN n.max_in_flight ELSE 1 END - count(*) AS free
            FROM webhooks.deliveries f
            WHERE f.tenant_id = p_tenant AND f.endpoint_id = n.id AND f.claimed_until > p_now
        ) slots
        CROSS JOIN LATERAL (
            SELECT w.event_id, w.next_attempt_at,
                   row_number() OVER (ORDER BY w.next_attempt_at, w.event_id) AS place
            FROM webhooks.deliveries w
            WHERE w.tenant_id = p_tenant AND w.endpoint_id = n.id
              AND w.status = 'pending' AND w.next_attempt_at <= p_now
            ORDER BY w.next_attempt_at, w.event_id
            LIMIT greatest(slots.free, 0)
        ) d
        WHERE n.tenant_id = p_tenant AND n.status = 'enabled'
          AND (n.paused_until IS NULL OR n.paused_until <= p_now)
        ORDER BY d.place, d.next_attempt_at
        LIMIT p_limit
    ) c;
    IF v_events IS NULL THEN
        RETURN;
    END IF;
    UPDATE webhooks.deliveries d
    SET claim_id = p_claim, claimed_until = p_until, next_attempt_at = p_until
    FROM unnest(v_endpoints, v_events) AS c (endpoint_id, event_id)
    WHERE d.tenant_id = p_tenant AND d.endpoint_id = c.endpoint_id AND d.event_id = c.event_id;
    RETURN QUERY
        SELECT d.endpoint_id, d.event_id, d.attempt_count, n.url, n.failing_since,
               ARRAY(SELECT s.sealed FROM webhooks.secrets s
                     WHERE s.tenant_id = p_tenant AND s.endpoint_id = n.id
                       AND (s.expires_at IS NULL OR s.expires_at > p_now)
                     ORDER BY s.id DESC),
               e.type, e.occurred_at, e.data
        FROM unnest(v_endpoints, v_events) AS c (endpoint_id, event_id)
        JOIN webhooks.deliveries d ON d.tenant_id = p_tenant
            AND d.endpoint_id = c.endpoint_id AND d.event_id = c.event_id
        JOIN webhooks.endpoints n ON n.tenant_id = p_tenant AND n.id = c.endpoint_id
        JOIN kernel.events e ON e.tenant_id = p_tenant AND e.id = c.event_id;
END
$$;
GRANT EXECUTE ON FUNCTION webhooks.claim(integer, timestamptz, uuid, timestamptz, integer) TO florin_app;

-- Puts the pending deliveries about some objects in line: the first has a time, the others wait.
CREATE FUNCTION webhooks.line_up(p_tenant integer, p_endpoint uuid, p_objects uuid[], p_now timestamptz)
RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM webhooks.take_turn(p_tenant);
    WITH line AS MATERIALIZED (
        SELECT d.event_id, d.next_attempt_at, d.claimed_until,
               row_number() OVER (PARTITION BY d.object_id ORDER BY d.event_id) AS place
        FROM webhooks.deliveries d
        WHERE d.tenant_id = p_tenant AND d.endpoint_id = p_endpoint
          AND d.object_id = ANY (p_objects) AND d.status = 'pending'
    )
    UPDATE webhooks.deliveries d
    SET next_attempt_at = CASE WHEN line.place = 1 THEN p_now END
    FROM line
    WHERE d.tenant_id = p_tenant AND d.endpoint_id = p_endpoint AND d.event_id = line.event_id
      AND CASE WHEN line.place = 1 THEN line.next_attempt_at IS NULL
          ELSE line.next_attempt_at IS NOT NULL
               AND (line.claimed_until IS NULL OR line.claimed_until <= p_now) END;
END
$$;
GRANT EXECUTE ON FUNCTION webhooks.line_up(integer, uuid, uuid[], timestamptz) TO florin_app;

-- Stops an endpoint and discards what it was still owed. Unless its owner asked for this, its owner's
-- other endpoints are told. Returns whether it was enabled.
CREATE FUNCTION webhooks.disable(p_tenant integer, p_endpoint uuid, p_reason text, p_now timestamptz)
RETURNS boolean
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_event uuid := kernel.uuidv7();
BEGIN
    PERFORM webhooks.take_turn(p_tenant);
    UPDATE webhooks.endpoints n
    SET status = 'disabled', disabled_reason = p_reason, disabled_at = p_now, updated_at = p_now
    WHERE n.tenant_id = p_tenant AND n.id = p_endpoint AND n.status = 'enabled';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE webhooks.deliveries d
    SET status = 'discarded', finished_at = p_now, next_attempt_at = NULL, claim_id = NULL, claimed_until = NULL
    WHERE d.tenant_id = p_tenant AND d.endpoint_id = p_endpoint AND d.status = 'pending';
    IF p_reason <> 'requested' THEN
        INSERT INTO kernel.events (tenant_id, id, type, object_id, partner_id, occurred_at, data)
        SELECT p_tenant, v_event, 'webhook_endpoint.disabled', n.id, n.partner_id, p_now, to_jsonb(n)
        FROM webhooks.endpoints n WHERE n.tenant_id = p_tenant AND n.id = p_endpoint
        ON CONFLICT (tenant_id, id) DO NOTHING;
        INSERT INTO kernel.outbox (tenant_id, event_id) VALUES (p_tenant, v_event);
    END IF;
    RETURN true;
END
$$;
GRANT EXECUTE ON FUNCTION webhooks.disable(integer, uuid, text, timestamptz) TO florin_app;

-- Notes what became of claimed deliveries, an item each: the attempt, the delivery's new state, the
-- endpoint's health, and the next in line. Safe to call again with the same items. Results: delivered;
-- retry (p_next says when); failed (given up); released (not tried after all: due again at once).
-- Returns a row per item: whether its claim still held.
CREATE FUNCTION webhooks.finish(
    p_tenant integer, p_now timestamptz, p_attempts uuid[], p_endpoints uuid[], p_events uuid[],
    p_claims uuid[], p_urls text[], p_durations_ms integer[], p_status_codes smallint[], p_errors text[],
    p_excerpts text[], p_results text[], p_next timestamptz[], p_pauses timestamptz[], p_disables text[])
RETURNS TABLE (held boolean)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_held    uuid[];
    v_target  record;
BEGIN
    PERFORM webhooks.take_turn(p_tenant);

    INSERT INTO webhooks.attempts
        (tenant_id, id, endpoint_id, event_id, url, duration_ms, status_code, error, response_excerpt)
    SELECT p_tenant, a.id, a.endpoint_id, a.event_id, a.url, a.duration_ms, a.status_code, a.error, a.excerpt
    FROM unnest(p_attempts, p_endpoints, p_events, p_urls, p_durations_ms, p_status_codes, p_errors,
                p_excerpts, p_results)
        AS a (id, endpoint_id, event_id, url, duration_ms, status_code, error, excerpt, result)
    WHERE a.result <> 'released'
    ON CONFLICT (tenant_id, id) DO NOTHING;

    -- A delivery that arrived has arrived, whoever holds the claim by now.
    WITH done AS MATERIALIZED (
        SELECT f.id, d.endpoint_id, d.event_id, f.result, f.next_at,
               EXISTS (SELECT FROM webhooks.deliveries b
                       WHERE b.tenant_id = p_tenant AND b.endpoint_id = d.endpoint_id
                         AND b.object_id = d.object_id AND b.status = 'pending'
                         AND b.event_id < d.event_id) AS behind
        FROM unnest(p_attempts, p_endpoints, p_events, p_claims, p_results, p_next)
            AS f (id, endpoint_id, event_id, claim_id, result, next_at)
        JOIN webhooks.deliveries d ON d.tenant_id = p_tenant
            AND d.endpoint_id = f.endpoint_id AND d.event_id = f.event_id
        WHERE (d.status = 'pending' AND d.claim_id = f.claim_id)
           OR (d.status <> 'delivered' AND f.result = 'delivered')
    ), changed AS (
        UPDATE webhooks.deliveries d
        SET status = CASE WHEN done.result IN ('delivered', 'failed') THEN done.result ELSE 'pending' END,
            finished_at = CASE WHEN done.result IN ('delivered', 'failed') THEN p_now END,
            attempt_count = d.attempt_count + CASE WHEN done.result = 'released' THEN 0 ELSE 1 END,
            next_attempt_at = CASE
                WHEN done.result IN ('delivered', 'failed') OR done.behind THEN NULL
                WHEN done.result = 'released' THEN p_now
                ELSE done.next_at END,
            claim_id = NULL, claimed_until = NULL
        FROM done
        WHERE d.tenant_id = p_tenant AND d.endpoint_id = done.endpoint_id AND d.event_id = done.event_id
        RETURNING done.id
    )
    SELECT coalesce(array_agg(id), '{}') INTO v_held FROM changed;

    -- The next in line behind each that has ended.
    WITH heads AS MATERIALIZED (
        SELECT DISTINCT d.endpoint_id, h.event_id
        FROM unnest(p_endpoints, p_events, p_results) AS f (endpoint_id, event_id, result)
        JOIN webhooks.deliveries d ON d.tenant_id = p_tenant
            AND d.endpoint_id = f.endpoint_id AND d.event_id = f.event_id
        CROSS JOIN LATERAL (
            SELECT b.event_id, b.next_attempt_at FROM webhooks.deliveries b
            WHERE b.tenant_id = p_tenant AND b.endpoint_id = d.endpoint_id
              AND b.object_id = d.object_id AND b.status = 'pending'
            ORDER BY b.event_id LIMIT 1
        ) h
        WHERE f.result IN ('delivered', 'failed') AND h.next_attempt_at IS NULL
    )
    UPDATE webhooks.deliveries d SET next_attempt_at = p_now
    FROM heads
    WHERE d.tenant_id = p_tenant AND d.endpoint_id = heads.endpoint_id AND d.event_id = heads.event_id;

    -- An endpoint that answers well loses its marks; most have none, and then their row is left alone.
    WITH health AS MATERIALIZED (
        SELECT f.endpoint_id, bool_or(f.result = 'delivered') AS well, max(f.pause_until) AS pause_until
        FROM unnest(p_endpoints, p_results, p_errors, p_pauses) AS f (endpoint_id, result, error, pause_until)
        WHERE f.result <> 'released' AND f.error IS DISTINCT FROM 'not_sendable' -- a fault of ours
        GROUP BY f.endpoint_id
    )
    UPDATE webhooks.endpoints n
    SET failing_since = CASE WHEN health.well THEN NULL ELSE coalesce(n.failing_since, p_now) END,
        paused_until = CASE WHEN health.well THEN health.pause_until
                            ELSE greatest(n.paused_until, health.pause_until) END
    FROM health
    WHERE n.tenant_id = p_tenant AND n.id = health.endpoint_id
      AND (NOT health.well OR n.failing_since IS NOT NULL OR n.paused_until IS NOT NULL
           OR health.pause_until IS NOT NULL);

    FOR v_target IN
        SELECT f.endpoint_id, min(f.reason) AS reason
        FROM unnest(p_endpoints, p_disables) AS f (endpoint_id, reason)
        JOIN webhooks.endpoints n ON n.tenant_id = p_tenant AND n.id = f.endpoint_id
        WHERE f.reason = 'gone' OR (f.reason = 'failing' AND n.failing_since IS NOT NULL)
        GROUP BY f.endpoint_id
        ORDER BY f.endpoint_id
    LOOP
        PERFORM webhooks.disable(p_tenant, v_target.endpoint_id,
            CASE WHEN v_target.reason = 'failing' THEN 'failing' ELSE 'gone' END, p_now);
    END LOOP;

    RETURN QUERY
        SELECT f.id = ANY (v_held) FROM unnest(p_attempts) WITH ORDINALITY AS f (id, place) ORDER BY f.place;
END
$$;
GRANT EXECUTE ON FUNCTION webhooks.finish(
    integer, timestamptz, uuid[], uuid[], uuid[], uuid[], text[], integer[], smallint[], text[], text[],
    text[], timestamptz[], timestamptz[], text[]) TO florin_app;

-- Puts events since a time in an endpoint's line again, up to p_limit of them: those that were given up,
-- discarded or never noted for it, and with p_delivered those that arrived. Returns a row per event that it
-- looked at, oldest first: whether it was put in line.
CREATE FUNCTION webhooks.replay(
    p_tenant integer, p_endpoint uuid, p_since uuid, p_delivered boolean, p_limit integer, p_now timestamptz)
RETURNS TABLE (event_id uuid, queued boolean)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_events   uuid[];
    v_queued   uuid[];
    v_objects  uuid[];
BEGIN
    PERFORM webhooks.take_turn(p_tenant);
    SELECT array_agg(c.id) INTO v_events
    FROM (
        SELECT e.id
        FROM webhooks.endpoints n
        JOIN kernel.events e ON e.tenant_id = p_tenant AND e.id >= p_since
            AND (n.partner_id IS NOT DISTINCT FROM e.partner_id OR n.include_partners)
            AND webhooks.wants(n.events, e.type)
        WHERE n.tenant_id = p_tenant AND n.id = p_endpoint
        ORDER BY e.id LIMIT p_limit
    ) c;
    WITH queued AS (
        INSERT INTO webhooks.deliveries AS d
            (tenant_id, endpoint_id, event_id, id, object_id, status, attempt_count, created_at)
        SELECT p_tenant, p_endpoint, e.id, kernel.uuidv7(), e.object_id, 'pending', 0, p_now
        FROM unnest(v_events) AS t (event_id)
        JOIN kernel.events e ON e.tenant_id = p_tenant AND e.id = t.event_id
        ORDER BY e.id
        ON CONFLICT (tenant_id, endpoint_id, event_id) DO UPDATE
        SET status = 'pending', attempt_count = 0, finished_at = NULL
        WHERE d.status IN ('failed', 'discarded') OR (p_delivered AND d.status = 'delivered')
        RETURNING d.event_id, d.object_id
    )
    SELECT coalesce(array_agg(q.event_id), '{}'), array_agg(DISTINCT q.object_id)
    INTO v_queued, v_objects FROM queued q;
    PERFORM webhooks.line_up(p_tenant, p_endpoint, v_objects, p_now);
    RETURN QUERY SELECT t.id, t.id = ANY (v_queued) FROM unnest(v_events) AS t (id);
END
$$;
GRANT EXECUTE ON FUNCTION webhooks.replay(integer, uuid, uuid, boolean, integer, timestamptz) TO florin_app;
