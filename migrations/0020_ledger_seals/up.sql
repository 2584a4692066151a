-- The sealed log: what is hashed of a transfer, and how far the log is closed.

-- What a leaf of the tree says: one line per fact, in this order, a line feed between two lines and none at the end.
-- A fact that is null has no line. Lists have a space between their elements. Instants are microseconds since 1970.
-- Words of the client's own stand as JSON, so that none of them holds a line feed. Settings do not change the text.
--
--     florin transfer 1
--     tenant 7
--     id 01890a5d-ac96-774b-bcce-b302099a8057
--     kind transfer
--     recorded_at 1795190400123456
--     effective_at 1795104000000000
--     accounts 01890a5d-... 01890a5e-...
--     amounts 5000 -5000
--     entries 17 4
--     related 01890a5d-...
--     correlation "order 6735"
--     causation "evt_..."
--     description "Top-up"
--     metadata {"order": "6735"}
--     template {"name": "wallet.top_up", "version": 3}
--     exchange {"rate": "1.0842"}
--
-- The planner puts it in the place of its calls: arguments are columns, or it would compute each twice.
CREATE FUNCTION ledger.leaf(
    p_tenant       integer,
    p_id           uuid,
    p_kind         text,
    p_recorded_at  timestamptz,
    p_effective_at timestamptz,
    p_accounts     uuid[],
    p_amounts      bigint[],
    p_entries      bigint[],
    p_related      uuid,
    p_correlation  text,
    p_causation    text,
    p_description  text,
    p_metadata     jsonb,
    p_template     jsonb,
    p_exchange     jsonb
) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN concat(
    E'florin transfer 1\ntenant ', p_tenant, E'\nid ', p_id, E'\nkind ', p_kind,
    E'\nrecorded_at ', (extract(epoch FROM p_recorded_at) * 1000000)::bigint,
    CASE WHEN p_effective_at IS NOT NULL
        THEN E'\neffective_at ' || (extract(epoch FROM p_effective_at) * 1000000)::bigint END,
    E'\naccounts ', array_to_string(p_accounts, ' ', 'null'),
    E'\namounts ', array_to_string(p_amounts, ' ', 'null'),
    CASE WHEN p_entries IS NOT NULL THEN E'\nentries ' || array_to_string(p_entries, ' ', 'null') END,
    CASE WHEN p_related IS NOT NULL THEN E'\nrelated ' || p_related::text END,
    CASE WHEN p_correlation IS NOT NULL THEN E'\ncorrelation ' || to_json(p_correlation)::text END,
    CASE WHEN p_causation IS NOT NULL THEN E'\ncausation ' || to_json(p_causation)::text END,
    CASE WHEN p_description IS NOT NULL THEN E'\ndescription ' || to_json(p_description)::text END,
    CASE WHEN p_metadata IS NOT NULL THEN E'\nmetadata ' || p_metadata::text END,
    CASE WHEN p_template IS NOT NULL THEN E'\ntemplate ' || p_template::text END,
    CASE WHEN p_exchange IS NOT NULL THEN E'\nexchange ' || p_exchange::text END);
GRANT EXECUTE ON FUNCTION ledger.leaf(integer, uuid, text, timestamptz, timestamptz, uuid[], bigint[], bigint[], uuid, text,
    text, text, jsonb, jsonb, jsonb) TO florin_app, florin_readonly;

-- Closes the log up to a while ago, if it has transfers from before that which are not sealed yet.
-- Whoever is posting is waited for, and whoever comes meanwhile waits in turn: not for long, so that one stuck
-- transaction holds up the seals (lock_not_available) and not the postings.
--   p_grace  how old an id may be and still be posted under; younger transfers stay out of the log for so long
-- Returns the mark: every transfer with a smaller id is committed and visible, and no more will come.
-- Null: there is none yet. It never goes back.
CREATE FUNCTION ledger.advance(p_tenant integer, p_grace interval) RETURNS uuid
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

-- Who gave the log a new key. The private half, though sealed, is nobody's to read.
CALL audit.watch('ledger.seal_keys', 'seal_key', 'id', NULL, true, '{private_key}');
