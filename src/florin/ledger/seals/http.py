"""Checkpoints, keys and proofs over HTTP."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from florin.kernel.http.call import Call, requires
from florin.kernel.http.problem import problems
from florin.kernel.ids import TransferId
from florin.kernel.paging import DEFAULT_LIMIT, Limit, Page, page
from florin.ledger.seals import service
from florin.ledger.seals.model import Checkpoint, SealKey
from florin.ledger.seals.receipt import (
    ConsistencyReceipt,
    Hash,
    InclusionReceipt,
    consistency_receipt,
    inclusion_receipt,
)
from florin.ledger.seals.service import Seals

router = APIRouter(tags=["Seals"])

Read = Annotated[Call, Depends(requires("ledger:read", tenants_only=True))]
Write = Annotated[Call, Depends(requires("ledger:write", tenants_only=True))]

_MAX = 2**63 - 1
Size = Annotated[int, Field(ge=1, le=_MAX)]


class CheckpointResponse(BaseModel):
    """A signed head of the log: whoever keeps it can tell later whether anything before it has changed."""

    number: int = Field(description="Checkpoints count from 1.")
    size: int = Field(description="How many transfers it seals.")
    root: Hash
    sealed_before: UUID = Field(description="Every transfer with a smaller UUID is sealed by it.")
    audit_seq: int = Field(description="How long the audit chain was.")
    audit_digest: Hash
    previous: Hash
    made_at: datetime
    key_id: str
    note: str = Field(description="The same as a signed note (C2SP), to be kept or passed on as it is.")


class SealKeyResponse(BaseModel):
    """A key that signs, or once signed, checkpoints."""

    id: str
    algorithm: str = Field("ed25519", description="The only one.")
    public_key: str = Field(description="32 bytes in hexadecimal digits.")
    verifier_key: str = Field(description="The same as a verifier key of a signed note (C2SP).")
    created_at: datetime


def _checkpoint(found: Checkpoint) -> CheckpointResponse:
    head = found.head
    return CheckpointResponse(
        number=head.number,
        size=head.size,
        root=head.root,
        sealed_before=head.sealed_before,
        audit_seq=head.audit_seq,
        audit_digest=head.audit_digest,
        previous=head.previous,
        made_at=head.made_at,
        key_id=found.key_id,
        note=found.note,
    )


def _key(found: SealKey) -> SealKeyResponse:
    return SealKeyResponse(
        id=found.id,
        public_key=found.public_key.hex(),
        verifier_key=found.verifier_key,
        created_at=found.created_at,
    )


@router.get("/v1/seals/checkpoints", summary="List checkpoints", responses=problems())
async def list_checkpoints(
    call: Read,
    limit: Limit = DEFAULT_LIMIT,
    starting_after: Annotated[int | None, Query(ge=1, le=_MAX, description="The last item's number.")] = None,
) -> Page[CheckpointResponse]:
    """Signed heads of the log, newest first."""
    found = await service.checkpoints(
        _seals(call).ledger, call.tenant_id, limit=limit + 1, before=starting_after
    )
    return page(found, limit, _checkpoint)


@router.get("/v1/seals/checkpoints/latest", summary="Read the latest checkpoint", responses=problems(404))
async def latest_checkpoint(call: Read) -> CheckpointResponse:
    """The newest signed head. Keep it elsewhere: it is what a changed past would have to agree with."""
    return _checkpoint(await service.latest_checkpoint(_seals(call).ledger, call.tenant_id))


@router.get("/v1/seals/keys", summary="List seal keys", responses=problems())
async def list_keys(call: Read) -> Page[SealKeyResponse]:
    """The public keys of the log, newest first, all on one page; the first of them signs."""
    found = await service.keys(_seals(call).ledger, call.tenant_id)
    return page(found, len(found), _key)


@router.post("/v1/seals/keys", status_code=201, summary="Rotate the seal key", responses=problems())
async def rotate_key(call: Write) -> SealKeyResponse:
    """Makes a new key, which signs the next checkpoint. The old public keys stay."""
    made = await service.rotate_key(_seals(call), call.tenant_id, by=call.provenance())
    return _key(made)


@router.get(
    "/v1/transfers/{transfer_id}/proof",
    summary="Prove a transfer",
    response_model=InclusionReceipt,
    responses=problems(404, 409),
)
async def prove_transfer(
    call: Read,
    transfer_id: TransferId,
    size: Annotated[
        Size | None, Query(description="The size of the checkpoint that it leads to. Default: the newest.")
    ] = None,
) -> Any:
    """A document that shows that the transfer is in the log, to whoever has the public key.

    `florin ledger verify-proof` checks it without a database. A transfer is sealed within a minute of being
    posted; until then the answer is 409, `not_sealed_yet`.
    """
    proof = await service.prove_inclusion(_seals(call).ledger, call.tenant_id, transfer_id, size=size)
    return inclusion_receipt(proof)


@router.get(
    "/v1/seals/consistency",
    summary="Prove that the log only grew",
    response_model=ConsistencyReceipt,
    responses=problems(404, 409),
)
async def prove_consistency(
    call: Read,
    older: Annotated[Size, Query(alias="from", description="The size of a checkpoint.")],
    newer: Annotated[Size, Query(alias="to", description="The size of a later one.")],
) -> Any:
    """A document that shows that nothing sealed by the one checkpoint has changed up to the other."""
    proof = await service.prove_consistency(_seals(call).ledger, call.tenant_id, older, newer)
    return consistency_receipt(proof)


def _seals(call: Call) -> Seals:
    return call.rooms[Seals]
