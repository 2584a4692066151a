-- People across rooms: who is erased, who may not be, and what is old enough to go.

-- name: lock_customer(tenant_id, id)^
-- A customer, locked, and when they last paid.
SELECT c.id, c.person_id, c.erased_at,
       (SELECT max(p.created_at) FROM payments.payments p WHERE p.tenant_id = :tenant_id AND p.customer_id = c.id)
FROM tenancy.customers c WHERE c.tenant_id = :tenant_id AND c.id = :id FOR UPDATE;

-- name: lock_user(tenant_id, id)^
-- A user, locked, and when a session of theirs was last used.
SELECT u.id, u.person_id, p.erased_at,
       (SELECT max(s.last_used_at) FROM access.sessions s WHERE s.tenant_id = :tenant_id AND s.user_id = u.id)
FROM access.users u JOIN kernel.people p ON p.tenant_id = :tenant_id AND p.id = u.person_id
WHERE u.tenant_id = :tenant_id AND u.id = :id FOR UPDATE OF u;

-- name: lock_person(tenant_id, id)^
-- A person, locked: a hold and an erasure wait for each other.
SELECT erased_at FROM kernel.people WHERE tenant_id = :tenant_id AND id = :id FOR UPDATE;

-- name: set_customer_person(tenant_id, id, person_id)!
-- The person that a customer is.
UPDATE tenancy.customers SET person_id = :person_id WHERE tenant_id = :tenant_id AND id = :id;

-- name: empty_customer(tenant_id, id, now)!
-- All that is personal of a customer goes; ids, reference and payments stay.
UPDATE tenancy.customers
SET name = NULL, email = NULL, name_sealed = NULL, email_sealed = NULL, email_index = NULL, phone_sealed = NULL,
    phone_index = NULL, account_sealed = NULL, account_index = NULL, metadata = '{}', erased_at = :now, updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id;

-- name: empty_user(tenant_id, id, now)!
-- The same of a user, who signs in no more.
UPDATE access.users
SET status = 'DELETED', deleted_at = coalesce(deleted_at, :now), user_name = NULL, name_sealed = NULL,
    email_sealed = NULL, email_index = NULL, phone_sealed = NULL, phone_index = NULL, password_hash = NULL,
    updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id;

-- name: end_sessions(tenant_id, user_id, now)!
-- Ends a user's sessions, and forgets from where they came.
UPDATE access.sessions
SET ended_at = coalesce(ended_at, :now), ended_reason = coalesce(ended_reason, 'erased'), address = NULL, user_agent = NULL
WHERE tenant_id = :tenant_id AND user_id = :user_id;

-- name: end_assignments(tenant_id, user_id, now, by)!
-- Takes a user's roles away.
UPDATE access.assignments SET ended_at = :now, ended_by = :by
WHERE tenant_id = :tenant_id AND user_id = :user_id AND ended_at IS NULL;

-- name: forget_sign_ins(tenant_id, user_id)$
-- Deletes what signing in has kept of a user.
SELECT privacy.forget_sign_ins(:tenant_id, :user_id);

-- name: record(tenant_id, action, entity_type, entity_id, after)$
-- Writes into the audit log what is no change of a row.
SELECT audit.record(:tenant_id, :action, :entity_type, :entity_id, NULL, :after);

-- name: is_held(tenant_id, person_id)$
-- Whether a legal hold stands on a person.
SELECT EXISTS (SELECT FROM privacy.legal_holds
               WHERE tenant_id = :tenant_id AND person_id = :person_id AND released_at IS NULL);

-- name: insert_hold(tenant_id, id, person_id, reason, now, by)!
-- A new legal hold.
INSERT INTO privacy.legal_holds (tenant_id, id, person_id, reason, placed_at, placed_by)
VALUES (:tenant_id, :id, :person_id, :reason, :now, :by);

-- name: holds(tenant_id, id, person_id, in_force, after, count)
-- Legal holds, newest first: one, a person's, or those in force.
SELECT h.id, h.person_id, c.id, u.id, h.reason, h.placed_at, h.placed_by, h.released_at, h.released_by
FROM privacy.legal_holds h
LEFT JOIN tenancy.customers c ON c.tenant_id = :tenant_id AND c.person_id = h.person_id
LEFT JOIN access.users u ON u.tenant_id = :tenant_id AND u.person_id = h.person_id
WHERE h.tenant_id = :tenant_id AND (:id::uuid IS NULL OR h.id = :id)
  AND (:person_id::uuid IS NULL OR h.person_id = :person_id)
  AND (:in_force::boolean IS NULL OR (h.released_at IS NULL) = :in_force) AND (:after::uuid IS NULL OR h.id < :after)
ORDER BY h.id DESC LIMIT :count;

-- name: release_hold(tenant_id, id, now, by)!
-- Ends a legal hold that stands.
UPDATE privacy.legal_holds SET released_at = :now, released_by = :by
WHERE tenant_id = :tenant_id AND id = :id AND released_at IS NULL;

