-- Whose money this is: tenants, their units, their customers, and the partners who call the API.

CREATE SCHEMA tenancy;
GRANT USAGE ON SCHEMA tenancy TO florin_app, florin_readonly;

-- Which tenants there are: the list that work across tenants loops over. It says nothing else of them.
-- A tenant has two rows: its live books and, under an id of its own, its test mode. What test keys do
-- is kept from live data by the same wall that keeps tenants apart.
CREATE TABLE tenancy.registry (
    tenant_id   integer     NOT NULL GENERATED ALWAYS AS IDENTITY,
    code        text        NOT NULL,
    live        boolean     NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT registry_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT registry_code_live_key UNIQUE (code, live),
    CONSTRAINT registry_code_form CHECK (code ~ '^[A-Z][A-Z0-9_-]{1,19}$')
);
GRANT SELECT, INSERT ON tenancy.registry TO florin_app;
GRANT SELECT ON tenancy.registry TO florin_readonly;

-- Who the tenant is. Each twin has its own row: they begin alike and may part.
CREATE TABLE tenancy.tenants (
    tenant_id            integer     NOT NULL,
    name                 text        NOT NULL,
    type                 text        NOT NULL,
    status               text        NOT NULL,
    registration_number  text,
    tax_number           text,
    contact_email        text        NOT NULL,
    contact_phone        text,
    address_line1        text,
    address_line2        text,
    city                 text,
    province             text,
    postal_code          text,
    country              text        NOT NULL,   -- ISO 3166-1 alpha-2
    timezone             text        NOT NULL,   -- IANA name
    currency             text        NOT NULL,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    CONSTRAINT tenants_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT tenants_registry_fkey FOREIGN KEY (tenant_id) REFERENCES tenancy.registry (tenant_id),
    CONSTRAINT tenants_currency_fkey FOREIGN KEY (currency) REFERENCES reference.currencies (code),
    CONSTRAINT tenants_type_known CHECK (
        type IN ('BANK', 'FINANCIAL_INSTITUTION', 'FINTECH', 'CORPORATE', 'AGGREGATOR', 'MARKETPLACE')),
    CONSTRAINT tenants_status_known CHECK (
        status IN ('ACTIVE', 'INACTIVE', 'SUSPENDED', 'PENDING_APPROVAL')),
    CONSTRAINT tenants_country_form CHECK (country ~ '^[A-Z]{2}$')
);
CALL kernel.isolate('tenancy.tenants');
GRANT SELECT, INSERT, UPDATE ON tenancy.tenants TO florin_app;
GRANT SELECT ON tenancy.tenants TO florin_readonly;

-- The parts of a tenant, as a tree. A unit stands one level below its parent, and the foreign key says
-- so: levels fall along every path upwards, so no chain of parents can close into a ring.
CREATE TABLE tenancy.business_units (
    tenant_id     integer     NOT NULL,
    id            uuid        NOT NULL,
    name          text        NOT NULL,
    type          text        NOT NULL,
    status        text        NOT NULL,
    parent_id     uuid,
    level         smallint    NOT NULL,
    parent_level  smallint    GENERATED ALWAYS AS (level - 1) STORED,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    CONSTRAINT business_units_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT business_units_level_key UNIQUE (tenant_id, id, level),
    CONSTRAINT business_units_parent_fkey FOREIGN KEY (tenant_id, parent_id, parent_level)
        REFERENCES tenancy.business_units (tenant_id, id, level),
    CONSTRAINT business_units_top_has_no_parent CHECK ((level = 1) = (parent_id IS NULL)),
    CONSTRAINT business_units_depth CHECK (level BETWEEN 1 AND 10),
    CONSTRAINT business_units_type_known CHECK (
        type IN ('RETAIL', 'CORPORATE', 'INVESTMENT', 'PRIVATE_BANKING', 'TREASURY')),
    CONSTRAINT business_units_status_known CHECK (status IN ('ACTIVE', 'INACTIVE', 'SUSPENDED'))
);
CREATE INDEX business_units_by_parent ON tenancy.business_units (tenant_id, parent_id);
CALL kernel.isolate('tenancy.business_units');
GRANT SELECT, INSERT, UPDATE ON tenancy.business_units TO florin_app;
GRANT SELECT ON tenancy.business_units TO florin_readonly;

