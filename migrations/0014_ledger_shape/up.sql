-- The ledger grows: a chart, shared limits, two times, partial reversals, monitors, clearing, proofs, archives.

-- Instants from before 1970 have no UUIDv7: the smallest stands for all of them.
CREATE OR REPLACE FUNCTION kernel.uuid_floor(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN encode(
    substring(int8send(greatest((extract(epoch FROM at) * 1000)::bigint, 0)) FROM 3) || '\x70008000000000000000'::bytea,
    'hex')::uuid;

-- Codes are hierarchical (assets:bank:zar), and a subtree is a range of them: that needs byte order.
ALTER TABLE ledger.accounts ALTER COLUMN code TYPE text COLLATE "C";

-- What a posting changes stands side by side: an update then logs these bytes and no others. Hence the holds' sums
-- move to the end.
ALTER TABLE ledger.accounts
    -- min_balance and max_balance are from here on what posting enforces: the tighter of the account's own
    -- bounds and those of its classes.
    ADD COLUMN last_entry_at    timestamptz,                     -- entries of one account never go back in time
    ADD COLUMN limit_id         uuid,                            -- the limit that it shares with others
    ADD COLUMN monitored        boolean NOT NULL DEFAULT false,  -- whether a monitor looks at it
    ADD COLUMN dated            boolean NOT NULL DEFAULT false,  -- whether any entry counts at another time than it was recorded
    ADD COLUMN holds_debits     bigint  NOT NULL DEFAULT 0,
    ADD COLUMN holds_credits    bigint  NOT NULL DEFAULT 0;
DO $$
DECLARE
    v_tenant  integer;
BEGIN
    FOR v_tenant IN SELECT tenant_id FROM tenancy.registry LOOP
        PERFORM set_config('app.tenant_id', v_tenant::text, true);
        UPDATE ledger.accounts SET holds_debits = pending_debits, holds_credits = pending_credits
        WHERE tenant_id = v_tenant AND (pending_debits <> 0 OR pending_credits <> 0);
    END LOOP;
    PERFORM set_config('app.tenant_id', '0', true);
END
$$;
ALTER TABLE ledger.accounts DROP COLUMN pending_debits, DROP COLUMN pending_credits;
ALTER TABLE ledger.accounts RENAME COLUMN holds_debits TO pending_debits;
ALTER TABLE ledger.accounts RENAME COLUMN holds_credits TO pending_credits;
ALTER TABLE ledger.accounts
    ADD CONSTRAINT accounts_pending_not_negative CHECK (pending_debits >= 0 AND pending_credits >= 0),
    ADD CONSTRAINT accounts_closed_at_zero
        CHECK (status <> 'closed' OR (balance = 0 AND pending_debits = 0 AND pending_credits = 0));

ALTER TABLE ledger.account_details
    ADD COLUMN min_balance     bigint,      -- the account's own; a credit limit of n is a minimum of -n
    ADD COLUMN max_balance     bigint,
    ADD COLUMN clears_within   interval,    -- declared to return to zero within this time
    ADD COLUMN match_by        text NOT NULL DEFAULT 'order',
    ADD CONSTRAINT account_details_bounds_ordered CHECK (min_balance <= max_balance),
    ADD CONSTRAINT account_details_match_known CHECK (match_by IN ('order', 'correlation')),
    ADD CONSTRAINT account_details_clears_in_time CHECK (clears_within > interval '0');
DO $$
DECLARE
    v_tenant  integer;
BEGIN
    FOR v_tenant IN SELECT tenant_id FROM tenancy.registry LOOP
        PERFORM set_config('app.tenant_id', v_tenant::text, true);
        UPDATE ledger.account_details d SET min_balance = a.min_balance, max_balance = a.max_balance
        FROM ledger.accounts a WHERE a.tenant_id = v_tenant AND d.tenant_id = v_tenant AND a.id = d.account_id;
    END LOOP;
    PERFORM set_config('app.tenant_id', '0', true);
END
$$;
CALL audit.watch('ledger.accounts', 'account', 'id', '{status,limit_id}', false,
    '{balance,pending_debits,pending_credits,entry_seq,last_entry_at,monitored,dated}');
CALL audit.watch('ledger.account_details', 'account', 'account_id', NULL, true);

-- The chart: what the codes mean. A node names a class of accounts, those at or below its code, and may
-- bound each of them.
CREATE TABLE ledger.chart (
    tenant_id      integer     NOT NULL,
    code           text        COLLATE "C" NOT NULL,
    name           text        NOT NULL,
    type           text        NOT NULL,
    currency       text,                   -- of the bounds, and of all accounts below; null: any
    min_balance    bigint,
    max_balance    bigint,
    clears_within  interval,
    match_by       text        NOT NULL DEFAULT 'order',
    created_at     timestamptz NOT NULL,
    CONSTRAINT chart_pkey PRIMARY KEY (tenant_id, code),
    CONSTRAINT chart_currency_fkey FOREIGN KEY (currency) REFERENCES reference.currencies (code),
    CONSTRAINT chart_type_known CHECK (type IN ('asset', 'liability', 'income', 'expense', 'equity')),
    CONSTRAINT chart_code_is_hierarchical CHECK (code ~ '^[A-Za-z0-9][A-Za-z0-9._/@+-]*(:[A-Za-z0-9._/@+-]+)*$'),
    CONSTRAINT chart_bounds_ordered CHECK (min_balance <= max_balance),
    CONSTRAINT chart_bounds_have_currency CHECK (
        currency IS NOT NULL OR (coalesce(min_balance, 0) = 0 AND coalesce(max_balance, 0) = 0)),
    CONSTRAINT chart_match_known CHECK (match_by IN ('order', 'correlation')),
    CONSTRAINT chart_clears_in_time CHECK (clears_within > interval '0')
);
CALL kernel.isolate('ledger.chart');
CALL audit.watch('ledger.chart', 'chart', 'code', NULL, true);
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.chart TO florin_app;
GRANT SELECT ON ledger.chart TO florin_readonly;

-- A limit that accounts share: the sum of their balances, on their common normal side, stays within bounds.
CREATE TABLE ledger.limits (
    tenant_id        integer     NOT NULL,
    id               uuid        NOT NULL,
    name             text        NOT NULL,
    side             text        NOT NULL,
    currency         text        NOT NULL,
    min_balance      bigint,
    max_balance      bigint,
    balance          bigint      NOT NULL DEFAULT 0,
    pending_debits   bigint      NOT NULL DEFAULT 0,
    pending_credits  bigint      NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL,
    CONSTRAINT limits_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT limits_name_key UNIQUE (tenant_id, name),
    CONSTRAINT limits_currency_fkey FOREIGN KEY (currency) REFERENCES reference.currencies (code),
    CONSTRAINT limits_side_known CHECK (side IN ('debit', 'credit')),
    CONSTRAINT limits_bounds_ordered CHECK (min_balance <= max_balance),
    CONSTRAINT limits_pending_not_negative CHECK (pending_debits >= 0 AND pending_credits >= 0)
) WITH (fillfactor = 70);
CALL kernel.isolate('ledger.limits');
CALL audit.watch('ledger.limits', 'limit', 'id', '{name,min_balance,max_balance}', true,
    '{balance,pending_debits,pending_credits}');
GRANT SELECT, INSERT, UPDATE ON ledger.limits TO florin_app;
GRANT SELECT ON ledger.limits TO florin_readonly;
-- Not validated: no account has one yet, and a check of all rows would need a tenant to see them.
ALTER TABLE ledger.accounts ADD CONSTRAINT accounts_limit_fkey
    FOREIGN KEY (tenant_id, limit_id) REFERENCES ledger.limits (tenant_id, id) NOT VALID;
CREATE INDEX accounts_by_limit ON ledger.accounts (tenant_id, limit_id) WHERE limit_id IS NOT NULL;

-- A tenant's books: what posting asks before it posts. No row: nothing is sealed, nothing closed.
CREATE TABLE ledger.books (
    tenant_id      integer     NOT NULL,
    sealed_before  uuid,                -- every transfer with a smaller id is committed, and no more will come
    closed_before  timestamptz,         -- nothing more counts at an earlier time
    projected_before  uuid,             -- up to which transfer accounts have been looked for whose projections are due
    CONSTRAINT books_pkey PRIMARY KEY (tenant_id)
);
CALL kernel.isolate('ledger.books');
GRANT SELECT, INSERT, UPDATE ON ledger.books TO florin_app;
GRANT SELECT ON ledger.books TO florin_readonly;

-- The closings themselves: by whom stands in the audit log.
CREATE TABLE ledger.period_closings (
    tenant_id      integer     NOT NULL,
    id             uuid        NOT NULL,
    closed_before  timestamptz NOT NULL,
    closed_at      timestamptz NOT NULL,
    name           text        NOT NULL,
    CONSTRAINT period_closings_pkey PRIMARY KEY (tenant_id, id)
);
CALL kernel.isolate('ledger.period_closings');
CALL kernel.make_append_only('ledger.period_closings');
CALL audit.watch('ledger.period_closings', 'period', 'id', NULL, true);
GRANT SELECT, INSERT ON ledger.period_closings TO florin_app;
GRANT SELECT ON ledger.period_closings TO florin_readonly;

-- The log learns why: null costs nothing, so ordinary transfers stay as narrow as they were.
ALTER TABLE ledger.transfers
    ALTER COLUMN effective_at DROP NOT NULL,    -- null: when it was recorded
    ADD COLUMN correlation_id  text,            -- what belongs together: an order, a payment
    ADD COLUMN causation_id    text,            -- what led to this: an event, a request
    ADD COLUMN template        jsonb,           -- name, version and parameters of the recipe that made it
    ADD COLUMN exchange        jsonb,           -- rate, source, amounts and rounding of a currency exchange
    DROP CONSTRAINT transfers_kind_known,
    ADD CONSTRAINT transfers_kind_known CHECK (
        kind IN ('transfer', 'hold', 'post', 'void', 'expiry', 'reversal', 'repost')),
    ADD CONSTRAINT transfers_correlation_short CHECK (length(correlation_id) <= 255),
    ADD CONSTRAINT transfers_causation_short CHECK (length(causation_id) <= 255);
CREATE INDEX transfers_by_correlation ON ledger.transfers (tenant_id, correlation_id, id)
    WHERE correlation_id IS NOT NULL;

-- Entries anew: without the balance before, which is the balance after less the amount, and with the time at
-- which they count, where that is another than the time at which they were recorded.
ALTER TABLE ledger.entries RENAME TO entries_0005;
DO $$
DECLARE
    v_old   regclass;
    v_name  text;
BEGIN
    DELETE FROM kernel.partitioned_tables WHERE table_name = 'ledger.entries_0005'::regclass;
    FOR v_old, v_name IN
        SELECT c.oid::regclass, c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'ledger.entries_0005'::regclass
    LOOP
        EXECUTE format('ALTER TABLE %s RENAME TO %I', v_old, replace(v_name, 'entries_', 'entries_0005_'));
    END LOOP;
END
$$;
CREATE TABLE ledger.entries (
    tenant_id      integer     NOT NULL,
    account_id     uuid        NOT NULL,
    seq            bigint      NOT NULL,
    transfer_id    uuid        NOT NULL,
    amount         bigint      NOT NULL,   -- debits positive, credits negative
    balance_after  bigint      NOT NULL,   -- on the account's normal side, as in ledger.accounts
    recorded_at    timestamptz NOT NULL,   -- never earlier than that of the entry before it
    effective_at   timestamptz,            -- null: when it was recorded
    CONSTRAINT entries_key PRIMARY KEY (tenant_id, account_id, seq, transfer_id),
    CONSTRAINT entries_amount_moves CHECK (amount <> 0)
) PARTITION BY RANGE (transfer_id);
CREATE INDEX entries_dated ON ledger.entries (tenant_id, account_id, effective_at) WHERE effective_at IS NOT NULL;
CALL kernel.isolate('ledger.entries');
CALL kernel.partition_monthly('ledger.entries');
-- Months that only the old table has: data from before the partitions that are made now.
DO $$
DECLARE
    v_old  record;
BEGIN
    FOR v_old IN
        SELECT replace(c.relname, 'entries_0005_', 'entries_') AS name, pg_get_expr(c.relpartbound, c.oid) AS bound
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'ledger.entries_0005'::regclass
    LOOP
        CONTINUE WHEN to_regclass('ledger.' || quote_ident(v_old.name)) IS NOT NULL;
        EXECUTE format('CREATE TABLE ledger.%I PARTITION OF ledger.entries %s', v_old.name, v_old.bound);
        EXECUTE format('ALTER TABLE ledger.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', v_old.name);
    END LOOP;
END
$$;
DO $$
DECLARE
    v_tenant  integer;
    v_lost    bigint;
BEGIN
    FOR v_tenant IN SELECT tenant_id FROM tenancy.registry LOOP
        PERFORM set_config('app.tenant_id', v_tenant::text, true);
        INSERT INTO ledger.entries (tenant_id, account_id, seq, transfer_id, amount, balance_after, recorded_at, effective_at)
        SELECT e.tenant_id, e.account_id, e.seq, e.transfer_id, e.amount, e.balance_after,
               max(e.recorded_at) OVER (PARTITION BY e.account_id ORDER BY e.seq),
               nullif(t.effective_at, t.recorded_at)
        FROM ledger.entries_0005 e
        JOIN ledger.transfers t ON t.tenant_id = v_tenant AND t.id = e.transfer_id
        WHERE e.tenant_id = v_tenant;
        SELECT count(*) - (SELECT count(*) FROM ledger.entries WHERE tenant_id = v_tenant) INTO v_lost
        FROM ledger.entries_0005 WHERE tenant_id = v_tenant;
        IF v_lost <> 0 THEN
            RAISE EXCEPTION '% entries of tenant % were not carried over', v_lost, v_tenant;
        END IF;
        UPDATE ledger.accounts a SET last_entry_at = e.recorded_at
        FROM ledger.entries e
        WHERE a.tenant_id = v_tenant AND e.tenant_id = v_tenant AND e.account_id = a.id AND e.seq = a.entry_seq;
        UPDATE ledger.accounts a SET dated = true
        WHERE a.tenant_id = v_tenant AND EXISTS (
            SELECT FROM ledger.entries e
            WHERE e.tenant_id = v_tenant AND e.account_id = a.id AND e.effective_at IS NOT NULL);
    END LOOP;
    PERFORM set_config('app.tenant_id', '0', true);
END
$$;
DROP TABLE ledger.entries_0005;
CALL kernel.make_append_only('ledger.entries');
GRANT SELECT, INSERT ON ledger.entries TO florin_app;
GRANT SELECT ON ledger.entries TO florin_readonly;

-- What a transfer has been reversed by, part by part. The unique number is what makes "once per amount" true:
-- each reversal starts from the sums that the one before it left.
ALTER TABLE ledger.reversals RENAME TO reversals_0005;
CREATE TABLE ledger.reversals (
    tenant_id    integer  NOT NULL,
    transfer_id  uuid     NOT NULL,
    number       integer  NOT NULL,
    reversal_id  uuid     NOT NULL,
    amounts      bigint[] NOT NULL,   -- taken back by this one, in the order and with the signs of the transfer's legs
    reversed     bigint[] NOT NULL,   -- taken back so far, this one included
    CONSTRAINT reversals_key PRIMARY KEY (tenant_id, transfer_id, number),
    CONSTRAINT reversals_numbered CHECK (number >= 1),
    CONSTRAINT reversals_first_starts_at_zero CHECK (number > 1 OR amounts = reversed),
    CONSTRAINT reversals_paired CHECK (cardinality(amounts) = cardinality(reversed))
);
DO $$
DECLARE
    v_tenant  integer;
BEGIN
    FOR v_tenant IN SELECT tenant_id FROM tenancy.registry LOOP
        PERFORM set_config('app.tenant_id', v_tenant::text, true);
        INSERT INTO ledger.reversals (tenant_id, transfer_id, number, reversal_id, amounts, reversed)
        SELECT v_tenant, r.transfer_id, 1, r.reversal_id, t.amounts, t.amounts
        FROM ledger.reversals_0005 r
        JOIN ledger.transfers t ON t.tenant_id = v_tenant AND t.id = r.transfer_id
        WHERE r.tenant_id = v_tenant;
    END LOOP;
    PERFORM set_config('app.tenant_id', '0', true);
END
$$;
DROP TABLE ledger.reversals_0005;
CALL kernel.isolate('ledger.reversals');
CALL kernel.make_append_only('ledger.reversals');
GRANT SELECT, INSERT ON ledger.reversals TO florin_app;
GRANT SELECT ON ledger.reversals TO florin_readonly;

-- Where an account stood, every so many entries: past balances are looked up from here. A projection of the log.
CREATE TABLE ledger.snapshots (
    tenant_id    integer     NOT NULL,
    account_id   uuid        NOT NULL,
    recorded_at  timestamptz NOT NULL,
    seq          bigint      NOT NULL,
    balance      bigint      NOT NULL,   -- after entry seq, in the order of recording
    dated        bigint      NOT NULL,   -- of which by entries with an effective_at of their own (normal side positive)
    CONSTRAINT snapshots_pkey PRIMARY KEY (tenant_id, account_id, recorded_at, seq)
);
CALL kernel.isolate('ledger.snapshots');
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.snapshots TO florin_app;
GRANT SELECT ON ledger.snapshots TO florin_readonly;

-- Sums of dated entries by the time at which they count (day, month) and by stretches of the order in which they were
-- recorded: whoever asks what was known by some entry adds up whole stretches before it.
CREATE TABLE ledger.dated_totals (
    tenant_id   integer NOT NULL,
    account_id  uuid    NOT NULL,
    span        integer NOT NULL,        -- entries in a stretch; 0: all that are projected
    stretch     bigint  NOT NULL,        -- holds entries stretch * span + 1 to (stretch + 1) * span
    grain       text    NOT NULL,
    starts      date    NOT NULL,        -- of the day or the month (UTC)
    amount      bigint  NOT NULL,        -- normal side positive
    CONSTRAINT dated_totals_pkey PRIMARY KEY (tenant_id, account_id, span, stretch, grain, starts),
    CONSTRAINT dated_totals_span_known CHECK (span IN (0, 1024, 32768, 1048576)),
    CONSTRAINT dated_totals_grain_known CHECK (grain IN ('day', 'month'))
);
CALL kernel.isolate('ledger.dated_totals');
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.dated_totals TO florin_app;
GRANT SELECT ON ledger.dated_totals TO florin_readonly;

-- Up to which entry an account's projections (snapshots, dated totals, open items) have come.
CREATE TABLE ledger.projections (
    tenant_id   integer NOT NULL,
    account_id  uuid    NOT NULL,
    through     bigint  NOT NULL,
    itemised    boolean NOT NULL DEFAULT false,     -- whether open_items holds what is open among the entries up to there
    CONSTRAINT projections_pkey PRIMARY KEY (tenant_id, account_id)
) WITH (fillfactor = 80);
CALL kernel.isolate('ledger.projections');
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.projections TO florin_app;
GRANT SELECT ON ledger.projections TO florin_readonly;

-- What has not cleared yet, per correlation, on accounts that match by it. A projection of the log.
CREATE TABLE ledger.open_items (
    tenant_id       integer     NOT NULL,
    account_id      uuid        NOT NULL,
    correlation_id  text        NOT NULL,
    amount          bigint      NOT NULL,       -- debits positive
    since           timestamptz NOT NULL,       -- recorded_at of the entry that opened it
    first_transfer  uuid        NOT NULL,
    last_transfer   uuid        NOT NULL,
    CONSTRAINT open_items_pkey PRIMARY KEY (tenant_id, account_id, correlation_id)
);
CALL kernel.isolate('ledger.open_items');
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.open_items TO florin_app;
GRANT SELECT ON ledger.open_items TO florin_readonly;

-- A condition on a balance. Whoever posts across it writes the event, in the same transaction.
CREATE TABLE ledger.monitors (
    tenant_id   integer     NOT NULL,
    id          uuid        NOT NULL,
    account_id  uuid        NOT NULL,
    name        text        NOT NULL,
    metric      text        NOT NULL,
    comparison  text        NOT NULL,
    threshold   bigint      NOT NULL,
    active      boolean     NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL,
    CONSTRAINT monitors_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT monitors_account_fkey FOREIGN KEY (tenant_id, account_id) REFERENCES ledger.accounts (tenant_id, id),
    CONSTRAINT monitors_metric_known CHECK (metric IN ('balance', 'available')),
    CONSTRAINT monitors_comparison_known CHECK (comparison IN ('below', 'above'))
);
CREATE INDEX monitors_by_account ON ledger.monitors (tenant_id, account_id);
CALL kernel.isolate('ledger.monitors');
CALL audit.watch('ledger.monitors', 'monitor', 'id', NULL, true);
GRANT SELECT, INSERT, UPDATE ON ledger.monitors TO florin_app;
GRANT SELECT ON ledger.monitors TO florin_readonly;

-- Recipes for postings: named, versioned, never altered.
CREATE TABLE ledger.templates (
    tenant_id   integer     NOT NULL,
    name        text        NOT NULL,
    version     integer     NOT NULL,
    body        jsonb       NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT templates_pkey PRIMARY KEY (tenant_id, name, version),
    CONSTRAINT templates_numbered CHECK (version >= 1),
    CONSTRAINT templates_name_is_dotted CHECK (name ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$')
);
CALL kernel.isolate('ledger.templates');
CALL kernel.make_append_only('ledger.templates');
CALL audit.watch('ledger.templates', 'template', 'name', NULL, true);
GRANT SELECT, INSERT ON ledger.templates TO florin_app;
GRANT SELECT ON ledger.templates TO florin_readonly;

-- The sealed log: all transfers before ledger.books.sealed_before, in the order of their ids, are the leaves of
-- one Merkle tree per tenant (RFC 6962). A block is 256 of them, in full or not yet.
CREATE TABLE ledger.blocks (
    tenant_id  integer NOT NULL,
    number     bigint  NOT NULL,
    first_id   uuid    NOT NULL,
    last_id    uuid    NOT NULL,
    leaves     bytea   NOT NULL,     -- 256 hashes of 32 bytes
    root       bytea   NOT NULL,
    CONSTRAINT blocks_pkey PRIMARY KEY (tenant_id, number),
    CONSTRAINT blocks_full CHECK (length(leaves) = 8192 AND length(root) = 32)
);
CREATE UNIQUE INDEX blocks_by_id ON ledger.blocks (tenant_id, first_id);
ALTER TABLE ledger.blocks ALTER COLUMN leaves SET STORAGE EXTERNAL;
CALL kernel.isolate('ledger.blocks');
CALL kernel.make_append_only('ledger.blocks');
GRANT SELECT, INSERT ON ledger.blocks TO florin_app;
GRANT SELECT ON ledger.blocks TO florin_readonly;

-- The tree above the blocks: roots of complete subtrees of 256 * 2^level leaves, from level 1 on.
CREATE TABLE ledger.nodes (
    tenant_id  integer NOT NULL,
    level      integer NOT NULL,
    number     bigint  NOT NULL,
    root       bytea   NOT NULL,
    CONSTRAINT nodes_pkey PRIMARY KEY (tenant_id, level, number),
    CONSTRAINT nodes_above_blocks CHECK (level >= 1 AND length(root) = 32)
);
CALL kernel.isolate('ledger.nodes');
CALL kernel.make_append_only('ledger.nodes');
GRANT SELECT, INSERT ON ledger.nodes TO florin_app;
GRANT SELECT ON ledger.nodes TO florin_readonly;

CREATE TABLE ledger.seal_keys (
    tenant_id    integer     NOT NULL,
    id           text        NOT NULL,
    public_key   bytea       NOT NULL,
    private_key  bytea       NOT NULL,   -- sealed by the key ring
    created_at   timestamptz NOT NULL,
    CONSTRAINT seal_keys_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT seal_keys_ed25519 CHECK (length(public_key) = 32)
);
CALL kernel.isolate('ledger.seal_keys');
CALL kernel.make_append_only('ledger.seal_keys');
GRANT SELECT, INSERT ON ledger.seal_keys TO florin_app;

-- Signed heads of the tree, each naming the one before it. Leaves that no full block holds are kept with the
-- checkpoint that signs them: those after the last full block and after the checkpoint before. So every leaf that was
-- ever signed is known, and what was altered can be named.
CREATE TABLE ledger.checkpoints (
    tenant_id      integer     NOT NULL,
    number         bigint      NOT NULL,
    size           bigint      NOT NULL,   -- leaves
    root           bytea       NOT NULL,
    sealed_before  uuid        NOT NULL,
    audit_seq      bigint      NOT NULL,   -- the end of the audit chain at that moment
    audit_digest   bytea       NOT NULL,
    previous       bytea       NOT NULL,   -- SHA-256 of the previous checkpoint's signed text
    made_at        timestamptz NOT NULL,
    key_id         text        NOT NULL,
    signature      bytea       NOT NULL,
    leaves         bytea       NOT NULL,
    CONSTRAINT checkpoints_pkey PRIMARY KEY (tenant_id, number),
    CONSTRAINT checkpoints_size_key UNIQUE (tenant_id, size),
    CONSTRAINT checkpoints_leaves_whole CHECK (length(leaves) % 32 = 0 AND length(leaves) < 8192),
    CONSTRAINT checkpoints_lengths CHECK (
        length(root) = 32 AND length(audit_digest) = 32 AND length(previous) = 32 AND length(signature) = 64)
);
ALTER TABLE ledger.checkpoints ALTER COLUMN leaves SET STORAGE EXTERNAL;
CALL kernel.isolate('ledger.checkpoints');
CALL kernel.make_append_only('ledger.checkpoints');
GRANT SELECT, INSERT ON ledger.checkpoints TO florin_app;
GRANT SELECT ON ledger.checkpoints TO florin_readonly;

-- How far the continuous self-proof has come.
CREATE TABLE ledger.proofs (
    tenant_id      integer     NOT NULL,
    proven_before  uuid        NOT NULL,   -- every transfer with a smaller id has been verified
    proven_at      timestamptz NOT NULL,
    transfers      bigint      NOT NULL,
    entries        bigint      NOT NULL,
    CONSTRAINT proofs_pkey PRIMARY KEY (tenant_id)
);
CALL kernel.isolate('ledger.proofs');
GRANT SELECT, INSERT, UPDATE ON ledger.proofs TO florin_app;
GRANT SELECT ON ledger.proofs TO florin_readonly;

-- What did not hold when it was verified.
CREATE TABLE ledger.faults (
    tenant_id    integer     NOT NULL,
    id           uuid        NOT NULL,
    found_at     timestamptz NOT NULL,
    rule         text        NOT NULL,
    transfer_id  uuid,
    account_id   uuid,
    seq          bigint,
    detail       text        NOT NULL,
    CONSTRAINT faults_pkey PRIMARY KEY (tenant_id, id)
);
CALL kernel.isolate('ledger.faults');
CALL kernel.make_append_only('ledger.faults');
GRANT SELECT, INSERT ON ledger.faults TO florin_app;
GRANT SELECT ON ledger.faults TO florin_readonly;

-- Bulk imports: how far each has come, and what was wrong with which row.
CREATE TABLE ledger.imports (
    tenant_id    integer     NOT NULL,
    id           uuid        NOT NULL,
    kind         text        NOT NULL,
    digest       bytea       NOT NULL,   -- SHA-256 of the file: the same file goes on where it stopped
    status       text        NOT NULL DEFAULT 'running',
    rows_total   bigint,
    rows_done    bigint      NOT NULL DEFAULT 0,
    rows_refused bigint      NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    CONSTRAINT imports_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT imports_file_key UNIQUE (tenant_id, kind, digest),
    CONSTRAINT imports_kind_known CHECK (kind IN ('accounts', 'balances', 'transfers')),
    CONSTRAINT imports_status_known CHECK (status IN ('running', 'completed', 'failed'))
);
CALL kernel.isolate('ledger.imports');
GRANT SELECT, INSERT, UPDATE ON ledger.imports TO florin_app;
GRANT SELECT ON ledger.imports TO florin_readonly;

CREATE TABLE ledger.import_errors (
    tenant_id  integer NOT NULL,
    import_id  uuid    NOT NULL,
    row_number bigint  NOT NULL,
    field      text,
    code       text    NOT NULL,
    message    text    NOT NULL,
    CONSTRAINT import_errors_pkey PRIMARY KEY (tenant_id, import_id, row_number),
    CONSTRAINT import_errors_import_fkey FOREIGN KEY (tenant_id, import_id) REFERENCES ledger.imports (tenant_id, id)
);
CALL kernel.isolate('ledger.import_errors');
GRANT SELECT, INSERT ON ledger.import_errors TO florin_app;
GRANT SELECT ON ledger.import_errors TO florin_readonly;

-- Months past their retention move here whole, partition by partition; the views span both.
CREATE TABLE ledger.archived_transfers (LIKE ledger.transfers INCLUDING CONSTRAINTS, PRIMARY KEY (tenant_id, id))
    PARTITION BY RANGE (id);
CREATE TABLE ledger.archived_entries (LIKE ledger.entries INCLUDING CONSTRAINTS,
    PRIMARY KEY (tenant_id, account_id, seq, transfer_id)) PARTITION BY RANGE (transfer_id);
CREATE INDEX archived_transfers_by_correlation ON ledger.archived_transfers (tenant_id, correlation_id, id)
    WHERE correlation_id IS NOT NULL;
CREATE INDEX archived_entries_dated ON ledger.archived_entries (tenant_id, account_id, effective_at)
    WHERE effective_at IS NOT NULL;
CALL kernel.isolate('ledger.archived_transfers');
CALL kernel.isolate('ledger.archived_entries');
CALL kernel.make_append_only('ledger.archived_transfers');
CALL kernel.make_append_only('ledger.archived_entries');
GRANT SELECT ON ledger.archived_transfers, ledger.archived_entries TO florin_app, florin_readonly;

CREATE VIEW ledger.all_transfers WITH (security_invoker = true) AS
SELECT * FROM ledger.transfers UNION ALL SELECT * FROM ledger.archived_transfers;
CREATE VIEW ledger.all_entries WITH (security_invoker = true) AS
SELECT * FROM ledger.entries UNION ALL SELECT * FROM ledger.archived_entries;
GRANT SELECT ON ledger.all_transfers, ledger.all_entries TO florin_app, florin_readonly;
