-- Signing in: failures that lock out, second factors, challenges in between, and codes that are sent.

-- Wrong passwords and second factors in a row. Addresses from which the user has signed in before are counted apart
-- (known), so that strangers who guess lock out strangers. A login that nobody has is counted in the same way, under an
-- id made from its blind index, so that it takes as long and locks alike: hence no foreign key to users.
CREATE TABLE access.lock_outs (
    tenant_id     integer     NOT NULL,
    user_id       uuid        NOT NULL,
    known         boolean     NOT NULL,
    failures      integer     NOT NULL,
    failed_at     timestamptz NOT NULL,
    locked_until  timestamptz,
    CONSTRAINT lock_outs_pkey PRIMARY KEY (tenant_id, user_id, known),
    CONSTRAINT lock_outs_failures_counted CHECK (failures >= 0)
) WITH (fillfactor = 80);
CREATE INDEX lock_outs_by_age ON access.lock_outs (tenant_id, failed_at);
CALL kernel.isolate('access.lock_outs');
GRANT SELECT, INSERT, UPDATE, DELETE ON access.lock_outs TO florin_app;
GRANT SELECT ON access.lock_outs TO florin_readonly;

-- The same by address (of IPv6 the network /64), whoever was guessed at.
CREATE TABLE access.address_failures (
    tenant_id     integer     NOT NULL,
    address       text        NOT NULL,
    failures      integer     NOT NULL,
    failed_at     timestamptz NOT NULL,
    locked_until  timestamptz,
    CONSTRAINT address_failures_pkey PRIMARY KEY (tenant_id, address),
    CONSTRAINT address_failures_counted CHECK (failures >= 0)
) WITH (fillfactor = 80);
CREATE INDEX address_failures_by_age ON access.address_failures (tenant_id, failed_at);
CALL kernel.isolate('access.address_failures');
GRANT SELECT, INSERT, UPDATE, DELETE ON access.address_failures TO florin_app;
GRANT SELECT ON access.address_failures TO florin_readonly;

-- A user's second factor: an authenticator app (TOTP, RFC 6238), codes that are sent, or both set up.
CREATE TABLE access.second_factors (
    tenant_id      integer     NOT NULL,
    user_id        uuid        NOT NULL,
    secret_sealed  bytea,                   -- of the authenticator app; null: none
    confirmed_at   timestamptz,             -- null: shown, not yet proved to have arrived
    last_step      bigint,                  -- the step of the last code taken: each is taken once
    code_channel   text,                    -- where codes are sent instead; null: nowhere
    updated_at     timestamptz NOT NULL,
    CONSTRAINT second_factors_pkey PRIMARY KEY (tenant_id, user_id),
    CONSTRAINT second_factors_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES access.users (tenant_id, id),
    CONSTRAINT second_factors_channel_known CHECK (code_channel IN ('sms', 'email')),
    CONSTRAINT second_factors_confirmed_secret CHECK (confirmed_at IS NULL OR secret_sealed IS NOT NULL)
) WITH (fillfactor = 80);
CALL kernel.isolate('access.second_factors');
CALL audit.watch('access.second_factors', 'second_factor', 'user_id', '{confirmed_at,code_channel}', false, '{secret_sealed,last_step}');
GRANT SELECT, INSERT, UPDATE ON access.second_factors TO florin_app;
GRANT SELECT (tenant_id, user_id, confirmed_at, code_channel, updated_at) ON access.second_factors TO florin_readonly;

-- Codes to be kept on paper, for whoever has lost the second factor. HMAC under the tenant's index key.
CREATE TABLE access.recovery_codes (
    tenant_id   integer     NOT NULL,
    user_id     uuid        NOT NULL,
    digest      bytea       NOT NULL,
    created_at  timestamptz NOT NULL,
    ended_at    timestamptz,                -- used, or replaced by newer ones
    CONSTRAINT recovery_codes_pkey PRIMARY KEY (tenant_id, user_id, digest),
    CONSTRAINT recovery_codes_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES access.users (tenant_id, id)
);
CALL kernel.isolate('access.recovery_codes');
GRANT SELECT, INSERT, UPDATE ON access.recovery_codes TO florin_app;
GRANT SELECT (tenant_id, user_id, created_at, ended_at) ON access.recovery_codes TO florin_readonly;

