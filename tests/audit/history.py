"""A log whose rows are older than they can be made: a superuser sets them back and chains them anew."""

from datetime import timedelta

import psycopg

_REWRITE = """
DO $$
DECLARE
    v_row       audit.log;
    v_previous  bytea := sha256('');
BEGIN
    FOR v_row IN SELECT * FROM audit.log WHERE tenant_id = {tenant} ORDER BY seq LOOP
        v_row.at := v_row.at - CASE WHEN v_row.seq <= {through} THEN interval '{back}' ELSE interval '0' END;
        v_row.previous := v_previous;
        v_row.digest := audit.digest(v_row);
        v_previous := v_row.digest;
        UPDATE audit.log SET at = v_row.at, previous = v_row.previous, digest = v_row.digest
        WHERE tenant_id = {tenant} AND id = v_row.id;
    END LOOP;
    UPDATE audit.heads SET digest = v_previous WHERE tenant_id = {tenant};
END
$$
"""


def set_back(root_url: str, tenant_id: int, *, through: int, by: timedelta) -> None:
    """The first `through` rows were written so much earlier, and the whole chain fits."""
    with psycopg.connect(root_url) as root:
        root.execute("SET LOCAL session_replication_role = replica")
        statement = _REWRITE.format(tenant=tenant_id, through=through, back=f"{by.days} days")
        root.execute(statement.encode())


def record(url: str, tenant_id: int, count: int, action: str = "trial") -> None:
    """So many rows, as florin_app."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", (str(tenant_id),))
        connection.execute(
            "SELECT audit.record(%s, %s, 'thing', i::text, NULL, jsonb_build_object('n', i))"
            " FROM generate_series(1, %s) i",
            (tenant_id, action, count),
        )
