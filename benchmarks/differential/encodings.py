"""Mutations of a token's JSON, its parts, its signature and its text."""

import hmac
import string
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks.differential.draft import Draft, Mutation

BASE64URL = string.ascii_letters + string.digits + "-_"
ODD_CHARACTERS = "=+/ .\n\t\r\0~%é\u2028١ꞏ,:\"'" + BASE64URL[:4]
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

NUMBERS = (
    *(b"1e3", b"1E400", b"-1E400", b"1e-400", b"-0", b"0.0", b"01", b"+1", b"1.", b".5", b"0x10", b"1_0"),
    *(b"NaN", b"Infinity", b"-Infinity", b"9" * 32, b"9" * 33, b"9" * 5000, b"1." + b"0" * 40, b"\xd9\xa1"),
)


def name_twice(draft: Draft) -> None:
    at = draft.rng.randrange(2)
    names = ("alg", "kid", "typ") if at == 0 else ("iss", "sub", "aud", "exp", "scope", "a")
    name = draft.rng.choice(names).encode()
    value = draft.rng.choice((b'"HS256"', b'"none"', b"null", b"1900000000", b'"a"', b'"*"'))
    edits = (
        lambda part: b'{"' + name + b'":' + value + b"," + part[1:],
        lambda part: part[:-1] + b',"' + name + b'":' + value + b"}",
        lambda part: part[:-1] + b',"\\u00' + name[:1].hex().encode() + name[1:] + b'":' + value + b"}",
        lambda part: part[:-1] + b',"a":{"b":1,"b":2}}',
    )
    _edit(draft, at, draft.rng.choice(edits))


def frame_the_json(draft: Draft) -> None:
    before, after = draft.rng.choice(
        (
            *((b" ", b""), (b"", b"\n"), (b"\t\r\n ", b" "), (b"\xef\xbb\xbf", b""), (b"", b"\0")),
            *(
                (b"", b"{}"),
                (b"[", b"]"),
                (b'"', b'"'),
                (b"", b"}"),
                (b"", b"//"),
                (b"\x0c", b""),
                (b"\xa0", b""),
            ),
        )
    )
    _edit(draft, draft.rng.randrange(2), lambda part: before + part + after)


def other_encoding(draft: Draft) -> None:
    encoding = draft.rng.choice(("utf-16", "utf-16-le", "utf-32", "utf-7"))
    _edit(draft, draft.rng.randrange(2), lambda part: part.decode("utf-8", "replace").encode(encoding))


def odd_number(draft: Draft) -> None:
    number = draft.rng.choice(NUMBERS)
    name = draft.rng.choice((b"exp", b"iat", b"nbf", b"a"))
    _edit(draft, 1, lambda part: part[:-1] + b',"' + name + b'2":' + number + b"}")
    if draft.rng.random() < 0.5:
        _edit(draft, 1, lambda part: part.replace(b'"exp":', b'"exp":' + number + b',"was":', 1))


def odd_bytes(draft: Draft) -> None:
    odd = draft.rng.choice(
        (
            b"\xff",
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"\\ud800",
            b"\\u0000",
            b"\x00",
            b"\x1f",
            b"\\",
            b"\\x41",
            b"\xf4\x90\x80\x80",
        )
    )
    _edit(draft, draft.rng.randrange(2), lambda part: part[:-1] + b',"odd":"' + odd + b'"}')


def flip_a_json_byte(draft: Draft) -> None:
    _edit(draft, draft.rng.randrange(2), lambda part: _flipped(draft, part))


def drop_a_json_byte(draft: Draft) -> None:
    _edit(draft, draft.rng.randrange(2), lambda part: _dropped(draft, part))


def replace_the_json(draft: Draft) -> None:
    other = draft.rng.choice(
        (b"", b"{}", b"[]", b"null", b"0", b'""', b"foo", b"{", b"[" * 4000, b'{"a":' * 1200)
    )
    _edit(draft, draft.rng.randrange(2), lambda _: other)


def pad_a_signed_part(draft: Draft) -> None:
    draft.parts[draft.rng.randrange(2)] += draft.rng.choice(("=", "==", "===", "A", "AA", "\n", " "))


def odd_character_in_a_signed_part(draft: Draft) -> None:
    at = draft.rng.randrange(2)
    draft.parts[at] = _with_odd_character(draft, draft.parts[at]).encode("ascii", "replace").decode()


def other_last_character(draft: Draft) -> None:
    at = draft.rng.randrange(2)
    draft.parts[at] = draft.parts[at][:-1] + draft.rng.choice(BASE64URL)


def swap_signed_parts(draft: Draft) -> None:
    draft.parts.reverse()


