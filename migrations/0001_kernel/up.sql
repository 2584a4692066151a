-- Everything that every room of the house stands on.

CREATE SCHEMA IF NOT EXISTS kernel;
GRANT USAGE ON SCHEMA kernel TO florin_app, florin_readonly;

-- Functions are called by the roles they are granted to, and by nobody else.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- PostgreSQL 18 has uuidv7(); 17 gets one of the same shape (RFC 9562, section 5.7).
DO $shim$
BEGIN
    IF current_setting('server_version_num')::integer >= 180000 THEN
        CREATE FUNCTION kernel.uuidv7() RETURNS uuid
        LANGUAGE sql VOLATILE PARALLEL SAFE
        RETURN pg_catalog.uuidv7();
    ELSE
        CREATE FUNCTION kernel.uuidv7() RETURNS uuid
        LANGUAGE sql VOLATILE PARALLEL SAFE
        AS $$
            SELECT encode(
                set_bit(set_bit(
                    overlay(uuid_send(gen_random_uuid())
                        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                        FROM 1 FOR 6),
                    52, 1), 53, 1),
                'hex')::uuid
        $$;
    END IF;
END
$shim$;
GRANT EXECUTE ON FUNCTION kernel.uuidv7() TO florin_app;

-- The smallest UUIDv7 of a millisecond: the boundary of a partition, the start of a time range.
CREATE FUNCTION kernel.uuid_floor(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN encode(
    substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3) || '\x70008000000000000000'::bytea,
    'hex')::uuid;
GRANT EXECUTE ON FUNCTION kernel.uuid_floor(timestamptz) TO florin_app, florin_readonly;

-- A hot function serves the tenant of its transaction and no other.
CREATE FUNCTION kernel.require_tenant(p_tenant integer) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF p_tenant IS DISTINCT FROM current_setting('app.tenant_id')::integer THEN
        RAISE EXCEPTION 'tenant % asked for, but the transaction belongs to tenant %',
            p_tenant, current_setting('app.tenant_id')
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION kernel.require_tenant(integer) TO florin_app;

-- Row-level security, forced, with the one policy that every tenant table has.
CREATE PROCEDURE kernel.isolate(p_table regclass)
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', p_table);
    EXECUTE format(
        'CREATE POLICY tenant_isolation ON %s '
        'USING (tenant_id = current_setting(''app.tenant_id'')::integer) '
        'WITH CHECK (tenant_id = current_setting(''app.tenant_id'')::integer)', p_table);
END
$$;
REVOKE EXECUTE ON PROCEDURE kernel.isolate(regclass) FROM PUBLIC;

-- Append-only means append-only, for the owner too: corrections are new rows.
CREATE FUNCTION kernel.refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_ARGV[0], TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE PROCEDURE kernel.make_append_only(p_table regclass)
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
        'FOR EACH ROW EXECUTE FUNCTION kernel.refuse_change(%L)', p_table, p_table::text);
END
$$;
REVOKE EXECUTE ON PROCEDURE kernel.make_append_only(regclass) FROM PUBLIC;

-- Tables that grow without end are partitioned by month on a UUIDv7: the id carries its time,
-- so one key both finds a row and names its partition.
CREATE TABLE kernel.partitioned_tables (
    table_name  regclass NOT NULL,
    CONSTRAINT partitioned_tables_pkey PRIMARY KEY (table_name)
);

GRANT SELECT ON kernel.partitioned_tables TO florin_app, florin_readonly;

CREATE FUNCTION kernel.ensure_partitions(p_months_ahead integer DEFAULT 3) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_parent  regclass;
    v_month   timestamptz;
    v_schema  text;
    v_name    text;
    v_made    integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('kernel.ensure_partitions'));
    FOR v_parent IN SELECT table_name FROM kernel.partitioned_tables LOOP
        SELECT n.nspname, c.relname INTO v_schema, v_name
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = v_parent;
        FOR v_month IN
            SELECT generate_series(
                date_trunc('month', now(), 'UTC') - interval '1 month',
                date_trunc('month', now(), 'UTC') + make_interval(months => p_months_ahead),
                interval '1 month', 'UTC')
        LOOP
            CONTINUE WHEN to_regclass(format('%I.%I', v_schema,
                v_name || to_char(v_month AT TIME ZONE 'UTC', '"_y"YYYY"m"MM'))) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)',
                v_schema, v_name || to_char(v_month AT TIME ZONE 'UTC', '"_y"YYYY"m"MM'), v_parent,
                kernel.uuid_floor(v_month),
                kernel.uuid_floor(date_add(v_month, interval '1 month', 'UTC')));
            EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
                v_schema, v_name || to_char(v_month AT TIME ZONE 'UTC', '"_y"YYYY"m"MM'));
            v_made := v_made + 1;
        END LOOP;
    END LOOP;
    RETURN v_made;
END
$$;
GRANT EXECUTE ON FUNCTION kernel.ensure_partitions(integer) TO florin_app;

CREATE PROCEDURE kernel.partition_monthly(p_table regclass)
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO kernel.partitioned_tables (table_name) VALUES (p_table);
    PERFORM kernel.ensure_partitions();
END
$$;
REVOKE EXECUTE ON PROCEDURE kernel.partition_monthly(regclass) FROM PUBLIC;

-- Idempotency: one row per key that a client used, written with the effect that it stands for.
-- `slot` is a digest of (actor, operation, key); `digest` is that of the request's body.
CREATE TABLE kernel.idempotency_keys (
    tenant_id    integer     NOT NULL,
    slot         uuid        NOT NULL,
    digest       uuid        NOT NULL,
    resource_id  uuid        NOT NULL,
    created_at   timestamptz NOT NULL,
    status       smallint,          -- HTTP status of the stored answer; null: still in flight, or told by the resource
    answer       jsonb,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, slot)
);
CALL kernel.isolate('kernel.idempotency_keys');
-- Keys are forgotten after the retention time, so this table alone may lose rows.
GRANT SELECT, INSERT, UPDATE, DELETE ON kernel.idempotency_keys TO florin_app;

-- What happened, in the words of the public API: written with the change itself, never altered.
CREATE TABLE kernel.events (
    tenant_id    integer     NOT NULL,
    id           uuid        NOT NULL,
    type         text        NOT NULL,
    object_id    uuid        NOT NULL,   -- the payment, refund, account ... that it is about
    partner_id   uuid,                   -- whose endpoints are told; null: the tenant's own
    occurred_at  timestamptz NOT NULL,
    data         jsonb       NOT NULL,   -- the object as it was right after the change
    CONSTRAINT events_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT events_type_is_dotted CHECK (type ~ '^[a-z_]+(\.[a-z_]+)+$')
) PARTITION BY RANGE (id);
CREATE INDEX events_by_object ON kernel.events (tenant_id, object_id, id);
CALL kernel.isolate('kernel.events');
CALL kernel.make_append_only('kernel.events');
CALL kernel.partition_monthly('kernel.events');
GRANT SELECT, INSERT ON kernel.events TO florin_app;
GRANT SELECT ON kernel.events TO florin_readonly;

-- The outbox: events whose fan-out to endpoints is still owed. A row leaves with the fan-out.
CREATE TABLE kernel.outbox (
    tenant_id   integer NOT NULL,
    event_id    uuid    NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (tenant_id, event_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CALL kernel.isolate('kernel.outbox');
GRANT SELECT, INSERT, UPDATE, DELETE ON kernel.outbox TO florin_app;
