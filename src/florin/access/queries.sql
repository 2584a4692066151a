-- Columns stand in the order of ApiKey's fields in model.py, the limits in one row.

-- name: insert_key(tenant_id, id, digest, prefix, name, partner_id, scopes, limit_per_minute, limit_per_hour, limit_per_day, now, created_by, expires_at, rotated_from, kind)!
-- A new key.
INSERT INTO access.api_keys
    (tenant_id, id, digest, prefix, name, partner_id, scopes, limit_per_minute, limit_per_hour, limit_per_day,
     created_at, created_by, expires_at, rotated_from, kind)
VALUES (:tenant_id, :id, :digest, :prefix, :name, :partner_id, :scopes, :limit_per_minute, :limit_per_hour,
        :limit_per_day, :now, :created_by, :expires_at, :rotated_from, :kind);

-- name: key(tenant_id, id, partner_id)^
-- One key; with `partner_id`, only if it is that partner's.
SELECT id, prefix, name, partner_id, scopes, limit_per_minute, limit_per_hour, limit_per_day,
       created_at, created_by, expires_at, revoked_at, last_used_at, rotated_from, kind
FROM access.api_keys
WHERE tenant_id = :tenant_id AND id = :id AND (:partner_id::uuid IS NULL OR partner_id = :partner_id);

-- name: lock_key(tenant_id, id, partner_id)^
-- The same, locked until the transaction ends.
SELECT id, prefix, name, partner_id, scopes, limit_per_minute, limit_per_hour, limit_per_day,
       created_at, created_by, expires_at, revoked_at, last_used_at, rotated_from, kind
FROM access.api_keys
WHERE tenant_id = :tenant_id AND id = :id AND (:partner_id::uuid IS NULL OR partner_id = :partner_id)
FOR NO KEY UPDATE;

-- name: keys(tenant_id, partner_id, after, count)
-- Keys, newest first.
SELECT id, prefix, name, partner_id, scopes, limit_per_minute, limit_per_hour, limit_per_day,
       created_at, created_by, expires_at, revoked_at, last_used_at, rotated_from, kind
FROM access.api_keys
WHERE tenant_id = :tenant_id AND (:after::uuid IS NULL OR id < :after)
  AND (:partner_id::uuid IS NULL OR partner_id = :partner_id)
ORDER BY id DESC LIMIT :count;

-- name: end_key(tenant_id, id, expires_at, revoked_at)!
-- Revokes a locked key, or lets it expire earlier.
UPDATE access.api_keys SET expires_at = :expires_at, revoked_at = :revoked_at
WHERE tenant_id = :tenant_id AND id = :id;

-- name: mark_used(tenant_id, ids, at)!
-- When keys were last used, for many at once. A key that another process is marking is left to it.
UPDATE access.api_keys SET last_used_at = :at
WHERE tenant_id = :tenant_id AND id IN (
    SELECT id FROM access.api_keys
    WHERE tenant_id = :tenant_id AND id = ANY (:ids) AND (last_used_at IS NULL OR last_used_at < :at)
    FOR NO KEY UPDATE SKIP LOCKED
);

-- name: mode(tenant_id)^
-- Whether a tenant is the live twin.
SELECT live FROM tenancy.registry WHERE tenant_id = :tenant_id;

-- name: forget_windows(tenant_id, before)!
-- Deletes rate windows that were over before an instant.
DELETE FROM access.rate_windows WHERE tenant_id = :tenant_id AND ends_at < :before;
