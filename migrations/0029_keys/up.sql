-- Keys that know from where they may call, limits for all of a partner's and a tenant's calls, and for strangers.

ALTER TABLE access.api_keys
    ADD COLUMN allowed_addresses  cidr[]  NOT NULL DEFAULT '{}',  -- from where it may call; empty: from anywhere
    ADD COLUMN last_used_address  inet,
    ADD COLUMN revoked_by         text,
    ADD COLUMN revoked_reason     text,
    ADD COLUMN warned_days        smallint,   -- the last warning told: so many days before the end; 0: that it has ended
    ADD CONSTRAINT api_keys_addresses_bounded CHECK (cardinality(allowed_addresses) <= 50),
    ADD CONSTRAINT api_keys_warned_days_known CHECK (warned_days IN (30, 7, 1, 0));
GRANT SELECT (allowed_addresses, last_used_address, revoked_by, revoked_reason, warned_days)
    ON access.api_keys TO florin_readonly;
-- The keys that end, for the job that warns of it; those that were told all are out of it.
CREATE INDEX api_keys_ending ON access.api_keys (tenant_id, expires_at)
    WHERE expires_at IS NOT NULL AND revoked_at IS NULL AND warned_days IS DISTINCT FROM 0;
CALL audit.watch('access.api_keys', 'api_key', 'id', NULL, true,
    '{digest,last_used_at,last_used_address,warned_days}');

-- What all keys and users of a tenant may do together. The operator's to set, like its status.
ALTER TABLE tenancy.tenants
    ADD COLUMN limit_per_minute  integer,     -- null: the platform's
    ADD COLUMN limit_per_hour    integer,
    ADD COLUMN limit_per_day     integer,
    ADD CONSTRAINT tenants_limits_positive CHECK (
        limit_per_minute > 0 AND limit_per_hour > 0 AND limit_per_day > 0);

DROP FUNCTION access.find_keys(integer, bytea[]);

-- Finds keys by their digests, one row per digest, with what decides whether they may call.
CREATE FUNCTION access.find_keys(p_tenant integer, p_digests bytea[])
RETURNS TABLE (
    item               integer,
    id                 uuid,
    partner_id         uuid,
    scopes             text[],
    limit_per_minute   integer,
    limit_per_hour     integer,
    limit_per_day      integer,
    expires_at         timestamptz,
    revoked_at         timestamptz,
    allowed_addresses  cidr[],
    tenant_status      text,
    partner_status     text,
    live               boolean,
    platform           boolean
)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    RETURN QUERY
    SELECT a.item::integer, k.id, k.partner_id, k.scopes,
           k.limit_per_minute, k.limit_per_hour, k.limit_per_day, k.expires_at, k.revoked_at, k.allowed_addresses,
           t.status, CASE WHEN p.deleted_at IS NOT NULL THEN 'INACTIVE' ELSE p.status END,
           r.live, r.live AND r.code = 'PLATFORM'
    FROM unnest(p_digests) WITH ORDINALITY AS a (digest, item)
    LEFT JOIN access.api_keys k ON k.tenant_id = p_tenant AND k.digest = a.digest
    LEFT JOIN tenancy.tenants t ON t.tenant_id = p_tenant
    LEFT JOIN tenancy.registry r ON r.tenant_id = p_tenant
    LEFT JOIN tenancy.partners p ON p.tenant_id = p_tenant AND p.id = k.partner_id
    ORDER BY a.item;
END
$$;
GRANT EXECUTE ON FUNCTION access.find_keys(integer, bytea[]) TO florin_app;

-- The ceilings over a tenant's calls, and over those of its partners: one row per partner asked for (null: of none).
CREATE FUNCTION access.ceilings(p_tenant integer, p_partners uuid[])
RETURNS TABLE (
    item                integer,
    partner_per_minute  integer,
    partner_per_hour    integer,
    partner_per_day     integer,
    tenant_per_minute   integer,
    tenant_per_hour     integer,
    tenant_per_day      integer
)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    RETURN QUERY
    SELECT a.item::integer, p.limit_per_minute, p.limit_per_hour, p.limit_per_day,
           t.limit_per_minute, t.limit_per_hour, t.limit_per_day
    FROM unnest(p_partners) WITH ORDINALITY AS a (partner_id, item)
    LEFT JOIN tenancy.tenants t ON t.tenant_id = p_tenant
    LEFT JOIN tenancy.partners p ON p.tenant_id = p_tenant AND p.id = a.partner_id
    ORDER BY a.item;
