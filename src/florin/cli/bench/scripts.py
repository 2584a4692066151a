"""What pgbench sends: the same functions as the API, once per item, in one round trip each."""

from uuid import UUID

from florin.cli.bench.stage import ACCOUNTS, FIRST_ACCOUNT


def transfer(tenant_id: int) -> str:
    """One transfer between two accounts, drawn as the HTTP load draws them."""
    first, last = FIRST_ACCOUNT, FIRST_ACCOUNT + ACCOUNTS - 1
    return f"""
\\set a random({first}, {last})
\\set b random({first}, {last - 1})
\\set b case when :b >= :a then :b + 1 else :b end
\\set low least(:a, :b)
\\set high greatest(:a, :b)
\\startpipeline
BEGIN;
SET LOCAL app.tenant_id = {tenant_id};
SELECT refusal FROM ledger.post({tenant_id}, ARRAY[kernel.uuidv7()], ARRAY[gen_random_uuid()],
    ARRAY[gen_random_uuid()], '{{transfer}}', '{{USD}}', NULL, '{{NULL}}', NULL, NULL,
    ARRAY[('01900000-0000-7000-8000-' || :low::text)::uuid,
          ('01900000-0000-7000-8000-' || :high::text)::uuid],
    '{{1,1}}', '{{1,2}}', '{{100,-100}}');
COMMIT;
\\endpipeline
"""


def payment(tenant_id: int, receivable: UUID, payable: UUID) -> str:
    """One payment: opened in one transaction, settled in another, as around a provider's call.

    `:run` keeps the ids of one pgbench run apart from another's, `:n` counts within it.
    """
    accounts = sorted((receivable, payable))
    positions = f"{accounts.index(receivable) + 1},{accounts.index(payable) + 1}"
    payment_id = (
        "('01' || lpad(to_hex(:run::integer), 6, '0') || lpad(to_hex(:n::integer), 8, '0') || '8000'"
        " || lpad(to_hex(:client_id::integer), 12, '0'))::uuid"
    )
    item = (
        '[{"currency": "USD", "amount": 4200, "capture_method": "automatic", "method_type": "card",'
        ' "method": {"token": "tok_success"}}]'
    )
    return f"""
\\set n :n + 1
\\startpipeline
BEGIN;
SET LOCAL app.tenant_id = {tenant_id};
SELECT verdict FROM payments.open({tenant_id}, ARRAY[{payment_id}], ARRAY[gen_random_uuid()],
    ARRAY[gen_random_uuid()], '{{1}}', '{{sandbox}}', '{item}', 30);
COMMIT;
\\endpipeline
\\startpipeline
BEGIN;
SET LOCAL app.tenant_id = {tenant_id};
SELECT verdict FROM payments.settle({tenant_id}, ARRAY[{payment_id}], '{{1}}', '{{succeeded}}',
    '{{sbx_bench}}', '{{NULL}}', '{{NULL}}', '{{NULL}}', '{{NULL}}', ARRAY[kernel.uuidv7()],
    '{{{accounts[0]},{accounts[1]}}}', '{{1,1}}', '{{{positions}}}', '{{4200,-4200}}', '{{pay_bench}}');
COMMIT;
\\endpipeline
"""
