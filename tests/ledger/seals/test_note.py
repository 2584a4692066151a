"""Checkpoints as text: read back as written, and only under the key that signed."""

from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from florin.ledger.seals.note import (
    FIRST_PREVIOUS,
    BadKey,
    BadNote,
    Head,
    is_signed,
    key_id,
    read_key,
    read_note,
    sign,
    verifier_key,
    write_note,
)

PRIVATE = bytes(range(32))
PUBLIC = Ed25519PrivateKey.from_private_bytes(PRIVATE).public_key().public_bytes_raw()
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
HEAD = Head(
    tenant_id=7,
    number=12,
    size=1024,
    root=sha256(b"root").digest(),
    sealed_before=UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
    audit_seq=93,
    audit_digest=sha256(b"audit").digest(),
    previous=FIRST_PREVIOUS,
    made_at=datetime(2026, 11, 20, 16, 0, 0, 123456, tzinfo=UTC),
)
NOTE = write_note(HEAD, sign(HEAD, PRIVATE), PUBLIC)


def test_a_note_says_what_the_head_says() -> None:
    assert NOTE.split("\n")[:3] == ["florin/7", "1024", b64encode(HEAD.root).decode()]
    assert NOTE.split("\n")[3:8] == [
        "number 12",
        "sealed_before 01890a5d-ac96-774b-bcce-b302099a8057",
        f"audit 93 {b64encode(HEAD.audit_digest).decode()}",
        f"previous {b64encode(FIRST_PREVIOUS).decode()}",
        "made_at 2026-11-20T16:00:00.123456Z",
    ]
    assert read_note(NOTE, PUBLIC) == HEAD
    assert HEAD.digest == sha256(NOTE.partition("\n\n")[0].encode() + b"\n").digest()


def test_the_signature_line_is_that_of_a_signed_note() -> None:
    dash, name, blob = NOTE.splitlines()[-1].split(" ")
    assert (dash, name) == ("—", "florin/7")
    assert b64decode(blob)[:4].hex() == key_id("florin/7", PUBLIC)
    assert is_signed(HEAD, b64decode(blob)[4:], PUBLIC)
    assert not is_signed(HEAD, b64decode(blob)[4:], OTHER)


@pytest.mark.parametrize(
    "change",
    [
        {"tenant_id": 8},
        {"number": 13},
        {"size": 1025},
        {"root": sha256(b"x").digest()},
        {"sealed_before": UUID(int=1)},
        {"audit_seq": 94},
        {"audit_digest": sha256(b"x").digest()},
        {"previous": sha256(b"x").digest()},
        {"made_at": datetime(2026, 11, 20, tzinfo=UTC)},
    ],
    ids=str,
)
def test_no_other_head_bears_the_signature(change: dict[str, object]) -> None:
    forged = write_note(replace(HEAD, **change), sign(HEAD, PRIVATE), PUBLIC)  # type: ignore[arg-type]
    with pytest.raises(BadNote, match="signature"):
        read_note(forged, PUBLIC)


def test_another_key_has_not_signed_it() -> None:
    with pytest.raises(BadNote, match="signature"):
        read_note(NOTE, OTHER)


def test_a_witness_may_sign_beside_us() -> None:
    witnessed = NOTE + "— witness.example/w1 " + b64encode(bytes(76)).decode() + "\n"
    assert read_note(witnessed, PUBLIC) == HEAD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        NOTE.partition("\n\n")[0],
        NOTE.replace("number 12", "number twelve"),
        NOTE.replace("number 12", "nummer 12"),
        NOTE.replace("number 12", "number 012"),
        NOTE.replace("florin/7", "florin/x"),
        NOTE.replace("1024\n", "1024\nextra\n"),
        NOTE.replace("audit 93 ", "audit 93 !"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(BadNote):
        read_note(text, PUBLIC)


def test_keys_are_read_as_hexadecimal_digits_or_as_verifier_keys() -> None:
    assert read_key(PUBLIC.hex()) == PUBLIC
    assert read_key(f"  {PUBLIC.hex().upper()}\n") == PUBLIC
    assert read_key(verifier_key("florin/7", PUBLIC)) == PUBLIC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        "x" * 64,
        PUBLIC.hex() + "00",
        verifier_key("florin/7", PUBLIC).replace("florin/7", "florin/8"),
        "florin/7+00000000+" + b64encode(b"\x02" + PUBLIC).decode(),
        "florin/7+" + key_id("florin/7", PUBLIC),
        "a+b+c",
        "é+é+é",
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadKey):
        read_key(text)
