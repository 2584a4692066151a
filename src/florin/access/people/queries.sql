-- Columns stand in the order of the dataclasses' fields in model.py. `at` decides which assignments are in force; the last
-- column of a user is where he has such: business units, and null for the whole tenant.
-- ANY (ARRAY(...)) where a filter may be left out: under OR an IN would be asked of every user of the tenant.

-- name: country(tenant_id)^
-- The country whose national numbers are meant, and whether this is the live twin.
SELECT t.country, r.live, access.is_platform(:tenant_id)
FROM tenancy.tenants t JOIN tenancy.registry r ON r.tenant_id = t.tenant_id
WHERE t.tenant_id = :tenant_id AND r.tenant_id = :tenant_id;

-- name: insert_user(tenant_id, id, person_id, partner_id, user_name, name_sealed, email_sealed, email_index, phone_sealed, phone_index, now, created_by)!
-- A new user, invited.
INSERT INTO access.users
    (tenant_id, id, person_id, partner_id, status, user_name, name_sealed, email_sealed, email_index,
     phone_sealed, phone_index, created_at, created_by, updated_at)
VALUES (:tenant_id, :id, :person_id, :partner_id, 'INVITED', :user_name, :name_sealed, :email_sealed, :email_index,
        :phone_sealed, :phone_index, :now, :created_by, :now);

-- name: user(tenant_id, id, at)^
-- One user, deleted ones too.
SELECT u.id, u.person_id, u.partner_id, u.status, u.user_name, u.name_sealed, u.email_sealed, u.phone_sealed,
       u.email_verified_at, u.phone_verified_at, u.created_at, u.created_by, u.updated_at, u.deleted_at,
       (SELECT array_agg(DISTINCT h.business_unit_id) FROM access.assignments h
        WHERE h.tenant_id = :tenant_id AND h.user_id = u.id AND h.ended_at IS NULL
          AND (h.expires_at IS NULL OR h.expires_at > :at))
FROM access.users u WHERE u.tenant_id = :tenant_id AND u.id = :id;

-- name: lock_user(tenant_id, id, at)^
-- The same, locked until the transaction ends.
SELECT u.id, u.person_id, u.partner_id, u.status, u.user_name, u.name_sealed, u.email_sealed, u.phone_sealed,
       u.email_verified_at, u.phone_verified_at, u.created_at, u.created_by, u.updated_at, u.deleted_at,
       (SELECT array_agg(DISTINCT h.business_unit_id) FROM access.assignments h
        WHERE h.tenant_id = :tenant_id AND h.user_id = u.id AND h.ended_at IS NULL
          AND (h.expires_at IS NULL OR h.expires_at > :at))
FROM access.users u WHERE u.tenant_id = :tenant_id AND u.id = :id
FOR NO KEY UPDATE;

-- name: users(tenant_id, status, partner_id, built_in, role_id, business_unit_id, units, at, after, count)
-- Users, newest first; deleted ones only when asked for by status. `units`: only those who have roles in
-- these units and nowhere else.
SELECT u.id, u.person_id, u.partner_id, u.status, u.user_name, u.name_sealed, u.email_sealed, u.phone_sealed,
       u.email_verified_at, u.phone_verified_at, u.created_at, u.created_by, u.updated_at, u.deleted_at,
       (SELECT array_agg(DISTINCT h.business_unit_id) FROM access.assignments h
        WHERE h.tenant_id = :tenant_id AND h.user_id = u.id AND h.ended_at IS NULL
          AND (h.expires_at IS NULL OR h.expires_at > :at))
FROM access.users u
WHERE u.tenant_id = :tenant_id AND (:after::uuid IS NULL OR u.id < :after)
  AND CASE WHEN :status::text IS NULL THEN u.status <> 'DELETED' ELSE u.status = :status END
  AND (:partner_id::uuid IS NULL OR u.partner_id = :partner_id)
  AND ((:built_in::text IS NULL AND :role_id::uuid IS NULL AND :business_unit_id::uuid IS NULL) OR u.id = ANY (ARRAY(
      SELECT a.user_id FROM access.assignments a
      WHERE a.tenant_id = :tenant_id AND a.ended_at IS NULL AND (a.expires_at IS NULL OR a.expires_at > :at)
        AND (:built_in::text IS NULL OR a.built_in = :built_in)
        AND (:role_id::uuid IS NULL OR a.role_id = :role_id)
        AND (:business_unit_id::uuid IS NULL OR a.business_unit_id = :business_unit_id))))
  AND (:units::uuid[] IS NULL OR u.id = ANY (ARRAY(
      SELECT a.user_id FROM access.assignments a
      WHERE a.tenant_id = :tenant_id AND a.ended_at IS NULL AND a.business_unit_id = ANY (:units::uuid[])
        AND (a.expires_at IS NULL OR a.expires_at > :at)
        AND NOT EXISTS (
            SELECT FROM access.assignments o
            WHERE o.tenant_id = :tenant_id AND o.user_id = a.user_id AND o.ended_at IS NULL
              AND (o.expires_at IS NULL OR o.expires_at > :at)
              AND (o.business_unit_id IS NULL OR o.business_unit_id <> ALL (:units::uuid[]))))))
