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
