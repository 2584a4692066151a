-- Who changed what, when, from where and why: written by the database in the transaction of the change.

CREATE SCHEMA audit;
GRANT USAGE ON SCHEMA audit TO florin_app, florin_readonly;

-- The end of each tenant's chain. Its row is the lock: changes of settings are rare, and stand in one order.
CREATE TABLE audit.heads (
    tenant_id  integer NOT NULL,
    seq        bigint  NOT NULL,
    digest     bytea   NOT NULL,
    CONSTRAINT heads_pkey PRIMARY KEY (tenant_id)
);
CALL kernel.isolate('audit.heads');
GRANT SELECT ON audit.heads TO florin_app, florin_readonly;

-- One row per change. `digest` is the SHA-256 of the row before it and of this row (audit.digest), so that
-- no row can be altered, added or taken out in between without all later ones showing it.
CREATE TABLE audit.log (
    tenant_id    integer     NOT NULL,
    id           uuid        NOT NULL,
    seq          bigint      NOT NULL,      -- without a gap per tenant
    at           timestamptz NOT NULL,
    actor        text        NOT NULL,      -- the key, user or job; 'database:<role>' for whoever came past the API
    action       text        NOT NULL,      -- created, changed or deleted; or what a feature calls it
    entity_type  text        NOT NULL,
    entity_id    text        NOT NULL,
    before       jsonb,
    after        jsonb,
    reason       text,
    address      text,
    user_agent   text,
    request_id   text,
    session_id   text,
    previous     bytea       NOT NULL,
    digest       bytea       NOT NULL,
    CONSTRAINT log_pkey PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX log_by_entity ON audit.log (tenant_id, entity_type, entity_id, id);
CALL kernel.isolate('audit.log');
CALL kernel.make_append_only('audit.log');
CALL kernel.partition_monthly('audit.log');
GRANT SELECT ON audit.log TO florin_app, florin_readonly;

-- What a row of the log is chained by.
CREATE FUNCTION audit.digest(r audit.log) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(r.previous || convert_to(jsonb_build_array(r.tenant_id, r.id, r.seq,
    (extract(epoch FROM r.at) * 1000000)::bigint, r.actor, r.action, r.entity_type, r.entity_id, r.before, r.after,
    r.reason, r.address, r.user_agent, r.request_id, r.session_id)::text, 'UTF8'));
GRANT EXECUTE ON FUNCTION audit.digest(audit.log) TO florin_app, florin_readonly;

-- Writes rows of the log, one per element. Who acts, and why, stands in the transaction's settings app.actor,
-- app.reason, app.address, app.user_agent, app.request_id and app.session_id. Nobody but this function can write there.
-- The end of the chain is read and written once for all of them: a row that one transaction updates again and again
-- leaves all its versions to be passed by the next look.
CREATE FUNCTION audit.record_all(
    p_tenant integer, p_action text, p_entity_type text, p_entity_ids text[], p_before jsonb[], p_after jsonb[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_head  audit.heads;
    v_row   audit.log;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    INSERT INTO audit.heads (tenant_id, seq, digest) VALUES (p_tenant, 0, sha256(''))
    ON CONFLICT DO NOTHING;
    SELECT * INTO v_head FROM audit.heads WHERE tenant_id = p_tenant FOR UPDATE;
    v_row.tenant_id := p_tenant;
    v_row.seq := v_head.seq;
    v_row.digest := v_head.digest;
    v_row.actor := coalesce(nullif(current_setting('app.actor', true), ''), 'database:' || session_user);
    v_row.action := p_action;
    v_row.entity_type := p_entity_type;
    v_row.reason := nullif(current_setting('app.reason', true), '');
    v_row.address := nullif(current_setting('app.address', true), '');
    v_row.user_agent := nullif(current_setting('app.user_agent', true), '');
    v_row.request_id := nullif(current_setting('app.request_id', true), '');
    v_row.session_id := nullif(current_setting('app.session_id', true), '');
    FOR i IN 1 .. cardinality(p_entity_ids) LOOP
        v_row.id := kernel.uuidv7();
        v_row.seq := v_row.seq + 1;
        v_row.at := clock_timestamp();
        v_row.entity_id := p_entity_ids[i];
        v_row.before := p_before[i];
        v_row.after := p_after[i];
        v_row.previous := v_row.digest;
        v_row.digest := audit.digest(v_row);
        INSERT INTO audit.log SELECT v_row.*;
    END LOOP;
    UPDATE audit.heads SET seq = v_row.seq, digest = v_row.digest WHERE tenant_id = p_tenant;
END
$$;

-- Writes one row of the log.
CREATE FUNCTION audit.record(
    p_tenant integer, p_action text, p_entity_type text, p_entity_id text, p_before jsonb, p_after jsonb
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit.record_all(p_tenant, p_action, p_entity_type, ARRAY[p_entity_id], ARRAY[p_before], ARRAY[p_after]);
END
$$;
GRANT EXECUTE ON FUNCTION audit.record(integer, text, text, text, jsonb, jsonb) TO florin_app;

-- The trigger behind audit.watch: arguments are the entity's type, the column of its id, and the columns
-- that are nobody's settings (balances) or nobody's to read (secrets).
CREATE FUNCTION audit.record_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_before  jsonb := to_jsonb(OLD) - TG_ARGV[2:];
    v_after   jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - TG_ARGV[2:] END;
BEGIN
    IF v_before IS DISTINCT FROM v_after THEN
        PERFORM audit.record((v_before ->> 'tenant_id')::integer,
            CASE TG_OP WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END,
            TG_ARGV[0], coalesce(v_after, v_before) ->> TG_ARGV[1], v_before - 'tenant_id', v_after - 'tenant_id');
    END IF;
    RETURN NULL;
END
$$;

-- The same for new rows, all of a statement's at once.
CREATE FUNCTION audit.record_inserts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_made  record;
BEGIN
    FOR v_made IN
        SELECT (r.made ->> 'tenant_id')::integer AS tenant, array_agg(r.made ->> TG_ARGV[1] ORDER BY r.item) AS ids,
               array_agg(r.made - 'tenant_id' ORDER BY r.item) AS rows
        FROM (SELECT to_jsonb(m) - TG_ARGV[2:] AS made, row_number() OVER () AS item FROM made m) r
        GROUP BY 1
    LOOP
        PERFORM audit.record_all(v_made.tenant, 'created', TG_ARGV[0], v_made.ids, '{}', v_made.rows);
    END LOOP;
    RETURN NULL;
END
$$;

-- Records every change of these columns, and with p_inserts every new row.
--   p_columns  null: of any column
CREATE PROCEDURE audit.watch(
    p_table regclass, p_entity text, p_id text, p_columns text[], p_inserts boolean, p_hidden text[] DEFAULT '{}'
)
LANGUAGE plpgsql
AS $$
DECLARE
    v_arguments  text := (SELECT string_agg(quote_literal(a), ', ') FROM unnest(ARRAY[p_entity, p_id] || p_hidden) a);
BEGIN
    EXECUTE format('CREATE TRIGGER audited AFTER UPDATE %s OR DELETE ON %s FOR EACH ROW '
                   'EXECUTE FUNCTION audit.record_change(%s)',
        CASE WHEN p_columns IS NULL THEN '' ELSE 'OF ' || (SELECT string_agg(quote_ident(c), ', ') FROM unnest(p_columns) c) END,
        p_table, v_arguments);
    IF p_inserts THEN
        EXECUTE format('CREATE TRIGGER audited_inserts AFTER INSERT ON %s REFERENCING NEW TABLE AS made '
                       'FOR EACH STATEMENT EXECUTE FUNCTION audit.record_inserts(%s)', p_table, v_arguments);
    END IF;
END
$$;
REVOKE EXECUTE ON PROCEDURE audit.watch(regclass, text, text, text[], boolean, text[]) FROM PUBLIC;
