-- Columns stand in the order of Session's fields in model.py.

-- name: insert_session(tenant_id, id, user_id, methods, now, expires_at, address, user_agent)^
-- A new session of a user who is active. The user's row is held until the commit: a suspension waits for
-- it, and then finds the session to end.
INSERT INTO access.sessions
    (tenant_id, id, user_id, methods, created_at, last_used_at, expires_at, address, user_agent)
SELECT :tenant_id, :id, u.id, :methods, :now, :now, :expires_at, :address, :user_agent
FROM access.users u
WHERE u.tenant_id = :tenant_id AND u.id = :user_id AND u.status = 'ACTIVE'
FOR SHARE
RETURNING id;

-- name: insert_token(tenant_id, digest, session_id, number, now)!
-- A session's next refresh token.
INSERT INTO access.refresh_tokens (tenant_id, digest, session_id, number, issued_at)
VALUES (:tenant_id, :digest, :session_id, :number, :now);

-- name: owner(tenant_id, digest)^
-- Whose a refresh token is. Nothing is locked: what decides is read again under the session's lock.
SELECT s.id, s.user_id, s.expires_at
FROM access.refresh_tokens r
JOIN access.sessions s ON s.tenant_id = :tenant_id AND s.id = r.session_id
WHERE r.tenant_id = :tenant_id AND r.digest = :digest;

-- name: lock_user(tenant_id, id)!
-- Holds a user's row until the transaction ends, against whoever changes it. Always before his sessions.
SELECT id FROM access.users WHERE tenant_id = :tenant_id AND id = :id FOR SHARE;

-- name: lock_session(tenant_id, id)^
-- A session that has not ended, locked until the transaction ends.
SELECT id FROM access.sessions
WHERE tenant_id = :tenant_id AND id = :id AND ended_at IS NULL
FOR NO KEY UPDATE;

-- name: token(tenant_id, digest)^
-- A refresh token's number, and whether it was used. The session is locked.
SELECT number, used_at IS NOT NULL FROM access.refresh_tokens
WHERE tenant_id = :tenant_id AND digest = :digest;

-- name: use_token(tenant_id, digest, now)!
-- Marks a refresh token as used. The session is locked.
UPDATE access.refresh_tokens SET used_at = :now WHERE tenant_id = :tenant_id AND digest = :digest;

-- name: touch_session(tenant_id, id, now)!
-- Notes that a session was renewed. The session is locked.
UPDATE access.sessions SET last_used_at = :now WHERE tenant_id = :tenant_id AND id = :id;

-- name: find_session(tenant_id, id)^
-- What decides whether a session may call.
SELECT * FROM access.find_sessions(:tenant_id, ARRAY[:id]::uuid[]);

-- name: end_session(tenant_id, id, user_id, now, reason)^
-- Ends a user's session that has not ended.
UPDATE access.sessions SET ended_at = :now, ended_reason = :reason
WHERE tenant_id = :tenant_id AND id = :id AND user_id = :user_id AND ended_at IS NULL
RETURNING id;

-- name: end_sessions(tenant_id, user_id, but, now, reason)
-- Ends a user's sessions; with `but`, all except this one.
UPDATE access.sessions SET ended_at = :now, ended_reason = :reason
WHERE tenant_id = :tenant_id AND id = ANY (ARRAY(
    SELECT id FROM access.sessions
    WHERE tenant_id = :tenant_id AND user_id = :user_id AND ended_at IS NULL
      AND (:but::uuid IS NULL OR id <> :but)
    ORDER BY id FOR NO KEY UPDATE))
RETURNING id;

-- name: record(tenant_id, action, id, after)!
-- Puts what became of a session into the audit log.
SELECT audit.record(:tenant_id, :action, 'session', :id, NULL, :after);

-- name: tell_reuse(tenant_id, event_id, session_id, partner_id, now, data)!
-- The event that a used refresh token came again, and its delivery.
WITH told AS (
    INSERT INTO kernel.events (tenant_id, id, type, object_id, partner_id, occurred_at, data)
    VALUES (:tenant_id, :event_id, 'session.refresh_reused', :session_id, :partner_id, :now, :data)
    RETURNING id
)
INSERT INTO kernel.outbox (tenant_id, event_id) SELECT :tenant_id, told.id FROM told RETURNING event_id;

-- name: sessions(tenant_id, user_id, now, used_since, after, count)
-- A user's sessions that have not ended, newest first.
SELECT id, user_id, methods, created_at, last_used_at, expires_at, address, user_agent
FROM access.sessions
WHERE tenant_id = :tenant_id AND user_id = :user_id AND ended_at IS NULL AND expires_at > :now
  AND last_used_at > :used_since AND (:after::uuid IS NULL OR id < :after)
ORDER BY id DESC LIMIT :count;

-- name: user(tenant_id, user_id, now)^
-- A user's partner, what he may do in the whole tenant, and where he has roles; null among them: in the
-- whole tenant.
SELECT u.partner_id, p.permissions, coalesce((
           SELECT array_agg(DISTINCT a.business_unit_id)
           FROM access.assignments a
           WHERE a.tenant_id = :tenant_id AND a.user_id = :user_id AND a.ended_at IS NULL
             AND (a.expires_at IS NULL OR a.expires_at > :now)), '{}')
FROM access.users u
LEFT JOIN access.permissions_of(:tenant_id, ARRAY[:user_id]::uuid[]) p ON p.user_id = u.id
WHERE u.tenant_id = :tenant_id AND u.id = :user_id AND u.deleted_at IS NULL;

-- name: end_expired(tenant_id, now, used_before, limit)
-- Ends sessions that have run out or rested too long, up to a number. One that is being renewed is left.
UPDATE access.sessions SET ended_at = :now, ended_reason = 'expired'
WHERE tenant_id = :tenant_id AND id = ANY (ARRAY(
    SELECT id FROM access.sessions
    WHERE tenant_id = :tenant_id AND ended_at IS NULL AND (expires_at <= :now OR last_used_at <= :used_before)
    LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED))
RETURNING id;
