-- Columns stand in the order of the dataclasses' fields in model.py.

-- name: books(code, live)^
-- The twin of a tenant by its code. Runs without a tenant's context.
SELECT r.tenant_id, r.code, r.live FROM tenancy.registry r WHERE r.code = :code AND r.live = :live;

-- name: books_details(tenant_id)^
-- Name, country and status of the tenant.
SELECT t.name, t.country, t.status FROM tenancy.tenants t WHERE t.tenant_id = :tenant_id;

-- name: books_of(tenant_id)^
-- The twin by its id.
SELECT r.tenant_id, r.code, r.live FROM tenancy.registry r WHERE r.tenant_id = :tenant_id;

-- name: find_account(tenant_id, user_name, email_index, phone_index)^
-- The user of a login, of whatever kind it is; others are null. Deleted users have given theirs free.
SELECT u.id, u.person_id, u.partner_id, u.status, u.user_name, u.password_hash, u.password_changed_at, u.name_sealed, u.email_sealed,
       u.email_index, u.email_verified_at, u.phone_sealed, u.phone_index, u.phone_verified_at,
       f.secret_sealed, f.confirmed_at, f.code_channel
FROM access.users u
LEFT JOIN access.second_factors f ON f.tenant_id = :tenant_id AND f.user_id = u.id
WHERE u.tenant_id = :tenant_id AND u.deleted_at IS NULL AND u.id = (
    SELECT n.id FROM access.users n
    WHERE n.tenant_id = :tenant_id AND n.deleted_at IS NULL AND n.user_name = :user_name
    UNION ALL
    SELECT e.id FROM access.users e
    WHERE e.tenant_id = :tenant_id AND e.deleted_at IS NULL AND e.email_index = :email_index
    UNION ALL
    SELECT p.id FROM access.users p
    WHERE p.tenant_id = :tenant_id AND p.deleted_at IS NULL AND p.phone_index = :phone_index
    LIMIT 1);

-- name: account(tenant_id, id)^
-- A user who is not deleted.
SELECT u.id, u.person_id, u.partner_id, u.status, u.user_name, u.password_hash, u.password_changed_at, u.name_sealed, u.email_sealed,
       u.email_index, u.email_verified_at, u.phone_sealed, u.phone_index, u.phone_verified_at,
       f.secret_sealed, f.confirmed_at, f.code_channel
FROM access.users u
LEFT JOIN access.second_factors f ON f.tenant_id = :tenant_id AND f.user_id = u.id
WHERE u.tenant_id = :tenant_id AND u.id = :id AND u.deleted_at IS NULL;

-- name: lock_user(tenant_id, id)^
-- Status and password of a user who is not deleted, locked until the transaction ends.
SELECT u.status, u.password_hash, u.password_changed_at FROM access.users u
WHERE u.tenant_id = :tenant_id AND u.id = :id AND u.deleted_at IS NULL FOR NO KEY UPDATE;

-- name: activate(tenant_id, id, now)!
-- The first sign-in of an invited user.
UPDATE access.users SET status = 'ACTIVE', updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id AND status = 'INVITED';

-- name: set_password(tenant_id, id, password_hash, now)!
-- A new password.
UPDATE access.users SET password_hash = :password_hash, password_changed_at = :now, updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id;

-- name: rehash_password(tenant_id, id, old_hash, new_hash)!
-- The same password under newer parameters, unless it has been changed meanwhile.
UPDATE access.users SET password_hash = :new_hash
WHERE tenant_id = :tenant_id AND id = :id AND password_hash = :old_hash;

-- name: insert_former_password(tenant_id, user_id, id, password_hash, now)!
-- Remembers a password that is replaced.
INSERT INTO access.former_passwords (tenant_id, user_id, id, password_hash, replaced_at)
VALUES (:tenant_id, :user_id, :id, :password_hash, :now);

-- name: former_passwords(tenant_id, user_id, count)
-- The last passwords, newest first.
SELECT password_hash FROM access.former_passwords
WHERE tenant_id = :tenant_id AND user_id = :user_id ORDER BY id DESC LIMIT :count;