def sign_with_the_other_key(draft: Draft) -> None:
    draft.signature = draft.other_signer().sign(".".join(draft.parts).encode())


def sign_with_a_public_key(draft: Draft) -> None:
    """CVE-2016-10555: the public key as the secret of HMAC."""
    other = draft.rng.choice([signer for signer in draft.signers.values() if signer.alg != "HS256"])
    pem = other.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    draft.signature = hmac.digest(pem, ".".join(draft.parts).encode(), "sha256")


def bad_signature(draft: Draft) -> None:
    right, size = draft.signature, len(draft.signature)
    half = size // 2
    draft.signature = draft.rng.choice(
        (
            *(
                b"",
                bytes(size),
                b"\xff" * size,
                right[:-1],
                right[1:],
                right + b"\0",
                b"\0" + right,
                right[::-1],
            ),
            *(
                right + right,
                right[half:] + right[:half],
                bytes(half) + right[half:],
                right[:half] + bytes(half),
            ),
            _as_der(right),
            _with_negated_s(right),
            _flipped(draft, right),
            draft.rng.randbytes(size),
        )
    )


def flip_a_character(draft: Draft) -> None:
    at = draft.rng.randrange(len(draft.text) + 1)
    draft.text = draft.text[:at] + draft.rng.choice(BASE64URL + ".") + draft.text[at + 1 :]


def odd_character(draft: Draft) -> None:
    draft.text = _with_odd_character(draft, draft.text)


def drop_characters(draft: Draft) -> None:
    at, length = draft.rng.randrange(len(draft.text) + 1), draft.rng.choice((1, 1, 2, 3, 4, 50))
    draft.text = draft.text[:at] + draft.text[at + length :]


def swap_parts(draft: Draft) -> None:
    parts = draft.text.split(".")
    draft.rng.shuffle(parts)
    draft.text = ".".join(parts)


def change_the_number_of_parts(draft: Draft) -> None:
    parts = draft.text.split(".")
    at = draft.rng.randrange(len(parts))
    draft.text = ".".join(
        draft.rng.choice(
            (
                parts[:at] + parts[at + 1 :],
                [*parts, ""],
                ["", *parts],
                [*parts, parts[at]],
                parts[:at],
                ["." * 50],
            )
        )
    )


def empty_a_part(draft: Draft) -> None:
    parts = draft.text.split(".")
    parts[draft.rng.randrange(len(parts))] = ""
    draft.text = ".".join(parts)


def end_otherwise(draft: Draft) -> None:
    draft.text = draft.text + draft.rng.choice(("=", "==", "A", "\n", " ", "\0", ".", ".=", "%3D"))


def last_character(draft: Draft) -> None:
    draft.text = draft.text[:-1] + draft.rng.choice(BASE64URL)


def _edit(draft: Draft, at: int, edit: Callable[[bytes], bytes]) -> None:
    draft.json[at] = edit(draft.json[at])


def _flipped(draft: Draft, raw: bytes) -> bytes:
    if not raw:
        return raw
    at = draft.rng.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ 1 << draft.rng.randrange(8)]) + raw[at + 1 :]


def _dropped(draft: Draft, raw: bytes) -> bytes:
    at = draft.rng.randrange(len(raw) + 1)
    return raw[:at] + raw[at + 1 :]


def _with_odd_character(draft: Draft, text: str) -> str:
    at = draft.rng.randrange(len(text) + 1)
    return text[:at] + draft.rng.choice(ODD_CHARACTERS) + text[at + draft.rng.randrange(2) :]


def _as_der(signature: bytes) -> bytes:
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))


def _with_negated_s(signature: bytes) -> bytes:
    """ECDSA's other signature of the same message, which is as good: (r, n - s)."""
    if len(signature) != 64:
        return signature
    negated = P256_ORDER - int.from_bytes(signature[32:])
    return signature[:32] + (negated % 2**256).to_bytes(32)


def _staged(stage: str, *mutations: Callable[[Draft], None]) -> tuple[Mutation, ...]:
    return tuple(Mutation(mutate.__name__, stage, mutate) for mutate in mutations)


ENCODINGS = (
    *_staged("json", name_twice, frame_the_json, other_encoding, odd_number, odd_bytes),
    *_staged("json", flip_a_json_byte, drop_a_json_byte, replace_the_json),
    *_staged(
        "parts", pad_a_signed_part, odd_character_in_a_signed_part, other_last_character, swap_signed_parts
    ),
    *_staged("signature", sign_with_the_other_key, sign_with_a_public_key, bad_signature),
    *_staged(
        "text", flip_a_character, odd_character, drop_characters, swap_parts, change_the_number_of_parts
    ),
    *_staged("text", empty_a_part, end_otherwise, last_character),
)
