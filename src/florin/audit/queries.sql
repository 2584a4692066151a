-- Statements of the audit log. All of them read: only the database's own triggers write it.

-- name: entries(tenant_id, entity_type, entity_id, actor, since, until, starting_after, limit)
-- A page of the log, newest first. An id carries its time to within the day's slack that lets whole months be left
-- out.
SELECT l.id, l.seq, l.at, l.actor, l.action, l.entity_type, l.entity_id, l.before, l.after, l.reason, l.address,
       l.user_agent, l.request_id, l.session_id
FROM audit.log l
WHERE l.tenant_id = :tenant_id
  AND (:starting_after::uuid IS NULL OR l.id < :starting_after)
  AND (:entity_type::text IS NULL OR l.entity_type = :entity_type)
  AND (:entity_id::text IS NULL OR l.entity_id = :entity_id)
  AND (:actor::text IS NULL OR l.actor = :actor)
  AND (:since::timestamptz IS NULL
       OR (l.at >= :since AND l.id >= kernel.uuid_floor(:since::timestamptz - interval '1 day')))
  AND (:until::timestamptz IS NULL
       OR (l.at < :until AND l.id < kernel.uuid_floor(:until::timestamptz + interval '1 day')))
ORDER BY l.id DESC
LIMIT :limit;

-- name: head(tenant_id)^
-- Where the tenant's chain ends.
SELECT h.seq, h.digest FROM audit.heads h WHERE h.tenant_id = :tenant_id;

-- name: chain(tenant_id, after_seq, after_id, through, limit)
-- The next rows of the chain, by number, each with the digest that it should have.
SELECT l.seq, l.id, l.previous, l.digest, audit.digest(l)
FROM audit.log l
WHERE l.tenant_id = :tenant_id AND l.seq >= :after_seq AND (l.seq, l.id) > (:after_seq, :after_id) AND l.seq <= :through
ORDER BY l.seq, l.id
LIMIT :limit;