END
$$;
GRANT EXECUTE ON FUNCTION access.ceilings(integer, uuid[]) TO florin_app;

-- Windows are no longer of keys alone: of users, partners, the tenant itself; and under tenant 0, which no tenant has,
-- of addresses.
ALTER TABLE access.rate_windows DROP CONSTRAINT rate_windows_key_fkey;
ALTER TABLE access.rate_windows RENAME COLUMN key_id TO subject_id;

DROP FUNCTION access.lease(integer, uuid[], integer[], timestamptz[], integer[], integer[], integer[]);

-- Leases calls from windows, those of one item together: an item's calls are taken from all of its windows or from
-- none, so what one window refuses uses nothing of the others. One row per window: what was leased of it, and how
-- much of it is handed out in all once everybody in this call has been served.
--   p_items    which windows belong together: 1, 2, ... ascending
--   p_limits   the window's quota
--   p_held     what the process has in store of the window: calls that wait are served from it first
--   p_needed   calls that wait now, the same for all windows of an item: given while every window lasts
--   p_wanted   a store for calls to come: at most a 64th of what is left, so that little is stranded in one process
--              while another refuses, and limits below 128 are handed out call by call
-- A lease whose answer is lost is lost with it: that can make fewer calls of a limit, never more.
CREATE FUNCTION access.lease(
    p_tenant    integer,
    p_items     integer[],
    p_subjects  uuid[],
    p_periods   integer[],
    p_ends      timestamptz[],
    p_limits    integer[],
    p_held      integer[],
    p_needed    integer[],
    p_wanted    integer[]
) RETURNS TABLE (leased integer, taken integer)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_slots    integer[];       -- per row: which of the locked windows it is
    v_before   integer[];       -- per locked window, in lock order: what was handed out
    v_taken    integer[];       --   and what will have been
    v_leased   integer[];       -- per row
    v_first    integer := 1;
    v_last     integer;
    v_granted  integer;
    v_left     integer;
    v_rows     integer := cardinality(p_items);
BEGIN
    PERFORM kernel.require_tenant(p_tenant);

    INSERT INTO access.rate_windows (tenant_id, subject_id, period_s, ends_at, taken)
    SELECT DISTINCT p_tenant, a.subject_id, a.period_s, a.ends_at, 0
    FROM unnest(p_subjects, p_periods, p_ends) AS a (subject_id, period_s, ends_at)
    ORDER BY a.subject_id, a.period_s, a.ends_at
    ON CONFLICT DO NOTHING;

    -- One lock order for all: two processes that lease from the same windows wait, and never for each other.
    SELECT array_agg(l.taken ORDER BY l.subject_id, l.period_s, l.ends_at) INTO v_before
    FROM (
        SELECT w.subject_id, w.period_s, w.ends_at, w.taken
        FROM (SELECT DISTINCT u.subject_id, u.period_s, u.ends_at
              FROM unnest(p_subjects, p_periods, p_ends) AS u (subject_id, period_s, ends_at)) a
        JOIN access.rate_windows w ON w.tenant_id = p_tenant AND w.subject_id = ANY (p_subjects)
         AND w.subject_id = a.subject_id AND w.period_s = a.period_s AND w.ends_at = a.ends_at
        ORDER BY w.subject_id, w.period_s, w.ends_at
        FOR UPDATE OF w
    ) l;
    SELECT array_agg(s.slot ORDER BY s.row) INTO v_slots
    FROM (
        SELECT a.row, (dense_rank() OVER (ORDER BY a.subject_id, a.period_s, a.ends_at))::integer AS slot
        FROM unnest(p_subjects, p_periods, p_ends) WITH ORDINALITY AS a (subject_id, period_s, ends_at, row)
    ) s;
    v_taken := v_before;
    v_leased := array_fill(0, ARRAY[v_rows]);

    WHILE v_first <= v_rows LOOP
        v_last := v_first;
        WHILE v_last < v_rows AND p_items[v_last + 1] = p_items[v_first] LOOP
            v_last := v_last + 1;
        END LOOP;
        v_granted := p_needed[v_first];
        FOR i IN v_first .. v_last LOOP
            v_left := greatest(p_limits[i] - v_taken[v_slots[i]], 0);
            v_granted := least(v_granted::bigint, p_held[i]::bigint + v_left);
        END LOOP;
        FOR i IN v_first .. v_last LOOP
            v_left := greatest(p_limits[i] - v_taken[v_slots[i]], 0);
            v_leased[i] := greatest(v_granted - p_held[i], 0);
            IF v_granted = p_needed[i] THEN  -- nobody is refused: stores too
                v_leased[i] := least(v_left, greatest(v_leased[i], least(p_wanted[i], v_left / 64) - p_held[i]));
            END IF;
            v_taken[v_slots[i]] := v_taken[v_slots[i]] + v_leased[i];
        END LOOP;
        v_first := v_last + 1;
    END LOOP;

    UPDATE access.rate_windows w
    SET taken = c.taken
    FROM (
        SELECT DISTINCT a.subject_id, a.period_s, a.ends_at, v_taken[v_slots[a.row]] AS taken
        FROM unnest(p_subjects, p_periods, p_ends) WITH ORDINALITY AS a (subject_id, period_s, ends_at, row)
        WHERE v_taken[v_slots[a.row]] > v_before[v_slots[a.row]]
    ) c
    WHERE w.tenant_id = p_tenant AND w.subject_id = ANY (p_subjects)
      AND w.subject_id = c.subject_id AND w.period_s = c.period_s AND w.ends_at = c.ends_at;

    RETURN QUERY
    SELECT v_leased[a.row], v_taken[v_slots[a.row]] FROM generate_series(1, v_rows) AS a (row) ORDER BY a.row;
