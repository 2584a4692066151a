-- Who may call, and how often.

CREATE SCHEMA access;
GRANT USAGE ON SCHEMA access TO florin_app, florin_readonly;

-- API keys. The secret is 32 random bytes, so a plain SHA-256 keeps it: slow hashes protect what
-- people choose, and nobody can guess 256 random bits, however fast the hash.
CREATE TABLE access.api_keys (
    tenant_id         integer     NOT NULL,
    id                uuid        NOT NULL,
    digest            bytea       NOT NULL,   -- SHA-256 of the whole key
    prefix            text        NOT NULL,   -- its beginning, for people to tell keys apart
    name              text        NOT NULL,
    partner_id        uuid,                   -- whom it speaks for; null: the tenant itself
    scopes            text[]      NOT NULL,
    limit_per_minute  integer,                -- null: unlimited
    limit_per_hour    integer,
    limit_per_day     integer,
    created_at        timestamptz NOT NULL,
    created_by        text        NOT NULL,
    expires_at        timestamptz,
    revoked_at        timestamptz,
    last_used_at      timestamptz,            -- to within a minute or so
    rotated_from      uuid,
    CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT api_keys_digest_key UNIQUE (tenant_id, digest),
    -- A key has one successor: two people who rotate it at once do not end with two.
    CONSTRAINT api_keys_rotated_from_key UNIQUE (tenant_id, rotated_from),
    CONSTRAINT api_keys_rotated_from_fkey FOREIGN KEY (tenant_id, rotated_from)
        REFERENCES access.api_keys (tenant_id, id),
    CONSTRAINT api_keys_partner_fkey FOREIGN KEY (tenant_id, partner_id)
        REFERENCES tenancy.partners (tenant_id, id),
    CONSTRAINT api_keys_digest_is_sha256 CHECK (length(digest) = 32),
    CONSTRAINT api_keys_scopes_given CHECK (cardinality(scopes) > 0),
    CONSTRAINT api_keys_limits_positive CHECK (
        limit_per_minute > 0 AND limit_per_hour > 0 AND limit_per_day > 0)
) WITH (fillfactor = 80);
CREATE INDEX api_keys_by_partner ON access.api_keys (tenant_id, partner_id, id);
CALL kernel.isolate('access.api_keys');
GRANT SELECT, INSERT, UPDATE ON access.api_keys TO florin_app;
GRANT SELECT (tenant_id, id, prefix, name, partner_id, scopes, limit_per_minute, limit_per_hour,
    limit_per_day, created_at, created_by, expires_at, revoked_at, last_used_at, rotated_from)
    ON access.api_keys TO florin_readonly;

-- Finds keys by their digests, one row per digest, with what decides whether they may call.
CREATE FUNCTION access.find_keys(p_tenant integer, p_digests bytea[])
RETURNS TABLE (
    item              integer,
    id                uuid,
    partner_id        uuid,
    scopes            text[],
    limit_per_minute  integer,
    limit_per_hour    integer,
    limit_per_day     integer,
    expires_at        timestamptz,
    revoked_at        timestamptz,
    tenant_status     text,
    partner_status    text
)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    RETURN QUERY
    SELECT a.item::integer, k.id, k.partner_id, k.scopes,
           k.limit_per_minute, k.limit_per_hour, k.limit_per_day, k.expires_at, k.revoked_at, t.status,
           CASE WHEN p.deleted_at IS NOT NULL THEN 'INACTIVE' ELSE p.status END
    FROM unnest(p_digests) WITH ORDINALITY AS a (digest, item)
    LEFT JOIN access.api_keys k ON k.tenant_id = p_tenant AND k.digest = a.digest
    LEFT JOIN tenancy.tenants t ON t.tenant_id = p_tenant
    LEFT JOIN tenancy.partners p ON p.tenant_id = p_tenant AND p.id = k.partner_id
    ORDER BY a.item;
END
$$;
GRANT EXECUTE ON FUNCTION access.find_keys(integer, bytea[]) TO florin_app;

