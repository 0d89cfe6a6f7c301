"""The file of a backup: a gzipped tar whose last member lists the digests of all others.

Streamed in both directions, a piece at a time. It is whole or absent, and only its owner may read
it. What the members mean is the business of store/backup.py and store/restore.py, its callers.
"""

import errno
import gzip
import hashlib
import io
import json
import os
import secrets
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from store.errors import ConfigError, IntegrityError, PerennialError

MANIFEST = "manifest.json"
FORMAT = 1
_CHUNK = 1 << 20
_HINT = "use another copy of the backup; nothing was restored"


class Writer:
    """Members of an archive that is being written."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.members: dict[str, dict[str, Any]] = {}

    def add(self, name: str, data: bytes) -> None:
        """A member from memory."""
        self.add_stream(name, io.BytesIO(data), len(data))

    def add_stream(self, name: str, stream: IO[bytes], size: int) -> str:
        """A member of `size` bytes; the digest of what was read.

        IntegrityError when the stream ends before.
        """
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        source = _Hashing(stream, size)
        try:
            self._tar.addfile(info, source)  # pyright: ignore[reportArgumentType]
        except OSError as error:
            if source.left and error.errno is None:
                raise IntegrityError(
                    f"{name} became shorter while it was read", "run the backup again"
                ) from error
            raise
        self.members[name] = {"sha256": source.digest, "bytes": size}
        return source.digest


class _Hashing:
    """Reads a stream and digests what was read."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._sha = hashlib.sha256()
        self.left = size

    @property
    def digest(self) -> str:
        return self._sha.hexdigest()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._sha.update(data)
        self.left -= len(data)
        return data


@contextmanager
def write_archive(path: Path, facts: dict[str, Any]) -> Iterator[Writer]:
    """A new archive: it appears under its name when the block ends well, with `facts` (to which
    the block may add) in its manifest.

    Raises ConfigError when the file is there already, PerennialError when the disk is full.
    """
    if path.exists():
        raise ConfigError(f"{path} is there already", "give another name; no backup is replaced")
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as raw:
            # The fastest level: weights hardly get smaller, and text does so at any level.
            with (
                gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                writer = Writer(tar)
                yield writer
                said = {"format": FORMAT, **facts, "members": dict(writer.members)}
                writer.add(MANIFEST, json.dumps(said, indent=1).encode())
            raw.flush()
            os.fsync(raw.fileno())
        os.rename(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PerennialError(
                f"no space left while writing {path}", "free some, or write it elsewhere"
            ) from error
        raise ConfigError(
            f"{path} cannot be written: {error.strerror or error}", "give another place"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_archive(
    path: Path,
    folder: Path,
    allowed: Callable[[PurePosixPath], bool],
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Unpack into `folder` and return the manifest, once every digest is as it says.

    A name that is not `allowed`, that is there twice, or that is no plain file is refused before
    anything of it is written. `progress` gets the bytes of the file read so far. Raises
    ConfigError for a file that is no backup, IntegrityError naming the member that is damaged.
    """
    found: dict[str, str] = {}
    last = "its beginning"
    try:
        with path.open("rb") as raw, gzip.GzipFile(fileobj=raw, mode="rb") as packed:
            with tarfile.open(fileobj=packed, mode="r|") as tar:
                for member in tar:
                    last = member.name
                    _check_name(member, found, allowed)
                    found[last] = _unpack(tar, member, folder)
                    progress(raw.tell())
            # Reads to the end: gzip compares its checksum there, and nothing may follow.
            while packed.read(_CHUNK):
                pass
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            raise _damaged(path, folder, last, found, error) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PerennialError(
                f"no space left while reading {path} into {folder.parent}",
                "free some space and run the same command again",
            ) from error
        raise ConfigError(f"{path} cannot be read: {error}", "give the file of a backup") from error
    except (EOFError, zlib.error, tarfile.TarError) as error:
        raise _damaged(path, folder, last, found, error) from error
    return _manifest(path, folder, found)


def _check_name(
    member: tarfile.TarInfo, found: dict[str, str], allowed: Callable[[PurePosixPath], bool]
) -> None:
    name = PurePosixPath(member.name)
    plain = (
        member.isreg()
        and str(name) == member.name
        and not name.is_absolute()
        and "\0" not in member.name
        and not {"..", "."} & set(name.parts)
    )
    if not plain or member.name in found or not (member.name == MANIFEST or allowed(name)):
        raise IntegrityError(f"the member {member.name!r} belongs to no backup", _HINT)


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> str:
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None, member.name
    sha = hashlib.sha256()
    with target.open("xb") as file:
        while data := source.read(_CHUNK):
            sha.update(data)
            file.write(data)
    if target.stat().st_size != member.size:
        raise EOFError(f"{member.name} has {target.stat().st_size} of {member.size} bytes")
    return sha.hexdigest()


def _manifest(path: Path, folder: Path, found: dict[str, str]) -> dict[str, Any]:
    """The manifest, after comparing it with what was found."""
    if MANIFEST not in found:
        raise IntegrityError(
            f"{path} ends after {next(reversed(found), 'nothing')!r}, without its {MANIFEST}", _HINT
        )
    try:
        said = json.loads((folder / MANIFEST).read_bytes())
        version, members = int(said["format"]), {n: m["sha256"] for n, m in said["members"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"the member {MANIFEST!r} of {path} is damaged: {error}", _HINT) from (
            error
        )
    if version > FORMAT:
        raise ConfigError(
            f"{path} was written by a newer release of Perennial (format {version})",
            "use that release, or a newer one",
        )
    del found[MANIFEST]
    for name in sorted(members.keys() | found.keys()):
        if name not in found:
            raise IntegrityError(f"the member {name!r} of {path} is missing", _HINT)
        if found[name] != members.get(name):
            raise IntegrityError(f"the member {name!r} of {path} is damaged", _HINT)
    return said


def _damaged(
    path: Path, folder: Path, last: str, found: dict[str, str], error: Exception
) -> PerennialError:
    said = " ".join(str(error).split())
    broken = isinstance(error, EOFError | zlib.error) or "zlib" in said
    if not found and not broken:
        return ConfigError(
            f"{path} is no backup of Perennial: {said}", "give a file that `perennial backup` wrote"
        )
    if MANIFEST in found:
        # The checksum of the whole is wrong: the digests tell which member it is.
        _manifest(path, folder, found)
    return IntegrityError(f"{path} is damaged at or after {last!r}: {said}", _HINT)
