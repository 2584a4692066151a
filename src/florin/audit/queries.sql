-- Statements of the audit log. All of them read, except the notes of reads: only the database's own functions write it.

-- name: entries(tenant_id, entity_type, entity_id, actor, action, request_id, session_id, address, field, since, until, starting_after, limit)
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
  AND (:action::text IS NULL OR l.action = :action)
  AND (:request_id::text IS NULL OR l.request_id = :request_id)
  AND (:session_id::text IS NULL OR l.session_id = :session_id)
  AND (:address::text IS NULL OR l.address = :address)
  AND (:field::text IS NULL
       OR (l.action <> 'read' AND nullif(l.before -> :field::text, 'null') IS DISTINCT FROM nullif(l.after -> :field::text, 'null')))
  AND (:since::timestamptz IS NULL
       OR (l.at >= :since AND l.id >= kernel.uuid_floor(:since::timestamptz - interval '1 day')))
  AND (:until::timestamptz IS NULL
       OR (l.at < :until AND l.id < kernel.uuid_floor(:until::timestamptz + interval '1 day')))
ORDER BY l.id DESC
LIMIT :limit;

-- name: entry(tenant_id, id)^
-- One entry.
SELECT l.id, l.seq, l.at, l.actor, l.action, l.entity_type, l.entity_id, l.before, l.after, l.reason, l.address,
       l.user_agent, l.request_id, l.session_id
FROM audit.log l
WHERE l.tenant_id = :tenant_id AND l.id = :id;

-- name: exported(tenant_id, entity_type, entity_id, actor, action, request_id, session_id, address, field, since, until, after_seq, through_seq)
-- What of these numbers fits the same filters, in order, with what chains it.
SELECT l.id, l.seq, l.at, l.actor, l.action, l.entity_type, l.entity_id, l.before, l.after, l.reason, l.address,
       l.user_agent, l.request_id, l.session_id, l.previous, l.digest
FROM audit.log l
WHERE l.tenant_id = :tenant_id AND l.seq > :after_seq AND l.seq <= :through_seq
  AND (:entity_type::text IS NULL OR l.entity_type = :entity_type)
  AND (:entity_id::text IS NULL OR l.entity_id = :entity_id)
  AND (:actor::text IS NULL OR l.actor = :actor)
  AND (:action::text IS NULL OR l.action = :action)
  AND (:request_id::text IS NULL OR l.request_id = :request_id)
  AND (:session_id::text IS NULL OR l.session_id = :session_id)
  AND (:address::text IS NULL OR l.address = :address)
  AND (:field::text IS NULL
       OR (l.action <> 'read' AND nullif(l.before -> :field::text, 'null') IS DISTINCT FROM nullif(l.after -> :field::text, 'null')))
  AND (:since::timestamptz IS NULL OR l.at >= :since)
  AND (:until::timestamptz IS NULL OR l.at < :until)
ORDER BY l.seq;

-- name: seq_before(tenant_id, at)$
-- A number that nothing written at or after an instant has, with an hour's slack for clocks that went back; null: none
-- has been written since.
SELECT l.seq - 1 FROM audit.log l
WHERE l.tenant_id = :tenant_id AND l.id >= kernel.uuid_floor(:at::timestamptz - interval '1 hour')
ORDER BY l.id
LIMIT 1;

-- name: head(tenant_id)^
-- Where the tenant's chain ends, and where it begins since it was pruned.
SELECT h.seq, h.digest, h.pruned_seq, h.pruned_digest FROM audit.heads h WHERE h.tenant_id = :tenant_id;

-- name: end_of(tenant_id)^
-- The newest entry's number, digest and time.
SELECT l.seq, l.digest, l.at
FROM audit.heads h
JOIN audit.log l ON l.tenant_id = :tenant_id AND l.seq = h.seq
WHERE h.tenant_id = :tenant_id;

-- name: digest_at(tenant_id, seq)$
-- The digest that stands at a number.
SELECT l.digest FROM audit.log l WHERE l.tenant_id = :tenant_id AND l.seq = :seq;

-- name: last_pruning(tenant_id)^
-- Through which number, and to which digest, the log itself says that it was pruned last.
SELECT (l.after ->> 'through')::bigint, decode(l.after ->> 'digest', 'hex')
FROM audit.log l
WHERE l.tenant_id = :tenant_id AND l.action = 'pruned' AND l.entity_type = 'audit_log'
ORDER BY l.id DESC
LIMIT 1;

-- name: chain(tenant_id, after_seq, after_id, through, limit)
-- The next rows of the chain, by number, each with the digest that it should have.
SELECT l.seq, l.id, l.previous, l.digest, audit.digest(l)
FROM audit.log l
WHERE l.tenant_id = :tenant_id AND l.seq >= :after_seq AND (l.seq, l.id) > (:after_seq, :after_id) AND l.seq <= :through
ORDER BY l.seq, l.id
LIMIT :limit;

-- name: schema_changes(starting_after, limit)
-- Changes of the schema, newest first. Of no tenant.
SELECT c.id, c.at, c.login, c.role, c.application, c.address, c.command, c.object_type, c.object, c.statement, c.reason
FROM audit.schema_changes c
WHERE :starting_after::uuid IS NULL OR c.id < :starting_after
ORDER BY c.id DESC
LIMIT :limit;

-- name: schema_watched(version)$
-- Whether the event triggers are up and enabled, as this version has them.
SELECT count(*) = 2
FROM pg_event_trigger e
WHERE e.evtname IN ('florin_schema_changed', 'florin_schema_dropped') AND e.evtenabled IN ('A', 'O')
  AND obj_description(e.oid, 'pg_event_trigger') = :version;
