-- name: client_digest(tenant_id, id)$
-- The digest of a client's secret; null: there is no such client.
SELECT (access.client_digests(:tenant_id, ARRAY[:id]::uuid[]))[1];