ORDER BY u.id DESC LIMIT :count;

-- name: users_named(tenant_id, user_name, email_index, phone_index, at)
-- The user of this user name, this address or this number: whichever of the three is not null.
SELECT u.id, u.person_id, u.partner_id, u.status, u.user_name, u.name_sealed, u.email_sealed, u.phone_sealed,
       u.email_verified_at, u.phone_verified_at, u.created_at, u.created_by, u.updated_at, u.deleted_at,
       (SELECT array_agg(DISTINCT h.business_unit_id) FROM access.assignments h
        WHERE h.tenant_id = :tenant_id AND h.user_id = u.id AND h.ended_at IS NULL
          AND (h.expires_at IS NULL OR h.expires_at > :at))
FROM access.users u
WHERE u.tenant_id = :tenant_id AND u.deleted_at IS NULL
  AND (:user_name::text IS NULL OR u.user_name = :user_name)
  AND (:email_index::bytea IS NULL OR u.email_index = :email_index)
  AND (:phone_index::bytea IS NULL OR u.phone_index = :phone_index)
LIMIT 1;

-- name: name_user(tenant_id, id, user_name, name_sealed, email_sealed, email_index, phone_sealed, phone_index, now)!
-- Gives a locked user other names. An address or a number that is another is not verified.
UPDATE access.users
SET user_name = :user_name, name_sealed = :name_sealed,
    email_verified_at = CASE WHEN email_index = :email_index THEN email_verified_at END,
    email_sealed = :email_sealed, email_index = :email_index,
    phone_verified_at = CASE WHEN phone_index = :phone_index THEN phone_verified_at END,
    phone_sealed = :phone_sealed, phone_index = :phone_index, updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id;

-- name: move_user(tenant_id, id, status, deleted_at, now)!
-- Takes a locked user to another state.
UPDATE access.users SET status = :status, deleted_at = :deleted_at, updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id;

-- name: end_sessions(tenant_id, user_id, reason, now)!
-- Ends all sessions of a user.
UPDATE access.sessions SET ended_at = :now, ended_reason = :reason
WHERE tenant_id = :tenant_id AND user_id = :user_id AND ended_at IS NULL;

-- name: roles(tenant_id, platform, after, count)
-- Built-in roles and the tenant's own, in order of their codes.
SELECT NULL::uuid, r.code, r.name, r.description, r.permissions, r.platform,
       NULL::timestamptz, NULL::text, NULL::timestamptz
FROM reference.roles r WHERE (:platform OR NOT r.platform) AND (:after::text IS NULL OR r.code > :after)
UNION ALL
SELECT o.id, o.code, o.name, o.description, o.permissions, false, o.created_at, o.created_by, o.updated_at
FROM access.roles o
WHERE o.tenant_id = :tenant_id AND o.deleted_at IS NULL AND (:after::text IS NULL OR o.code > :after)
ORDER BY 2 LIMIT :count;

-- name: built_in_role(code)^
-- One built-in role.
SELECT NULL::uuid, r.code, r.name, r.description, r.permissions, r.platform,
       NULL::timestamptz, NULL::text, NULL::timestamptz
FROM reference.roles r WHERE r.code = :code;

-- name: own_role(tenant_id, code)^
-- One of the tenant's own roles, kept from being changed or deleted until the transaction ends.
SELECT o.id, o.code, o.name, o.description, o.permissions, false, o.created_at, o.created_by, o.updated_at
FROM access.roles o WHERE o.tenant_id = :tenant_id AND o.code = :code AND o.deleted_at IS NULL
FOR SHARE;

-- name: lock_own_role(tenant_id, code)^
-- The same, locked.
SELECT o.id, o.code, o.name, o.description, o.permissions, false, o.created_at, o.created_by, o.updated_at
FROM access.roles o WHERE o.tenant_id = :tenant_id AND o.code = :code AND o.deleted_at IS NULL
FOR NO KEY UPDATE;

-- name: insert_role(tenant_id, id, code, name, description, permissions, now, created_by)!
-- A new role.
INSERT INTO access.roles
    (tenant_id, id, code, name, description, permissions, created_at, created_by, updated_at)
VALUES (:tenant_id, :id, :code, :name, :description, :permissions, :now, :created_by, :now);

-- name: update_role(tenant_id, id, name, description, permissions, deleted_at, now)!
-- Changes a locked role, or marks it deleted.
UPDATE access.roles
SET name = :name, description = :description, permissions = :permissions, deleted_at = :deleted_at, updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id;

-- name: role_holders(tenant_id, role_id, at)$
-- How many assignments of one of the tenant's own roles are in force.
SELECT count(*) FROM access.assignments a
WHERE a.tenant_id = :tenant_id AND a.role_id = :role_id AND a.ended_at IS NULL
  AND (a.expires_at IS NULL OR a.expires_at > :at);

-- name: keep_unit(tenant_id, id)^
-- Keeps a business unit from being moved until the transaction ends: as the foreign key would, but before
-- the end of the audit log is locked.
SELECT id FROM tenancy.business_units WHERE tenant_id = :tenant_id AND id = :id FOR KEY SHARE;

