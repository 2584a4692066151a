-- People: whose data this is, who may sign in, and what they may do.

-- The two keys of a tenant, each wrapped by a key of the key ring: 'secrets' seals what is nobody's personal data
-- (TOTP secrets, credentials), 'index' makes blind indexes. A new key on the ring wraps them anew; they stay.
CREATE TABLE kernel.data_keys (
    tenant_id   integer     NOT NULL,
    purpose     text        NOT NULL,
    wrapped     bytea       NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT data_keys_pkey PRIMARY KEY (tenant_id, purpose),
    CONSTRAINT data_keys_purpose_known CHECK (purpose IN ('secrets', 'index'))
);
CALL kernel.isolate('kernel.data_keys');
GRANT SELECT, INSERT, UPDATE ON kernel.data_keys TO florin_app;

-- A person whose data is kept, and the wrapped key that seals all of it, wherever it stands: also in audit rows,
-- archives and backups. Without the key nothing of it can be read again: erasure destroys it.
CREATE TABLE kernel.people (
    tenant_id   integer     NOT NULL,
    id          uuid        NOT NULL,
    kind        text        NOT NULL,
    wrapped     bytea,                  -- null: erased
    created_at  timestamptz NOT NULL,
    erased_at   timestamptz,
    erased_by   text,
    CONSTRAINT people_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT people_kind_known CHECK (kind IN ('customer', 'user')),
    CONSTRAINT people_erased_without_key CHECK (
        (wrapped IS NULL) = (erased_at IS NOT NULL) AND (erased_at IS NULL) = (erased_by IS NULL))
);
CALL kernel.isolate('kernel.people');
GRANT SELECT, INSERT ON kernel.people TO florin_app;
GRANT UPDATE (wrapped, erased_at, erased_by) ON kernel.people TO florin_app;
GRANT SELECT (tenant_id, id, kind, created_at, erased_at, erased_by) ON kernel.people TO florin_readonly;

-- What is erased stays erased, and a person never gets another key: what the first one sealed would be lost.
CREATE FUNCTION kernel.keep_erased() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF OLD.erased_at IS NOT NULL THEN
        RAISE EXCEPTION 'person % is erased', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER erased_stays_erased BEFORE UPDATE ON kernel.people
    FOR EACH ROW EXECUTE FUNCTION kernel.keep_erased();

-- The roles that every tenant has. Later versions may add permissions to them; a tenant's own roles are access.roles.
CREATE TABLE reference.roles (
    code         text    NOT NULL,
    name         text    NOT NULL,
    description  text    NOT NULL,
    permissions  text[]  NOT NULL,
    platform     boolean NOT NULL,      -- only for users of the tenant PLATFORM
    CONSTRAINT roles_pkey PRIMARY KEY (code),
    CONSTRAINT roles_code_form CHECK (code ~ '^[a-z][a-z0-9_]{1,39}$')
);
GRANT SELECT ON reference.roles TO florin_app, florin_readonly;

INSERT INTO reference.roles (code, name, description, permissions, platform) VALUES
    ('platform_admin', 'Platform administrator', 'Registers tenants, suspends them, turns keys of the platform.',
     '{platform:read,platform:write,users:read,users:write,roles:read,roles:write,audit:read,audit:export,keys:read,keys:write}', true),
    ('tenant_admin', 'Tenant administrator', 'All of a tenant: its people, keys, settings, money.',
     '{*}', false),
    ('business_unit_admin', 'Business-unit administrator', 'The people, customers and settings of a unit and what is below it; gives operators and viewers their roles.',
     '{tenancy:read,tenancy:write,users:read,users:write,roles:read,personal:read,payments:read,payments:write,refunds:read,refunds:write,events:read,webhooks:read,ledger:read}', false),
    ('operator', 'Operator', 'Day-to-day work: payments, refunds, customers.',
     '{payments:read,payments:write,refunds:read,refunds:write,tenancy:read,events:read,webhooks:read,ledger:read}', false),
    ('finance', 'Finance', 'The books: postings, periods, reports; reads payments and refunds.',
     '{ledger:read,ledger:write,payments:read,refunds:read,events:read,tenancy:read}', false),
    ('compliance_officer', 'Compliance officer', 'Reads everything with names unmasked; erases people; reads the audit log.',
     '{payments:read,refunds:read,ledger:read,tenancy:read,events:read,users:read,roles:read,audit:read,audit:export,personal:read,personal:erase}', false),
    ('auditor', 'Auditor', 'Reads everything and the audit log; changes nothing; names stay masked.',
     '{payments:read,refunds:read,ledger:read,tenancy:read,events:read,users:read,roles:read,keys:read,webhooks:read,audit:read,audit:export}', false),
    ('viewer', 'Viewer', 'Reads payments, refunds, customers and events; names stay masked.',
     '{payments:read,refunds:read,tenancy:read,events:read}', false),
    ('distributor', 'Distributor', 'A distributor of wallets: signs in, and sees what is his own.', '{}', false),
    ('retailer', 'Retailer', 'A retailer of wallets or trade: signs in, and sees what is his own.', '{}', false),
    ('customer', 'Customer', 'A customer with a sign-in of his own: sees what is his own.', '{}', false),
    ('vendor', 'Vendor', 'A vendor of trade: signs in, and sees what is his own.', '{}', false);

