"""What archives and compressed files hold, as it is read, and never more of it in memory than a bound.

Archives may be bombs. What unpacks is counted over all layers, what a header asks for is bounded, and
nothing is written to a disk.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, cast

PIECE = 256 * 1024
# An archive in an archive is a layer, and so is the compression of a tar.
MAX_LAYERS = 6
MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
MAX_MEMBERS = 100_000
# A zip is read from its end, so that one in another archive is held as a whole.
MAX_INNER_ZIP_BYTES = 64 * 1024 * 1024
MAX_ZIP_DIRECTORY_BYTES = 32 * 1024 * 1024
MAX_TAR_HEADER_BYTES = 1024 * 1024
MAX_XZ_MEMORY_BYTES = 128 * 1024 * 1024

Kind = Literal["zip", "gz", "bz2", "xz", "tar"]

_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b\x08", "gz"),
    (b"\xfd7zXZ\0", "xz"),
)
_BZ2 = tuple(b"BZh%d1AY&SY" % level for level in range(1, 10))
_TAR_MAGIC = slice(257, 262)
# Enough to tell every kind by.
HEAD_BYTES = 512


class Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...


class TooMuch(Exception):
    """A bound was met; the text says which."""


class Exhausted(TooMuch):
    """A bound on all that one file holds, so that nothing more of it is read."""


@dataclass(frozen=True, slots=True)
class Member:
    """``name`` is empty for what a compressed file holds, which is that file by itself."""

    name: str
    open: Callable[[], Reads]


def kind_of(head: bytes) -> Kind | None:
    """Tell an archive by its first HEAD_BYTES, whatever it is called."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(_BZ2):
        return "bz2"
    return "tar" if head[_TAR_MAGIC] == b"ustar" else None


def members(kind: Kind, reader: Reads) -> Iterator[Member]:
    """Give what is in an archive; each member is to be read before the next one is asked for.

    Whatever the libraries raise for a damaged one is raised here and by its members' readers.
    """
    source = cast(io.BufferedIOBase, reader)
    if kind == "gz":
        yield Member("", lambda: gzip.GzipFile(fileobj=source, mode="rb"))
    elif kind == "bz2":
        yield Member("", lambda: bz2.BZ2File(source))
    elif kind == "xz":
        yield Member("", lambda: _Xz(reader))
    elif kind == "tar":
        yield from _tar(source)
    else:
        yield from _zip(reader)


def _tar(source: io.BufferedIOBase) -> Iterator[Member]:
    # As a stream, which asks for nothing but ``read``.
    with tarfile.open(fileobj=source, mode="r|", tarinfo=_SmallHeader) as archive:
        for info in archive:
            if info.isfile():
                yield Member(info.name, partial(_extracted, archive, info))


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Reads:
    # None is given for what is no file alone.
    return cast(Reads, archive.extractfile(info))


class _SmallHeader(tarfile.TarInfo):
    """Refuses a member that says of itself more than a name and the like; tarfile would hold all of it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_SmallHeader":
        info = super().frombuf(buf, encoding, errors)
        describes = not (info.isfile() or info.islnk() or info.issym() or info.isdir() or info.isdev())
        if info.type == tarfile.GNUTYPE_SPARSE or (describes and info.size > MAX_TAR_HEADER_BYTES):
            raise TooMuch("its headers are sparse or too large")
        return info


def _zip(reader: Reads) -> Iterator[Member]:
    source = reader if isinstance(reader, io.BufferedReader) else _whole(reader)
    with zipfile.ZipFile(cast(io.BufferedReader, _SmallReads(source))) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield Member(info.filename, partial(archive.open, info))


def _whole(reader: Reads) -> io.BytesIO:
    held = io.BytesIO()
    while piece := reader.read(PIECE):
        held.write(piece)
        if held.tell() > MAX_INNER_ZIP_BYTES:
            raise TooMuch(f"a zip in an archive is over {MAX_INNER_ZIP_BYTES} bytes")
    held.seek(0)
    return held


class _SmallReads:
    """A file that is not read in too large pieces: zipfile takes in a whole directory in one."""

    def __init__(self, source: io.BufferedReader | io.BytesIO) -> None:
        self.seek, self.tell, self.seekable = source.seek, source.tell, source.seekable
        self._read = source.read

    def read(self, size: int = -1, /) -> bytes:
        if size > MAX_ZIP_DIRECTORY_BYTES:
            raise TooMuch(f"its directory is over {MAX_ZIP_DIRECTORY_BYTES} bytes")
        return self._read(size)


class _Xz:
    """Reads xz as lzma.LZMAFile does, with a bound on the memory that the file asks for."""

    def __init__(self, reader: Reads) -> None:
        self._reader = reader
        self._unpacker = self._new()

    def read(self, size: int, /) -> bytes:
        while True:
            packed = self._packed()
            if packed is None:
                return b""
            unpacked = self._unpacker.decompress(packed, size)
            if unpacked:
                return unpacked

    def _packed(self) -> bytes | None:
        """Return what to unpack next; None at the end. Streams may follow one another, with zeros between."""
        if not self._unpacker.eof:
            if not self._unpacker.needs_input:
                return b""
            packed = self._reader.read(PIECE)
            if not packed:
                raise EOFError("cut short")
            return packed
        rest = self._unpacker.unused_data.lstrip(b"\0")
        while not rest:
            packed = self._reader.read(PIECE)
            if not packed:
                return None
            rest = packed.lstrip(b"\0")
        self._unpacker = self._new()
        return rest

    def _new(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=MAX_XZ_MEMORY_BYTES)
