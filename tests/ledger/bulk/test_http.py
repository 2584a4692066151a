"""Imports and exports behind the gate."""

import csv
from io import StringIO

from florin.kernel.ids import encode_id, new_id
from florin.ledger.bulk.model import MAX_FILE_BYTES
from tests.ledger.test_http import Client, api, problem

__all__ = ["api"]  # a fixture

CSV = {"content-type": "text/csv; charset=utf-8"}
PARQUET = {"content-type": "application/vnd.apache.parquet"}
TRANSFERS = "/v1/imports?kind=transfers"
ROWS = "debit_account,credit_account,amount\ncash,wallet,500\ncash,nobody,1\n"


async def test_a_file_is_imported_once_and_its_errors_are_told(api: Client) -> None:
    await api.account("cash", "asset")
    await api.account("wallet")
    answer = await api.http.post(TRANSFERS, content=ROWS, headers=CSV)
    assert answer.status_code == 201, answer.text
    done = answer.json()
    assert (done["status"], done["rows_total"], done["rows_done"], done["rows_refused"]) == (
        "completed",
        2,
        2,
        1,
    )
    again = await api.http.post(TRANSFERS, content=ROWS, headers=CSV)
    assert (again.status_code, again.json()) == (201, done)
    assert await api.get(f"/v1/imports/{done['id']}") == done
    assert (await api.get("/v1/imports", kind="transfers", status="completed"))["data"] == [done]
    assert (await api.get("/v1/imports", kind="accounts"))["data"] == []
    errors = await api.get(f"/v1/imports/{done['id']}/errors", limit=1)
    assert errors == {
        "data": [
            {
                "row_number": 2,
                "field": "credit_account",
                "code": "account_not_found",
                "message": "there is no account 'nobody'",
            }
        ],
        "has_more": False,
    }
    assert (await api.get(f"/v1/imports/{done['id']}/errors", starting_after=2))["data"] == []


async def test_what_is_no_file_of_rows_is_refused_with_a_reason(api: Client) -> None:
    async def refused(
        content: bytes, headers: dict[str, str], path: str = TRANSFERS
    ) -> tuple[int, str, str | None]:
        return problem(await api.http.post(path, content=content, headers=headers))

    json = {"content-type": "application/json"}
    assert await refused(b"{}", json) == (415, "unsupported_media_type", "Content-Type")
    assert await refused(b"", CSV) == (422, "column_missing", "file")
    assert await refused(b"debit_account,credit_account,amount,colour\n", CSV) == (
        422,
        "column_unknown",
        "file",
    )
    assert await refused(b"PAR1", PARQUET) == (422, "file_unreadable", "file")
    assert await refused(ROWS.encode(), CSV, "/v1/imports?kind=entries") == (422, "invalid_request", "kind")
    assert await refused(ROWS.encode(), CSV, f"{TRANSFERS}&colour=red") == (422, "invalid_request", "colour")
    assert await refused(b"x" * (MAX_FILE_BYTES + 1), CSV) == (413, "body_too_large", None)
    large_json = {"content-type": "application/json", "content-length": str(2 << 20)}
    assert await refused(b"x", large_json, "/v1/transfers") == (413, "body_too_large", None)


async def test_an_unknown_import_is_not_found(api: Client) -> None:
    nobodys = encode_id("imp", new_id())
    for path in (f"/v1/imports/{nobodys}", f"/v1/imports/{nobodys}/errors"):
        assert problem(await api.http.get(path)) == (404, "import_not_found", None)


async def test_the_books_come_out_as_files(api: Client) -> None:
    await api.account("cash", "asset")
    await api.account("wallet")
    await api.http.post(TRANSFERS, content=ROWS, headers=CSV)
    answer = await api.http.get(
        "/v1/exports/transfers.csv", params={"subtree": "cash", "from": "2020-01-01T00:00:00Z"}
    )
    assert answer.headers["content-type"].startswith("text/csv")
    assert "transfers.csv" in answer.headers["content-disposition"]
    [line] = csv.DictReader(StringIO(answer.text))
    assert (line["debit_account"], line["credit_account"], line["amount"]) == ("cash", "wallet", "500")
    parquet = await api.http.get("/v1/exports/balances.parquet")
    assert parquet.headers["content-type"] == PARQUET["content-type"]
    assert parquet.content[:4] == parquet.content[-4:] == b"PAR1"
    assert problem(await api.http.get("/v1/exports/balances.csv?from=2020-01-01T00:00:00Z")) == (
        422, "invalid_request", "from",
    )  # fmt: skip
    assert problem(await api.http.get("/v1/exports/secrets.csv"))[0] == 422


async def test_another_method_is_refused_before_its_body_is_looked_at(api: Client) -> None:
    answer = await api.http.put("/v1/imports", content=ROWS, headers=CSV)
    assert problem(answer) == (405, "method_not_allowed", None)
    assert answer.headers["allow"] == "GET, POST"
