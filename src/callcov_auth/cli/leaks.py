"""The search for our keys in files, folders, archives and the history of git."""

import io
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from callcov_auth.cli import archives, history
from callcov_auth.cli.archives import PIECE, Exhausted, Member, Reads, TooMuch
from callcov_auth.cli.errors import Unusable
from callcov_auth.keys.finder import Find, Finder, finds_in

# How much is kept of each: what was found, and what could not be read.
MAX_KEPT = 100_000
GIT = ".git"

# A pipe is not waited for, and a link that took a file's place a moment ago is not followed.
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_NO_LINK = _NO_WAIT | getattr(os, "O_NOFOLLOW", 0)

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Found:
    """``place`` is a path, or ``archive!member``. ``line`` is None for a key in a name."""

    place: str
    line: int | None
    find: Find


@dataclass(frozen=True, slots=True)
class Unread:
    place: str
    problem: str


@dataclass(slots=True)
class _Budget:
    """What may yet come out of one file, over all layers of archives."""

    bytes: int = archives.MAX_UNPACKED_BYTES
    members: int = archives.MAX_MEMBERS

    def take_member(self) -> None:
        self.members -= 1
        if self.members < 0:
            raise Exhausted(f"it holds more than {archives.MAX_MEMBERS} files")

    def take_bytes(self, number: int) -> None:
        self.bytes -= number
        if self.bytes < 0:
            raise Exhausted(f"it unpacks to more than {archives.MAX_UNPACKED_BYTES} bytes")


