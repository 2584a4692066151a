"""Values of the platform's own, which has no tenant."""

from florin.access.signing.jwt import Claims
from florin.access.signing.service import SigningKeys, rotate_if_due
from florin.kernel.clock import now
from florin.kernel.crypto import KeyRing, add_key, drop_key
from florin.kernel.http.call import PrincipalKind
from florin.kernel.ids import new_id
from florin.privacy.reencryption import service
from tests.privacy.conftest import House


async def test_the_platforms_signing_keys_are_sealed_anew_too(house: House) -> None:
    keys = SigningKeys(house.database, house.ring, house.tenancy.notifier, issuer="https://pay.bank.example")
    await rotate_if_due(keys)
    at, user_id = int(now().timestamp()), new_id()
    claims = Claims(
        tenant_id=house.tenant_id,
        live=False,
        kind=PrincipalKind.USER,
        subject=user_id,
        jti=new_id(),
        issued_at=at,
        expires_at=at + 900,
        session_id=new_id(),
    )
    add_key(house.ring_file)
    assert (await service.reencrypt(house.database, house.ring, None)).rows == 1
    drop_key(house.ring_file, "k1")
    alone = SigningKeys(
        house.database,
        KeyRing.from_file(house.ring_file),
        house.tenancy.notifier,
        issuer="https://pay.bank.example",
    )
    assert (await keys.verify(await alone.sign(claims))).subject == user_id
