-- The statements of the sealed log. Every one names its tenant; row-level security is the second lock on the door.

-- name: advance(tenant_id, grace)$
-- Closes the log up to a while ago; the mark below which no transfer is still to come.
SELECT ledger.advance(:tenant_id, :grace);

-- name: lock_sealing(tenant_id)$
-- Whether this transaction is the tenant's one sealer now. The family of these locks is SEAL in ASCII.
SELECT pg_try_advisory_xact_lock(1397047628, :tenant_id);

-- name: sealed_before(tenant_id)$
-- The mark below which the log is closed.
SELECT sealed_before FROM ledger.books WHERE tenant_id = :tenant_id;

-- name: unsealed(tenant_id, after, before)$
-- How many transfers lie between two ids.
SELECT count(*) FROM ledger.all_transfers WHERE tenant_id = :tenant_id AND id > :after AND id < :before;

-- name: leaves(tenant_id, after, before, limit)^
-- The next leaves between two ids, in order: their ids and their hashes (RFC 6962, section 2.1), each in a row.
SELECT coalesce(string_agg(uuid_send(s.id), ''::bytea), ''), coalesce(string_agg(s.hash, ''::bytea), '')
FROM (
    SELECT t.id, sha256('\x00'::bytea || convert_to(ledger.leaf(t.tenant_id, t.id, t.kind, t.recorded_at, t.effective_at,
               t.account_ids, t.amounts, t.entry_seqs, t.related_id, t.correlation_id, t.causation_id, t.description,
               t.metadata, t.template, t.exchange), 'UTF8')) AS hash
    FROM ledger.all_transfers t
    WHERE t.tenant_id = :tenant_id AND t.id > :after AND t.id < :before
    ORDER BY t.id
    LIMIT :limit
) s;

-- name: leaf(tenant_id, id)$
-- The text of one leaf.
SELECT ledger.leaf(t.tenant_id, t.id, t.kind, t.recorded_at, t.effective_at, t.account_ids, t.amounts, t.entry_seqs,
           t.related_id, t.correlation_id, t.causation_id, t.description, t.metadata, t.template, t.exchange)
FROM ledger.all_transfers t
WHERE t.tenant_id = :tenant_id AND t.id = :id;

-- name: last_block(tenant_id)^
-- Number and last id of the newest block.
SELECT number, last_id FROM ledger.blocks WHERE tenant_id = :tenant_id ORDER BY number DESC LIMIT 1;

-- name: block_before(tenant_id, id)^
-- The last block that begins at or before this id: where a transfer is, or after which it comes.
SELECT number, first_id, last_id FROM ledger.blocks
WHERE tenant_id = :tenant_id AND first_id <= :id
ORDER BY first_id DESC LIMIT 1;

-- name: blocks(tenant_id, first, limit)
-- Whole blocks, in order.
SELECT number, first_id, last_id, leaves, root FROM ledger.blocks
WHERE tenant_id = :tenant_id AND number >= :first
ORDER BY number
LIMIT :limit;

-- name: block_leaves(tenant_id, numbers)
-- The leaves of these blocks.
SELECT number, leaves FROM ledger.blocks WHERE tenant_id = :tenant_id AND number = ANY (:numbers);

-- name: block_roots(tenant_id, numbers)
-- The roots of these blocks.
SELECT number, root FROM ledger.blocks WHERE tenant_id = :tenant_id AND number = ANY (:numbers);

-- name: node_roots(tenant_id, levels, numbers)
-- The roots of these nodes.
SELECT n.level, n.number, n.root
FROM unnest(:levels::integer[], :numbers::bigint[]) AS w (level, number)
JOIN ledger.nodes n ON n.tenant_id = :tenant_id AND n.level = w.level AND n.number = w.number;

-- name: tail(tenant_id, blocks)$
-- The signed leaves after so many blocks, in a row.
SELECT coalesce(string_agg(leaves, ''::bytea ORDER BY number), '')
FROM ledger.checkpoints
WHERE tenant_id = :tenant_id AND size > :blocks::bigint * 256;

