"""The rows that need a server or a database: each has a figure, and what must not happen is counted."""

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from benchmarks.abuse import forged, logins, unknown
from benchmarks.harness import quiet, slices
from benchmarks.harness.figures import Effort
from benchmarks.harness.quiet import seconds_of
from benchmarks.harness.samples import percentile
from benchmarks.harness.serving import Served
from benchmarks.harness.stores import IN_VAIN, Counting, key_file
from benchmarks.harness.wrk import NoWrk, script
from benchmarks.rows import cold
from benchmarks.targets import ALL
from callcov_auth import Auth, AuthError
from callcov_auth.keys.format import mint

LEAST = Effort("test", rounds=6, turns=1, scale=0.001)


def targets(*groups: str) -> set[str]:
    return {target.name for target in ALL if target.group in groups}


def test_each_target_of_cold_keys_has_a_figure() -> None:
    figures = asyncio.run(cold.measure(LEAST))
    assert {figure.row for figure in figures} == targets("cold")
    by_row = {figure.row: figure.value for figure in figures}
    assert by_row["cold-crowd-queries"] == 1


def test_each_target_of_abuse_has_a_figure_and_counts_are_as_promised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quiet, "MOST_TRIES", 1)
    monkeypatch.setattr(logins, "QUICK_PART", 0.15)
    monkeypatch.setattr(logins, "QUICK_LOGINS", 4)
    figures = [*forged.measure(LEAST), *unknown.measure(LEAST), *logins.measure(LEAST)]
    by_row = {figure.row: figure for figure in figures}
    assert set(by_row) == {*targets("abuse"), "unknown-queries"}
    assert by_row["forged-queries"].value == 0
    assert by_row["forged-queries"].detail["forged"] == 498
    assert by_row["unknown-lost"].value == 0
    assert by_row["unknown-queries"].value == 1


@pytest.mark.anyio
async def test_a_file_of_keys_holds_as_many_as_asked_for_and_knows_some(tmp_path: Path) -> None:
    file = await key_file(tmp_path / "keys.db", 1_500)
    store = Counting(Auth(file.settings).store)
    async with Auth(file.settings, store=store) as auth:
        principals = [await auth.authenticate(f"Bearer {key}") for key in file.keys]
        page = await auth.store.keys(principals[0].subject, at=0, include_expired=True, limit=1, cursor=None)
    assert len({principal.key_id for principal in principals}) == 1_000
    assert page.total == 1_500
    assert store.lookups == 1_000


@pytest.mark.anyio
async def test_a_lookup_in_vain_is_told_from_one_that_finds_a_key(tmp_path: Path) -> None:
    file = await key_file(tmp_path / "keys.db", 1)
    store = Counting(Auth(file.settings).store)
    async with Auth(file.settings, store=store) as auth:
        await auth.authenticate(f"Bearer {file.keys[0]}")
        with pytest.raises(AuthError):
            await auth.authenticate(f"Bearer {mint(file.settings.key_mac_key, 'live')}")
    assert (store.lookups, store.calls[IN_VAIN]) == (2, 1)


@pytest.mark.anyio
async def test_a_forged_key_has_the_form_of_a_key_and_no_mac(tmp_path: Path) -> None:
    file = await key_file(tmp_path / "keys.db", 1)
    async with Auth(file.settings) as auth:
        with pytest.raises(AuthError) as refused:
            await auth.authenticate(f"Bearer {next(forged.forged_keys())}")
    assert refused.value.reason == "key_mac_wrong"


def test_without_wrk_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("wrk") is None
    with pytest.raises(NoWrk, match="apt-get install wrk"), script("a key"):
        pass


def test_of_the_servers_one_at_a_time_is_let_run_and_all_of_them_at_the_end() -> None:
    with ExitStack() as stack:
        one, other = (stack.enter_context(busy()) for _ in range(2))
        with slices.stopped([one, other]) as let_run:
            before = seconds_of(other.process)
            began = seconds_of(one.process)
            ran = sum(let_run(one) for _ in range(10))
            assert state_of(one) == state_of(other) == "T"
            assert seconds_of(other.process) == before
            assert seconds_of(one.process) > began
            assert ran >= 10 * slices.SLICE
        assert "T" not in (state_of(one), state_of(other))


@contextmanager
def busy() -> Iterator[Served]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield Served(0, process.pid, (), "")
    finally:
        process.kill()
        process.wait()


def state_of(server: Served) -> str:
    """Return proc(5)'s letter for it, of which T is for stopped."""
    # The signal takes a moment to arrive.
    time.sleep(0.05)
    return Path(f"/proc/{server.process}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_percentile_is_a_value_of_the_sample() -> None:
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([3.0], 0.99) == 3.0
