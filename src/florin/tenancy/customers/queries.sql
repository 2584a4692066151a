-- Customers. Columns stand in the order of CustomerRow's fields.

-- name: insert_customer(tenant_id, id, partner_id, business_unit_id, reference, person_id, name_sealed, email_sealed, email_index, phone_sealed, phone_index, account_sealed, account_index, metadata, now)!
-- A new customer.
INSERT INTO tenancy.customers
    (tenant_id, id, partner_id, business_unit_id, reference, person_id, name_sealed, email_sealed, email_index,
     phone_sealed, phone_index, account_sealed, account_index, metadata, created_at, updated_at)
VALUES (:tenant_id, :id, :partner_id, :business_unit_id, :reference, :person_id, :name_sealed, :email_sealed,
    :email_index, :phone_sealed, :phone_index, :account_sealed, :account_index, :metadata, :now, :now);

-- name: customer_exists(tenant_id, id, partner_id)$
-- Whether there is such a customer; with `partner_id`, of that partner.
SELECT EXISTS (SELECT FROM tenancy.customers WHERE tenant_id = :tenant_id AND id = :id
    AND (:partner_id::uuid IS NULL OR partner_id = :partner_id));

-- name: customer(tenant_id, id, partner_id, units)^
-- One customer; with `partner_id`, only if it is that partner's, with `units`, only if it is of one of them.
SELECT id, partner_id, business_unit_id, reference, person_id, name, email, name_sealed, email_sealed, phone_sealed,
       account_sealed, metadata, created_at, updated_at, erased_at
FROM tenancy.customers
WHERE tenant_id = :tenant_id AND id = :id AND (:partner_id::uuid IS NULL OR partner_id = :partner_id)
  AND (:units::uuid[] IS NULL OR business_unit_id = ANY (:units));

-- name: lock_customer(tenant_id, id, partner_id, units)^
-- The same, locked until the transaction ends.
SELECT id, partner_id, business_unit_id, reference, person_id, name, email, name_sealed, email_sealed, phone_sealed,
       account_sealed, metadata, created_at, updated_at, erased_at
FROM tenancy.customers
WHERE tenant_id = :tenant_id AND id = :id AND (:partner_id::uuid IS NULL OR partner_id = :partner_id)
  AND (:units::uuid[] IS NULL OR business_unit_id = ANY (:units))
FOR NO KEY UPDATE;

-- name: customers(tenant_id, partner_id, units, business_unit_id, reference, after, count)
-- Customers, newest first, by partner, unit or reference.
SELECT id, partner_id, business_unit_id, reference, person_id, name, email, name_sealed, email_sealed, phone_sealed,
       account_sealed, metadata, created_at, updated_at, erased_at
FROM tenancy.customers
WHERE tenant_id = :tenant_id AND (:after::uuid IS NULL OR id < :after)
  AND (:partner_id::uuid IS NULL OR partner_id = :partner_id)
  AND (:units::uuid[] IS NULL OR business_unit_id = ANY (:units))
  AND (:business_unit_id::uuid IS NULL OR business_unit_id = :business_unit_id)
  AND (:reference::text IS NULL OR reference = :reference)
ORDER BY id DESC LIMIT :count;

-- name: customers_by_email(tenant_id, index, partner_id, units, after, count)
-- Customers of one e-mail address, newest first.
SELECT id, partner_id, business_unit_id, reference, person_id, name, email, name_sealed, email_sealed, phone_sealed,
       account_sealed, metadata, created_at, updated_at, erased_at
FROM tenancy.customers
WHERE tenant_id = :tenant_id AND email_index = :index AND (:after::uuid IS NULL OR id < :after)
  AND (:partner_id::uuid IS NULL OR partner_id = :partner_id)
  AND (:units::uuid[] IS NULL OR business_unit_id = ANY (:units))
ORDER BY id DESC LIMIT :count;

-- name: customers_by_phone(tenant_id, index, partner_id, units, after, count)
-- The same for a telephone number.
SELECT id, partner_id, business_unit_id, reference, person_id, name, email, name_sealed, email_sealed, phone_sealed,
       account_sealed, metadata, created_at, updated_at, erased_at
FROM tenancy.customers
WHERE tenant_id = :tenant_id AND phone_index = :index AND (:after::uuid IS NULL OR id < :after)
  AND (:partner_id::uuid IS NULL OR partner_id = :partner_id)
  AND (:units::uuid[] IS NULL OR business_unit_id = ANY (:units))
ORDER BY id DESC LIMIT :count;

-- name: customers_by_account(tenant_id, index, partner_id, units, after, count)
-- The same for a bank account's number.
SELECT id, partner_id, business_unit_id, reference, person_id, name, email, name_sealed, email_sealed, phone_sealed,
       account_sealed, metadata, created_at, updated_at, erased_at
FROM tenancy.customers
WHERE tenant_id = :tenant_id AND account_index = :index AND (:after::uuid IS NULL OR id < :after)
  AND (:partner_id::uuid IS NULL OR partner_id = :partner_id)
  AND (:units::uuid[] IS NULL OR business_unit_id = ANY (:units))
ORDER BY id DESC LIMIT :count;

-- name: update_customer(tenant_id, id, business_unit_id, reference, metadata, now)!
-- Changes what is not personal of a locked customer.
UPDATE tenancy.customers
SET business_unit_id = :business_unit_id, reference = :reference, metadata = :metadata, updated_at = :now
WHERE tenant_id = :tenant_id AND id = :id;

-- name: lock_in_plain(tenant_id, count)
-- Customers whose name or address still stands in plain, locked; those that somebody is changing are left for later.
SELECT id, partner_id, business_unit_id, reference, person_id, name, email, name_sealed, email_sealed, phone_sealed,
       account_sealed, metadata, created_at, updated_at, erased_at
FROM tenancy.customers
WHERE tenant_id = :tenant_id AND (name IS NOT NULL OR email IS NOT NULL)
ORDER BY id LIMIT :count FOR NO KEY UPDATE SKIP LOCKED;

-- name: count_in_plain(tenant_id)$
-- How many there are.
SELECT count(*) FROM tenancy.customers WHERE tenant_id = :tenant_id AND (name IS NOT NULL OR email IS NOT NULL);
