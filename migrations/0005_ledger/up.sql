-- The double-entry ledger. Nothing else in the system keeps a balance of its own.

CREATE SCHEMA ledger;
GRANT USAGE ON SCHEMA ledger TO florin_app, florin_readonly;

-- The hot row: what posting locks, reads and changes, and no more.
-- `balance` is positive on the account's normal side: debit for assets and expenses, else credit.
CREATE TABLE ledger.accounts (
    tenant_id        integer     NOT NULL,
    id               uuid        NOT NULL,
    code             text        NOT NULL,
    type             text        NOT NULL,
    currency         text        NOT NULL,
    status           text        NOT NULL DEFAULT 'active',
    min_balance      bigint,
    max_balance      bigint,
    balance          bigint      NOT NULL DEFAULT 0,
    pending_debits   bigint      NOT NULL DEFAULT 0,
    pending_credits  bigint      NOT NULL DEFAULT 0,
    entry_seq        bigint      NOT NULL DEFAULT 0,
    CONSTRAINT accounts_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT accounts_code_key UNIQUE (tenant_id, code),
    CONSTRAINT accounts_currency_fkey FOREIGN KEY (currency) REFERENCES reference.currencies (code),
    CONSTRAINT accounts_type_known CHECK (type IN ('asset', 'liability', 'income', 'expense', 'equity')),
    CONSTRAINT accounts_status_known CHECK (status IN ('active', 'frozen', 'closed')),
    CONSTRAINT accounts_bounds_ordered CHECK (min_balance <= max_balance),
    CONSTRAINT accounts_pending_not_negative CHECK (pending_debits >= 0 AND pending_credits >= 0),
    CONSTRAINT accounts_closed_at_zero
        CHECK (status <> 'closed' OR (balance = 0 AND pending_debits = 0 AND pending_credits = 0))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CALL kernel.isolate('ledger.accounts');
GRANT SELECT, INSERT, UPDATE ON ledger.accounts TO florin_app;
GRANT SELECT ON ledger.accounts TO florin_readonly;

-- The cold half of an account: what people call it and hang on it.
CREATE TABLE ledger.account_details (
    tenant_id   integer     NOT NULL,
    account_id  uuid        NOT NULL,
    name        text        NOT NULL,
    metadata    jsonb       NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL,
    CONSTRAINT account_details_pkey PRIMARY KEY (tenant_id, account_id),
    CONSTRAINT account_details_account_fkey FOREIGN KEY (tenant_id, account_id)
        REFERENCES ledger.accounts (tenant_id, id),
    CONSTRAINT account_details_metadata_is_object CHECK (jsonb_typeof(metadata) = 'object')
);
CALL kernel.isolate('ledger.account_details');
GRANT SELECT, INSERT, UPDATE ON ledger.account_details TO florin_app;
GRANT SELECT ON ledger.account_details TO florin_readonly;

-- The transfer log is the source: entries and balances can be rebuilt from it.
-- A leg is an account and a signed amount (debits positive); `entry_seqs` are the entries it made,
-- absent where a transfer only reserves or releases.
CREATE TABLE ledger.transfers (
    tenant_id     integer     NOT NULL,
    id            uuid        NOT NULL,
    kind          text        NOT NULL,
    recorded_at   timestamptz NOT NULL,
    effective_at  timestamptz NOT NULL,
    account_ids   uuid[]      NOT NULL,
    amounts       bigint[]    NOT NULL,
    entry_seqs    bigint[],
    related_id    uuid,        -- the hold that it posts, voids or expires; the transfer that it reverses
    description   text,
    metadata      jsonb,
    CONSTRAINT transfers_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT transfers_kind_known
        CHECK (kind IN ('transfer', 'hold', 'post', 'void', 'expiry', 'reversal')),
    CONSTRAINT transfers_legs_paired CHECK (
        cardinality(account_ids) >= 2 AND cardinality(account_ids) = cardinality(amounts)),
    CONSTRAINT transfers_entries_paired CHECK (
        (kind IN ('hold', 'void', 'expiry')) = (entry_seqs IS NULL)
        AND (entry_seqs IS NULL OR cardinality(entry_seqs) = cardinality(amounts))),
    CONSTRAINT transfers_related_where_due CHECK (
        (kind IN ('transfer', 'hold')) = (related_id IS NULL))
) PARTITION BY RANGE (id);
CALL kernel.isolate('ledger.transfers');
CALL kernel.make_append_only('ledger.transfers');
CALL kernel.partition_monthly('ledger.transfers');
GRANT SELECT, INSERT ON ledger.transfers TO florin_app;
GRANT SELECT ON ledger.transfers TO florin_readonly;

-- One row per leg that moved money, numbered without a gap per account.
CREATE TABLE ledger.entries (
    tenant_id       integer     NOT NULL,
    account_id      uuid        NOT NULL,
    seq             bigint      NOT NULL,
    transfer_id     uuid        NOT NULL,
    amount          bigint      NOT NULL,   -- debits positive, credits negative
    balance_before  bigint      NOT NULL,   -- on the account's normal side, as in ledger.accounts
    balance_after   bigint      NOT NULL,
    recorded_at     timestamptz NOT NULL,
    CONSTRAINT entries_pkey PRIMARY KEY (tenant_id, account_id, seq, transfer_id),
    CONSTRAINT entries_amount_not_zero CHECK (amount <> 0),
    CONSTRAINT entries_balance_moves_by_amount CHECK (abs(balance_after - balance_before) = abs(amount))
) PARTITION BY RANGE (transfer_id);
CALL kernel.isolate('ledger.entries');
CALL kernel.make_append_only('ledger.entries');
CALL kernel.partition_monthly('ledger.entries');
GRANT SELECT, INSERT ON ledger.entries TO florin_app;
GRANT SELECT ON ledger.entries TO florin_readonly;

-- What a hold still reserves. Its history is in the transfer log.
CREATE TABLE ledger.holds (
    tenant_id    integer     NOT NULL,
    id           uuid        NOT NULL,      -- the transfer of kind 'hold' that made it
    status       text        NOT NULL DEFAULT 'reserved',
    account_ids  uuid[]      NOT NULL,
    reserved     bigint[]    NOT NULL,      -- signed like transfers.amounts
    posted       bigint[]    NOT NULL,
    remaining    bigint[]    NOT NULL,      -- neither posted nor released yet
    expires_at   timestamptz,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    CONSTRAINT holds_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT holds_status_known
        CHECK (status IN ('reserved', 'partially_posted', 'posted', 'voided', 'expired')),
    CONSTRAINT holds_legs_paired CHECK (
        cardinality(account_ids) >= 2 AND cardinality(account_ids) = cardinality(reserved)
        AND cardinality(reserved) = cardinality(posted) AND cardinality(reserved) = cardinality(remaining)),
    CONSTRAINT holds_closed_hold_reserves_nothing CHECK (
        status IN ('reserved', 'partially_posted') OR 0 = ALL (remaining))
) WITH (fillfactor = 80);
-- The expiry job's look-up: only holds that can still expire are in it.
CREATE INDEX holds_expiring ON ledger.holds (tenant_id, expires_at)
    WHERE expires_at IS NOT NULL AND status IN ('reserved', 'partially_posted');
CALL kernel.isolate('ledger.holds');
GRANT SELECT, INSERT, UPDATE ON ledger.holds TO florin_app;
GRANT SELECT ON ledger.holds TO florin_readonly;

-- What a transfer has been reversed by, once. The unique key is what makes "once" true.
CREATE TABLE ledger.reversals (
    tenant_id    integer NOT NULL,
    transfer_id  uuid    NOT NULL,
    reversal_id  uuid    NOT NULL,
    CONSTRAINT reversals_pkey PRIMARY KEY (tenant_id, transfer_id)
);
CALL kernel.isolate('ledger.reversals');
CALL kernel.make_append_only('ledger.reversals');
GRANT SELECT, INSERT ON ledger.reversals TO florin_app;
GRANT SELECT ON ledger.reversals TO florin_readonly;
