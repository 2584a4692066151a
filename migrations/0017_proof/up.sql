-- What proving the books needs: the mark before which the log is complete, and room to rebuild from the log.

-- Closes the log up to a while ago, if it has transfers from before that which are not sealed yet.
-- Whoever is posting is waited for, and whoever comes meanwhile waits in turn: not for long, so that one stuck
-- transaction holds up the seals (lock_not_available) and not the postings.
--   p_grace  how old an id may be and still be posted under; younger transfers stay out of the log for so long
-- Returns the mark: every transfer with a smaller id is committed and visible, and no more will come.
-- Null: there is none yet. It never goes back.
CREATE OR REPLACE FUNCTION ledger.advance(p_tenant integer, p_grace interval) RETURNS uuid
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET lock_timeout = '1s'
AS $$
DECLARE
    c_none    CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    v_sealed  uuid;
    v_mark    uuid;
BEGIN
    PERFORM kernel.require_tenant(p_tenant);
    SELECT b.sealed_before INTO v_sealed FROM ledger.books b WHERE b.tenant_id = p_tenant;
    -- Down to a whole millisecond: an id made in this very one is not below the mark.
    v_mark := kernel.uuid_floor(date_trunc('milliseconds', clock_timestamp() - greatest(p_grace, interval '0')));
    IF v_mark <= v_sealed OR NOT EXISTS (
        SELECT FROM ledger.transfers t
        WHERE t.tenant_id = p_tenant AND t.id >= coalesce(v_sealed, c_none) AND t.id < v_mark
    ) THEN
        RETURN v_sealed;
    END IF;
    PERFORM ledger.shut(p_tenant);
    INSERT INTO ledger.books AS b (tenant_id, sealed_before) VALUES (p_tenant, v_mark)
    ON CONFLICT (tenant_id) DO UPDATE SET sealed_before = greatest(b.sealed_before, excluded.sealed_before)
    RETURNING b.sealed_before INTO v_sealed;
    RETURN v_sealed;
END
$$;
GRANT EXECUTE ON FUNCTION ledger.advance(integer, interval) TO florin_app;

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
