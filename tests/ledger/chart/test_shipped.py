"""The charts that are shipped: one per kind of tenant, each consistent in itself and with the system."""

import pytest

from florin.ledger import service as ledger_service
from florin.ledger.chart import service, shipped
from florin.ledger.chart.errors import ChartTemplateNotFound
from florin.ledger.chart.model import SYSTEM_TYPES
from florin.ledger.model import AccountType, SystemAccount
from florin.tenancy.model import TenantType
from tests.ledger.books import Books


def test_every_kind_of_tenant_has_a_chart() -> None:
    assert set(shipped.templates()) == {kind.lower() for kind in TenantType}
    with pytest.raises(ChartTemplateNotFound):
        shipped.template("bakery")


@pytest.mark.parametrize("name", [kind.lower() for kind in TenantType])
async def test_a_chart_is_applied_once_and_fits_the_accounts_of_the_system(books: Books, name: str) -> None:
    template = shipped.template(name)
    codes = [node.code for node in template.nodes]
    assert {*SYSTEM_TYPES, "suspense", "assets:bank"} <= set(codes)
    assert len(set(codes)) == len(codes)
    first = await service.apply_template(books.ledger, books.tenant_id, template)
    assert (first.made, first.present) == (codes, [])
    second = await service.apply_template(books.ledger, books.tenant_id, template)
    assert (second.made, second.present) == ([], codes)
    wanted = [
        SystemAccount(f"{code}:x:USD" if ":" not in code else f"{code}:USD", code, type_, "USD")
        for code, type_ in SYSTEM_TYPES.items()
    ]
    made = await ledger_service.account_ids(books.ledger, books.tenant_id, wanted)
    receivable = await ledger_service.account(books.ledger, books.tenant_id, made[0])
    assert receivable.type is AccountType.ASSET
    assert receivable.clears_within is not None
    assert (receivable.clears_within.days, receivable.clearing_class) == (7, "provider")