-- How much of a key's limit has been handed out in a window. Processes take it in leases.
CREATE TABLE access.rate_windows (
    tenant_id  integer     NOT NULL,
    key_id     uuid        NOT NULL,
    period_s   integer     NOT NULL,
    ends_at    timestamptz NOT NULL,
    taken      integer     NOT NULL,
    CONSTRAINT rate_windows_pkey PRIMARY KEY (tenant_id, key_id, period_s, ends_at),
    CONSTRAINT rate_windows_key_fkey FOREIGN KEY (tenant_id, key_id)
        REFERENCES access.api_keys (tenant_id, id),
    CONSTRAINT rate_windows_taken_not_negative CHECK (taken >= 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX rate_windows_by_end ON access.rate_windows (tenant_id, ends_at);
CALL kernel.isolate('access.rate_windows');
-- A window that is over means nothing any more.
GRANT SELECT, INSERT, UPDATE, DELETE ON access.rate_windows TO florin_app;

-- Leases parts of limits, one row per item: what it may use, and how much is handed out in all.
--   p_needed  calls that wait now: given in full while the limit lasts
--   p_wanted  a store for calls to come: at most a 64th of what is left, so that little is stranded in
--             one process while another refuses, and limits below 128 are handed out call by call
-- A window that comes twice in a call is an error: the caller parts the two. A lease whose answer is lost is lost with it: that can make fewer
-- calls of a limit, never more.
CREATE FUNCTION access.lease(
    p_tenant   integer,
    p_keys     uuid[],
    p_periods  integer[],
    p_ends     timestamptz[],
    p_limits   integer[],
    p_needed   integer[],
    p_wanted   integer[]
) RETURNS TABLE (item integer, leased integer, taken integer)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    IF EXISTS (
        SELECT FROM unnest(p_keys, p_periods, p_ends) AS a (key_id, period_s, ends_at)
        GROUP BY a.key_id, a.period_s, a.ends_at HAVING count(*) > 1
    ) THEN
        RAISE EXCEPTION 'a rate window is asked for twice in one call' USING ERRCODE = 'cardinality_violation';
    END IF;

    INSERT INTO access.rate_windows (tenant_id, key_id, period_s, ends_at, taken)
    SELECT p_tenant, a.key_id, a.period_s, a.ends_at, 0
    FROM unnest(p_keys, p_periods, p_ends) AS a (key_id, period_s, ends_at)
    ORDER BY a.key_id, a.period_s, a.ends_at
    ON CONFLICT DO NOTHING;

    -- One lock order for all: two processes that lease for the same keys wait, and never for each other.
    PERFORM FROM unnest(p_keys, p_periods, p_ends) AS a (key_id, period_s, ends_at)
    JOIN access.rate_windows w
      ON w.tenant_id = p_tenant AND w.key_id = a.key_id AND w.period_s = a.period_s AND w.ends_at = a.ends_at
    ORDER BY w.key_id, w.period_s, w.ends_at
    FOR UPDATE OF w;

    RETURN QUERY
    WITH leases AS MATERIALIZED (
        SELECT a.item, a.key_id, a.period_s, a.ends_at, w.taken, least(
                   a.quota - w.taken, greatest(a.needed, least(a.wanted, (a.quota - w.taken) / 64))) AS leased
        FROM unnest(p_keys, p_periods, p_ends, p_limits, p_needed, p_wanted) WITH ORDINALITY
            AS a (key_id, period_s, ends_at, quota, needed, wanted, item)
        JOIN access.rate_windows w
          ON w.tenant_id = p_tenant AND w.key_id = a.key_id AND w.period_s = a.period_s AND w.ends_at = a.ends_at
    ), written AS (
        UPDATE access.rate_windows w
        SET taken = l.taken + l.leased
        FROM leases l
        WHERE w.tenant_id = p_tenant AND w.key_id = l.key_id AND w.period_s = l.period_s
          AND w.ends_at = l.ends_at AND l.leased > 0
        RETURNING w.key_id
    )
    SELECT l.item::integer, l.leased, l.taken + l.leased FROM leases l ORDER BY l.item;
END
$$;
GRANT EXECUTE ON FUNCTION access.lease(integer, uuid[], integer[], timestamptz[], integer[], integer[], integer[])
    TO florin_app;