-- Those who sign in. What is personal is sealed under the person's key and found by a blind index; the user name is
-- not personal unless its bearer makes it so, and goes with erasure.
CREATE TABLE access.users (
    tenant_id            integer     NOT NULL,
    id                   uuid        NOT NULL,
    person_id            uuid        NOT NULL,
    partner_id           uuid,                   -- a partner's own user; null: the tenant's
    status               text        NOT NULL,
    user_name            text,                   -- case-folded
    name_sealed          bytea,
    email_sealed         bytea,
    email_index          bytea,
    email_verified_at    timestamptz,
    phone_sealed         bytea,                  -- E.164
    phone_index          bytea,
    phone_verified_at    timestamptz,
    password_hash        text,                   -- Argon2id, as the library writes it; null: none set
    password_changed_at  timestamptz,
    created_at           timestamptz NOT NULL,
    created_by           text        NOT NULL,
    updated_at           timestamptz NOT NULL,
    deleted_at           timestamptz,
    CONSTRAINT users_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT users_person_key UNIQUE (tenant_id, person_id),
    CONSTRAINT users_person_fkey FOREIGN KEY (tenant_id, person_id) REFERENCES kernel.people (tenant_id, id),
    CONSTRAINT users_partner_fkey FOREIGN KEY (tenant_id, partner_id) REFERENCES tenancy.partners (tenant_id, id),
    -- INVITED: has not signed in yet. DELETED: stays as a row, since audit rows name it.
    CONSTRAINT users_status_known CHECK (status IN ('INVITED', 'ACTIVE', 'SUSPENDED', 'DELETED')),
    CONSTRAINT users_deleted_has_time CHECK ((status = 'DELETED') = (deleted_at IS NOT NULL)),
    CONSTRAINT users_user_name_form CHECK (user_name ~ '^[a-z0-9][a-z0-9._-]{2,29}$'),
    CONSTRAINT users_email_sealed_and_indexed CHECK ((email_sealed IS NULL) = (email_index IS NULL)),
    CONSTRAINT users_phone_sealed_and_indexed CHECK ((phone_sealed IS NULL) = (phone_index IS NULL)),
    CONSTRAINT users_can_be_named CHECK (
        deleted_at IS NOT NULL OR num_nonnulls(user_name, email_index, phone_index) > 0)
) WITH (fillfactor = 90);
-- Deleted users give their names free.
CREATE UNIQUE INDEX users_user_name_key ON access.users (tenant_id, user_name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_email_key ON access.users (tenant_id, email_index) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_phone_key ON access.users (tenant_id, phone_index) WHERE deleted_at IS NULL;
CALL kernel.isolate('access.users');
CALL audit.watch('access.users', 'user', 'id', NULL, true, '{password_hash,email_index,phone_index}');
GRANT SELECT, INSERT, UPDATE ON access.users TO florin_app;
GRANT SELECT (tenant_id, id, partner_id, status, user_name, email_verified_at, phone_verified_at, password_changed_at,
    created_at, created_by, updated_at, deleted_at) ON access.users TO florin_readonly;

-- A tenant's own roles.
CREATE TABLE access.roles (
    tenant_id    integer     NOT NULL,
    id           uuid        NOT NULL,
    code         text        NOT NULL,
    name         text        NOT NULL,
    description  text        NOT NULL,
    permissions  text[]      NOT NULL,
    created_at   timestamptz NOT NULL,
    created_by   text        NOT NULL,
    updated_at   timestamptz NOT NULL,
    deleted_at   timestamptz,
    CONSTRAINT roles_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT roles_code_form CHECK (code ~ '^[a-z][a-z0-9_]{1,39}$')
);
CREATE UNIQUE INDEX roles_code_key ON access.roles (tenant_id, code) WHERE deleted_at IS NULL;
CALL kernel.isolate('access.roles');
CALL audit.watch('access.roles', 'role', 'id', NULL, true);
GRANT SELECT, INSERT, UPDATE ON access.roles TO florin_app;
GRANT SELECT ON access.roles TO florin_readonly;

-- Who has which role, where and until when. A row is ended, never changed into another.
CREATE TABLE access.assignments (
    tenant_id         integer     NOT NULL,
    id                uuid        NOT NULL,
    user_id           uuid        NOT NULL,
    built_in          text,                   -- one of the two: a built-in role
    role_id           uuid,                   -- or one of the tenant's own
    business_unit_id  uuid,                   -- with all below it; null: the whole tenant
    expires_at        timestamptz,
    assigned_at       timestamptz NOT NULL,
    assigned_by       text        NOT NULL,
    ended_at          timestamptz,
    ended_by          text,
    CONSTRAINT assignments_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT assignments_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES access.users (tenant_id, id),
    CONSTRAINT assignments_built_in_fkey FOREIGN KEY (built_in) REFERENCES reference.roles (code),
    CONSTRAINT assignments_role_fkey FOREIGN KEY (tenant_id, role_id) REFERENCES access.roles (tenant_id, id),
    CONSTRAINT assignments_business_unit_fkey FOREIGN KEY (tenant_id, business_unit_id)
        REFERENCES tenancy.business_units (tenant_id, id),
    CONSTRAINT assignments_one_role CHECK (num_nonnulls(built_in, role_id) = 1),
    CONSTRAINT assignments_ended_by_somebody CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
CREATE UNIQUE INDEX assignments_in_force_key ON access.assignments
    (tenant_id, user_id, built_in, role_id, business_unit_id) NULLS NOT DISTINCT WHERE ended_at IS NULL;
CREATE INDEX assignments_by_role ON access.assignments (tenant_id, role_id) WHERE role_id IS NOT NULL;
CALL kernel.isolate('access.assignments');
CALL audit.watch('access.assignments', 'assignment', 'id', NULL, true);
GRANT SELECT, INSERT, UPDATE ON access.assignments TO florin_app;
GRANT SELECT ON access.assignments TO florin_readonly;

-- Sign-ins that have not ended. An access token names its session and holds no longer than it.
CREATE TABLE access.sessions (
    tenant_id     integer     NOT NULL,
    id            uuid        NOT NULL,
    user_id       uuid        NOT NULL,
    methods       text[]      NOT NULL,       -- how the user proved who he is, as RFC 8176 names them: pwd, otp, sms
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz NOT NULL,       -- when tokens were last renewed
    expires_at    timestamptz NOT NULL,
    address       text,
    user_agent    text,
    ended_at      timestamptz,
    ended_reason  text,
    CONSTRAINT sessions_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT sessions_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES access.users (tenant_id, id),
    CONSTRAINT sessions_reason_known CHECK (
        ended_reason IN ('signed_out', 'revoked', 'refresh_reused', 'password_changed', 'user_disabled', 'erased')),
    CONSTRAINT sessions_ended_for_a_reason CHECK ((ended_at IS NULL) = (ended_reason IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX sessions_by_user ON access.sessions (tenant_id, user_id, id);
CALL kernel.isolate('access.sessions');
GRANT SELECT, INSERT, UPDATE ON access.sessions TO florin_app;
GRANT SELECT ON access.sessions TO florin_readonly;
