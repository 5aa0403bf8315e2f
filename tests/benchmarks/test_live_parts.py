"""Each part of a hit serves its own key's caller, as what it is measured beside does."""

import random
import re
from collections.abc import Mapping
from pathlib import Path

import httpx2
import pytest

from benchmarks import live_parts
from benchmarks.harness.serving import Served
from benchmarks.rows import live


def test_each_part_serves_its_caller_and_is_shown_beside_the_bare_app(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """wrk is not asked for: one request of what its script sends stands for it."""

    def answered(
        servers: Mapping[str, Served], scripts: Mapping[str, Path], _seconds: int, _order: random.Random
    ) -> dict[str, float]:
        return {name: float(status_of(server, scripts[name])) for name, server in servers.items()}

    monkeypatch.setattr(live, "served_in_turns", answered)
    monkeypatch.setattr(live, "STARTS", 1)
    monkeypatch.setattr(live, "ROUNDS", 6)
    live_parts.main(["fastapi"])
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "fastapi, 200 requests a second"
    assert [line.split()[0] for line in lines] == [
        "bare,",
        *(part.__name__ for part in live_parts.PARTS),
        "ours",
    ]
    assert all(line.endswith("1.000 (1.000 to 1.000)") for line in lines)


def status_of(server: Served, script: Path) -> int:
    sent = dict(re.findall(r'wrk\.headers\["(.+?)"\] = "(.+?)"', script.read_text()))
    return httpx2.get(f"http://127.0.0.1:{server.port}/hello", headers=sent).status_code
