-- Columns stand in the order of SigningKey's fields in model.py.

-- name: lock_keys()!
-- Whoever makes, ends or revokes signing keys does so alone, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('access.signing_keys', 0));

-- name: keys()
-- All signing keys, newest first.
SELECT kid, public_key, created_at, created_by, signs_from, signs_until, revoked_at, revoked_by, revoked_reason
FROM access.signing_keys ORDER BY signs_from DESC, created_at DESC;

-- name: sealed_key(kid)^
-- The private half of a key, sealed.
SELECT sealed FROM access.signing_keys WHERE kid = :kid;

-- name: insert_key(kid, public_key, sealed, created_at, created_by, signs_from, signs_until)!
-- A new signing key.
INSERT INTO access.signing_keys (kid, public_key, sealed, created_at, created_by, signs_from, signs_until)
VALUES (:kid, :public_key, :sealed, :created_at, :created_by, :signs_from, :signs_until);

-- name: set_signs_until(kid, signs_until)!
-- Says when a key's successor begins; null: it has none after all.
UPDATE access.signing_keys SET signs_until = :signs_until WHERE kid = :kid;

-- name: revoke_key(kid, now, by, reason)!
-- From now on nothing that this key signed is believed.
UPDATE access.signing_keys SET sealed = NULL, revoked_at = :now, revoked_by = :by, revoked_reason = :reason
WHERE kid = :kid;

-- name: forget_private_halves(before)!
-- Keys that sign no more since an instant need no private half.
UPDATE access.signing_keys SET sealed = NULL WHERE sealed IS NOT NULL AND signs_until < :before;

-- name: house()^
-- The live twin of the tenant that runs the platform, whose audit log keeps what is nobody else's.
SELECT tenant_id FROM tenancy.registry WHERE code = 'PLATFORM' AND live;

-- name: record(tenant_id, action, kid, after)!
-- Puts a signing key's making or revocation into the audit log.
SELECT audit.record(:tenant_id, :action, 'signing_key', :kid, NULL, :after);
