"""The curl lines of a page, typed as its reader does, each with the status that the page promises."""

import re
import shlex
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import httpx2

TIMEOUT = 30

# A block of shell lines, and the paragraph before it.
_BLOCK = re.compile(r"(?P<before>(?:^[^\n]+\n)+)\n^```sh\n(?P<lines>.*?)^```$", re.M | re.S)
# What a reader is told to keep of an answer, by the variable's name.
_KEPT = {"access_token": "TOKEN", "refresh_token": "REFRESH_TOKEN", "api_key": "KEY", "id": "ID"}


@dataclass(frozen=True, slots=True)
class Step:
    """A curl line, and the status that stands in backticks before it."""

    line: str
    status: int


def steps_of(page: Path) -> list[Step]:
    """Return the curl lines of ``page``. Raises AssertionError for one that promises no status."""
    found = []
    for block in _BLOCK.finditer(page.read_text("utf-8")):
        for line in block["lines"].replace("\\\n", "").splitlines():
            if line.startswith("curl "):
                promised = re.findall(r"`(\d{3})`", block["before"])
                assert len(promised) == 1, f"{page.parent.name}/{page.name}: {line}"
                found.append(Step(line, int(promised[0])))
    return found


class Reader:
    """Types lines into a shell that has ``variables``, and sets what an answer gives."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)
        bundle = variables.get("CURL_CA_BUNDLE")
        self._verify = True if bundle is None else ssl.create_default_context(cafile=bundle)

    def type(self, line: str) -> httpx2.Response:
        words = iter(shlex.split(Template(line).substitute(self._variables))[1:])
        request: dict[str, Any] = {"method": "GET", "headers": {}}
        for word in words:
            if word == "-X":
                request["method"] = next(words)
            elif word == "-d":
                request["content"] = next(words)
                request["method"] = "POST"
            elif word == "-H":
                name, _, value = next(words).partition(": ")
                request["headers"][name] = value
            else:
                assert not word.startswith("-"), f"unknown option {word}"
                request["url"] = word
        with httpx2.Client(verify=self._verify, trust_env=False, timeout=TIMEOUT) as client:
            return self._keep(client.request(**request))

    def _keep(self, answer: httpx2.Response) -> httpx2.Response:
        if answer.is_success and answer.headers.get("content-type") == "application/json":
            content = answer.json()
            given = _KEPT.keys() & content.keys() if isinstance(content, dict) else set()
            self._variables |= {_KEPT[name]: content[name] for name in given}
        return answer
