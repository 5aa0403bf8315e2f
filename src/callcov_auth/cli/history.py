"""What a git repository holds, all of its history and what nothing refers to any more: each object once."""

import os
import subprocess
from collections.abc import Collection, Generator
from dataclasses import dataclass
from shutil import which
from typing import IO, cast

from callcov_auth.cli.archives import PIECE
from callcov_auth.cli.errors import Unusable

# How much of an object's id is shown.
SHORT = 12

# A hook's own repository must not stand in for the one that is asked for.
_OF_ONE_REPOSITORY = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)
# A repository's own settings must run no program, and fetch nothing.
_HARMLESS = (
    "-c",
    "log.showSignature=false",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.quotePath=false",
    "-c",
    "diff.relative=false",
)


class GitFailed(Exception):
    """git ended with an error; nothing of what it said is kept."""

    def __str__(self) -> str:
        return "git could not read all of it: 'git fsck' tells what is wrong"


@dataclass(slots=True)
class GitObject:
    """An object of any kind; its bytes can be read once, before the next object is asked for."""

    id: str
    kind: str
    _left: int
    _source: IO[bytes]

    @property
    def is_file(self) -> bool:
        return self.kind == "blob"

    def read(self, size: int, /) -> bytes:
        piece = self._source.read(min(size, self._left))
        if not piece and self._left:
            raise GitFailed
        self._left -= len(piece)
        return piece


def is_repository(folder: str) -> bool:
    """Raises Unusable where git is not installed."""
    if which("git") is None:
        raise Unusable("--git needs git, which is not installed: install it, or leave --git out.")
    return os.path.isdir(folder) and shared_folder(folder) is not None


def is_bare(folder: str) -> bool:
    return _answer(folder, "rev-parse", "--is-bare-repository") == "true"


def shared_folder(folder: str) -> str | None:
    """Return where the history is kept, which the worktrees of a repository share; None for no repository."""
    answer = _answer(folder, "rev-parse", "--git-common-dir")
    return None if answer is None else os.path.realpath(os.path.join(folder, answer))


def objects(folder: str) -> Generator[GitObject, None, None]:
    """Give every object that is there. Raises GitFailed."""
    arguments = ("cat-file", "--batch-all-objects", "--batch", "--buffer", "--unordered")
    with _running(folder, *arguments) as git:
        try:
            whole = yield from _read_objects(_output(git))
        except BaseException:
            # It would go on writing where nobody reads.
            git.kill()
            raise
    if git.returncode or not whole:
        raise GitFailed


def _read_objects(source: IO[bytes]) -> Generator[GitObject, None, bool]:
    """Give each object; return whether all of them could be read."""
    whole = True
    while header := source.readline():
        words = header.split()
        if len(words) != 3:
            # It is damaged, and git calls it missing.
            whole = False
            continue
        item = GitObject(words[0].decode(), words[1].decode(), int(words[2]), source)
        yield item
        while item.read(PIECE):
            pass
        source.read(1)
    return whole


def names_of(folder: str, ids: Collection[str]) -> dict[str, str]:
    """Return ``COMMIT:PATH``, as 'git show' takes it, of each file's first commit; else the id, cut short."""
    names = {item: item[:SHORT] for item in ids}
    if not names:
        return names
    commits = ("--all", "--reflog", "--topo-order", "--format=%H")
    changes = ("--raw", "-m", "--root", "--no-renames", "--no-abbrev")
    commit = ""
    with _running(folder, "log", *commits, *changes) as git:
        for line in _output(git):
            text = os.fsdecode(line.rstrip(b"\n"))
            if not text.startswith(":"):
                commit = text or commit
                continue
            description, _, path = text.partition("\t")
            item = description.split()[3]
            # The newest commit comes first, so that the oldest one has the last word.
            if item in names:
                names[item] = f"{commit[:SHORT]}:{path}"
    return names


def _answer(folder: str, *arguments: str) -> str | None:
    with _running(folder, *arguments) as git:
        answer = os.fsdecode(_output(git).read()).rstrip("\n")
    return answer if git.returncode == 0 else None


def _running(folder: str, *arguments: str) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ONE_REPOSITORY}
    return subprocess.Popen(  # noqa: S603
        ["git", *_HARMLESS, *arguments],  # noqa: S607
        cwd=folder,
        env=environment | {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _output(git: "subprocess.Popen[bytes]") -> IO[bytes]:
    return cast(IO[bytes], git.stdout)