-- Those who call the API on the tenant's behalf. A deleted partner stays: payments point at it.
CREATE TABLE tenancy.partners (
    tenant_id         integer     NOT NULL,
    id                uuid        NOT NULL,
    name              text        NOT NULL,
    email             text        NOT NULL,
    status            text        NOT NULL,
    metadata          jsonb       NOT NULL,
    limit_per_minute  integer,      -- what its new API keys get; null: the platform's default
    limit_per_hour    integer,
    limit_per_day     integer,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    deleted_at        timestamptz,
    CONSTRAINT partners_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT partners_email_is_lower CHECK (email = lower(email)),
    CONSTRAINT partners_status_known CHECK (status IN ('ACTIVE', 'INACTIVE', 'SUSPENDED')),
    CONSTRAINT partners_metadata_is_object CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT partners_limits_positive CHECK (
        limit_per_minute > 0 AND limit_per_hour > 0 AND limit_per_day > 0)
);
-- Deleted partners give their address free.
CREATE UNIQUE INDEX partners_email_key ON tenancy.partners (tenant_id, email) WHERE deleted_at IS NULL;
CALL kernel.isolate('tenancy.partners');
GRANT SELECT, INSERT, UPDATE ON tenancy.partners TO florin_app;
GRANT SELECT ON tenancy.partners TO florin_readonly;

-- Who pays. Few personal fields, each of which can be emptied on request.
CREATE TABLE tenancy.customers (
    tenant_id         integer     NOT NULL,
    id                uuid        NOT NULL,
    partner_id        uuid,         -- whose customer; null: the tenant's own
    business_unit_id  uuid,
    reference         text        NOT NULL,   -- what the caller knows them by
    name              text,
    email             text,
    metadata          jsonb       NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    CONSTRAINT customers_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT customers_reference_key UNIQUE NULLS NOT DISTINCT (tenant_id, partner_id, reference),
    CONSTRAINT customers_partner_fkey FOREIGN KEY (tenant_id, partner_id)
        REFERENCES tenancy.partners (tenant_id, id),
    CONSTRAINT customers_business_unit_fkey FOREIGN KEY (tenant_id, business_unit_id)
        REFERENCES tenancy.business_units (tenant_id, id),
    CONSTRAINT customers_metadata_is_object CHECK (jsonb_typeof(metadata) = 'object')
);
CREATE INDEX customers_by_partner ON tenancy.customers (tenant_id, partner_id, id);
CREATE INDEX customers_by_business_unit ON tenancy.customers (tenant_id, business_unit_id)
    WHERE business_unit_id IS NOT NULL;
CALL kernel.isolate('tenancy.customers');
GRANT SELECT, INSERT, UPDATE ON tenancy.customers TO florin_app;
GRANT SELECT ON tenancy.customers TO florin_readonly;

-- Settings by the instant from which they hold. In force is the latest that has begun, so two values
-- can never overlap and no end has to be kept in step. A row without a value withdraws the setting.
CREATE TABLE tenancy.configuration (
    tenant_id         integer     NOT NULL,
    id                uuid        NOT NULL,
    business_unit_id  uuid,         -- null: holds for the whole tenant
    key               text        NOT NULL,
    effective_from    timestamptz NOT NULL,
    type              text        NOT NULL,
    value             jsonb,
    sealed            bytea,        -- instead of `value`: encrypted, bound to tenant, unit and key
    created_at        timestamptz NOT NULL,
    created_by        text        NOT NULL,
    CONSTRAINT configuration_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT configuration_instant_key
        UNIQUE NULLS NOT DISTINCT (tenant_id, business_unit_id, key, effective_from),
    CONSTRAINT configuration_business_unit_fkey FOREIGN KEY (tenant_id, business_unit_id)
        REFERENCES tenancy.business_units (tenant_id, id),
    CONSTRAINT configuration_key_form CHECK (key ~ '^[a-z][a-z0-9_.]{0,99}$'),
    CONSTRAINT configuration_type_known CHECK (type IN ('STRING', 'NUMBER', 'BOOLEAN', 'JSON')),
    CONSTRAINT configuration_value_or_sealed CHECK (value IS NULL OR sealed IS NULL),
    -- A number is kept as its decimal text: JSON readers would make a float of it.
    CONSTRAINT configuration_value_fits_type CHECK (
        value IS NULL OR type = 'JSON'
        OR jsonb_typeof(value) = CASE type WHEN 'NUMBER' THEN 'string' ELSE lower(type) END)
);
CALL kernel.isolate('tenancy.configuration');
CALL kernel.make_append_only('tenancy.configuration');
GRANT SELECT, INSERT ON tenancy.configuration TO florin_app;

-- What a tenant used on a day (UTC). API calls are added to; the rest is measured and overwritten.
CREATE TABLE tenancy.usage (
    tenant_id  integer NOT NULL,
    day        date    NOT NULL,
    metric     text    NOT NULL,
    value      bigint  NOT NULL,
    CONSTRAINT usage_pkey PRIMARY KEY (tenant_id, day, metric),
    CONSTRAINT usage_metric_known CHECK (metric IN ('API_CALLS', 'PAYMENTS', 'TRANSACTIONS', 'STORAGE_BYTES')),
    CONSTRAINT usage_not_negative CHECK (value >= 0)
) WITH (fillfactor = 80);
CALL kernel.isolate('tenancy.usage');
GRANT SELECT, INSERT, UPDATE ON tenancy.usage TO florin_app;
GRANT SELECT ON tenancy.usage TO florin_readonly;