-- name: forget_former_passwords(tenant_id, user_id, keep)!
-- Deletes all but the last.
DELETE FROM access.former_passwords
WHERE tenant_id = :tenant_id AND user_id = :user_id AND id NOT IN (
    SELECT id FROM access.former_passwords WHERE tenant_id = :tenant_id AND user_id = :user_id
    ORDER BY id DESC LIMIT :keep);

-- name: verify_email(tenant_id, id, destination, now)!
-- The address is his, if it is still the one that the code was sent to.
UPDATE access.users SET email_verified_at = :now, updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id AND email_index = :destination AND email_verified_at IS NULL;

-- name: verify_phone(tenant_id, id, destination, now)!
-- The number is his, if it is still the one that the code was sent to.
UPDATE access.users SET phone_verified_at = :now, updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id AND phone_index = :destination AND phone_verified_at IS NULL;

-- name: permissions_tenant_wide(tenant_id, user_id, at)$
-- What a user may do in the whole tenant at an instant.
SELECT p.permissions FROM access.permissions_of(:tenant_id, ARRAY[:user_id]::uuid[], :at) p;

-- name: permissions_anywhere(tenant_id, user_id, at)^
-- What a user may do at an instant: in the whole tenant, and by business unit.
SELECT p.permissions, p.unit_permissions FROM access.permissions_of(:tenant_id, ARRAY[:user_id]::uuid[], :at) p;

-- name: is_within_units(tenant_id, user_id, units, at)$
-- Whether a user has roles in these units and in no others, nor in the whole tenant.
SELECT coalesce(bool_and(a.business_unit_id IS NOT NULL AND a.business_unit_id = ANY (:units)), false)
FROM access.assignments a
WHERE a.tenant_id = :tenant_id AND a.user_id = :user_id AND a.ended_at IS NULL
  AND (a.expires_at IS NULL OR a.expires_at > :at);

-- name: session(tenant_id, id)^
-- Whose a session is, and how it was begun.
SELECT s.user_id, s.methods FROM access.sessions s WHERE s.tenant_id = :tenant_id AND s.id = :id;

-- name: address_is_known(tenant_id, user_id, address, since)$
-- Whether the user has signed in from this address.
SELECT EXISTS (
    SELECT FROM access.sessions s
    WHERE s.tenant_id = :tenant_id AND s.user_id = :user_id AND s.address = :address AND s.created_at > :since);

-- name: lock_user_tries(tenant_id, user_id, known, now)^
-- Failures of a user, made when there are none and locked until the transaction ends.
INSERT INTO access.lock_outs (tenant_id, user_id, known, failures, failed_at)
VALUES (:tenant_id, :user_id, :known, 0, :now)
ON CONFLICT (tenant_id, user_id, known) DO UPDATE SET failures = lock_outs.failures
RETURNING failures, failed_at, locked_until;

-- name: set_user_tries(tenant_id, user_id, known, failures, failed_at, locked_until)!
-- Writes locked failures down.
UPDATE access.lock_outs SET failures = :failures, failed_at = :failed_at, locked_until = :locked_until
WHERE tenant_id = :tenant_id AND user_id = :user_id AND known = :known;

-- name: forgive_user(tenant_id, user_id, known)!
-- No failures any more; of known addresses, of others, or (null) of both.
UPDATE access.lock_outs SET failures = 0, locked_until = NULL
WHERE tenant_id = :tenant_id AND user_id = :user_id AND (:known::boolean IS NULL OR known = :known)
  AND (failures > 0 OR locked_until IS NOT NULL);

-- name: lock_address_tries(tenant_id, address, now)^
-- The same of an address.
INSERT INTO access.address_failures (tenant_id, address, failures, failed_at)
VALUES (:tenant_id, :address, 0, :now)
ON CONFLICT (tenant_id, address) DO UPDATE SET failures = address_failures.failures
RETURNING failures, failed_at, locked_until;

-- name: set_address_tries(tenant_id, address, failures, failed_at, locked_until)!
-- Writes locked failures down.
UPDATE access.address_failures SET failures = :failures, failed_at = :failed_at, locked_until = :locked_until
WHERE tenant_id = :tenant_id AND address = :address;

