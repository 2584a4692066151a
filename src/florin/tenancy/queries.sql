-- Columns stand in the order of the dataclasses' fields in model.py.

-- name: register(code, live)^
-- Adds one twin to the list of tenants. It runs without a tenant's context.
INSERT INTO tenancy.registry (code, live) VALUES (:code, :live) RETURNING tenant_id;

-- name: registry(code)
-- The list of tenants, or the twins of one code.
SELECT tenant_id, code, live FROM tenancy.registry
WHERE :code::text IS NULL OR code = :code
ORDER BY tenant_id;

-- name: registered(after, count)
-- Codes of tenants, in their order, each once.
SELECT code FROM tenancy.registry WHERE :after::text IS NULL OR code > :after
GROUP BY code ORDER BY code LIMIT :count;

-- name: insert_tenant(tenant_id, status, details, now)!
-- The details of a new twin, whose context the transaction has.
INSERT INTO tenancy.tenants
    (tenant_id, name, type, status, contact_email, country, timezone, currency, registration_number, tax_number,
     contact_phone, address_line1, address_line2, city, province, postal_code, created_at, updated_at)
SELECT :tenant_id, d.name, d.type, :status, d.contact_email, d.country, d.timezone, d.currency,
       d.registration_number, d.tax_number, d.contact_phone, d.address_line1, d.address_line2, d.city, d.province,
       d.postal_code, :now, :now
FROM jsonb_populate_record(NULL::tenancy.tenants, :details) d
RETURNING tenant_id;

-- name: tenant(tenant_id)^
-- A twin with its details.
SELECT t.tenant_id, r.code, r.live, t.name, t.type, t.status, t.contact_email, t.country, t.timezone, t.currency,
       t.registration_number, t.tax_number, t.contact_phone, t.address_line1, t.address_line2, t.city, t.province,
       t.postal_code, t.limit_per_minute, t.limit_per_hour, t.limit_per_day, t.created_at, t.updated_at
FROM tenancy.tenants t JOIN tenancy.registry r ON r.tenant_id = t.tenant_id
WHERE t.tenant_id = :tenant_id AND r.tenant_id = :tenant_id;

-- name: lock_tenant(tenant_id)^
-- Makes changes of the tenant itself, and of its tree of units, one after the other.
-- Foreign keys to the tenant are not held up by it.
SELECT status FROM tenancy.tenants WHERE tenant_id = :tenant_id FOR NO KEY UPDATE;

-- name: keeps_money(currency)$
-- Whether money can be kept in this currency: ISO 4217 knows it, and a minor unit of it.
SELECT EXISTS (SELECT FROM reference.currencies WHERE code = :currency AND exponent IS NOT NULL);

-- name: update_tenant(tenant_id, changes, now)!
-- Changes the details that `changes` names; null empties one.
UPDATE tenancy.tenants t
SET name = d.name, type = d.type, status = d.status, contact_email = d.contact_email, country = d.country,
    timezone = d.timezone, currency = d.currency, registration_number = d.registration_number,
    tax_number = d.tax_number, contact_phone = d.contact_phone, address_line1 = d.address_line1,
    address_line2 = d.address_line2, city = d.city, province = d.province, postal_code = d.postal_code,
    limit_per_minute = d.limit_per_minute, limit_per_hour = d.limit_per_hour, limit_per_day = d.limit_per_day,
    updated_at = :now
FROM (
    SELECT n.* FROM tenancy.tenants o, LATERAL jsonb_populate_record(o, :changes) n
    WHERE o.tenant_id = :tenant_id
) d
WHERE t.tenant_id = :tenant_id AND d.tenant_id = :tenant_id;

-- name: insert_business_unit(tenant_id, id, name, type, status, parent_id, level, now)!
-- A new unit below its parent.
INSERT INTO tenancy.business_units (tenant_id, id, name, type, status, parent_id, level, created_at, updated_at)
VALUES (:tenant_id, :id, :name, :type, :status, :parent_id, :level, :now, :now);

