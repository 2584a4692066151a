-- Columns stand in the order of ApiKey's fields in model.py, the limits in one row.

-- name: insert_key(tenant_id, id, digest, prefix, name, partner_id, scopes, limit_per_minute, limit_per_hour, limit_per_day, allowed_addresses, now, created_by, expires_at, rotated_from, kind)!
-- A new key.
INSERT INTO access.api_keys
    (tenant_id, id, digest, prefix, name, partner_id, scopes, limit_per_minute, limit_per_hour, limit_per_day,
     allowed_addresses, created_at, created_by, expires_at, rotated_from, kind)
VALUES (:tenant_id, :id, :digest, :prefix, :name, :partner_id, :scopes, :limit_per_minute, :limit_per_hour,
        :limit_per_day, :allowed_addresses::cidr[], :now, :created_by, :expires_at, :rotated_from, :kind);

-- name: key(tenant_id, id, partner_id)^
-- One key; with `partner_id`, only if it is that partner's.
SELECT id, prefix, name, partner_id, scopes, limit_per_minute, limit_per_hour, limit_per_day,
       allowed_addresses, created_at, created_by, expires_at, revoked_at, revoked_by, revoked_reason,
       last_used_at, last_used_address, rotated_from, kind
FROM access.api_keys
WHERE tenant_id = :tenant_id AND id = :id AND (:partner_id::uuid IS NULL OR partner_id = :partner_id);

-- name: lock_key(tenant_id, id, partner_id)^
-- The same, locked until the transaction ends.
SELECT id, prefix, name, partner_id, scopes, limit_per_minute, limit_per_hour, limit_per_day,
       allowed_addresses, created_at, created_by, expires_at, revoked_at, revoked_by, revoked_reason,
       last_used_at, last_used_address, rotated_from, kind
FROM access.api_keys
WHERE tenant_id = :tenant_id AND id = :id AND (:partner_id::uuid IS NULL OR partner_id = :partner_id)
FOR NO KEY UPDATE;

-- name: keys(tenant_id, partner_id, status, now, after, count)
-- Keys, newest first, by partner or by how they stand.
SELECT id, prefix, name, partner_id, scopes, limit_per_minute, limit_per_hour, limit_per_day,
       allowed_addresses, created_at, created_by, expires_at, revoked_at, revoked_by, revoked_reason,
       last_used_at, last_used_address, rotated_from, kind
FROM access.api_keys
WHERE tenant_id = :tenant_id AND (:after::uuid IS NULL OR id < :after)
  AND (:partner_id::uuid IS NULL OR partner_id = :partner_id)
  AND (:status::text IS NULL OR :status = CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                                               WHEN expires_at <= :now THEN 'expired' ELSE 'active' END)
ORDER BY id DESC LIMIT :count;

-- name: update_key(tenant_id, id, name, scopes, limit_per_minute, limit_per_hour, limit_per_day, allowed_addresses)!
-- What a locked key is called, may do, how often, and from where.
UPDATE access.api_keys
SET name = :name, scopes = :scopes, limit_per_minute = :limit_per_minute, limit_per_hour = :limit_per_hour,
    limit_per_day = :limit_per_day, allowed_addresses = :allowed_addresses::cidr[]
WHERE tenant_id = :tenant_id AND id = :id;

-- name: end_key(tenant_id, id, expires_at, revoked_at, revoked_by, revoked_reason)!
-- Revokes a locked key, or lets it expire earlier.
UPDATE access.api_keys
SET expires_at = :expires_at, revoked_at = :revoked_at, revoked_by = :revoked_by, revoked_reason = :revoked_reason
WHERE tenant_id = :tenant_id AND id = :id;

-- name: mark_used(tenant_id, ids, addresses, at)!
-- When and from where keys were last used, for many at once. A key that another process is marking is left to it.
UPDATE access.api_keys k
SET last_used_at = :at, last_used_address = coalesce(u.address, k.last_used_address)
FROM unnest(:ids::uuid[], :addresses::inet[]) AS u (id, address)
WHERE k.tenant_id = :tenant_id AND k.id = u.id AND k.id IN (
    SELECT id FROM access.api_keys
    WHERE tenant_id = :tenant_id AND id = ANY (:ids) AND (last_used_at IS NULL OR last_used_at < :at)
    FOR NO KEY UPDATE SKIP LOCKED
);

-- name: tell_endings(tenant_id, at)$
-- Writes an event for each key whose end is due to be told and was not told yet; how many.
SELECT access.tell_endings(:tenant_id, :at);

-- name: mode(tenant_id)^
-- Whether a tenant is the live twin, and its code.
SELECT live, code FROM tenancy.registry WHERE tenant_id = :tenant_id;

-- name: forget_windows(tenant_id, before)!
-- Deletes rate windows that were over before an instant.
DELETE FROM access.rate_windows WHERE tenant_id = :tenant_id AND ends_at < :before;
