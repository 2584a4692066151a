from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from florin.kernel.ids import AccountId, MalformedId, decode_id, encode_id, new_id, uuid_of


@given(st.uuids())
def test_every_uuid_survives_the_round_trip(value: UUID) -> None:
    assert decode_id("acct", encode_id("acct", value)) == value


def test_an_id_of_whatever_prefix_gives_its_uuid_and_other_text_none() -> None:
    value = new_id()
    assert uuid_of(encode_id("pay", value)) == uuid_of(encode_id("a_b", value)) == value
    for text in ("", "order-7", "pay_1", encode_id("pay", value).upper(), str(value)):
        assert uuid_of(text) is None


def test_matches_the_typeid_specification() -> None:
    # "valid" vectors of the TypeID specification, 0.3.0
    assert (
        encode_id("prefix", UUID("01890a5d-ac96-774b-bcce-b302099a8057"))
        == "prefix_01h455vb4pex5vsknk084sn02q"
    )
    assert encode_id("nil", UUID(int=0)) == "nil_00000000000000000000000000"
    assert encode_id("max", UUID(int=2**128 - 1)) == "max_7zzzzzzzzzzzzzzzzzzzzzzzzz"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acct_",
        "acct_01h455vb4pex5vsknk084sn02",
        "acct_01h455vb4pex5vsknk084sn02qq",
        "pay_01h455vb4pex5vsknk084sn02q",
        "acct_01H455VB4PEX5VSKNK084SN02Q",
        "acct_0lh455vb4pex5vsknk084sn02q",
        "acct_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "01h455vb4pex5vsknk084sn02q",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(MalformedId):
        decode_id("acct", text)


def test_new_ids_are_version_seven_and_ascend() -> None:
    ids = [new_id() for _ in range(1000)]
    assert all(value.version == 7 for value in ids)
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


def test_a_field_of_a_model_reads_and_writes_the_typeid() -> None:
    class Holder(BaseModel):
        account: AccountId

    value = new_id()
    text = encode_id("acct", value)
    holder = Holder.model_validate_json(f'{{"account": "{text}"}}')
    assert holder.account == value
    assert holder.model_dump() == {"account": text}
    with pytest.raises(ValidationError):
        Holder.model_validate_json('{"account": "pay_01h455vb4pex5vsknk084sn02q"}')