-- name: record(tenant_id, action, entity_type, entity_id, after)$
-- A line of the audit log for what is no change of a row.
SELECT audit.record(:tenant_id, :action, :entity_type, :entity_id, NULL, :after);

-- name: insert_challenge(tenant_id, id, user_id, digest, purpose, methods, now, expires_at)!
-- A sign-in that waits for its second factor.
INSERT INTO access.challenges
    (tenant_id, id, user_id, digest, purpose, methods, attempts, created_at, expires_at)
VALUES (:tenant_id, :id, :user_id, :digest, :purpose, :methods, 0, :now, :expires_at);

-- name: lock_challenge(tenant_id, digest)^
-- The challenge of a token, locked until the transaction ends.
SELECT id, user_id, purpose, methods, attempts, expires_at, used_at FROM access.challenges
WHERE tenant_id = :tenant_id AND digest = :digest FOR UPDATE;

-- name: count_challenge(tenant_id, id)!
-- One attempt more at a locked challenge.
UPDATE access.challenges SET attempts = attempts + 1 WHERE tenant_id = :tenant_id AND id = :id;

-- name: use_challenge(tenant_id, id, now)!
-- A locked challenge is answered.
UPDATE access.challenges SET used_at = :now WHERE tenant_id = :tenant_id AND id = :id AND used_at IS NULL;

-- name: end_challenges(tenant_id, user_id, now)!
-- None of a user's challenges can be answered any more.
UPDATE access.challenges SET expires_at = :now
WHERE tenant_id = :tenant_id AND user_id = :user_id AND used_at IS NULL AND expires_at > :now;

-- name: insert_code(tenant_id, id, user_id, purpose, channel, destination, digest, now, expires_at)!
-- A code that is about to be sent.
INSERT INTO access.one_time_codes
    (tenant_id, id, user_id, purpose, channel, destination, digest, attempts, created_at, expires_at)
VALUES (:tenant_id, :id, :user_id, :purpose, :channel, :destination, :digest, 0, :now, :expires_at);

-- name: end_codes(tenant_id, user_id, purpose, now)!
-- None of a user's codes for this purpose (null: for any) can be used any more.
UPDATE access.one_time_codes SET expires_at = :now
WHERE tenant_id = :tenant_id AND user_id = :user_id AND (:purpose::text IS NULL OR purpose = :purpose)
  AND used_at IS NULL AND expires_at > :now;

-- name: lock_code(tenant_id, id)^
-- A code, locked until the transaction ends.
SELECT id, user_id, purpose, channel, destination, digest, attempts, expires_at, used_at
FROM access.one_time_codes WHERE tenant_id = :tenant_id AND id = :id FOR UPDATE;

-- name: count_code(tenant_id, id)!
-- One attempt more at a locked code.
UPDATE access.one_time_codes SET attempts = attempts + 1 WHERE tenant_id = :tenant_id AND id = :id;

-- name: use_code(tenant_id, id, now)!
-- A locked code is used.
UPDATE access.one_time_codes SET used_at = :now WHERE tenant_id = :tenant_id AND id = :id AND used_at IS NULL;

-- name: code_sent(tenant_id, id, sent_at, failure)!
-- How sending ended.
UPDATE access.one_time_codes SET sent_at = :sent_at, failure = :failure
WHERE tenant_id = :tenant_id AND id = :id;

-- name: lock_quota(tenant_id, subject, now)^
-- When a subject asked for codes, locked until the transaction ends.
INSERT INTO access.send_quotas (tenant_id, subject, asked_at, last_at) VALUES (:tenant_id, :subject, '{}', :now)
ON CONFLICT (tenant_id, subject) DO UPDATE SET last_at = send_quotas.last_at
RETURNING asked_at;

-- name: set_quota(tenant_id, subject, asked_at, now)!
-- Writes a locked quota down.
UPDATE access.send_quotas SET asked_at = :asked_at, last_at = :now
WHERE tenant_id = :tenant_id AND subject = :subject;