-- Sign-ins of which the first factor is right and the second is wanted. SHA-256 of a token of 32 random bytes.
CREATE TABLE access.challenges (
    tenant_id   integer     NOT NULL,
    id          uuid        NOT NULL,
    user_id     uuid        NOT NULL,
    digest      bytea       NOT NULL,
    purpose     text        NOT NULL,
    methods     text[]      NOT NULL,       -- what is proved already, as in access.sessions
    attempts    smallint    NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz,
    CONSTRAINT challenges_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT challenges_digest_key UNIQUE (tenant_id, digest),
    CONSTRAINT challenges_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES access.users (tenant_id, id),
    -- enrol: the user has no second factor and may do nothing before setting one up
    CONSTRAINT challenges_purpose_known CHECK (purpose IN ('verify', 'enrol'))
);
CREATE INDEX challenges_by_user ON access.challenges (tenant_id, user_id);
CALL kernel.isolate('access.challenges');
GRANT SELECT, INSERT, UPDATE, DELETE ON access.challenges TO florin_app;
GRANT SELECT (tenant_id, id, user_id, purpose, methods, attempts, created_at, expires_at, used_at)
    ON access.challenges TO florin_readonly;

-- Codes of six digits that were sent. HMAC under the tenant's index key with the row's id: a plain digest of six
-- digits is guessed in no time.
CREATE TABLE access.one_time_codes (
    tenant_id     integer     NOT NULL,
    id            uuid        NOT NULL,
    user_id       uuid        NOT NULL,
    purpose       text        NOT NULL,
    channel       text        NOT NULL,
    destination   bytea       NOT NULL,     -- blind index: the code proves this address or number, not a later one
    digest        bytea       NOT NULL,
    attempts      smallint    NOT NULL,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz,
    sent_at       timestamptz,
    failure       text,                     -- why it could not be sent
    CONSTRAINT one_time_codes_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT one_time_codes_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES access.users (tenant_id, id),
    CONSTRAINT one_time_codes_purpose_known CHECK (purpose IN
        ('sign_in', 'reset_password', 'second_factor', 'step_up', 'verify_email', 'verify_phone')),
    CONSTRAINT one_time_codes_channel_known CHECK (channel IN ('sms', 'email')),
    CONSTRAINT one_time_codes_attempts_counted CHECK (attempts BETWEEN 0 AND 5)
) WITH (fillfactor = 80);
CREATE INDEX one_time_codes_by_user ON access.one_time_codes (tenant_id, user_id, purpose);
CALL kernel.isolate('access.one_time_codes');
GRANT SELECT, INSERT, UPDATE, DELETE ON access.one_time_codes TO florin_app;
GRANT SELECT (tenant_id, id, user_id, purpose, channel, attempts, created_at, expires_at, used_at, sent_at, failure)
    ON access.one_time_codes TO florin_readonly;

-- When codes were last asked for: by user, by destination and by address, each under a blind index. Bounds what is
-- sent, whether or not the destination is anybody's.
CREATE TABLE access.send_quotas (
    tenant_id  integer       NOT NULL,
    subject    bytea         NOT NULL,
    asked_at   timestamptz[] NOT NULL,      -- of the last day, oldest first
    last_at    timestamptz   NOT NULL,
    CONSTRAINT send_quotas_pkey PRIMARY KEY (tenant_id, subject)
) WITH (fillfactor = 80);
CREATE INDEX send_quotas_by_age ON access.send_quotas (tenant_id, last_at);
CALL kernel.isolate('access.send_quotas');
GRANT SELECT, INSERT, UPDATE, DELETE ON access.send_quotas TO florin_app;

-- The passwords that a user had before, so that none of the last four comes back (PCI DSS 4.0.1, 8.3.7).
CREATE TABLE access.former_passwords (
    tenant_id      integer     NOT NULL,
    user_id        uuid        NOT NULL,
    id             uuid        NOT NULL,
    password_hash  text        NOT NULL,
    replaced_at    timestamptz NOT NULL,
    CONSTRAINT former_passwords_pkey PRIMARY KEY (tenant_id, user_id, id),
    CONSTRAINT former_passwords_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES access.users (tenant_id, id)
);
CALL kernel.isolate('access.former_passwords');
GRANT SELECT, INSERT, DELETE ON access.former_passwords TO florin_app;