-- name: insert_blocks(tenant_id, numbers, first_ids, last_ids, leaves, roots)!
-- Adds full blocks; their leaves stand in a row, which is cheaper to send than an array of them.
INSERT INTO ledger.blocks (tenant_id, number, first_id, last_id, leaves, root)
SELECT :tenant_id, b.number, b.first_id, b.last_id, substring(:leaves::bytea FROM (b.at::integer - 1) * 8192 + 1 FOR 8192),
       b.root
FROM unnest(:numbers::bigint[], :first_ids::uuid[], :last_ids::uuid[], :roots::bytea[]) WITH ORDINALITY
    AS b (number, first_id, last_id, root, at)
RETURNING number;

-- name: insert_nodes(tenant_id, levels, numbers, roots)!
-- Adds complete subtrees above the blocks.
INSERT INTO ledger.nodes (tenant_id, level, number, root)
SELECT :tenant_id, n.level, n.number, n.root
FROM unnest(:levels::integer[], :numbers::bigint[], :roots::bytea[]) AS n (level, number, root)
RETURNING number;

-- name: audit_head(tenant_id)^
-- The end of the tenant's audit chain.
SELECT seq, digest FROM audit.heads WHERE tenant_id = :tenant_id;

-- name: insert_checkpoint(tenant_id, number, size, root, sealed_before, audit_seq, audit_digest, previous, made_at, key_id, signature, leaves)!
-- Adds a signed head.
INSERT INTO ledger.checkpoints (tenant_id, number, size, root, sealed_before, audit_seq, audit_digest, previous, made_at,
                                key_id, signature, leaves)
VALUES (:tenant_id, :number, :size, :root, :sealed_before, :audit_seq, :audit_digest, :previous, :made_at, :key_id,
        :signature, :leaves);

-- name: checkpoints(tenant_id, before, limit)
-- Signed heads with the keys that signed them, newest first.
SELECT c.number, c.size, c.root, c.sealed_before, c.audit_seq, c.audit_digest, c.previous, c.made_at, c.leaves, c.key_id,
       c.signature, k.public_key
FROM ledger.checkpoints c
LEFT JOIN ledger.seal_keys k ON k.tenant_id = :tenant_id AND k.id = c.key_id
WHERE c.tenant_id = :tenant_id AND (:before::bigint IS NULL OR c.number < :before)
ORDER BY c.number DESC
LIMIT :limit;

-- name: checkpoint_of(tenant_id, size)^
-- The signed head of exactly this many leaves.
SELECT c.number, c.size, c.root, c.sealed_before, c.audit_seq, c.audit_digest, c.previous, c.made_at, c.leaves, c.key_id,
       c.signature, k.public_key
FROM ledger.checkpoints c
LEFT JOIN ledger.seal_keys k ON k.tenant_id = :tenant_id AND k.id = c.key_id
WHERE c.tenant_id = :tenant_id AND c.size = :size;

-- name: checkpoints_after(tenant_id, number, limit)
-- Signed heads after a number, oldest first.
SELECT c.number, c.size, c.root, c.sealed_before, c.audit_seq, c.audit_digest, c.previous, c.made_at, c.leaves, c.key_id,
       c.signature, k.public_key
FROM ledger.checkpoints c
LEFT JOIN ledger.seal_keys k ON k.tenant_id = :tenant_id AND k.id = c.key_id
WHERE c.tenant_id = :tenant_id AND c.number > :number
ORDER BY c.number
LIMIT :limit;

-- name: keys(tenant_id)
-- The public halves of the tenant's keys, newest first.
SELECT id, public_key, created_at FROM ledger.seal_keys
WHERE tenant_id = :tenant_id
ORDER BY created_at DESC, id;

-- name: sealed_keys(tenant_id)
-- The tenant's keys with their private halves, sealed; newest first.
SELECT id, public_key, created_at, private_key FROM ledger.seal_keys
WHERE tenant_id = :tenant_id
ORDER BY created_at DESC, id;

-- name: insert_key(tenant_id, id, public_key, private_key, created_at)!
-- Adds a key; it signs from now on.
INSERT INTO ledger.seal_keys (tenant_id, id, public_key, private_key, created_at)
VALUES (:tenant_id, :id, :public_key, :private_key, :created_at);
