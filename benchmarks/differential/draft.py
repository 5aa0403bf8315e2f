"""A token in the making: right in everything, until mutations change it stage by stage."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.bearers import Signer, base64url


@dataclass(slots=True)
class Draft:
    """What a mutation may change. The stages follow one another: values, JSON, parts, signature, text."""

    rng: random.Random
    signer: Signer
    signers: Mapping[str, Signer]
    header: dict[str, Any]
    claims: dict[str, Any]
    json: list[bytes] = field(default_factory=list)
    """Header and payload, as JSON."""
    parts: list[str] = field(default_factory=list)
    """Header and payload, as base64url: what is signed."""
    signature: bytes = b""
    text: str = ""

    def other_signer(self) -> Signer:
        return self.rng.choice([signer for signer in self.signers.values() if signer is not self.signer])


Mutate = Callable[[Draft], None]


@dataclass(frozen=True, slots=True)
class Mutation:
    name: str
    stage: str
    mutate: Mutate = field(repr=False)


def finish(draft: Draft, mutations: list[Mutation]) -> str:
    """Return the token, each mutation applied at its stage."""

    def mutate(stage: str) -> None:
        for mutation in mutations:
            if mutation.stage == stage:
                mutation.mutate(draft)

    mutate("values")
    draft.json = [json.dumps(part, separators=(",", ":")).encode() for part in (draft.header, draft.claims)]
    mutate("json")
    draft.parts = [base64url(part) for part in draft.json]
    mutate("parts")
    draft.signature = draft.signer.sign(".".join(draft.parts).encode())
    mutate("signature")
    draft.text = ".".join([*draft.parts, base64url(draft.signature)])
    mutate("text")
    return draft.text
