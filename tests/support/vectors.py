"""The published vectors: C2SP's Wycheproof, at one commit. They are no part of this repository.

``python -m tests.support.vectors`` fetches them where there are none, and fails with the reason.
"""

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).parents[2]
FETCHED = ROOT / "tests" / ".vectors" / "wycheproof"
COMMIT = "dac1dd4729fd1f8dd9e1e9f3dce51d783da6c166"
SOURCE = f"https://raw.githubusercontent.com/C2SP/wycheproof/{COMMIT}/testvectors_v1"
TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class VectorFile:
    name: str
    rows: int
    sha256: str

    def matches(self, content: bytes) -> bool:
        return hashlib.sha256(content).hexdigest() == self.sha256


JWS = VectorFile(
    "json_web_signature_test.json", 401, "8e687a06fe8359f4ec51480f1a9f73c8faebd6f4c01b818b843b44eee54fd5d9"
)
JWK = VectorFile(
    "json_web_key_test.json", 26, "be983255bce26406f97020ec5458b33930a90d5f868e604fcd569c300aba2862"
)
JWE = VectorFile(
    "json_web_encryption_test.json", 139, "2fee073795830ee029ddb84d2d7bcbad05fde6e55ee2d00b153a0aa40a72d7d2"
)
FILES = (JWS, JWK, JWE)


@dataclass(frozen=True, slots=True)
class Row:
    """A case, with the key or the key set of its group."""

    number: int
    comment: str
    token: str
    is_valid: bool
    keys: tuple[dict[str, Any], ...]


def find_folder() -> Path | None:
    """Return the folder with the three files: the one that is named, one beside the repository, or ours."""
    # Taken away, because it is no setting, and an unknown one of that prefix stops a start.
    named = os.environ.pop("CALLCOV_AUTH_VECTORS", None)
    places = [*([Path(named)] if named else []), ROOT.parent / "shared" / "vectors", FETCHED.parent]
    candidates = [folder for place in places for folder in (place / "wycheproof", place)]
    return next(
        (folder for folder in candidates if all((folder / file.name).is_file() for file in FILES)), None
    )


# Once, as the first thing of a run: see tests/conftest.py.
FOLDER = find_folder()


def read(file: VectorFile) -> list[Row]:
    """Return the rows of ``file``. Raises AssertionError where it is not the published one."""
    assert FOLDER is not None, "the published vectors are not here; scripts/test fetches them"
    content = (FOLDER / file.name).read_bytes()
    assert file.matches(content), f"{file.name} is not the published one"
    return [row for group in json.loads(content)["testGroups"] for row in _rows(group)]


def _rows(group: dict[str, Any]) -> list[Row]:
    key = group.get("public") or group["private"]
    keys = tuple(key.get("keys", [key]))
    return [
        Row(
            test["tcId"],
            test["comment"],
            _text(test.get("jws", test.get("jwe"))),
            test["result"] == "valid",
            keys,
        )
        for test in group["tests"]
    ]


def _text(token: Any) -> str:
    return token if isinstance(token, str) else json.dumps(token)


def fetch() -> None:
    """Put the three files into ``tests/.vectors``. Raises OSError."""
    fetched = {file.name: _fetched(file) for file in FILES}
    FETCHED.mkdir(parents=True, exist_ok=True)
    for name, content in fetched.items():
        (FETCHED / name).write_bytes(content)


def _fetched(file: VectorFile) -> bytes:
    with urlopen(f"{SOURCE}/{file.name}", timeout=TIMEOUT) as answer:
        content: bytes = answer.read()
    if not file.matches(content):
        raise OSError(f"{file.name} has another SHA-256 sum than the published one")
    return content


if __name__ == "__main__":
    try:
        _ = FOLDER or fetch()
    except OSError as error:
        sys.exit(str(error))