END
$$;
GRANT EXECUTE ON FUNCTION
    access.lease(integer, integer[], uuid[], integer[], timestamptz[], integer[], integer[], integer[], integer[])
    TO florin_app;

-- Notes which warnings about their end keys are due, each once however many ask, and owes the world an event for
-- each: 30, 7 and 1 days before, and when it has come. How many. What ended more than a month ago is no news.
CREATE FUNCTION access.tell_endings(p_tenant integer, p_now timestamptz) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_in_1   timestamptz := p_now + interval '1 day';
    v_in_7   timestamptz := p_now + interval '7 days';
    v_in_30  timestamptz := p_now + interval '30 days';
    v_since  timestamptz := p_now - interval '30 days';
    v_told   integer;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    WITH due AS MATERIALIZED (
        SELECT k.id, CASE WHEN k.expires_at <= p_now THEN 0 WHEN k.expires_at <= v_in_1 THEN 1
                          WHEN k.expires_at <= v_in_7 THEN 7 ELSE 30 END AS days
        FROM access.api_keys k
        WHERE k.tenant_id = p_tenant AND k.revoked_at IS NULL AND k.warned_days IS DISTINCT FROM 0
          AND k.expires_at > v_since AND k.expires_at <= v_in_30
    ), warned AS (
        -- Whoever comes second waits for the first and finds nothing left to say.
        UPDATE access.api_keys k
        SET warned_days = d.days
        FROM due d
        WHERE k.tenant_id = p_tenant AND k.id = d.id AND k.revoked_at IS NULL
          AND (k.warned_days IS NULL OR k.warned_days > d.days)
        RETURNING k.id, k.partner_id, k.prefix, k.name, k.scopes, k.created_at, k.expires_at, k.last_used_at,
                  k.warned_days
    ), told AS (
        INSERT INTO kernel.events (tenant_id, id, type, object_id, partner_id, occurred_at, data)
        SELECT p_tenant, kernel.uuidv7(), CASE w.warned_days WHEN 0 THEN 'api_key.expired' ELSE 'api_key.expiring' END,
               w.id, w.partner_id, p_now, to_jsonb(w)
        FROM warned w
        RETURNING id
    ), owed AS (
        INSERT INTO kernel.outbox (tenant_id, event_id)
        SELECT p_tenant, t.id FROM told t
        RETURNING event_id
    )
    SELECT count(*) INTO v_told FROM owed;
    RETURN v_told;
END
$$;
GRANT EXECUTE ON FUNCTION access.tell_endings(integer, timestamptz) TO florin_app;
