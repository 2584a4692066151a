"""/v1/tenant and its business units, customers, partners, config and usage; /v1/platform/tenants."""

from florin.tenancy.http import business_units, config, customers, partners, platform, tenant, usage

routers = tuple(
    part.router for part in (tenant, business_units, customers, partners, config, usage, platform)
)
