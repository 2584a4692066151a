-- The archive's statements. They are about partitions, which hold the rows of all tenants, and read none of them.

-- name: archivable_months(keep)
-- Months that are due, oldest first.
SELECT m FROM ledger.archivable_months(:keep) AS m;

-- name: prepare_archive(month)$
-- Takes a step towards a month's move; 'ready' when none is left.
SELECT ledger.prepare_archive(:month);

-- name: archive_month(month)$
-- Moves a month; gives the tables that moved.
SELECT ledger.archive_month(:month);
