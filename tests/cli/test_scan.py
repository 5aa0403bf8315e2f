"""``keys scan``: each planted key is found where it is, nothing else is, and nothing shows a key."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import pty
import random
import re
import secrets
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from callcov_auth import AuthSettings
from callcov_auth.cli import archives, history, leaks, scan
from callcov_auth.errors import TokenRevoked
from callcov_auth.keys import format as key_format
from tests.cli.running import EMAIL, add_user, python, run, run_json, run_process, with_auth
from tests.support.planted import minted, near_misses, of_other_services

# As the program, with 1 GiB of addresses in all.
WITH_LITTLE_MEMORY = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
from callcov_auth.cli import main
main()
"""

# Leaves a trace when it is run, and signs whatever it is asked to.
PROGRAM = """#!/bin/sh
touch "$(dirname "$0")/../ran"
printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nx\\n-----END PGP SIGNATURE-----\\n'
echo '[GNUPG:] SIG_CREATED ' >&2
"""

ROOT = Path(__file__).parents[2]
HERE = "tree"


@pytest.fixture(autouse=True)
def tree(installation: Path) -> Path:
    folder = installation / HERE
    folder.mkdir()
    return folder


def mac_key() -> bytes:
    return AuthSettings().key_mac_key


def new_keys(number: int) -> list[str]:
    return minted(mac_key(), number)


def stored_key(owner: str = EMAIL, **fields: Any) -> tuple[str, str]:
    """Make a key in the database; return its id and its text."""
    made = run_json("keys", "create", owner, "--name", "ci")
    return made["id"], made["api_key"]


def report(*arguments: str, exit_code: int = 1) -> dict[str, Any]:
    result = run("keys", "scan", *arguments, "--json")
    assert result.exit_code == exit_code, result.output
    assert not re.search(r"sk_(?:live|test)_(?:\w+_)?[0-9A-Za-z]{40}", result.output), "a key is shown"
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def places(*arguments: str, exit_code: int = 1) -> list[tuple[str, int | None]]:
    return [(find["path"], find["line"]) for find in report(*arguments, exit_code=exit_code)["finds"]]


