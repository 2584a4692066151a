-- Corrections.

-- name: correct(tenant_id, reversal_id, repost_id, slot, digest, transfer_id, currency, effective_at, details, accounts, amounts)^
-- Takes back what is left of a transfer and posts anew.
SELECT refusal, refused_account, transfer_id, replayed
FROM ledger.correct(:tenant_id, :reversal_id, :repost_id, :slot, :digest, :transfer_id, :currency, :effective_at, :details,
                    :accounts, :amounts::bigint[]);
