-- What is secret and what is personal: customers sealed, keys turned while Florin runs, people erased, old data let go.

CREATE SCHEMA privacy;
GRANT USAGE ON SCHEMA privacy TO florin_app, florin_readonly;

-- Which key of the ring sealed a value: its id stands in front, after one byte of its length (florin.kernel.crypto).
CREATE FUNCTION kernel.sealed_under(p_sealed bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN length(p_sealed) > 0 THEN encode(substring(p_sealed FROM 2 FOR get_byte(p_sealed, 0)), 'escape') END;
GRANT EXECUTE ON FUNCTION kernel.sealed_under(bytea) TO florin_app;

-- There may be millions of people: what a new key has yet to wrap is found by an index. A column, since a function in
-- a WHERE clause is not leakproof, and row security keeps those from an index.
ALTER TABLE kernel.people ADD COLUMN key_id text GENERATED ALWAYS AS (kernel.sealed_under(wrapped)) STORED;
CREATE INDEX people_by_key ON kernel.people (tenant_id, key_id, id) WHERE key_id IS NOT NULL;

-- Append-only, but for the one sealed column, which may come to be sealed by another key of the ring. The roles that
-- serve may not even that: a function with the owner's rights does.
CREATE FUNCTION kernel.refuse_change_but_of_key() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - TG_ARGV[1] = to_jsonb(NEW) - TG_ARGV[1]
       AND kernel.sealed_under((to_jsonb(NEW) ->> TG_ARGV[1])::bytea)
           <> kernel.sealed_under((to_jsonb(OLD) ->> TG_ARGV[1])::bytea)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only: % is refused', TG_ARGV[0], TG_OP USING ERRCODE = 'restrict_violation';
END
$$;

DROP TRIGGER append_only ON tenancy.configuration;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON tenancy.configuration
    FOR EACH ROW EXECUTE FUNCTION kernel.refuse_change_but_of_key('tenancy.configuration', 'sealed');
DROP TRIGGER append_only ON ledger.seal_keys;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.seal_keys
    FOR EACH ROW EXECUTE FUNCTION kernel.refuse_change_but_of_key('ledger.seal_keys', 'private_key');

-- Writes values that another key of the ring has sealed, where the old ones still stand; how many.
CREATE FUNCTION tenancy.reseal(p_tenant integer, p_ids uuid[], p_old bytea[], p_new bytea[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_done  integer;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    UPDATE tenancy.configuration c SET sealed = a.new
    FROM unnest(p_ids, p_old, p_new) AS a (id, old, new)
    WHERE c.tenant_id = p_tenant AND c.id = ANY (p_ids) AND c.id = a.id AND c.sealed = a.old;
    GET DIAGNOSTICS v_done = ROW_COUNT;
    RETURN v_done;
END
$$;
GRANT EXECUTE ON FUNCTION tenancy.reseal(integer, uuid[], bytea[], bytea[]) TO florin_app;

-- The same for the keys that sign checkpoints.
CREATE FUNCTION ledger.reseal(p_tenant integer, p_ids text[], p_old bytea[], p_new bytea[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_done  integer;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    UPDATE ledger.seal_keys k SET private_key = a.new
    FROM unnest(p_ids, p_old, p_new) AS a (id, old, new)
    WHERE k.tenant_id = p_tenant AND k.id = ANY (p_ids) AND k.id = a.id AND k.private_key = a.old;
    GET DIAGNOSTICS v_done = ROW_COUNT;
    RETURN v_done;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.reseal(integer, text[], bytea[], bytea[]) TO florin_app;

-- Customers: what is personal is sealed under the person's key and found by blind indexes. `name` and `email` hold
-- what earlier versions wrote until a job has sealed it; a later migration drops them.
-- The new foreign key is checked as a tenant that nobody is: no row names a person yet.
SET LOCAL app.tenant_id = 0;
ALTER TABLE tenancy.customers
    ADD COLUMN person_id       uuid,        -- null: nothing personal is known
    ADD COLUMN name_sealed     bytea,
    ADD COLUMN email_sealed    bytea,
    ADD COLUMN email_index     bytea,
    ADD COLUMN phone_sealed    bytea,       -- E.164
    ADD COLUMN phone_index     bytea,
    ADD COLUMN account_sealed  bytea,       -- JSON: number, bank_code
    ADD COLUMN account_index   bytea,       -- of the number
    ADD COLUMN erased_at       timestamptz,
    ADD CONSTRAINT customers_person_key UNIQUE (tenant_id, person_id),
    ADD CONSTRAINT customers_person_fkey FOREIGN KEY (tenant_id, person_id) REFERENCES kernel.people (tenant_id, id),
    ADD CONSTRAINT customers_sealed_by_a_person CHECK (
        person_id IS NOT NULL OR num_nonnulls(name_sealed, email_sealed, phone_sealed, account_sealed) = 0),
    ADD CONSTRAINT customers_email_sealed_and_indexed CHECK ((email_sealed IS NULL) = (email_index IS NULL)),
    ADD CONSTRAINT customers_phone_sealed_and_indexed CHECK ((phone_sealed IS NULL) = (phone_index IS NULL)),
    ADD CONSTRAINT customers_account_sealed_and_indexed CHECK ((account_sealed IS NULL) = (account_index IS NULL)),
    ADD CONSTRAINT customers_erased_are_empty CHECK (
        erased_at IS NULL OR num_nonnulls(name, email, name_sealed, email_sealed, phone_sealed, account_sealed) = 0);
CREATE INDEX customers_by_email ON tenancy.customers (tenant_id, email_index) WHERE email_index IS NOT NULL;
CREATE INDEX customers_by_phone ON tenancy.customers (tenant_id, phone_index) WHERE phone_index IS NOT NULL;
CREATE INDEX customers_by_account ON tenancy.customers (tenant_id, account_index) WHERE account_index IS NOT NULL;
CREATE INDEX customers_in_plain ON tenancy.customers (tenant_id, id) WHERE name IS NOT NULL OR email IS NOT NULL;
CREATE INDEX customers_by_age ON tenancy.customers (tenant_id, updated_at, id) WHERE erased_at IS NULL;
REVOKE SELECT ON tenancy.customers FROM florin_readonly;
GRANT SELECT (tenant_id, id, partner_id, business_unit_id, reference, person_id, metadata, created_at, updated_at,
    erased_at) ON tenancy.customers TO florin_readonly;

-- A person whose data has to be kept whatever retention or the person says: a dispute, a court, an investigation.
CREATE TABLE privacy.legal_holds (
    tenant_id    integer     NOT NULL,
    id           uuid        NOT NULL,
    person_id    uuid        NOT NULL,
    reason       text        NOT NULL,
    placed_at    timestamptz NOT NULL,
    placed_by    text        NOT NULL,
    released_at  timestamptz,
    released_by  text,
    CONSTRAINT legal_holds_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT legal_holds_person_fkey FOREIGN KEY (tenant_id, person_id) REFERENCES kernel.people (tenant_id, id),
    CONSTRAINT legal_holds_released_by_somebody CHECK ((released_at IS NULL) = (released_by IS NULL))
);
CREATE INDEX legal_holds_in_force ON privacy.legal_holds (tenant_id, person_id) WHERE released_at IS NULL;
CALL kernel.isolate('privacy.legal_holds');
CALL audit.watch('privacy.legal_holds', 'legal_hold', 'id', NULL, true);
GRANT SELECT, INSERT ON privacy.legal_holds TO florin_app;
GRANT UPDATE (released_at, released_by) ON privacy.legal_holds TO florin_app;
GRANT SELECT (tenant_id, id, person_id, placed_at, placed_by, released_at, released_by)
    ON privacy.legal_holds TO florin_readonly;

-- How far old payments have been stripped, so that a night goes on where the last one ended.
CREATE TABLE privacy.progress (
    tenant_id  integer     NOT NULL,
    task       text        NOT NULL,
    through    uuid        NOT NULL,
    at         timestamptz NOT NULL,
    CONSTRAINT progress_pkey PRIMARY KEY (tenant_id, task)
);
CALL kernel.isolate('privacy.progress');
GRANT SELECT, INSERT, UPDATE ON privacy.progress TO florin_app;
GRANT SELECT ON privacy.progress TO florin_readonly;

-- Deletes what signing in has kept of a user: second factor, codes, challenges, former passwords, counted failures.
CREATE FUNCTION privacy.forget_sign_ins(p_tenant integer, p_user uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    DELETE FROM access.second_factors WHERE tenant_id = p_tenant AND user_id = p_user;
    DELETE FROM access.recovery_codes WHERE tenant_id = p_tenant AND user_id = p_user;
    DELETE FROM access.challenges WHERE tenant_id = p_tenant AND user_id = p_user;
    DELETE FROM access.one_time_codes WHERE tenant_id = p_tenant AND user_id = p_user;
    DELETE FROM access.former_passwords WHERE tenant_id = p_tenant AND user_id = p_user;
    DELETE FROM access.lock_outs WHERE tenant_id = p_tenant AND user_id = p_user;
END
$$;
GRANT EXECUTE ON FUNCTION privacy.forget_sign_ins(integer, uuid) TO florin_app;

-- What providers told is kept as it came for five years, and may then be let go.
CREATE FUNCTION payments.keep_provider_events() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.received_at < now() - interval '5 years' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'payments.provider_events is append-only: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
DROP TRIGGER append_only ON payments.provider_events;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON payments.provider_events
    FOR EACH ROW EXECUTE FUNCTION payments.keep_provider_events();
CREATE INDEX provider_events_by_age ON payments.provider_events (tenant_id, received_at);

-- Deletes up to p_limit of what providers told before a time; how many. What is younger than five years is refused.
CREATE FUNCTION payments.forget_provider_events(p_tenant integer, p_before timestamptz, p_limit integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_done  integer;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    DELETE FROM payments.provider_events e
    USING (SELECT o.provider, o.event_id FROM payments.provider_events o
           WHERE o.tenant_id = p_tenant AND o.received_at < p_before ORDER BY o.received_at LIMIT p_limit) old
    WHERE e.tenant_id = p_tenant AND e.provider = old.provider AND e.event_id = old.event_id;
    GET DIAGNOSTICS v_done = ROW_COUNT;
    RETURN v_done;
END
$$;
GRANT EXECUTE ON FUNCTION payments.forget_provider_events(integer, timestamptz, integer) TO florin_app;

-- Drops the oldest whole month of events and of what was delivered of them, of all tenants, if it ended more than
-- p_years ago (at least one); its name, or null. One at a time: each takes a lock for a moment.
CREATE FUNCTION kernel.drop_month(p_years integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    v_found  text;
BEGIN
    IF p_years IS NULL OR p_years < 1 THEN
        RAISE EXCEPTION 'events are kept for a year at least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT t.relid::regclass::text INTO v_found
    FROM unnest(ARRAY['kernel.events', 'webhooks.deliveries', 'webhooks.attempts']::regclass[]) AS p (parent),
         LATERAL pg_partition_tree(p.parent) t
    WHERE t.isleaf AND t.level = 1
      AND to_date(right(t.relid::text, 7), 'YYYY"m"MM') + interval '1 month' <= now() - make_interval(years => p_years)
    ORDER BY right(t.relid::text, 7), t.relid::text DESC
    LIMIT 1;
    IF v_found IS NOT NULL THEN
        EXECUTE format('DROP TABLE %s', v_found);
    END IF;
    RETURN v_found;
END
$$;
GRANT EXECUTE ON FUNCTION kernel.drop_month(integer) TO florin_app;

-- What is sealed may stand in the log, where erasing empties it too; what customers are found by may not.
CALL audit.watch('tenancy.customers', 'customer', 'id', NULL, true,
    '{name,email,metadata,updated_at,email_index,phone_index,account_index}');

-- A user name may be personal, and what the audit log has cannot be taken out of it again: it is no longer written there.
CALL audit.watch('access.users', 'user', 'id', NULL, true, '{user_name,password_hash,email_index,phone_index}');
