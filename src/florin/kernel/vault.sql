-- Wrapped keys: a tenant's two, and one per person.

-- name: data_keys(tenant_id)
-- The tenant's keys by what they are for.
SELECT purpose, wrapped FROM kernel.data_keys WHERE tenant_id = :tenant_id;

-- name: insert_data_key(tenant_id, purpose, wrapped, now)!
-- A new key, unless another process was faster.
INSERT INTO kernel.data_keys (tenant_id, purpose, wrapped, created_at) VALUES (:tenant_id, :purpose, :wrapped, :now)
ON CONFLICT DO NOTHING;

-- name: insert_people(tenant_id, ids, kind, wrapped, now)!
-- People, each with the key for all that is known of them.
INSERT INTO kernel.people (tenant_id, id, kind, wrapped, created_at)
SELECT :tenant_id, a.id, :kind, a.wrapped, :now FROM unnest(:ids::uuid[], :wrapped::bytea[]) AS a (id, wrapped)
ON CONFLICT DO NOTHING;

-- name: people(tenant_id, ids)
-- The keys of people who are not erased.
SELECT id, wrapped FROM kernel.people
WHERE tenant_id = :tenant_id AND id = ANY (:ids) AND wrapped IS NOT NULL;

-- name: erase_person(tenant_id, id, now, by)!
-- Destroys a person's key. Twice is as once.
UPDATE kernel.people SET wrapped = NULL, erased_at = :now, erased_by = :by
WHERE tenant_id = :tenant_id AND id = :id AND wrapped IS NOT NULL;