-- name: put_secret(tenant_id, user_id, secret_sealed, now)!
-- The secret of an authenticator app, to be confirmed; one that is confirmed stays.
INSERT INTO access.second_factors (tenant_id, user_id, secret_sealed, updated_at)
VALUES (:tenant_id, :user_id, :secret_sealed, :now)
ON CONFLICT (tenant_id, user_id) DO UPDATE SET secret_sealed = excluded.secret_sealed, last_step = NULL,
    updated_at = excluded.updated_at
WHERE second_factors.confirmed_at IS NULL;

-- name: take_step(tenant_id, user_id, step)!
-- Takes a code of this step, unless one of it or of a later one was taken.
UPDATE access.second_factors SET last_step = :step
WHERE tenant_id = :tenant_id AND user_id = :user_id AND (last_step IS NULL OR last_step < :step);

-- name: confirm_secret(tenant_id, user_id, now)!
-- The authenticator app has shown that it has the secret.
UPDATE access.second_factors SET confirmed_at = :now, updated_at = :now
WHERE tenant_id = :tenant_id AND user_id = :user_id AND secret_sealed IS NOT NULL AND confirmed_at IS NULL;

-- name: drop_secret(tenant_id, user_id, now)!
-- No authenticator app any more.
UPDATE access.second_factors SET secret_sealed = NULL, confirmed_at = NULL, last_step = NULL, updated_at = :now
WHERE tenant_id = :tenant_id AND user_id = :user_id;

-- name: set_code_channel(tenant_id, user_id, channel, now)!
-- Where codes are sent as a second factor; null: nowhere.
INSERT INTO access.second_factors (tenant_id, user_id, code_channel, updated_at)
VALUES (:tenant_id, :user_id, :channel, :now)
ON CONFLICT (tenant_id, user_id) DO UPDATE SET code_channel = excluded.code_channel, updated_at = excluded.updated_at;

-- name: end_recovery_codes(tenant_id, user_id, now)!
-- No recovery code of a user can be used any more.
UPDATE access.recovery_codes SET ended_at = :now
WHERE tenant_id = :tenant_id AND user_id = :user_id AND ended_at IS NULL;

-- name: insert_recovery_codes(tenant_id, user_id, digests, now)!
-- Fresh ones.
INSERT INTO access.recovery_codes (tenant_id, user_id, digest, created_at)
SELECT :tenant_id, :user_id, d.digest, :now FROM unnest(:digests::bytea[]) AS d (digest)
ON CONFLICT DO NOTHING;

-- name: use_recovery_code(tenant_id, user_id, digest, now)!
-- Uses one, once.
UPDATE access.recovery_codes SET ended_at = :now
WHERE tenant_id = :tenant_id AND user_id = :user_id AND digest = :digest AND ended_at IS NULL;

-- name: recovery_codes_left(tenant_id, user_id)$
-- How many can still be used.
SELECT count(*) FROM access.recovery_codes
WHERE tenant_id = :tenant_id AND user_id = :user_id AND ended_at IS NULL;

-- name: forget_lock_outs(tenant_id, before)!
-- Deletes failures that count no more.
DELETE FROM access.lock_outs
WHERE tenant_id = :tenant_id AND failed_at < :before AND (locked_until IS NULL OR locked_until < :before);

-- name: forget_address_failures(tenant_id, before)!
-- The same of addresses.
DELETE FROM access.address_failures
WHERE tenant_id = :tenant_id AND failed_at < :before AND (locked_until IS NULL OR locked_until < :before);

-- name: forget_quotas(tenant_id, before)!
-- Deletes quotas that bound nothing any more.
DELETE FROM access.send_quotas WHERE tenant_id = :tenant_id AND last_at < :before;

-- name: forget_challenges(tenant_id, before)!
-- Deletes challenges that were over before an instant.
DELETE FROM access.challenges WHERE tenant_id = :tenant_id AND expires_at < :before;

-- name: forget_codes(tenant_id, before)!
-- Deletes codes that were over before an instant.
DELETE FROM access.one_time_codes WHERE tenant_id = :tenant_id AND expires_at < :before;
