"""Psychic signatures and others that a careless verifier takes: ECDSA, EdDSA, RSA."""

import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from callcov_auth import Auth
from tests.attacks.cases import Case, Control, Make, control, refused, sent, taken
from tests.support.issuers import AUDIENCE, Party, World, as_setting, signer
from tests.support.settings import make_settings
from tests.support.tokens import base64url
from tests.support.weak_keys import cubic_rsa

pytestmark = pytest.mark.anyio

REASON = "token_signature_wrong"
PSYCHIC = "CVE-2022-21449"
# The order of each curve's group, and the bytes of a number below it.
P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P384 = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
P521 = 2**521 - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7
ORDERS = {"ES256": (P256, 32), "ES384": (P384, 48), "ES512": (P521, 66)}
L25519 = 2**252 + 27742317777372353535851937790883648493
L448 = 2**446 - 13818066809895115352007386748515426880336692474882178609894547503885

Change = Callable[[bytes, Party], bytes]


def resigned(who: str, change: Change) -> Make:
    """A right token whose signature is changed, given it and whose it is."""

    def make(world: World) -> str:
        party = world[who]
        signed = party.token().rpartition(".")[0]
        return f"{signed}.{base64url(change(party.signer.sign(signed.encode()), party))}"

    return make


def signed_by(who: str, sign: Callable[[Party, bytes], bytes]) -> Make:
    def make(world: World) -> str:
        signed = world[who].token().rpartition(".")[0]
        return f"{signed}.{base64url(sign(world[who], signed.encode()))}"

    return make


def pair(who: str, r: int, s: int) -> Change:
    size = ORDERS[who][1]
    return lambda signature, party: r.to_bytes(size) + s.to_bytes(size)


def der(signature: bytes, party: Party) -> bytes:
    half = len(signature) // 2
    numbers = [int.from_bytes(part) for part in (signature[:half], signature[half:])]
    body = b"".join(b"\x02" + bytes([len(raw)]) + raw for raw in map(_der_integer, numbers))
    return b"\x30" + bytes([len(body)]) + body


def _der_integer(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1)


def widened(signature: bytes, party: Party) -> bytes:
    half = len(signature) // 2
    return b"\x00" + signature[:half] + b"\x00" + signature[half:]


def swapped(signature: bytes, party: Party) -> bytes:
    half = len(signature) // 2
    return signature[half:] + signature[:half]


def r_beyond_the_order(signature: bytes, party: Party) -> bytes:
    return (int.from_bytes(signature[:66]) + P521).to_bytes(66) + signature[66:]


def s_beyond_the_order(signature: bytes, party: Party) -> bytes:
    return signature[:66] + (int.from_bytes(signature[66:]) + P521).to_bytes(66)


def high_s(signature: bytes, party: Party) -> bytes:
    order, size = ORDERS[party.signer.alg]
    return signature[:size] + (order - int.from_bytes(signature[size:])).to_bytes(size)


def beyond(order: int) -> Change:
    def change(signature: bytes, party: Party) -> bytes:
        half = len(signature) // 2
        number = int.from_bytes(signature[half:], "little") + order
        return signature[:half] + number.to_bytes(half, "little")

    return change


def other_digest(party: Party, signed: bytes) -> bytes:
    r, s = decode_dss_signature(party.signer.key.sign(signed, ec.ECDSA(hashes.SHA512())))
    return r.to_bytes(32) + s.to_bytes(32)


def pss(salt_length: int, mask: hashes.HashAlgorithm) -> Callable[[Party, bytes], bytes]:
    scheme = padding.PSS(padding.MGF1(mask), salt_length)
    return lambda party, signed: party.signer.key.sign(signed, scheme, hashes.SHA256())


def modulus(party: Party) -> int:
    return party.signer.public.public_numbers().n


