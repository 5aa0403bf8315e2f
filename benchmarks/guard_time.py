"""How long can a token of at most 8 KiB keep the guards busy, before its signature is looked at?

    python -m benchmarks.guard_time [--rounds N]

Each token is filled up with what is dear to read: depth, names, numbers, escapes, strings without an end,
in its header, its payload, or half in each. It is taken apart, its claims are read, and they are held
against the rules (which the verifier does after the signature). Printed are the worst, by the best of N
times. The exit code is 1 where one takes more than 1 ms.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from benchmarks.bearers import AUDIENCE, ISSUER, base64url
from callcov_auth.errors import AuthError
from callcov_auth.tokens.claims import ClaimRules
from callcov_auth.tokens.guards import MAX_TOKEN_LENGTH, take_apart

LIMIT = 0.001
ROUNDS = 30
SHOWN = 12
NOW = 1_800_000_000
RULES = ClaimRules(ISSUER, AUDIENCE)

OTHERS = f'"iss":"{ISSUER}","sub":"u","exp":{NOW + 1}'
RIGHT = f'{OTHERS},"aud":"{AUDIENCE}"'
HEADER = b'{"alg":"HS256","kid":"k","typ":"at+jwt"}'
SIGNATURE = base64url(bytes(32))
# What the parts of a token hold together, beside dots and signature.
ROOM = (MAX_TOKEN_LENGTH - len(SIGNATURE) - 8) * 3 // 4


@dataclass(frozen=True, slots=True)
class Filling:
    """JSON that a token is filled up with: ``before``, as many ``unit`` as fit, ``after``.

    ``{}`` in ``unit`` is a number of its own.
    """

    name: str
    before: str
    unit: str
    after: str = "}"

    def upto(self, size: int) -> bytes:
        text, number = [self.before], 0
        left = size - len(self.before.encode()) - len(self.after.encode())
        while (left := left - len((unit := self.unit.replace("{}", f"{number:x}")).encode())) >= 0:
            text.append(unit)
            number += 1
        return ("".join(text) + self.after).encode()


def listed(name: str, item: str, last: str = "0") -> Filling:
    return Filling(name, f'{{{RIGHT},"a":[', item + ",", f"{last}]}}")


DEEP = "[" * 14 + "]" * 14
FILLINGS = (
    listed("lists at the depth that is allowed", DEEP, "[]"),
    listed("objects at the depth that is allowed", '{"":' * 13 + "0" + "}" * 13, "[]"),
    listed("empty objects", "{ }"),
    listed("objects with one name", '{"":0}'),
    listed("empty lists", "[]"),
    listed("short integers", "1"),
    listed("integers of 32 digits", "9" * 32),
    listed("integers out of bounds", "9" * 33),
    listed("short decimals", "1e1"),
    listed("decimals of 32 characters", "1." + "9" * 27 + "e99"),
    listed("decimals that are nothing", "1e-999"),
    listed("literals", "null"),
    listed("empty strings", '""'),
    listed("strings of an escape", '"\\n"'),
    listed("strings of an escaped character", '"\\u0041"'),
    Filling("names", f"{{{RIGHT}", ',"{}":0'),
    Filling("names in escapes", f"{{{RIGHT}", ',"\\u0041{}":0'),
    Filling("a name twice", f"{{{RIGHT}", ',"a":0'),
    Filling("depth without an end", "", '{"a":', ""),
    Filling("lists without an end", '{"a":', "[", ""),
    Filling("ends without a beginning", '{"a":' + "[" * 17, "]", ""),
    Filling("a long string", f'{{{RIGHT},"a":"', "x", '"}'),
    Filling("a long string beyond ASCII", f'{{{RIGHT},"a":"', "é", '"}'),
    Filling("a string of short escapes", f'{{{RIGHT},"a":"', "\\n", '"}'),
    Filling("a string of escaped characters", f'{{{RIGHT},"a":"', "\\u0041", '"}'),
    Filling("a string of surrogate pairs", f'{{{RIGHT},"a":"', "\\ud83d\\ude00", '"}'),
    Filling("half a pair at the end", f'{{{RIGHT},"a":"', "\\u0041", '\\ud800"}'),
    Filling("brackets and a string without an end", '{"a":' + "[" * 17 + '"', '\\"', ""),
    Filling("brackets and quotes alone", '{"a":' + "[" * 17, '"', ""),
    Filling("brackets and backslashes alone", '{"a":' + "[" * 17, "\\", ""),
    Filling("brackets in strings", f'{{{RIGHT},"a":["' + "[" * 17 + '"', ',"[{}"', "]}"),
    Filling("white space", f"{{{RIGHT}", " ", "}"),
    Filling("audiences", f'{{{OTHERS},"aud":[', '"",', f'"{AUDIENCE}"]}}'),
    Filling("audiences, none of them ours", f'{{{OTHERS},"aud":[', '"",', '""]}'),
    Filling("scopes", f'{{{RIGHT},"scope":"a', " a", '"}'),
    Filling("scopes out of bounds", f'{{{RIGHT},"scope":"a', " aaaaa", ' \\""}'),
    Filling("a subject", f'{{{RIGHT},"sub":"', "é", '"}'),
    Filling("bytes that are no UTF-8", '{"a":"', "\x80", '"}'),
)


@dataclass(frozen=True, slots=True)
class Token:
    name: str
    text: str = field(repr=False)


def of_parts(name: str, header: bytes, payload: bytes) -> Token:
    return Token(name, f"{base64url(header)}.{base64url(payload)}.{SIGNATURE}")


def tokens() -> Iterator[Token]:
    right = f"{{{RIGHT}}}".encode()
    for filling in FILLINGS:
        yield of_parts(f"{filling.name}, in the payload", HEADER, filling.upto(ROOM - len(HEADER)))
        yield of_parts(f"{filling.name}, in the header", filling.upto(ROOM - len(right)), right)
        yield of_parts(f"{filling.name}, in both", filling.upto(ROOM // 2), filling.upto(ROOM // 2))
    yield Token("dots", "." * MAX_TOKEN_LENGTH)
    yield Token("base64url alone", "A" * MAX_TOKEN_LENGTH)
    yield Token("a long signature", f"{base64url(HEADER)}.{base64url(right)}.".ljust(MAX_TOKEN_LENGTH, "A"))
    yield Token(
        "a signature with a wrong end", f"{base64url(HEADER)}.e30.".ljust(MAX_TOKEN_LENGTH - 1, "A") + "!"
    )


def guard(text: str) -> None:
    """Read a token, and hold its claims against the rules."""
    with suppress(AuthError):
        RULES.check(take_apart(text).claims(), NOW)


def best_of(rounds: int, text: str) -> float:
    """Return the shortest of so many times, in seconds: what the work itself takes."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        guard(text)
        times.append(time.perf_counter() - began)
    return min(times)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The longest time that guards take for a token of 8 KiB.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds: int = parser.parse_args(arguments).rounds
    measured = [(best_of(rounds, token.text), token) for token in tokens()]
    measured.sort(key=lambda pair: pair[0], reverse=True)
    for took, token in measured[:SHOWN]:
        print(f"{took * 1000:6.3f} ms  {len(token.text)} characters  {token.name}")
    worst = measured[0][0]
    print(f"{len(measured)} tokens; the worst takes {worst * 1000:.3f} ms (limit {LIMIT * 1000:.0f} ms)")
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