-- name: old_customers(tenant_id, before, after_at, after_id, count)
-- Customers of whom something personal is kept, who have neither changed nor paid since a time, and on whom no hold stands.
SELECT c.updated_at, c.id FROM tenancy.customers c
WHERE c.tenant_id = :tenant_id AND c.erased_at IS NULL AND c.updated_at < :before
  AND (:after_at::timestamptz IS NULL OR (c.updated_at, c.id) > (:after_at, :after_id))
  AND (c.person_id IS NOT NULL OR c.name IS NOT NULL OR c.email IS NOT NULL OR c.metadata <> '{}')
  AND NOT EXISTS (SELECT FROM payments.payments p WHERE p.tenant_id = :tenant_id AND p.customer_id = c.id
                  AND p.id >= kernel.uuid_floor(:before))
  AND NOT EXISTS (SELECT FROM privacy.legal_holds h WHERE h.tenant_id = :tenant_id AND h.person_id = c.person_id
                  AND h.released_at IS NULL)
ORDER BY c.updated_at, c.id LIMIT :count;

-- name: old_users(tenant_id, before, after_at, after_id, count)
-- Users who have neither changed nor signed in since a time, and on whom no hold stands.
SELECT u.updated_at, u.id FROM access.users u
JOIN kernel.people k ON k.tenant_id = :tenant_id AND k.id = u.person_id AND k.erased_at IS NULL
WHERE u.tenant_id = :tenant_id AND u.updated_at < :before
  AND (:after_at::timestamptz IS NULL OR (u.updated_at, u.id) > (:after_at, :after_id))
  AND NOT EXISTS (SELECT FROM access.sessions s WHERE s.tenant_id = :tenant_id AND s.user_id = u.id
                  AND s.last_used_at >= :before)
  AND NOT EXISTS (SELECT FROM privacy.legal_holds h WHERE h.tenant_id = :tenant_id AND h.person_id = u.person_id
                  AND h.released_at IS NULL)
ORDER BY u.updated_at, u.id LIMIT :count;

-- name: progress(tenant_id, task)$
-- How far a task has come.
SELECT through FROM privacy.progress WHERE tenant_id = :tenant_id AND task = :task;

-- name: set_progress(tenant_id, task, through, now)!
-- So far.
INSERT INTO privacy.progress (tenant_id, task, through, at) VALUES (:tenant_id, :task, :through, :now)
ON CONFLICT (tenant_id, task) DO UPDATE SET through = excluded.through, at = excluded.at;

-- name: old_payments(tenant_id, before, after, count)
-- Payments made before a time, oldest first.
SELECT id FROM payments.payments
WHERE tenant_id = :tenant_id AND id < kernel.uuid_floor(:before) AND (:after::uuid IS NULL OR id > :after)
ORDER BY id LIMIT :count;

-- name: strip_payments(tenant_id, ids)!
-- Free text and where the money came from go; amounts, times and statuses stay.
UPDATE payments.payments
SET description = NULL, statement_descriptor = NULL, return_url = NULL, redirect_url = NULL, metadata = NULL,
    method = '{}', decline_message = NULL
WHERE tenant_id = :tenant_id AND id = ANY (:ids);

-- name: strip_attempts(tenant_id, ids)!
-- What providers said to attempts goes.
UPDATE payments.attempts SET message = NULL
WHERE tenant_id = :tenant_id AND payment_id = ANY (:ids) AND message IS NOT NULL;

-- name: strip_operations(tenant_id, ids)!
-- The same for captures, cancellations and refunds.
UPDATE payments.operations SET reason = NULL, metadata = NULL, failure_message = NULL
WHERE tenant_id = :tenant_id AND payment_id = ANY (:ids);

-- name: forget_provider_events(tenant_id, before, count)$
-- Deletes what providers told before a time; how many.
SELECT payments.forget_provider_events(:tenant_id, :before, :count);

-- name: count_provider_events(tenant_id, before)$
-- How many there are.
SELECT count(*) FROM payments.provider_events WHERE tenant_id = :tenant_id AND received_at < :before;

-- name: count_audit(tenant_id, before)$
-- How many rows of the audit log are older.
SELECT count(*) FROM audit.log WHERE tenant_id = :tenant_id AND id < kernel.uuid_floor(:before);

-- name: can_prune()$
-- Whether this version's audit log can be pruned.
SELECT to_regprocedure('audit.prune(integer,timestamptz,integer)') IS NOT NULL;

-- name: prune_audit(tenant_id, years, count)$
-- Removes rows from the beginning of the audit log; how many.
SELECT audit.prune(:tenant_id, now() - make_interval(years => :years), :count);

-- name: drop_month(years)$
-- Drops the oldest month of events that is old enough; its name.
SELECT kernel.drop_month(:years);