def tar_of(mode: str, **files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"inner/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def zip_of(**files: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("empty")
        for name, content in files.items():
            archive.writestr(f"inner/{name}", content)
    return made.getvalue()


def git(*arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", *identity, *arguments]
    return subprocess.run(
        command, cwd=HERE, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(message: str = "work") -> str:
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "--message", message)
    return git("rev-parse", "--short=12", "HEAD")


# In many files


def test_in_ten_thousand_files_every_key_is_found_and_nothing_else(tree: Path) -> None:
    chance = random.Random(7)
    keys = new_keys(50)
    others = [other for key in keys[:10] for other in near_misses(key, chance)]
    foreign = [other for _ in range(10) for other in of_other_services(chance)]
    assert len(others) == 50
    git("init", "--quiet")
    in_files, in_archives, in_history = keys[:20], keys[20:40], keys[40:]

    deleted = tree / "deleted"
    deleted.mkdir()
    for number, key in enumerate(in_history):
        (deleted / f"{number}.env").write_text(f"# a file\nKEY={key}\n")
    first = commit()
    shutil.rmtree(deleted)
    for number in range(10_000):
        folder = tree / f"{number // 100}"
        folder.mkdir(exist_ok=True)
        lines = [secrets.token_hex(40), *chance.sample(others + foreign, k=number % 2)]
        lines += [in_files[number // 500]] if number % 500 == 3 else []
        (folder / f"{number}.txt").write_text("\n".join(lines) + "\n")
    (tree / "others.txt").write_text("\n".join(others + foreign))
    pack: list[Callable[[bytes], bytes]] = [
        lambda content: zip_of(a=content, b=b"nothing"),
        lambda content: tar_of("w", a=b"nothing", b=content),
        lambda content: tar_of("w:gz", a=content),
        lambda content: tar_of("w:bz2", a=content),
        lambda content: tar_of("w:xz", a=content),
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lambda content: zip_of(a=tar_of("w:gz", b=zip_of(c=content))),
        lambda content: os.urandom(300_000) + content,
    ]
    for number, key in enumerate(in_archives):
        content = "\n".join([*others, key, *foreign]).encode()
        (tree / f"archive{number}").write_bytes(pack[number % len(pack)](content))

    told = report(HERE, "--git")

    prefixes = sorted(find["key_prefix"] for find in told["finds"])
    assert prefixes == sorted(key[:14] for key in keys)
    assert told["checked_by"] == "mac"
    assert all(find["mac_valid"] is True for find in told["finds"])
    assert {f"{HERE}/.git!{first}:deleted/{number}.env" for number in range(10)} <= {
        find["path"] for find in told["finds"]
    }
    assert told["unread"] == []
    assert told["files"] >= 10_000
    assert places(HERE) == [
        (find["path"], find["line"]) for find in told["finds"] if ".git!" not in find["path"]
    ]


def test_a_tree_without_keys_is_exit_code_0(tree: Path) -> None:
    (tree / "a.txt").write_text("\n".join(of_other_services(random.Random(3))))
    result = run("keys", "scan", HERE)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines() == [
        "Files looked through: 1; places with a key: 0.",
        "What looks like a key, and was not made with this secret: 1. --pattern shows where.",
    ]


def test_keys_of_another_deployment_are_counted_and_found_by_the_pattern(tree: Path) -> None:
    (tree / "a.txt").write_text(key_format.mint(b"another deployment's", "live"))

    by_mac = run_json("keys", "scan", HERE)
    by_pattern = run("keys", "scan", HERE, "--pattern", "--json")

    assert (by_mac["finds"], by_mac["lookalikes"]) == ([], 1)
    assert by_pattern.exit_code == 1
    told = json.loads(by_pattern.stdout)
    assert (told["checked_by"], len(told["finds"]), told["lookalikes"]) == ("pattern", 1, 0)


def test_by_the_pattern_no_setting_is_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", "changeme")
    (tree / "a.txt").write_text("nothing")
    assert run("keys", "scan", HERE).exit_code == 2
    assert run("keys", "scan", HERE, "--pattern").exit_code == 0


def test_what_may_be_anothers_is_not_revoked(tree: Path) -> None:
    refused = run("keys", "scan", HERE, "--pattern", "--revoke")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: --revoke ends the keys of this deployment")


def test_the_audit_log_says_that_the_command_line_revoked_what_was_found(tree: Path) -> None:
    add_user()
    key_id, key = stored_key()
    ended_id, ended = stored_key()
    run("keys", "revoke", ended_id)
    (tree / "a.txt").write_text(f"{key}\n{ended}\n")

    told = json.loads(run("keys", "scan", HERE, "--revoke", "--json").stdout)

    assert (told["revoked"], [find["state"] for find in told["finds"]]) == (1, ["revoked"] * 2)
    entries = run_json("audit", "list", "--key", key_id)["entries"]
    assert [(entry["event"], entry["actor"]) for entry in entries] == [
        ("key_created", "cli"),
        ("key_revoked", "cli"),
    ]


def test_a_find_is_one_line_that_tells_where_and_whose(tree: Path) -> None:
    owner = add_user()
    key_id, key = stored_key()
    (tree / "a.txt").write_text(f"first\nkey = {key}\n")

    result = run("keys", "scan", HERE)

    heading, line = result.stdout.splitlines()
    assert heading.split() == ["found_in", "key_prefix", "mac_valid", "id", "owner", "state"]
    assert line.split() == [f"{HERE}/a.txt:2", key[:14], "yes", key_id, owner, "active"]
    assert "'callcov-auth keys revoke KEY_ID'" in result.stderr
    assert result.exit_code == 1
    assert key not in result.output


def test_files_are_named_one_by_one_too(tree: Path) -> None:
    first, second, third = new_keys(3)
    for name, key in (("a", first), ("b", second), ("c", third)):
        (tree / name).write_text(key)
    assert places(f"{HERE}/a", f"{HERE}/c") == [(f"{HERE}/a", 1), (f"{HERE}/c", 1)]


def test_a_large_file_is_read_in_pieces(tree: Path) -> None:
    (key,) = new_keys(1)
    cut = archives.PIECE - 30
    (tree / "big").write_bytes(b"\n" * cut + key.encode() + b"\n" * archives.PIECE + key.encode())
    assert places(HERE) == [(f"{HERE}/big", cut + 1), (f"{HERE}/big", cut + archives.PIECE + 1)]


def test_a_key_in_a_name_is_found_and_not_shown(tree: Path) -> None:
    keys = new_keys(4)
    (tree / keys[0]).mkdir()
    (tree / keys[0] / "a.txt").write_text("nothing")
    (tree / f"{keys[1]}.txt").write_text(keys[2])
    (tree / "a.zip").write_bytes(zip_of(**{keys[3]: b""}))
    shown = [key[:14] for key in keys]
    assert set(places(HERE)) == {
        (f"{HERE}/{shown[0]}…", None),
        (f"{HERE}/{shown[1]}….txt", None),
        (f"{HERE}/{shown[1]}….txt", 1),
        (f"{HERE}/a.zip!inner/{shown[3]}…", None),
    }


def test_hidden_files_are_looked_at_and_gits_own_are_not(tree: Path) -> None:
    (key,) = new_keys(1)
    for name in (".git/config", ".env", "inner/.git/HEAD", ".venv/a"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(key)
    assert places(HERE) == [(f"{HERE}/.env", 1), (f"{HERE}/.venv/a", 1)]


def test_what_strangers_named_cannot_steer_the_terminal(tree: Path) -> None:
    (tree / "a\x07\n").write_text(*new_keys(1))
    (tree / "b\x07.gz").write_bytes(b"\x1f\x8b\x08")
    result = run("keys", "scan", HERE)
    assert "a\\x07\\n:1" in result.stdout
    assert "b\\x07.gz: " in result.stderr
    assert "\x07" not in result.output


# What a folder may do to whoever reads it


def test_links_are_not_followed_and_a_loop_ends(tree: Path) -> None:
    inside, outside = new_keys(2)
    Path("outside").mkdir()
    Path("outside/a.txt").write_text(outside)
    (tree / "a.txt").write_text(inside)
    (tree / "loop").symlink_to(".")
    (tree / "up").symlink_to("..")
    (tree / "out").symlink_to("../outside")
    (tree / "file").symlink_to("../outside/a.txt")
    (tree / "dangling").symlink_to("nowhere")
    told = report(HERE)
    assert [find["path"] for find in told["finds"]] == [f"{HERE}/a.txt"]
    assert told["unread"] == []
    assert places(f"{HERE}/out") == [(f"{HERE}/out/a.txt", 1)], "a link that is named is meant"


def test_pipes_and_sockets_are_not_waited_for(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    assert report(HERE, exit_code=0)["unread"] == []
    assert report(f"{HERE}/pipe", exit_code=2)["unread"] == [
        {"path": f"{HERE}/pipe", "problem": "it is no file"}
    ]


@pytest.fixture
def locked(tree: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A file and a folder that cannot be read, whoever runs the tests."""
    paths = [f"{HERE}/locked", f"{HERE}/locked.txt"]
    (tree / "locked").mkdir()
    (tree / "locked" / "a.txt").write_text("out of reach")
    (tree / "locked.txt").write_text("out of reach")
    for path in paths:
        os.chmod(path, 0)
    if os.geteuid() == 0:
        for name in ("open", "scandir"):
            monkeypatch.setattr(os, name, _refusing(getattr(os, name), paths))
    return paths


def _refusing(function: Callable[..., Any], paths: list[str]) -> Callable[..., Any]:
    def refuse(path: Any, *arguments: Any, **named: Any) -> Any:
        if path in paths:
            raise PermissionError(13, "Permission denied", path)
        return function(path, *arguments, **named)

    return refuse


def test_what_cannot_be_read_is_named_and_is_exit_code_2(tree: Path, locked: list[str]) -> None:
    told = report(HERE, exit_code=2)
    assert told["finds"] == []
    assert sorted(one["path"] for one in told["unread"]) == locked
    assert {one["problem"] for one in told["unread"]} == {"Permission denied"}
    assert f"not read: {HERE}/locked.txt: Permission denied\n" in run("keys", "scan", HERE).stderr


def test_a_find_beside_what_cannot_be_read_is_exit_code_1(tree: Path, locked: list[str]) -> None:
    (tree / "a.txt").write_text(*new_keys(1))
    told = report(HERE, exit_code=1)
    assert [find["path"] for find in told["finds"]] == [f"{HERE}/a.txt"]
    assert len(told["unread"]) == 2


def test_a_path_that_is_not_there_is_not_echoed(tree: Path) -> None:
    (key,) = new_keys(1)
    refused = run("keys", "scan", HERE, key)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: PATH 2 is not there: ")
    assert key[:20] not in refused.output


def test_more_than_can_be_kept_is_a_usage_error(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "MAX_KEPT", 3)
    (tree / "a.txt").write_text("\n".join(new_keys(4)))
    assert "more than 3 keys" in run("keys", "scan", HERE).stderr
    (tree / "a.txt").unlink()
    for number in range(4):
        (tree / f"{number}.gz").write_bytes(b"\x1f\x8b\x08")
    refused = run("keys", "scan", HERE)
    assert "More than 3 files cannot be read" in refused.stderr
    assert refused.exit_code == 2


# Archives


def test_a_find_in_an_archive_is_named_by_archive_and_member(tree: Path) -> None:
    content = f"first\n{new_keys(1)[0]}".encode()
    files = {
        "a.jar": (zip_of(a=content), "!inner/a"),
        "b.tar": (tar_of("w", a=content), "!inner/a"),
        "c.tgz": (tar_of("w:gz", a=content), "!inner/a"),
        "d.tar.xz": (tar_of("w:xz", a=content), "!inner/a"),
        "e.tbz": (tar_of("w:bz2", a=content), "!inner/a"),
        "f.gz": (gzip.compress(content), ""),
        "g.bz2": (bz2.compress(content), ""),
        "h.xz": (lzma.compress(content[:3]) + b"\0" * 8 + lzma.compress(content[3:]) + b"\0" * 4, ""),
        "i.whl": (zip_of(a=zip_of(b=tar_of("w:xz", c=content))), "!inner/a!inner/b!inner/c"),
        "j.txt": (tar_of("w:gz", a=content), "!inner/a"),
    }
    for name, (packed, _) in files.items():
        (tree / name).write_bytes(packed)
    told = report(HERE)
    assert [(find["path"], find["line"]) for find in told["finds"]] == [
        (f"{HERE}/{name}{member}", 2) for name, (_, member) in files.items()
    ]
    assert told["unread"] == []


def test_archives_in_archives_are_opened_to_a_depth(tree: Path) -> None:
    content = new_keys(1)[0].encode()
    for _ in range(archives.MAX_LAYERS):
        content = gzip.compress(content)
    (tree / "a.gz").write_bytes(content)
    (tree / "b.gz").write_bytes(gzip.compress(content))
    told = report(HERE)
    assert [find["path"] for find in told["finds"]] == [f"{HERE}/a.gz"]
    assert told["unread"] == [{"path": f"{HERE}/b.gz", "problem": "it is more than 6 archives deep"}]


def bound_archives(monkeypatch: pytest.MonkeyPatch, *, size: int, members: int) -> None:
    budget = leaks._Budget
    monkeypatch.setattr(leaks, "_Budget", lambda: budget(bytes=size, members=members))


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz", "tar.gz", "zip of zips"])
def test_a_bomb_is_given_up_at_a_bound_and_the_rest_is_read(
    kind: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound_archives(monkeypatch, size=2**21, members=100)
    (key,) = new_keys(1)
    zeros = bytes(2**22)
    bombs = {
        "zip": zip_of(a=zeros, b=key.encode()),
        "gz": gzip.compress(zeros),
        "bz2": bz2.compress(zeros),
        "xz": lzma.compress(zeros),
        "tar.gz": tar_of("w:gz", a=zeros),
        "zip of zips": zip_of(**{f"n{number}": zip_of(a=zeros[: 2**19]) for number in range(9)}),
    }
    (tree / "a.txt").write_text(key)
    (tree / "bomb").write_bytes(bombs[kind])
    told = report(HERE)
    assert [find["path"] for find in told["finds"]] == [f"{HERE}/a.txt"]
    ((path, problem),) = [one.values() for one in told["unread"]]
    assert path == f"{HERE}/bomb"
    assert problem.startswith("it unpacks to more than ")


def test_a_bomb_takes_little_memory(tree: Path) -> None:
    """The real bound, in a process whose memory is limited."""
    layer = gzip.compress(bytes(2**26), mtime=0)
    (tree / "bomb.gz").write_bytes(layer * 17)
    ended = python("-c", WITH_LITTLE_MEMORY, "keys", "scan", HERE)
    assert ended.returncode == 2, ended.stderr
    assert f"not read: {HERE}/bomb.gz: it unpacks to more than 1073741824 bytes" in ended.stderr


def test_an_archive_of_very_many_files_is_given_up(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound_archives(monkeypatch, size=2**21, members=5)
    (tree / "a.zip").write_bytes(zip_of(**{f"n{number}": b"" for number in range(6)}))
    (tree / "b.zip").write_bytes(zip_of(**{f"n{number}": b"" for number in range(5)}))
    ((path, problem),) = [one.values() for one in report(HERE, exit_code=2)["unread"]]
    assert path == f"{HERE}/a.zip"
    assert problem.startswith("it holds more than ")


def test_what_an_archive_says_of_itself_has_a_bound(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_TAR_HEADER_BYTES", 1000)
    monkeypatch.setattr(archives, "MAX_ZIP_DIRECTORY_BYTES", 1000)
    monkeypatch.setattr(archives, "MAX_INNER_ZIP_BYTES", 1000)
    monkeypatch.setattr(archives, "MAX_XZ_MEMORY_BYTES", 100_000)
    (tree / "a.tar").write_bytes(tar_of("w", **{"n" * 2000: b""}))
    (tree / "b.zip").write_bytes(zip_of(**{f"n{number}": b"" for number in range(50)}))
    (tree / "c.gz").write_bytes(gzip.compress(zip_of(a=os.urandom(2000))))
    (tree / "d.xz").write_bytes(lzma.compress(b"nothing"))
    unread = {one["path"][len(HERE) + 1 :]: one["problem"] for one in report(HERE, exit_code=2)["unread"]}
    assert unread == {
        "a.tar": "its headers are sparse or too large",
        "b.zip": "its directory is over 1000 bytes",
        "c.gz": "a zip in an archive is over 1000 bytes",
        "d.xz": "it cannot be unpacked (LZMAError)",
    }


def test_what_is_damaged_or_locked_is_named_and_the_rest_is_read(tree: Path) -> None:
    first, second = (key.encode() for key in new_keys(2))
    whole = zip_of(a=first + os.urandom(500), b=second)
    at = whole.index(b"inner/a") + 100
    (tree / "a.zip").write_bytes(whole[:at] + bytes(20) + whole[at + 20 :])
    (tree / "b.gz").write_bytes(gzip.compress(first + b"\n" + os.urandom(600_000))[:-9])
    (tree / "c.zip").write_bytes(b"PK\x03\x04, and no archive: " + first)
    (tree / "d.xz").write_bytes(lzma.compress(os.urandom(600_000))[:-9])
    encrypted = bytearray(zip_of(a=first))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.rindex(signature) + flags] |= 1
    (tree / "e.zip").write_bytes(encrypted)

    told = report(HERE)

    assert [find["path"][len(HERE) + 1 :] for find in told["finds"]] == ["a.zip!inner/b", "b.gz", "c.zip"]
    assert sorted(one["path"][len(HERE) + 1 :] for one in told["unread"]) == [
        "a.zip!inner/a", "b.gz", "c.zip", "d.xz", "e.zip!inner/a",
    ]  # fmt: skip
    assert all(one["problem"].startswith("it cannot be unpacked (") for one in told["unread"])


# The history


def test_a_deleted_file_is_found_by_the_commit_that_brought_it(tree: Path) -> None:
    git("init", "--quiet")
    (tree / "a.txt").write_text("nothing\n")
    commit()
    (tree / "käse b.env").write_text(f"\n{new_keys(1)[0]}")
    brought = commit()
    (tree / "copy.env").write_bytes((tree / "käse b.env").read_bytes())
    commit()
    (tree / "käse b.env").unlink()
    (tree / "copy.env").unlink()
    commit()

    assert report(HERE, exit_code=0)["finds"] == []
    assert places(HERE, "--git") == [(f"{HERE}/.git!{brought}:käse b.env", 2)]
    assert git("show", f"{brought}:käse b.env") != ""


def test_everything_that_git_keeps_is_looked_at(tree: Path) -> None:
    keys = new_keys(8)
    git("init", "--quiet")
    (tree / "a.txt").write_text("nothing")
    commit()
    git("switch", "--quiet", "--create", "side")
    (tree / "a.txt").write_text(keys[0])
    commit(f"of a branch: {keys[1]}")
    git("tag", "--annotate", "--message", keys[2], "v1")
    (tree / "a.txt").write_text(keys[3])
    git("stash")
    (tree / keys[4]).write_text("the name of a file")
    commit()
    (tree / "b.zip").write_bytes(zip_of(a=keys[5].encode()))
    commit()
    git("reset", "--quiet", "--hard", "HEAD~2")
    (tree / "staged.txt").write_text(keys[6])
    git("add", "staged.txt")
    git("rm", "--quiet", "--cached", "staged.txt")
    (tree / "staged.txt").unlink()
    git("config", "remote.origin.url", f"https://{keys[7]}@example.com/")
    git("switch", "--quiet", "main")
    git("gc", "--quiet")

    found = report(HERE, "--git")["finds"]

    assert {find["key_prefix"] for find in found} == {key[:14] for key in keys}
    inside = [find["path"] for find in found if find["key_prefix"] == keys[5][:14]]
    assert [re.sub("![0-9a-f]{12}:", "!COMMIT:", path) for path in inside] == [
        f"{HERE}/.git!COMMIT:b.zip!inner/a"
    ]


def test_a_history_is_looked_at_once_and_so_is_that_of_a_folder_in_it(tree: Path) -> None:
    first, second = new_keys(2)
    git("init", "--quiet")
    (tree / "a.txt").write_text(first)
    commit()
    git("rm", "--quiet", "a.txt")
    commit()
    git("worktree", "add", "--quiet", "other")
    git("init", "--quiet", "inner")
    (tree / "inner" / "b.txt").write_text(second)
    git("-C", "inner", "add", "b.txt")
    git("-C", "inner", "commit", "--quiet", "--message", "b")
    (tree / "inner" / "b.txt").unlink()

    found = report(HERE, f"{HERE}/other", "--git")["finds"]

    assert [find["key_prefix"] for find in found] == [first[:14], second[:14]]
    assert [re.sub("![0-9a-f]{12}:", "!", find["path"]) for find in found] == [
        f"{HERE}/.git!a.txt",
        f"{HERE}/inner/.git!b.txt",
    ]
    git("clone", "--quiet", "--bare", ".", "../bare.git")
    (bare,) = places("bare.git", "--git")
    assert re.fullmatch("bare.git![0-9a-f]{12}:a.txt", bare[0])


def test_the_repository_is_the_one_that_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a hook, for which git has set its own."""
    git("init", "--quiet")
    (tree / "a.txt").write_text(new_keys(1)[0])
    commit()
    Path("other").mkdir()
    subprocess.run(["git", "init", "--quiet", "other"], check=True)
    monkeypatch.setenv("GIT_DIR", str(Path("other/.git").absolute()))
    assert len(places(HERE, "--git")) == 2


def test_a_repositorys_settings_run_no_program(tree: Path) -> None:
    git("init", "--quiet")
    program = (tree / "run").absolute()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    (tree / ".gitattributes").write_text("* diff=d\n")
    (tree / "a.txt").write_text(new_keys(1)[0])
    git("config", "gpg.program", str(program))
    git("config", "commit.gpgSign", "true")
    commit()
    Path("ran").unlink()
    for setting in ("diff.external", "diff.d.textconv", "diff.d.command", "core.pager", "core.fsmonitor"):
        git("config", setting, str(program))
    git("config", "log.showSignature", "true")
    git("config", "color.ui", "always")
    git("config", "diff.relative", "true")

    (path, _), other = places(HERE, "--git")

    assert re.fullmatch(f"{HERE}/.git![0-9a-f]{{12}}:a.txt", path)
    assert other == (f"{HERE}/a.txt", 1)
    (tree / "inner").mkdir()
    assert places(f"{HERE}/inner", "--git") == [(path.replace(HERE, f"{HERE}/inner", 1), 1)]
    assert not Path("ran").exists()


def test_what_cannot_be_read_in_a_history_is_named_too(tree: Path) -> None:
    git("init", "--quiet")
    (tree / "a.gz").write_bytes(b"\x1f\x8b\x08")
    brought = commit()
    (tree / "a.gz").unlink()
    assert report(HERE, "--git", exit_code=2)["unread"] == [
        {"path": f"{HERE}/.git!{brought}:a.gz", "problem": "it cannot be unpacked (EOFError)"}
    ]


def test_too_many_finds_end_the_reading_of_a_history(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "MAX_KEPT", 3)
    git("init", "--quiet")
    for number in range(20):
        (tree / f"{number}.txt").write_bytes(os.urandom(100_000) + new_keys(1)[0].encode())
    commit()
    refused = run("keys", "scan", HERE, "--git")
    assert refused.exit_code == 2
    assert "more than 3 keys" in refused.stderr


def test_an_object_that_is_cut_short_is_no_end_of_it() -> None:
    item = history.GitObject("id", "blob", 5, io.BytesIO(b"abc"))
    assert item.read(100) == b"abc"
    with pytest.raises(history.GitFailed):
        item.read(100)


def test_a_damaged_history_is_named(tree: Path) -> None:
    git("init", "--quiet")
    (tree / "a.txt").write_text("nothing")
    commit()
    blob = git("rev-parse", "HEAD:a.txt")
    damaged = tree / ".git" / "objects" / blob[:2] / blob[2:]
    damaged.chmod(0o644)
    damaged.write_bytes(b"damaged")
    told = report(HERE, "--git", exit_code=2)
    assert told["unread"] == [
        {"path": f"{HERE}/.git", "problem": "git could not read all of it: 'git fsck' tells what is wrong"}
    ]


def test_without_a_repository_or_git_it_says_what_to_do(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "a.txt").write_text("nothing")
    for path in (HERE, f"{HERE}/a.txt"):
        refused = run("keys", "scan", path, "--git")
        assert refused.exit_code == 2
        assert "name a folder of one" in refused.stderr
    monkeypatch.setenv("PATH", "")
    assert "is not installed" in run("keys", "scan", HERE, "--git").stderr


# Whose they are


def test_each_key_is_told_by_its_state(tree: Path) -> None:
    owner = add_user()
    add_user("bob@example.com")
    made = {state: stored_key() for state in ("active", "revoked", "expired")}
    made["disabled"] = stored_key("bob@example.com")
    run("keys", "revoke", made["revoked"][0])
    run("keys", "rotate", made["expired"][0], "--grace-seconds", "0")
    run("users", "disable", "bob@example.com")
    lines = {state: key for state, (_, key) in made.items()} | {"unknown": new_keys(1)[0]}
    (tree / "a.txt").write_text("\n".join(lines.values()))

    found = report(HERE)["finds"]

    assert [find["state"] for find in found] == list(lines)
    assert [find["id"] for find in found] == [*(key_id for key_id, _ in made.values()), None]
    assert [find["owner"] for find in found[:3]] == [owner] * 3
    assert found[4]["owner"] is None


def test_looking_is_no_use_of_a_key(tree: Path) -> None:
    add_user()
    _, key = stored_key()
    (tree / "a.txt").write_text(key)
    report(HERE)
    assert [key["last_used_at"] for key in run_json("keys", "list")["api_keys"]] == [None]


def test_with_revoke_every_key_that_is_found_ends(tree: Path) -> None:
    add_user()
    (first, key), (_, other), (kept, working) = stored_key(), stored_key(), stored_key()
    unknown, forged = new_keys(1)[0], key_format.mint(bytes(32), "live")
    (tree / "a.txt").write_text("\n".join([key, key, other, unknown, forged]))

    told = report(HERE, "--revoke")

    assert [find["state"] for find in told["finds"]] == ["revoked", "revoked", "revoked", "unknown"]
    for ended in (key, other):
        with pytest.raises(TokenRevoked):
            with_auth(lambda auth, ended=ended: auth.authenticate(f"Bearer {ended}"))
    assert with_auth(lambda auth: auth.authenticate(f"Bearer {working}")).key_id == kept
    again = {key["id"]: key["revoked_at"] for key in run_json("keys", "list", "--all")["api_keys"]}
    report(HERE, "--revoke")
    later = {key["id"]: key["revoked_at"] for key in run_json("keys", "list", "--all")["api_keys"]}
    assert later == again
    assert later[first] is not None


def test_a_key_that_was_imported_is_found_without_a_mac_of_ours(tree: Path) -> None:
    add_user()
    foreign, stranger = (key_format.mint(bytes(32), "live") for _ in range(2))
    digest = hashlib.sha256(foreign.encode()).hexdigest()
    Path("keys.csv").write_text(f"owner,name,digest,kind\n{EMAIL},old,{digest},sha256\n")
    run_json("keys", "import", "keys.csv")
    (tree / "a.txt").write_text(f"{stranger}\n{foreign}")

    (find,) = report(HERE)["finds"]

    assert (find["line"], find["mac_valid"], find["state"]) == (2, False, "active")


def test_without_a_secret_the_pattern_serves_and_it_is_said(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "a.txt").write_text("\n".join([new_keys(1)[0], key_format.mint(bytes(32), "live")]))
    monkeypatch.delenv("CALLCOV_AUTH_SECRET")

    told = report(HERE)
    assert told["checked_by"] == "pattern"
    assert [(find["line"], find["mac_valid"], find["state"]) for find in told["finds"]] == [
        (1, None, None),
        (2, None, None),
    ]
    assert "Only the pattern was looked for" in run("keys", "scan", HERE).stderr
    (tree / "a.txt").unlink()
    assert "Only the pattern was looked for" in run("keys", "scan", HERE).stderr
    refused = run("keys", "scan", HERE, "--revoke")
    assert refused.exit_code == 2
    assert "--revoke needs CALLCOV_AUTH_SECRET" in refused.stderr


def test_a_weak_secret_is_no_missing_one(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", "weak")
    refused = run("keys", "scan", HERE)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: CALLCOV_AUTH_SECRET: ")


def test_without_a_database_the_mac_serves_and_none_is_made(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "a.txt").write_text("\n".join([new_keys(1)[0], key_format.mint(bytes(32), "live")]))

    told = run("keys", "scan", HERE)
    assert told.exit_code == 1
    (line,) = told.stdout.splitlines()[1:]
    assert line.split() == [f"{HERE}/a.txt:1", (tree / "a.txt").read_text()[:14], "yes", "-", "-", "-"]
    assert "Whose they are was not asked. The database: there is none yet" in told.stderr
    assert not Path("callcov_auth.db").exists()

    refused = run("keys", "scan", HERE, "--revoke")
    assert refused.exit_code == 2
    assert "error: The database: there is none yet" in refused.stderr
    assert "a.txt:1" in refused.stdout, "what was found is told all the same"

    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", "postgresql://127.0.0.1:1/nothing")
    cut_off = run("keys", "scan", HERE)
    assert cut_off.exit_code == 1
    assert "Whose they are was not asked. The database cannot be used" in cut_off.stderr


def test_a_database_of_something_else_is_left_as_it_is(tree: Path) -> None:
    (tree / "a.txt").write_text(new_keys(1)[0])
    with closing(sqlite3.connect("callcov_auth.db")) as connection:
        connection.execute("CREATE TABLE other (x)")
        told = run("keys", "scan", HERE)
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert told.exit_code == 1
    assert "Whose they are was not asked. the database" in told.stderr
    assert tables == [("other",)]


# People, and hooks


def test_how_far_it_is_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    @contextmanager
    def spinner(_what: str) -> Iterator[Callable[[str], None]]:
        yield told.append

    monkeypatch.setattr(scan, "spinner", spinner)
    for name, content in (("a.txt", "nothing"), ("b.txt", new_keys(1)[0]), ("c.txt", "nothing")):
        (tree / name).write_text(content)
    assert places(HERE) == [(f"{HERE}/b.txt", 1)]
    assert told[-1] == "3 files, 1 keys"


def test_on_a_terminal_what_is_quick_is_not_shown(tree: Path) -> None:
    (tree / "a.txt").write_text("nothing")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "callcov_auth", "keys", "scan", HERE]
    assert subprocess.run(command, stderr=theirs, timeout=60).returncode == 0
    os.close(theirs)
    assert os.read(ours, 4096).decode().strip() == "Files looked through: 1; places with a key: 0."
    os.close(ours)


def test_the_hook_stops_a_commit_with_a_key(tree: Path) -> None:
    """As the pre-commit framework runs it: the entry, the arguments, then the staged files' names."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (hook["id"], hook["language"]) == ("callcov-auth-keys", "python")
    program, *rest = shlex.split(hook["entry"])
    assert program == "callcov-auth"
    git("init", "--quiet")
    (tree / "a.txt").write_text("nothing")
    (tree / "-b.txt").write_text("nothing")

    def committing() -> subprocess.CompletedProcess[str]:
        git("add", "--all")
        staged = git("diff", "--cached", "--name-only", "-z").strip("\0").split("\0")
        return run_process(*rest, *hook["args"], *staged, cwd=HERE)

    assert committing().returncode == 0
    (key,) = new_keys(1)
    (tree / "-b.txt").write_text(key)
    stopped = committing()
    assert stopped.returncode == 1
    assert "-b.txt:1" in stopped.stdout
    assert key not in stopped.stdout + stopped.stderr