-- name: insert_assignment(tenant_id, id, user_id, built_in, role_id, business_unit_id, expires_at, now, assigned_by)!
-- Gives a role.
INSERT INTO access.assignments
    (tenant_id, id, user_id, built_in, role_id, business_unit_id, expires_at, assigned_at, assigned_by)
VALUES (:tenant_id, :id, :user_id, :built_in, :role_id, :business_unit_id, :expires_at, :now, :assigned_by);

-- name: assignment(tenant_id, id)^
-- One assignment, ended ones too.
SELECT a.id, a.user_id, coalesce(a.built_in, r.code), a.business_unit_id, a.expires_at, a.assigned_at,
       a.assigned_by, a.ended_at, a.ended_by
FROM access.assignments a LEFT JOIN access.roles r ON r.tenant_id = :tenant_id AND r.id = a.role_id
WHERE a.tenant_id = :tenant_id AND a.id = :id;

-- name: assignments(tenant_id, user_id, built_in, role_id, business_unit_id, partner_id, units, ended, at, after, count)
-- Assignments, newest first: those in force, or with `ended` those that are not. `units`, `partner_id`: only of
-- users who have roles in these units and nowhere else, or who are this partner's.
SELECT a.id, a.user_id, coalesce(a.built_in, r.code), a.business_unit_id, a.expires_at, a.assigned_at,
       a.assigned_by, a.ended_at, a.ended_by
FROM access.assignments a LEFT JOIN access.roles r ON r.tenant_id = :tenant_id AND r.id = a.role_id
WHERE a.tenant_id = :tenant_id AND (:after::uuid IS NULL OR a.id < :after)
  AND (a.ended_at IS NULL AND (a.expires_at IS NULL OR a.expires_at > :at)) <> :ended
  AND (:user_id::uuid IS NULL OR a.user_id = :user_id)
  AND (:built_in::text IS NULL OR a.built_in = :built_in)
  AND (:role_id::uuid IS NULL OR a.role_id = :role_id)
  AND (:business_unit_id::uuid IS NULL OR a.business_unit_id = :business_unit_id)
  AND (:partner_id::uuid IS NULL OR EXISTS (
      SELECT FROM access.users u
      WHERE u.tenant_id = :tenant_id AND u.id = a.user_id AND u.partner_id = :partner_id))
  AND (:units::uuid[] IS NULL OR (
      a.business_unit_id = ANY (:units::uuid[])
      AND EXISTS (
          SELECT FROM access.assignments i
          WHERE i.tenant_id = :tenant_id AND i.user_id = a.user_id AND i.ended_at IS NULL
            AND (i.expires_at IS NULL OR i.expires_at > :at))
      AND NOT EXISTS (
          SELECT FROM access.assignments o
          WHERE o.tenant_id = :tenant_id AND o.user_id = a.user_id AND o.ended_at IS NULL
            AND (o.expires_at IS NULL OR o.expires_at > :at)
            AND (o.business_unit_id IS NULL OR o.business_unit_id <> ALL (:units::uuid[])))))
ORDER BY a.id DESC LIMIT :count;

-- name: held(tenant_id, user_id, at)
-- What a user's roles in force allow, and where.
SELECT a.business_unit_id, coalesce(b.permissions, o.permissions)
FROM access.assignments a
LEFT JOIN reference.roles b ON b.code = a.built_in
LEFT JOIN access.roles o ON o.tenant_id = :tenant_id AND o.id = a.role_id
WHERE a.tenant_id = :tenant_id AND a.user_id = :user_id AND a.ended_at IS NULL
  AND (a.expires_at IS NULL OR a.expires_at > :at);

-- name: end_assignments(tenant_id, user_id, id, now, ended_by)!
-- Ends one assignment of a locked user, or with a null id all that have not ended.
UPDATE access.assignments SET ended_at = :now, ended_by = :ended_by
WHERE tenant_id = :tenant_id AND user_id = :user_id AND (:id::uuid IS NULL OR id = :id) AND ended_at IS NULL;

-- name: end_expired(tenant_id, user_id, now)!
-- Ends a locked user's assignments that have expired: the same role may be given anew.
UPDATE access.assignments SET ended_at = expires_at, ended_by = 'expiry'
WHERE tenant_id = :tenant_id AND user_id = :user_id AND ended_at IS NULL AND expires_at <= :now;

-- name: administrators(tenant_id, built_in, at)
-- The assignments in force of a built-in role in the whole tenant, of the tenant's own users who can sign in:
-- id, user and expiry. Whoever asks has locked the tenant.
SELECT a.id, a.user_id, a.expires_at
FROM access.assignments a JOIN access.users u ON u.tenant_id = :tenant_id AND u.id = a.user_id
WHERE a.tenant_id = :tenant_id AND a.built_in = :built_in AND a.business_unit_id IS NULL AND a.ended_at IS NULL
  AND (a.expires_at IS NULL OR a.expires_at > :at) AND u.partner_id IS NULL AND u.status IN ('INVITED', 'ACTIVE');
