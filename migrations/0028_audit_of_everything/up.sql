-- The audit log watches all settings, notes privileged reads, and can be shortened from its beginning.

-- The history of one person, key or job; of one kind of doing; of one request; of one session.
CREATE INDEX log_by_actor ON audit.log (tenant_id, actor, id);
CREATE INDEX log_by_action ON audit.log (tenant_id, action, id);
CREATE INDEX log_by_request ON audit.log (tenant_id, request_id, id) WHERE request_id IS NOT NULL;
CREATE INDEX log_by_session ON audit.log (tenant_id, session_id, id) WHERE session_id IS NOT NULL;

-- Append-only rows are kept from TRUNCATE too. Triggers of a statement are not handed down to partitions: each gets
-- its own, the coming ones as they are made.
CREATE OR REPLACE PROCEDURE kernel.make_append_only(p_table regclass)
LANGUAGE plpgsql
AS $$
DECLARE
    v_part  regclass;
BEGIN
    EXECUTE format(
        'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
        'FOR EACH ROW EXECUTE FUNCTION kernel.refuse_change(%L)', p_table, p_table::text);
    FOR v_part IN SELECT p_table UNION SELECT relid FROM pg_partition_tree(p_table) LOOP
        CALL kernel.refuse_truncate(v_part, p_table);
    END LOOP;
END
$$;

CREATE PROCEDURE kernel.refuse_truncate(p_table regclass, p_name regclass)
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER not_truncated BEFORE TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION kernel.refuse_change(%L)', p_table, p_name::text);
END
$$;
REVOKE EXECUTE ON PROCEDURE kernel.refuse_truncate(regclass, regclass) FROM PUBLIC;

CREATE OR REPLACE FUNCTION kernel.ensure_partitions(p_months_ahead integer DEFAULT 3) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_parent     regclass;
    v_month      timestamptz;
    v_schema     text;
    v_name       text;
    v_partition  text;
    v_made       integer := 0;
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
            v_partition := format('%I.%I', v_schema, v_name || to_char(v_month AT TIME ZONE 'UTC', '"_y"YYYY"m"MM'));
            CONTINUE WHEN to_regclass(v_partition) IS NOT NULL;
            EXECUTE format('CREATE TABLE %s PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', v_partition, v_parent,
                kernel.uuid_floor(v_month), kernel.uuid_floor(date_add(v_month, interval '1 month', 'UTC')));
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', v_partition);
            IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = v_parent AND tgname = 'not_truncated') THEN
                CALL kernel.refuse_truncate(v_partition::regclass, v_parent);
            END IF;
            v_made := v_made + 1;
        END LOOP;
    END LOOP;
    RETURN v_made;
END
$$;

-- Where the chain begins since its beginning was removed: rows up to pruned_seq are gone, and the first that
-- remains follows on pruned_digest.
ALTER TABLE audit.heads
    ADD COLUMN pruned_seq     bigint NOT NULL DEFAULT 0,
    ADD COLUMN pruned_digest  bytea  NOT NULL DEFAULT sha256(''),
    ADD COLUMN pruned_before  timestamptz,
    ADD CONSTRAINT heads_pruned_before_end CHECK (pruned_seq BETWEEN 0 AND seq);