def cube_root(number: int) -> int:
    low, high = 0, 1 << (number.bit_length() // 3 + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= number else (low, middle - 1)
    return low


async def forged_for_cubic_key(world: World) -> object:
    """Bleichenbacher's forgery of 2006: padding of eight bytes, and garbage after the digest."""
    party = Party("https://cubic.example", AUDIENCE, "at+jwt", cubic_rsa(), int(world.clock()))
    signed = party.token().rpartition(".")[0]
    info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(signed.encode()).digest()
    block = (b"\x00\x01" + b"\xff" * 8 + b"\x00" + info).ljust(256, b"\xff")
    root = cube_root(int.from_bytes(block))
    assert (root**3).to_bytes(256).startswith(block[:60])
    async with Auth(make_settings(trusted_issuers=[as_setting(party)]), clock=world.clock) as auth:
        await auth.authenticate(f"Bearer {party.token()}")
        return await auth.authenticate(f"Bearer {signed}.{base64url(root.to_bytes(256))}")


CASES = (
    *(
        sent(f"{who}: r {r_name}, s {s_name}", PSYCHIC, REASON, resigned(who, pair(who, r, s)))
        for who, (order, _) in ORDERS.items()
        for (r_name, r), (s_name, s) in (
            (("0", 0), ("0", 0)),
            (("1", 1), ("0", 0)),
            (("0", 0), ("1", 1)),
            (("1", 1), ("1", 1)),
            (("the order", order), ("the order", order)),
            (("the order", order), ("1", 1)),
            (("the order less 1", order - 1), ("the order less 1", order - 1)),
        )
    ),
    *(
        sent(f"{who}: {name}", source, REASON, resigned(who, change))
        for who in ORDERS
        for name, source, change in (
            ("DER", "CVE-2019-14859, RFC 7518 §3.4", der),
            ("zeros ahead of r and s", "CVE-2020-13822, RFC 7518 §3.4", widened),
            ("s before r", "RFC 7518 §3.4", swapped),
            ("cut by one byte", "CVE-2024-42459", lambda signature, party: signature[:-1]),
            ("one byte more", "CVE-2024-42459", lambda signature, party: signature + b"\x00"),
            ("two bytes more", "CVE-2024-42459", lambda signature, party: signature + b"\x00\x00"),
            ("r alone", "RFC 7518 §3.4", lambda signature, party: signature[: len(signature) // 2]),
            ("twice", "RFC 7518 §3.4", lambda signature, party: signature * 2),
        )
    ),
    sent("ES512: r and the order", "CVE-2024-42460", REASON, resigned("ES512", r_beyond_the_order)),
    sent("ES512: s and the order", "CVE-2024-42460", REASON, resigned("ES512", s_beyond_the_order)),
    sent("ES256: over another digest", "RFC 7518 §3.4", REASON, signed_by("ES256", other_digest)),
    *(
        sent(f"{who}: {name}", source, REASON, resigned(who, change))
        for who, order in (("Ed25519", L25519), ("Ed448", L448))
        for name, source, change in (
            ("s and the order", "CVE-2024-48949, RFC 8032 §8.4", beyond(order)),
            ("zeros", "RFC 8032 §5.1.7", lambda signature, party: bytes(len(signature))),
            (
                "s is 0",
                "RFC 8032 §5.1.7",
                lambda signature, party: signature[: len(signature) // 2].ljust(len(signature), b"\x00"),
            ),
            ("cut by one byte", "CVE-2024-42459", lambda signature, party: signature[:-1]),
            ("one byte more", "CVE-2024-42459", lambda signature, party: signature + b"\x00"),
            (
                "the identity and 0",
                "RFC 8032 §8.4",
                lambda signature, party: b"\x01".ljust(len(signature), b"\x00"),
            ),
        )
    ),
    *(
        sent(f"{who}: {name}", source, REASON, resigned(who, change))
        for who in ("RS256", "PS256")
        for name, source, change in (
            ("0", "RFC 8017 §8", lambda signature, party: bytes(256)),
            ("1", "RFC 8017 §8", lambda signature, party: (1).to_bytes(256)),
            ("the modulus", "RFC 8017 §5.2.2", lambda signature, party: modulus(party).to_bytes(256)),
            (
                "the modulus less 1",
                "RFC 8017 §8",
                lambda signature, party: (modulus(party) - 1).to_bytes(256),
            ),
            ("a zero ahead", "RFC 8017 §8.2.2", lambda signature, party: b"\x00" + signature),
            ("a zero behind", "RFC 8017 §8.2.2", lambda signature, party: signature + b"\x00"),
            ("cut by one byte", "RFC 8017 §8.2.2", lambda signature, party: signature[:-1]),
            ("backwards", "RFC 8017 §8", lambda signature, party: signature[::-1]),
        )
    ),
    *(
        sent(f"RS256: over {name}", "RFC 7518 §3.3, CVE-2022-24771", REASON, signed_by("RS256", sign))
        for name, algorithm in (("SHA-1", hashes.SHA1()), ("SHA-512", hashes.SHA512()))
        for sign in [lambda party, signed, a=algorithm: party.signer.key.sign(signed, padding.PKCS1v15(), a)]
    ),
    *(
        sent(f"PS256: {name}", "RFC 7518 §3.5", REASON, signed_by("PS256", sign))
        for name, sign in (
            ("no salt", pss(0, hashes.SHA256())),
            ("a salt of 20 bytes", pss(20, hashes.SHA256())),
            ("a salt of 33 bytes", pss(33, hashes.SHA256())),
            ("a mask of SHA-1", pss(32, hashes.SHA1())),
        )
    ),
    Case("RS256: a cube root, under the exponent 3", "CVE-2006-4339", REASON, forged_for_cubic_key),
    *(
        sent(f"{who}: the {name} bit flipped", "RFC 7515 §5.2", REASON, resigned(who, flip))
        for who in ("own", "HS256", "RS256", "ES256", "Ed25519")
        for name, flip in (
            ("first", lambda signature, party: bytes([signature[0] ^ 0x80]) + signature[1:]),
            ("last", lambda signature, party: signature[:-1] + bytes([signature[-1] ^ 1])),
        )
    ),
    *(
        sent(f"own: the MAC cut to {size} bytes", "RFC 7518 §3.2", REASON, resigned("own", cut))
        for size in (8, 16, 31)
        for cut in [lambda signature, party, size=size: signature[:size]]
    ),
    *(
        sent(f"{who}: signed by a stranger", "RFC 7515 §5.2", REASON, make)
        for who in ("RS256", "PS256", "ES256", "Ed25519", "Ed448", "HS256")
        for make in [lambda world, who=who: world[who].token(by=signer(who, "stranger-key"))]
    ),
)
CONTROLS = (
    *(
        control(f"{who}: s above half the order, which RFC 7518 allows", resigned(who, high_s))
        for who in ORDERS
    ),
    control("PS256: a salt of 32 bytes", signed_by("PS256", pss(32, hashes.SHA256()))),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
