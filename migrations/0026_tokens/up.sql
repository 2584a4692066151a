-- Tokens: what a session and a client show instead of a password or a secret.

-- The keys that sign access tokens. They are the platform's, not a tenant's: every process signs with the same one, and
-- whoever verifies tokens elsewhere fetches their public halves.
CREATE TABLE access.signing_keys (
    kid             text        NOT NULL,   -- the thumbprint of its public half (RFC 7638)
    public_key      bytea       NOT NULL,
    sealed          bytea,                  -- the private half under the key ring; null: it signs no more
    created_at      timestamptz NOT NULL,
    created_by      text        NOT NULL,
    signs_from      timestamptz NOT NULL,   -- published before, so that verifiers have it when it signs
    signs_until     timestamptz,            -- when its successor begins; null: there is none yet
    revoked_at      timestamptz,            -- from then on nothing that it signed is believed
    revoked_by      text,
    revoked_reason  text,
    CONSTRAINT signing_keys_pkey PRIMARY KEY (kid),
    CONSTRAINT signing_keys_public_key_is_ed25519 CHECK (length(public_key) = 32),
    CONSTRAINT signing_keys_time_runs_on CHECK (signs_from <= signs_until),
    CONSTRAINT signing_keys_revoked_by_somebody CHECK (
        (revoked_at IS NULL) = (revoked_by IS NULL) AND (revoked_at IS NULL) = (revoked_reason IS NULL)),
    CONSTRAINT signing_keys_revoked_sign_no_more CHECK (revoked_at IS NULL OR sealed IS NULL)
);
-- One key at most has no successor: two processes that rotate at once do not end with two.
CREATE UNIQUE INDEX signing_keys_last_key ON access.signing_keys ((signs_until IS NULL))
    WHERE signs_until IS NULL AND revoked_at IS NULL;
GRANT SELECT, INSERT ON access.signing_keys TO florin_app;
GRANT UPDATE (sealed, signs_until, revoked_at, revoked_by, revoked_reason) ON access.signing_keys TO florin_app;
GRANT SELECT (kid, public_key, created_at, created_by, signs_from, signs_until, revoked_at, revoked_by, revoked_reason)
    ON access.signing_keys TO florin_readonly;

-- The refresh tokens of sessions. Each is used once and names its successor by number; the session is the family that
-- falls when a used one comes again, and with it they go. 32 random bytes: a plain SHA-256 keeps them, as it keeps
-- API keys.
CREATE TABLE access.refresh_tokens (
    tenant_id   integer     NOT NULL,
    digest      bytea       NOT NULL,
    session_id  uuid        NOT NULL,
    number      integer     NOT NULL,       -- from 1 within its session
    issued_at   timestamptz NOT NULL,
    used_at     timestamptz,
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (tenant_id, digest),
    CONSTRAINT refresh_tokens_number_key UNIQUE (tenant_id, session_id, number),
    CONSTRAINT refresh_tokens_session_fkey FOREIGN KEY (tenant_id, session_id)
        REFERENCES access.sessions (tenant_id, id),
    CONSTRAINT refresh_tokens_digest_is_sha256 CHECK (length(digest) = 32)
) WITH (fillfactor = 80);
-- A session has one token that is good: a second successor breaks this, whatever the code does.
CREATE UNIQUE INDEX refresh_tokens_unused_key ON access.refresh_tokens (tenant_id, session_id) WHERE used_at IS NULL;
CALL kernel.isolate('access.refresh_tokens');
GRANT SELECT, INSERT, DELETE ON access.refresh_tokens TO florin_app;
GRANT UPDATE (used_at) ON access.refresh_tokens TO florin_app;
GRANT SELECT (tenant_id, session_id, number, issued_at, used_at) ON access.refresh_tokens TO florin_readonly;

-- Sessions that run out are ended by a job, which looks at those that have not ended and at no others.
ALTER TABLE access.sessions DROP CONSTRAINT sessions_reason_known;
ALTER TABLE access.sessions ADD CONSTRAINT sessions_reason_known CHECK (ended_reason IN
    ('signed_out', 'revoked', 'refresh_reused', 'password_changed', 'user_disabled', 'erased', 'expired'));
CREATE INDEX sessions_open ON access.sessions (tenant_id, id) WHERE ended_at IS NULL;