-- name: business_unit(tenant_id, id)^
-- One unit.
SELECT id, name, type, status, parent_id, level, created_at, updated_at
FROM tenancy.business_units WHERE tenant_id = :tenant_id AND id = :id;

-- name: business_units(tenant_id, parent_id, only, status, after, count)
-- Units, newest first, after a given one; all, or only some.
SELECT id, name, type, status, parent_id, level, created_at, updated_at
FROM tenancy.business_units
WHERE tenant_id = :tenant_id AND (:after::uuid IS NULL OR id < :after)
  AND (:parent_id::uuid IS NULL OR parent_id = :parent_id) AND (:status::text IS NULL OR status = :status)
  AND (:only::uuid[] IS NULL OR id = ANY (:only::uuid[]))
ORDER BY id DESC LIMIT :count;

-- name: subtree(tenant_id, id)
-- A unit and all below it: id and level.
WITH RECURSIVE below AS (
    SELECT id, level FROM tenancy.business_units WHERE tenant_id = :tenant_id AND id = :id
    UNION ALL
    SELECT u.id, u.level FROM below b
    JOIN tenancy.business_units u ON u.tenant_id = :tenant_id AND u.parent_id = b.id
)
SELECT id, level FROM below;

-- name: update_business_unit(tenant_id, id, name, type, status, now)!
-- Changes a unit where it stands.
UPDATE tenancy.business_units SET name = :name, type = :type, status = :status, updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id;

-- name: move_subtree(tenant_id, id, parent_id, ids, by, now)!
-- Hangs a unit under another parent and takes all below it along, levels changed by `by`.
-- One statement: the key to the parent is checked at its end.
UPDATE tenancy.business_units
SET parent_id = CASE WHEN id = :id THEN :parent_id::uuid ELSE parent_id END, level = level + :by, updated_at = :now
WHERE tenant_id = :tenant_id AND id = ANY (:ids);

-- name: insert_partner(tenant_id, id, name, email, status, metadata, limit_per_minute, limit_per_hour, limit_per_day, now)!
-- A new partner.
INSERT INTO tenancy.partners (tenant_id, id, name, email, status, metadata,
    limit_per_minute, limit_per_hour, limit_per_day, created_at, updated_at)
VALUES (:tenant_id, :id, :name, :email, :status, :metadata,
    :limit_per_minute, :limit_per_hour, :limit_per_day, :now, :now);

-- name: partner(tenant_id, id)^
-- One partner, deleted ones too.
SELECT id, name, email, status, metadata, limit_per_minute, limit_per_hour, limit_per_day,
       created_at, updated_at, deleted_at
FROM tenancy.partners WHERE tenant_id = :tenant_id AND id = :id;

-- name: lock_partner(tenant_id, id)^
-- One partner that is not deleted, locked until the transaction ends.
SELECT id, name, email, status, metadata, limit_per_minute, limit_per_hour, limit_per_day,
       created_at, updated_at, deleted_at
FROM tenancy.partners WHERE tenant_id = :tenant_id AND id = :id AND deleted_at IS NULL FOR NO KEY UPDATE;

-- name: partners(tenant_id, id, status, after, count)
-- Partners that are not deleted, newest first; or only the one whose key asks.
SELECT id, name, email, status, metadata, limit_per_minute, limit_per_hour, limit_per_day,
       created_at, updated_at, deleted_at
FROM tenancy.partners
WHERE tenant_id = :tenant_id AND deleted_at IS NULL AND (:after::uuid IS NULL OR id < :after)
  AND (:id::uuid IS NULL OR id = :id) AND (:status::text IS NULL OR status = :status)
ORDER BY id DESC LIMIT :count;

-- name: update_partner(tenant_id, id, name, email, status, metadata, limit_per_minute, limit_per_hour, limit_per_day, deleted_at, now)!
-- Changes a locked partner, or marks it deleted.
UPDATE tenancy.partners
SET name = :name, email = :email, status = :status, metadata = :metadata, limit_per_minute = :limit_per_minute,
    limit_per_hour = :limit_per_hour, limit_per_day = :limit_per_day, deleted_at = :deleted_at, updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id;

