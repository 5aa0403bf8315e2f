"""What a hit consists of is measured by parts that do the same as the whole."""

import asyncio

import pytest

from benchmarks import hit_parts
from benchmarks.harness.figures import Effort


def test_each_part_is_measured_beside_the_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.harness.contest.BATCH", 1)
    asyncio.run(hit_parts.measure(Effort("test", rounds=6, turns=1, scale=0.001)))
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == ["AuthMiddleware", *(part.__name__ for part in hit_parts.PARTS)]
    assert lines[0].split()[1] == "1.00"