-- How long a tenant keeps its log: what its settings say, three years unless they do, never less than one.
CREATE FUNCTION audit.retention(p_tenant integer) RETURNS interval
LANGUAGE sql STABLE
RETURN make_interval(years => least(1000, greatest(1, ceil(coalesce((
    SELECT (c.value #>> '{}')::numeric FROM tenancy.configuration c
    WHERE c.tenant_id = p_tenant AND c.business_unit_id IS NULL AND c.key = 'retention.audit_years'
      AND c.type = 'NUMBER' AND c.effective_from <= now()
    ORDER BY c.effective_from DESC LIMIT 1), 3))))::integer);
GRANT EXECUTE ON FUNCTION audit.retention(integer) TO florin_app;

-- Rows are never altered. They leave only behind the mark that audit.prune has set, and never younger than a year:
-- that holds for the owner too.
CREATE FUNCTION audit.keep_rows() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.at < now() - interval '1 year' AND EXISTS (
        SELECT FROM audit.heads h WHERE h.tenant_id = OLD.tenant_id AND h.pruned_seq >= OLD.seq
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit.log is append-only: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
DROP TRIGGER append_only ON audit.log;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit.log FOR EACH ROW EXECUTE FUNCTION audit.keep_rows();

-- Removes a tenant's rows from before an instant, from the beginning of the chain on, p_limit at most; how many.
-- Call it until it returns 0. What it removes was whole: a broken row ends it (data_corrupted), so that nobody
-- removes the traces of what he altered. The log itself tells of each removal.
-- Raises check_violation where the tenant has to keep its log for longer.
CREATE FUNCTION audit.prune(p_tenant integer, p_before timestamptz, p_limit integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    v_head     audit.heads;
    v_seq      bigint;
    v_digest   bytea;
    v_broken   bigint;
    v_removed  integer;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    IF p_limit IS NULL OR p_limit < 1 THEN
        RAISE EXCEPTION 'p_limit must be 1 or more' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_before IS NULL OR p_before > now() - audit.retention(p_tenant) THEN
        RAISE EXCEPTION 'the audit log of tenant % is kept for %', p_tenant, audit.retention(p_tenant)
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT * INTO v_head FROM audit.heads WHERE tenant_id = p_tenant FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT max(r.seq) FILTER (WHERE r.old), min(r.seq) FILTER (WHERE r.old AND NOT r.whole)
    INTO v_seq, v_broken
    FROM (
        SELECT l.seq, bool_and(l.at < p_before) OVER w AS old,
               l.seq = v_head.pruned_seq + row_number() OVER w AND l.digest = audit.digest(l)
               AND l.previous = lag(l.digest, 1, v_head.pruned_digest) OVER w AS whole
        FROM (
            SELECT * FROM audit.log
            WHERE tenant_id = p_tenant AND seq > v_head.pruned_seq AND seq < v_head.seq
            ORDER BY seq, id LIMIT p_limit
        ) l
        WINDOW w AS (ORDER BY l.seq, l.id)
    ) r;
    IF v_broken IS NOT NULL THEN
        RAISE EXCEPTION 'row % of the audit log is broken: nothing is removed', v_broken
            USING ERRCODE = 'data_corrupted';
    END IF;
    IF v_seq IS NULL THEN
        RETURN 0;
    END IF;
    SELECT digest INTO v_digest FROM audit.log WHERE tenant_id = p_tenant AND seq = v_seq;
    UPDATE audit.heads SET pruned_seq = v_seq, pruned_digest = v_digest, pruned_before = p_before
    WHERE tenant_id = p_tenant;
    DELETE FROM audit.log WHERE tenant_id = p_tenant AND seq > v_head.pruned_seq AND seq <= v_seq;
    GET DIAGNOSTICS v_removed = ROW_COUNT;
    PERFORM audit.record(p_tenant, 'pruned', 'audit_log', v_seq::text, NULL, jsonb_build_object(
        'through', v_seq, 'digest', encode(v_digest, 'hex'), 'rows', v_removed, 'before', p_before));
    RETURN v_removed;
END
$$;
GRANT EXECUTE ON FUNCTION audit.prune(integer, timestamptz, integer) TO florin_app;

-- Numbers, times and chains these rows, in their order, and writes them.
CREATE FUNCTION audit.append(p_tenant integer, p_rows audit.log[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_head  audit.heads;
    v_row   audit.log;
    v_done  audit.log[] := '{}';
BEGIN
    INSERT INTO audit.heads (tenant_id, seq, digest) VALUES (p_tenant, 0, sha256(''))
    ON CONFLICT DO NOTHING;
    SELECT * INTO v_head FROM audit.heads WHERE tenant_id = p_tenant FOR UPDATE;
    FOREACH v_row IN ARRAY p_rows LOOP
        v_head.seq := v_head.seq + 1;
        v_row.tenant_id := p_tenant;
        v_row.id := kernel.uuidv7();
        v_row.seq := v_head.seq;
        v_row.at := clock_timestamp();
        v_row.previous := v_head.digest;
        v_row.digest := audit.digest(v_row);
        v_head.digest := v_row.digest;
        v_done := v_done || v_row;
    END LOOP;
    INSERT INTO audit.log SELECT r.* FROM unnest(v_done) r;
    UPDATE audit.heads SET seq = v_head.seq, digest = v_head.digest WHERE tenant_id = p_tenant;
END
$$;

CREATE OR REPLACE FUNCTION audit.record_all(
    p_tenant integer, p_action text, p_entity_type text, p_entity_ids text[], p_before jsonb[], p_after jsonb[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_row   audit.log;
    v_rows  audit.log[] := '{}';
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    v_row.actor := coalesce(nullif(current_setting('app.actor', true), ''), 'database:' || session_user);
    v_row.action := p_action;
    v_row.entity_type := p_entity_type;
    v_row.reason := nullif(current_setting('app.reason', true), '');
    v_row.address := nullif(current_setting('app.address', true), '');
    v_row.user_agent := nullif(current_setting('app.user_agent', true), '');
    v_row.request_id := nullif(current_setting('app.request_id', true), '');
    v_row.session_id := nullif(current_setting('app.session_id', true), '');
    FOR i IN 1 .. cardinality(p_entity_ids) LOOP
        v_row.entity_id := p_entity_ids[i];
        v_row.before := p_before[i];
        v_row.after := p_after[i];
        v_rows := v_rows || v_row;
    END LOOP;
    PERFORM audit.append(p_tenant, v_rows);
END
$$;

-- Notes reads, each with who reads: of several requests together, so that many readers share one commit.
--   p_notes  [{actor, reason, address, user_agent, request_id, session_id, entity_type, entity_id, details}, ...]
-- Returns one row per note.
CREATE FUNCTION audit.note_reads(p_tenant integer, p_notes jsonb) RETURNS TABLE (item integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_note  jsonb;
    v_row   audit.log;
    v_rows  audit.log[] := '{}';
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    v_row.action := 'read';
    FOR v_note IN SELECT n FROM jsonb_array_elements(p_notes) WITH ORDINALITY AS a (n, i) ORDER BY i LOOP
        v_row.actor := v_note ->> 'actor';
        v_row.entity_type := v_note ->> 'entity_type';
        v_row.entity_id := v_note ->> 'entity_id';
        v_row.after := v_note -> 'details';
        v_row.reason := v_note ->> 'reason';
        v_row.address := v_note ->> 'address';
        v_row.user_agent := v_note ->> 'user_agent';
        v_row.request_id := v_note ->> 'request_id';
        v_row.session_id := v_note ->> 'session_id';
        v_rows := v_rows || v_row;
    END LOOP;
    PERFORM audit.append(p_tenant, v_rows);
    RETURN QUERY SELECT generate_series(1, cardinality(v_rows));
END
$$;
GRANT EXECUTE ON FUNCTION audit.note_reads(integer, jsonb) TO florin_app;

-- A table can be watched anew with other columns.
CREATE OR REPLACE PROCEDURE audit.watch(
    p_table regclass, p_entity text, p_id text, p_columns text[], p_inserts boolean, p_hidden text[] DEFAULT '{}'
)
LANGUAGE plpgsql
AS $$
DECLARE
    v_arguments  text := (SELECT string_agg(quote_literal(a), ', ') FROM unnest(ARRAY[p_entity, p_id] || p_hidden) a);
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER audited AFTER UPDATE %s OR DELETE ON %s FOR EACH ROW '
                   'EXECUTE FUNCTION audit.record_change(%s)',
        CASE WHEN p_columns IS NULL THEN '' ELSE 'OF ' || (SELECT string_agg(quote_ident(c), ', ') FROM unnest(p_columns) c) END,
        p_table, v_arguments);
    IF p_inserts THEN
        EXECUTE format('CREATE OR REPLACE TRIGGER audited_inserts AFTER INSERT ON %s REFERENCING NEW TABLE AS made '
                       'FOR EACH STATEMENT EXECUTE FUNCTION audit.record_inserts(%s)', p_table, v_arguments);
    END IF;
END
$$;

-- Changes of the schema. Event triggers write here, where an administrator has put them up (`florin audit schema
-- --print-sql`); the embedded server has them from the start.
CREATE TABLE audit.schema_changes (
    id           uuid        NOT NULL,
    at           timestamptz NOT NULL,
    login        text        NOT NULL,    -- who is connected
    role         text        NOT NULL,    -- as whom
    application  text,
    address      text,                    -- null: over a local socket
    command      text        NOT NULL,    -- the command's tag: ALTER TABLE
    object_type  text,
    object       text,                    -- null: the command names none (GRANT)
    statement    text,                    -- its beginning, without literals and comments
    reason       text,                    -- the migration, for one
    CONSTRAINT schema_changes_pkey PRIMARY KEY (id)
);
CALL kernel.make_append_only('audit.schema_changes');
GRANT SELECT ON audit.schema_changes TO florin_app, florin_readonly;

-- What locks tables that postings use comes last, and lasts milliseconds.

-- The append-only tables that there are, and their partitions.
DO $$
DECLARE
    v_table  regclass;
    v_part   regclass;
BEGIN
    FOR v_table, v_part IN
        SELECT t.tgrelid::regclass, p.relid
        FROM pg_trigger t CROSS JOIN LATERAL pg_partition_tree(t.tgrelid) p
        WHERE t.tgname = 'append_only' AND t.tgparentid = 0
        UNION
        SELECT t.tgrelid::regclass, t.tgrelid FROM pg_trigger t WHERE t.tgname = 'append_only' AND t.tgparentid = 0
        ORDER BY 1, 2
    LOOP
        CALL kernel.refuse_truncate(v_part, v_table);
    END LOOP;
END
$$;

-- Whatever is a setting and was not watched. Hidden: secrets, what is personal and not sealed, and what the system
-- itself keeps moving.
DO $$
DECLARE
    v_table  record;
BEGIN
    FOR v_table IN SELECT * FROM (VALUES
        ('tenancy.tenants',        'tenant',         'tenant_id', NULL::text[],              true,  '{updated_at}'::text[]),
        ('tenancy.business_units', 'business_unit',  'id',        NULL,                      true,  '{updated_at,parent_level}'),
        ('tenancy.partners',       'partner',        'id',        NULL,                      true,  '{updated_at}'),
        ('tenancy.customers',      'customer',       'id',        NULL,                      true,  '{name,email,metadata,updated_at,name_index,email_index,phone_index}'),
        ('tenancy.configuration',  'setting',        'key',       NULL,                      true,  '{sealed}'),
        ('access.api_keys',        'api_key',        'id',        NULL,                      true,  '{digest,last_used_at}'),
        ('access.sessions',        'session',        'id',        '{ended_at,ended_reason}', false, '{last_used_at,address,user_agent}'),
        ('webhooks.endpoints',     'endpoint',       'id',        NULL,                      true,  '{failing_since,paused_until,updated_at}'),
        ('webhooks.secrets',       'webhook_secret', 'id',        NULL,                      true,  '{sealed}'),
        ('ledger.imports',         'import',         'id',        '{status}',                true,  '{rows_total,rows_done,rows_refused,updated_at}'),
        ('kernel.data_keys',       'data_key',       'purpose',   NULL,                      true,  '{wrapped}'),
        ('kernel.people',          'person',         'id',        '{erased_at,erased_by}',   false, '{wrapped}')
    ) AS t (name, entity, id, columns, inserts, hidden) LOOP
        IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = v_table.name::regclass AND tgname = 'audited') THEN
            CALL audit.watch(v_table.name::regclass, v_table.entity, v_table.id, v_table.columns, v_table.inserts, v_table.hidden);
        END IF;
    END LOOP;
END
$$;