-- name: insert_setting(tenant_id, id, business_unit_id, key, effective_from, type, value, sealed, now, created_by)!
-- A value and the instant from which it holds.
INSERT INTO tenancy.configuration
    (tenant_id, id, business_unit_id, key, effective_from, type, value, sealed, created_at, created_by)
VALUES (:tenant_id, :id, :business_unit_id, :key, :effective_from, :type, :value, :sealed, :now, :created_by);

-- name: settings_in_force(tenant_id, business_unit_id, key, at, after, count)
-- Per key the value in force at an instant: the nearest unit's on the way up that has one, else the
-- tenant's. A withdrawn value lets the next one up show through.
WITH RECURSIVE path AS (
    SELECT id, parent_id, level FROM tenancy.business_units
    WHERE tenant_id = :tenant_id AND id = :business_unit_id
    UNION ALL
    SELECT u.id, u.parent_id, u.level FROM path p
    JOIN tenancy.business_units u ON u.tenant_id = :tenant_id AND u.id = p.parent_id
), latest AS (
    SELECT DISTINCT ON (c.key, c.business_unit_id)
           c.key, c.business_unit_id, c.type, c.value, c.sealed, c.effective_from, c.created_at, c.created_by,
           coalesce(p.level, 0) AS level
    FROM tenancy.configuration c LEFT JOIN path p ON p.id = c.business_unit_id
    WHERE c.tenant_id = :tenant_id AND c.effective_from <= :at
      AND (c.business_unit_id IS NULL OR p.id IS NOT NULL)
      AND (:key::text IS NULL OR c.key = :key) AND (:after::text IS NULL OR c.key > :after)
    ORDER BY c.key, c.business_unit_id, c.effective_from DESC
)
SELECT DISTINCT ON (key) key, business_unit_id, type, value, sealed, effective_from, created_at, created_by
FROM latest
WHERE value IS NOT NULL OR sealed IS NOT NULL
ORDER BY key, level DESC LIMIT :count;

-- name: add_usage(tenant_id, days, metrics, amounts)!
-- Adds to daily counters.
INSERT INTO tenancy.usage AS u (tenant_id, day, metric, value)
SELECT :tenant_id, a.day, a.metric, a.amount
FROM unnest(:days::date[], :metrics::text[], :amounts::bigint[]) AS a (day, metric, amount)
ORDER BY a.day, a.metric
ON CONFLICT (tenant_id, day, metric) DO UPDATE SET value = u.value + excluded.value;

-- name: set_usage(tenant_id, day, metric, amount)!
-- Overwrites a measured value.
INSERT INTO tenancy.usage (tenant_id, day, metric, value) VALUES (:tenant_id, :day, :metric, :amount)
ON CONFLICT (tenant_id, day, metric) DO UPDATE SET value = excluded.value;

-- name: usage(tenant_id, first, last, metric)
-- Daily values from the first day to the last, both included.
SELECT day, metric, value FROM tenancy.usage
WHERE tenant_id = :tenant_id AND day BETWEEN :first AND :last AND (:metric::text IS NULL OR metric = :metric)
ORDER BY day, metric;

-- name: tenant_tables()
-- The tables that hold tenants' rows and that this role may read: name, bytes on disk, rows in all
-- (by the statistics).
SELECT n.nspname, c.relname, coalesce(t.bytes, 0)::bigint, coalesce(t.rows, 0)::bigint
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN LATERAL (
    SELECT sum(pg_total_relation_size(p.relid)) AS bytes, sum(greatest(l.reltuples, 0)) AS rows
    FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid
    WHERE p.isleaf
) t ON true
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relrowsecurity
  AND has_table_privilege(c.oid, 'SELECT')
ORDER BY 1, 2;
