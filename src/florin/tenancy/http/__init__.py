"""/v1/tenant, /v1/business-units, /v1/customers, /v1/partners, /v1/config, /v1/usage."""

from fastapi import APIRouter

from florin.tenancy.http import business_units, config, customers, partners, tenant, usage

router = APIRouter()
for part in (tenant, business_units, customers, partners, config, usage):
    router.include_router(part.router)
