"""/v1/tenant, /v1/business-units, /v1/customers, /v1/partners, /v1/config, /v1/usage."""

from florin.tenancy.http import business_units, config, customers, partners, tenant, usage

routers = tuple(part.router for part in (tenant, business_units, customers, partners, config, usage))