-- A session that has ended stays as it ended, for the reason that it ended for: only from where it came may be
-- forgotten, when its user is erased. A token that was used stays used.
CREATE FUNCTION access.keep_ended() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% is over', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER ended_stays_ended BEFORE UPDATE ON access.sessions FOR EACH ROW
    WHEN (OLD.ended_at IS NOT NULL
          AND ((NEW.tenant_id, NEW.id, NEW.user_id, NEW.methods, NEW.created_at, NEW.last_used_at, NEW.expires_at,
                NEW.ended_at, NEW.ended_reason)
               IS DISTINCT FROM (OLD.tenant_id, OLD.id, OLD.user_id, OLD.methods, OLD.created_at, OLD.last_used_at,
                                 OLD.expires_at, OLD.ended_at, OLD.ended_reason)
               OR NEW.address IS NOT NULL OR NEW.user_agent IS NOT NULL))
    EXECUTE FUNCTION access.keep_ended('the session');
CREATE TRIGGER used_stays_used BEFORE UPDATE ON access.refresh_tokens FOR EACH ROW WHEN (OLD.used_at IS NOT NULL)
    EXECUTE FUNCTION access.keep_ended('the refresh token');

-- Whoever ends a session: its tokens go with it.
CREATE FUNCTION access.forget_tokens() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM access.refresh_tokens WHERE tenant_id = NEW.tenant_id AND session_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER ended_forgets_tokens AFTER UPDATE ON access.sessions FOR EACH ROW WHEN (NEW.ended_at IS NOT NULL)
    EXECUTE FUNCTION access.forget_tokens();

-- Clients of OAuth 2.0 are API keys whose secret is not sent with every call, but for an access token now and then.
ALTER TABLE access.api_keys ADD COLUMN kind text NOT NULL DEFAULT 'bearer';
ALTER TABLE access.api_keys ADD CONSTRAINT api_keys_kind_known CHECK (kind IN ('bearer', 'client'));
GRANT SELECT (kind) ON access.api_keys TO florin_readonly;

-- The digests of clients, one per id; null where there is no such client. For find_keys, which says the rest.
CREATE FUNCTION access.client_digests(p_tenant integer, p_ids uuid[]) RETURNS bytea[]
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    RETURN (
        SELECT array_agg(k.digest ORDER BY a.item)
        FROM unnest(p_ids) WITH ORDINALITY AS a (id, item)
        LEFT JOIN access.api_keys k
          ON k.tenant_id = p_tenant AND k.id = ANY (p_ids) AND k.id = a.id AND k.kind = 'client');
END
$$;
GRANT EXECUTE ON FUNCTION access.client_digests(integer, uuid[]) TO florin_app;

-- Finds sessions by their ids, one row per id, with what decides whether they may call and what they may do.
CREATE FUNCTION access.find_sessions(p_tenant integer, p_ids uuid[])
RETURNS TABLE (
    item              integer,
    user_id           uuid,
    created_at        timestamptz,
    last_used_at      timestamptz,
    expires_at        timestamptz,
    ended_at          timestamptz,
    user_status       text,
    partner_id        uuid,
    permissions       text[],
    unit_permissions  jsonb,
    changes_at        timestamptz,    -- when the permissions change next by themselves
    platform          boolean,
    tenant_status     text,
    partner_status    text
)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_users  uuid[];
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    v_users := ARRAY(
        SELECT DISTINCT s.user_id FROM access.sessions s WHERE s.tenant_id = p_tenant AND s.id = ANY (p_ids));
    RETURN QUERY
    SELECT a.item::integer, s.user_id, s.created_at, s.last_used_at, s.expires_at, s.ended_at,
           u.status, u.partner_id, u.permissions, u.unit_permissions, u.changes_at, u.platform, u.tenant_status,
           u.partner_status
    FROM unnest(p_ids) WITH ORDINALITY AS a (id, item)
    LEFT JOIN access.sessions s ON s.tenant_id = p_tenant AND s.id = ANY (p_ids) AND s.id = a.id
    LEFT JOIN access.permissions_of(p_tenant, v_users) u ON u.user_id = s.user_id
    ORDER BY a.item;
END
$$;
GRANT EXECUTE ON FUNCTION access.find_sessions(integer, uuid[]) TO florin_app;
