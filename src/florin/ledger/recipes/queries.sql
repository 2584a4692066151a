-- Recipes.

-- name: template(tenant_id, name, version)^
-- One version of a recipe, or the newest.
SELECT name, version, body, created_at
FROM ledger.templates
WHERE tenant_id = :tenant_id AND name = :name AND (:version::integer IS NULL OR version = :version)
ORDER BY version DESC
LIMIT 1;

-- name: templates(tenant_id, starting_after, limit)
-- A page of the newest versions, by name in byte order.
SELECT DISTINCT ON (name COLLATE "C") name, version, body, created_at
FROM ledger.templates
WHERE tenant_id = :tenant_id AND (:starting_after::text IS NULL OR name COLLATE "C" > :starting_after)
ORDER BY name COLLATE "C", version DESC
LIMIT :limit;

-- name: insert_template(tenant_id, name, version, body, created_at)!
-- Adds a version.
INSERT INTO ledger.templates (tenant_id, name, version, body, created_at)
VALUES (:tenant_id, :name, :version, :body, :created_at);