class LeakSearch:
    """Looks through what it is given, and keeps what it found and what could not be read.

    ``tell`` hears how many files were read and how many keys were found.
    """

    def __init__(self, mac_keys: Sequence[bytes], tell: Tell) -> None:
        self.found: list[Found] = []
        self.unread: list[Unread] = []
        self.files = 0
        self._mac_keys = mac_keys
        self._tell = tell
        self._histories: set[str] = set()

    def look_through(self, path: str, *, git: bool) -> None:
        """Look through a file or a folder, in which links are not followed.

        With ``git`` the whole history of every repository in it, too; without it folders ``.git`` are passed
        over. Raises Unusable for what is no repository.
        """
        if git:
            if not history.is_repository(path):
                raise Unusable("--git looks through repositories: name a folder of one, or leave it out.")
            self._history(path, path if history.is_bare(path) else os.path.join(path, GIT))
        self._name(path, path)
        if not os.path.isdir(path):
            self._file(path, _NO_WAIT)
            return
        folders = [path]
        while folders:
            folder = folders.pop()
            try:
                folders += self._folder(folder, git=git)
            except OSError as error:
                self._note(folder, _problem(error))

    def _folder(self, folder: str, *, git: bool) -> list[str]:
        """Look through the files of a folder, and return the folders in it."""
        inner = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name == GIT and not git:
                    continue
                if entry.name == GIT:
                    self._history(folder, entry.path)
                self._name(entry.path, entry.name)
                if entry.is_file(follow_symlinks=False):
                    self._file(entry.path, _NO_LINK)
                elif entry.is_dir(follow_symlinks=False) and not _is_packed(entry.path):
                    inner.append(entry.path)
        return inner

    def _file(self, path: str, more_flags: int) -> None:
        try:
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | more_flags)
            with open(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise TooMuch("it is no file")
                self._whole(path, file)
        except (OSError, TooMuch) as error:
            self._note(path, _problem(error))

    def _history(self, folder: str, shown: str) -> None:
        """Look through the objects of a repository, and name each by a commit that has it."""
        shared = history.shared_folder(folder)
        if shared is None or shared in self._histories:
            return
        self._histories.add(shared)
        search = LeakSearch(self._mac_keys, lambda files, found: self._tell(self.files + files, found))
        try:
            with closing(history.objects(folder)) as objects:
                for item in objects:
                    search.look_at(item)
        except history.GitFailed as error:
            self._note(shown, _problem(error))
        self.files += search.files
        places = [one.place for one in search.found] + [one.place for one in search.unread]
        names = history.names_of(folder, {_object(place) for place in places})
        for one in search.found:
            self._keep(replace(one, place=_named(shown, one.place, names)))
        for unread in search.unread:
            self._note(_named(shown, unread.place, names), unread.problem)

    def look_at(self, item: history.GitObject) -> None:
        """Look at a file of a history, a message, or a folder's names."""
        if item.is_file:
            self._whole(item.id, item)
        else:
            self._plain(item.id, b"", item)

    def _whole(self, place: str, reader: Reads) -> None:
        self.files += 1
        try:
            self._content(place, reader, _Budget(), 0)
        except Exhausted as error:
            self._note(place, str(error))

    def _content(self, place: str, reader: Reads, budget: _Budget, layers: int) -> None:
        head = _head(reader)
        kind = archives.kind_of(head)
        if kind is None:
            self._plain(place, head, reader)
        elif layers == archives.MAX_LAYERS:
            self._note(place, f"it is more than {layers} archives deep")
        elif not self._archive(place, kind, _again(head, reader), budget, layers):
            self._damaged(place, reader)

    def _plain(self, place: str, head: bytes, reader: Reads) -> None:
        finder = Finder(self._mac_keys)
        piece = head or reader.read(PIECE)
        while piece:
            self._add(place, finder.feed(piece))
            self._tell(self.files, len(self.found))
            piece = reader.read(PIECE)
        self._add(place, finder.finish())

    def _damaged(self, place: str, reader: Reads) -> None:
        """Look at what an archive is made of: a zip may hold files as they are, or be no archive at all."""
        if isinstance(reader, io.BufferedReader):
            reader.seek(0)
            self._plain(place, b"", reader)

    def _archive(self, place: str, kind: archives.Kind, reader: Reads, budget: _Budget, layers: int) -> bool:
        """Look through what an archive holds; False, and it is noted, where that cannot be."""
        with self._noting(place) as noted:
            for member in archives.members(kind, reader):
                budget.take_member()
                self._member(place, member, budget, layers + 1)
        return not noted

    def _member(self, place: str, member: Member, budget: _Budget, layers: int) -> None:
        inner = f"{place}!{member.name}" if member.name else place
        self._name(inner, member.name)
        # A member that is damaged or locked leaves the others readable.
        with self._noting(inner):
            self._content(inner, _Counted(member.open(), budget), budget, layers)

    @contextmanager
    def _noting(self, place: str) -> Iterator[list[str]]:
        problems: list[str] = []
        try:
            yield problems
        except (Unusable, Exhausted, MemoryError, history.GitFailed):
            raise
        except Exception as error:
            # Whatever a hostile file makes of the libraries: it is named, and the search goes on.
            problems.append(_problem(error))
            self._note(place, problems[0])

    def _name(self, place: str, name: str) -> None:
        for find in finds_in(os.fsencode(name), self._mac_keys):
            self._keep(Found(place, None, find))

    def _add(self, place: str, finds: Sequence[Find]) -> None:
        for find in finds:
            self._keep(Found(place, find.line, find))

    def _keep(self, found: Found) -> None:
        if len(self.found) == MAX_KEPT:
            raise Unusable(f"There are more than {MAX_KEPT} keys here: look through a part of it.")
        self.found.append(found)

    def _note(self, place: str, problem: str) -> None:
        if len(self.unread) == MAX_KEPT:
            raise Unusable(f"More than {MAX_KEPT} files cannot be read: look through a part of it.")
        self.unread.append(Unread(place, problem))


class _Counted:
    """A reader whose bytes are taken from a budget."""

    def __init__(self, reader: Reads, budget: _Budget) -> None:
        self._reader = reader
        self._budget = budget

    def read(self, size: int, /) -> bytes:
        piece = self._reader.read(size)
        self._budget.take_bytes(len(piece))
        return piece


class _Again:
    """A reader that gives ``head`` once more."""

    def __init__(self, head: bytes, reader: Reads) -> None:
        self._head = head
        self._reader = reader

    def read(self, size: int, /) -> bytes:
        if not self._head:
            return self._reader.read(size)
        piece, self._head = self._head[:size], self._head[size:]
        return piece


def _again(head: bytes, reader: Reads) -> Reads:
    if isinstance(reader, io.BufferedReader):
        reader.seek(0)
        return reader
    return _Again(head, reader)


def _head(reader: Reads) -> bytes:
    head = piece = reader.read(PIECE)
    while piece and len(head) < archives.HEAD_BYTES:
        piece = reader.read(PIECE)
        head += piece
    return head


def _is_packed(folder: str) -> bool:
    """Whether git keeps its objects there, which its history shows."""
    return os.path.basename(folder) == "objects" and os.path.basename(os.path.dirname(folder)) == GIT


def _object(place: str) -> str:
    return place.partition("!")[0]


def _named(shown: str, place: str, names: Mapping[str, str]) -> str:
    item = _object(place)
    return f"{shown}!{names[item]}{place[len(item) :]}"


def _problem(error: Exception) -> str:
    if isinstance(error, TooMuch | history.GitFailed):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # By its kind alone, for its text may hold what was read.
    return f"it cannot be unpacked ({type(error).__name__})"
