-- What a user may do, in one place: everybody who asks, asks this.

-- The tenant that runs the house: the live twin of PLATFORM. Its test twin has no power over anybody.
CREATE FUNCTION access.is_platform(p_tenant integer) RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM tenancy.registry r
                   WHERE r.tenant_id = p_tenant AND r.code = 'PLATFORM' AND r.live);
END
$$;
GRANT EXECUTE ON FUNCTION access.is_platform(integer) TO florin_app;

-- The permissions of users at an instant, one row per element, in order. Of a user there is not, all but `item` is null.
--   permissions       in the whole tenant, sorted
--   unit_permissions  by business unit, as {"<unit>": ["users:read", ...]}: what is given in a unit holds in all below it.
--                     What holds in the whole tenant is not repeated here.
--   changes_at        the first instant at which this answer will be another by itself; null: never
--   platform          whether the tenant runs the house
-- Users who are suspended or deleted have no permissions, whatever was assigned to them.
CREATE FUNCTION access.permissions_of(p_tenant integer, p_user_ids uuid[], p_at timestamptz DEFAULT now())
RETURNS TABLE (
    item              integer,
    user_id           uuid,
    status            text,
    partner_id        uuid,
    platform          boolean,
    permissions       text[],
    unit_permissions  jsonb,
    changes_at        timestamptz,
    tenant_status     text,
    partner_status    text
)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_platform  boolean := access.is_platform(p_tenant);
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    RETURN QUERY
    WITH RECURSIVE given AS MATERIALIZED (
        SELECT a.user_id, a.business_unit_id AS unit_id, a.expires_at, coalesce(b.permissions, o.permissions) AS held
        FROM access.assignments a
        LEFT JOIN reference.roles b ON b.code = a.built_in AND (v_platform OR NOT b.platform)
        LEFT JOIN access.roles o ON o.tenant_id = p_tenant AND o.id = a.role_id AND o.deleted_at IS NULL
        WHERE a.tenant_id = p_tenant AND a.user_id = ANY (p_user_ids) AND a.ended_at IS NULL
          AND (a.expires_at IS NULL OR a.expires_at > p_at)
    ), below AS (
        SELECT DISTINCT g.unit_id AS root, g.unit_id AS id FROM given g WHERE g.unit_id IS NOT NULL
        UNION ALL
        SELECT w.root, u.id FROM below w
        JOIN tenancy.business_units u ON u.tenant_id = p_tenant AND u.parent_id = w.id
    ), in_units AS (
        SELECT o.user_id, jsonb_object_agg(o.unit_id, o.held) AS held
        FROM (
            SELECT g.user_id, w.id AS unit_id, to_jsonb(array_agg(DISTINCT p.permission ORDER BY p.permission)) AS held
            FROM given g
            JOIN below w ON w.root = g.unit_id, unnest(g.held) AS p (permission)
            GROUP BY g.user_id, w.id
        ) o
        GROUP BY o.user_id
    ), in_tenant AS (
        SELECT g.user_id, array_agg(DISTINCT p.permission ORDER BY p.permission) AS held
        FROM given g, unnest(g.held) AS p (permission)
        WHERE g.unit_id IS NULL
        GROUP BY g.user_id
    ), ends AS (
        SELECT g.user_id, min(g.expires_at) AS at FROM given g GROUP BY g.user_id
    )
    SELECT a.item::integer, u.id, u.status, u.partner_id, CASE WHEN u.id IS NOT NULL THEN v_platform END,
           CASE WHEN u.status IN ('INVITED', 'ACTIVE') THEN coalesce(i.held, '{}') WHEN u.id IS NOT NULL THEN '{}' END,
           CASE WHEN u.status IN ('INVITED', 'ACTIVE') THEN coalesce(x.held, '{}') WHEN u.id IS NOT NULL THEN '{}' END,
           e.at, t.status,
           CASE WHEN p.deleted_at IS NOT NULL THEN 'INACTIVE' ELSE p.status END
    FROM unnest(p_user_ids) WITH ORDINALITY AS a (user_id, item)
    LEFT JOIN access.users u ON u.tenant_id = p_tenant AND u.id = a.user_id AND u.id = ANY (p_user_ids)
    LEFT JOIN in_tenant i ON i.user_id = u.id
    LEFT JOIN in_units x ON x.user_id = u.id
    LEFT JOIN ends e ON e.user_id = u.id
    LEFT JOIN tenancy.tenants t ON t.tenant_id = p_tenant
    LEFT JOIN tenancy.partners p ON p.tenant_id = p_tenant AND p.id = u.partner_id
    ORDER BY a.item;
END
$$;
GRANT EXECUTE ON FUNCTION access.permissions_of(integer, uuid[], timestamptz) TO florin_app;
