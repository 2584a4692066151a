-- What proving the books needs: room to rebuild them from the log.

-- A rebuild that is under way: every transfer with a smaller id has been added up. Not logged: after a crash of the
-- server it begins again.
CREATE UNLOGGED TABLE ledger.rebuilds (
    tenant_id       integer     NOT NULL,
    rebuilt_before  uuid        NOT NULL,
    begun_at        timestamptz NOT NULL,
    faults          jsonb       NOT NULL DEFAULT '[]',   -- what was found on the way
    CONSTRAINT rebuilds_pkey PRIMARY KEY (tenant_id)
);
CALL kernel.isolate('ledger.rebuilds');
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.rebuilds TO florin_app;

-- What the log makes of each account, as far as the rebuild has come.
CREATE UNLOGGED TABLE ledger.rebuilt_accounts (
    tenant_id        integer     NOT NULL,
    account_id       uuid        NOT NULL,
    debits           bigint      NOT NULL,   -- less credits
    entries          bigint      NOT NULL,
    pending_debits   bigint      NOT NULL,
    pending_credits  bigint      NOT NULL,
    last_entry_at    timestamptz,
    dated            boolean     NOT NULL,
    CONSTRAINT rebuilt_accounts_pkey PRIMARY KEY (tenant_id, account_id)
) WITH (fillfactor = 50);
CALL kernel.isolate('ledger.rebuilt_accounts');
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.rebuilt_accounts TO florin_app;
