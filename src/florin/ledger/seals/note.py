"""Checkpoints as signed notes, and the keys that sign them. No I/O.

The text is that of C2SP's tlog-checkpoint, the signature that of its signed-note, so that other people's
verifiers and witnesses read them too (https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note):

    florin/7                                   the log: whose transfers these are
    1024                                       leaves
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=    the root
    number 12                                  checkpoints count from 1
    sealed_before 01890a5d-ac96-774b-bcce-b302099a8057    every transfer with a smaller id is a leaf
    audit 93 8pPkr...=                         the end of the audit chain: its length and digest
    previous 47DEQ...=                         SHA-256 of the text of the checkpoint before
    made_at 2026-11-20T16:00:00.000000Z

    — florin/7 PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw...   key id and Ed25519 signature of the text
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from florin.kernel.clock import rfc3339

FIRST_PREVIOUS: Final = sha256(b"").digest()
"""What the first checkpoint names as the digest of the one before it."""

_ED25519: Final = b"\x01"
_ID_BYTES: Final = 4
_KEY_BYTES: Final = 32
_LINES: Final = 8


class BadNote(Exception):
    """The checkpoint cannot be read, or nobody with that key has signed it."""


class BadKey(ValueError):
    """This is no Ed25519 public key: 64 hexadecimal digits, or `name+id+base64`."""


def log_name(tenant_id: int) -> str:
    """The name of a tenant's log: the first line of its checkpoints, and the name of its keys."""
    return f"florin/{tenant_id}"


@dataclass(frozen=True, slots=True)
class Head:
    """What a checkpoint says."""

    tenant_id: int
    number: int
    size: int
    root: bytes
    sealed_before: UUID
    audit_seq: int
    audit_digest: bytes
    previous: bytes
    made_at: datetime

    @property
    def text(self) -> bytes:
        """What is signed."""
        lines = (
            log_name(self.tenant_id),
            str(self.size),
            hash_text(self.root),
            f"number {self.number}",
            f"sealed_before {self.sealed_before}",
            f"audit {self.audit_seq} {hash_text(self.audit_digest)}",
            f"previous {hash_text(self.previous)}",
            f"made_at {rfc3339(self.made_at)}",
        )
        return ("\n".join(lines) + "\n").encode()

    @property
    def digest(self) -> bytes:
        """What the next checkpoint names as `previous`."""
        return sha256(self.text).digest()


def key_id(name: str, public_key: bytes) -> str:
    """Eight hexadecimal digits that tell the keys of one log apart (signed-note, "Signatures")."""
    return sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:_ID_BYTES].hex()


def verifier_key(name: str, public_key: bytes) -> str:
    """The public key as `name+id+base64`, which says whose it is."""
    return f"{name}+{key_id(name, public_key)}+{hash_text(_ED25519 + public_key)}"


def read_key(text: str) -> bytes:
    """The public key of 64 hexadecimal digits or of a verifier key. Raises BadKey."""
    given = text.strip()
    try:
        if "+" not in given:
            key = bytes.fromhex(given)
        else:
            name, said_id, encoded = given.split("+", 2)
            decoded = b64decode(encoded, validate=True)
            key = decoded[1:]
            if decoded[:1] != _ED25519 or key_id(name, key) != said_id:
                raise BadKey(BadKey.__doc__)
    except ValueError:  # not hexadecimal, not base64, too few parts
        raise BadKey(BadKey.__doc__) from None
    if len(key) != _KEY_BYTES:
        raise BadKey(BadKey.__doc__)
    return key


def sign(head: Head, private_key: bytes) -> bytes:
    """The Ed25519 signature of the head's text: 64 bytes."""
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(head.text)


def is_signed(head: Head, signature: bytes, public_key: bytes) -> bool:
    """Whether this key has signed this head."""
    return _is_signature(head.text, signature, public_key)


def _is_signature(text: bytes, signature: bytes, public_key: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except InvalidSignature:
        return False
    return True


def write_note(head: Head, signature: bytes, public_key: bytes) -> str:
    """The checkpoint as it is handed out: its text and the signature."""
    name = log_name(head.tenant_id)
    signed = hash_text(bytes.fromhex(key_id(name, public_key)) + signature)
    return f"{head.text.decode()}\n— {name} {signed}\n"


def read_note(note: str, public_key: bytes) -> Head:
    """What a checkpoint says, once its signature has been checked.

    Raises:
        BadNote: it cannot be read, or this key has not signed it.
    """
    text, separator, signatures = note.partition("\n\n")
    signed = (text + "\n").encode()
    head = _read_text(text)
    if not separator or head.text != signed:
        raise BadNote("the checkpoint is not written as Florin writes one")
    name = log_name(head.tenant_id)
    wanted = bytes.fromhex(key_id(name, public_key))
    for line in signatures.splitlines():
        dash, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        if dash != "—" or signer != name:
            continue  # a witness may have signed too
        blob = _decode(encoded)
        if blob[:_ID_BYTES] == wanted and _is_signature(signed, blob[_ID_BYTES:], public_key):
            return head
    raise BadNote("the checkpoint does not bear this key's signature")


def _read_text(text: str) -> Head:
    lines = text.split("\n")
    if len(lines) != _LINES:
        raise BadNote(f"the checkpoint has {len(lines)} lines of text, not {_LINES}")
    try:
        log, size, root, *named = lines
        number, mark, audit, previous, made_at = (
            _after(line, label)
            for line, label in zip(
                named, ("number", "sealed_before", "audit", "previous", "made_at"), strict=True
            )
        )
        audit_seq, _, audit_digest = audit.partition(" ")
        return Head(
            tenant_id=int(log.removeprefix("florin/")),
            number=int(number),
            size=int(size),
            root=_decode(root),
            sealed_before=UUID(mark),
            audit_seq=int(audit_seq),
            audit_digest=_decode(audit_digest),
            previous=_decode(previous),
            made_at=datetime.fromisoformat(made_at),
        )
    except ValueError as error:
        raise BadNote(f"the checkpoint cannot be read: {error}") from None


def _after(line: str, label: str) -> str:
    head, _, rest = line.partition(" ")
    if head != label:
        raise ValueError(f"{head!r} where {label!r} belongs")
    return rest


def hash_text(value: bytes) -> str:
    """Hashes and keys as text: base64."""
    return b64encode(value).decode()


def _decode(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except NotBase64 as error:
        raise BadNote(f"not base64: {error}") from None
