"""Files that are either whole or absent: atomic writes and content-addressed directories.

An artifact is a directory of regular files named by the digest of its names and bytes, and never
changed. Its marker, written last, lists every file with its digest; a directory without a marker
does not exist for readers. What an artifact means (adapter, merged model) is the caller's business.
Called by adapt (puts what it trained) and agent (reads what it serves).
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.errors import IntegrityError, ModelError, NotFoundError, PerennialError

MARKER = ".complete"
_CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replace `path` by `data` so that a reader sees the old bytes or the new, never a part.

    Text is written as UTF-8. Missing parent folders are made. Raises PerennialError when the
    disk is full, OSError otherwise.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    # Not tempfile's: its files stay their owner's alone, whatever the umask says.
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            # Without this a power cut may keep the rename and lose the bytes.
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        _raise_if_full(error, path)
        raise


def digest_of_directory(path: Path) -> str:
    """SHA-256 over the sorted relative names and the bytes of the files under `path`.

    An artifact's own marker is left out, so a stored artifact has the digest it was put under.
    Raises ModelError for anything but regular files and folders, NotFoundError when missing.
    """
    return _digest_of_listing(_listing(path))


class Artifacts:
    """Immutable directories under one root, each named by its digest. Safe across processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, source_dir: Path) -> str:
        """Copy a directory in and return its digest; one that is already here is left alone.

        Raises NotFoundError or ModelError for a source that cannot be taken, IntegrityError when
        it changes while it is being copied, PerennialError when the disk is full. After any
        failure nothing new can be seen.
        """
        listing = _listing(source_dir)
        if not listing:
            raise ModelError(
                f"the directory {source_dir} holds no files", "give the directory of the adapter"
            )
        digest = _digest_of_listing(listing)
        if self._whole(digest):
            return digest
        with self._exclusive():
            self._sweep()
            if not self._whole(digest):
                self._copy_in(source_dir, listing, digest)
        return digest

    def path(self, digest: str) -> Path:
        """The directory of an artifact. Raises NotFoundError when it is missing or half-written."""
        if not self._whole(digest):
            raise NotFoundError(
                f"no artifact {digest!r} under {self.root}",
                "its files were removed or never completed; build the version again",
            )
        return self.root / digest

    def verify(self, digest: str) -> None:
        """Read every byte again. Raises IntegrityError naming the first file that differs."""
        folder = self.path(digest)
        hint = "the disk or a person changed it; restore it from a copy or build the version again"
        try:
            recorded = json.loads((folder / MARKER).read_text())["files"]
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(f"{folder / MARKER} cannot be read: {error}", hint) from error
        found = _listing(folder)
        for name in sorted(recorded.keys() | found.keys()):
            if name not in found:
                raise IntegrityError(f"{folder / name} is missing", hint)
            if name not in recorded:
                raise IntegrityError(f"{folder / name} does not belong to the artifact", hint)
            if found[name] != recorded[name]:
                raise IntegrityError(f"{folder / name} differs from its recorded digest", hint)
        if _digest_of_listing(found) != digest:
            raise IntegrityError(f"the file list {folder / MARKER} is of another artifact", hint)

    def digests(self) -> list[str]:
        """Digests of all whole artifacts, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if self._whole(p.name))

    def remove(self, digest: str) -> None:
        """Delete an artifact, marker first. Raises NotFoundError when there is none."""
        with self._exclusive():
            folder = self.path(digest)
            (folder / MARKER).unlink()
            shutil.rmtree(folder)

    def sweep(self) -> list[str]:
        """Delete what killed writers left behind; the names of the folders that went."""
        with self._exclusive():
            return self._sweep()

    def _whole(self, digest: str) -> bool:
        # The pattern also keeps names such as "../x" from leaving the root.
        return bool(_DIGEST.fullmatch(digest)) and (self.root / digest / MARKER).is_file()

    def _sweep(self) -> list[str]:
        gone = [p for p in self.root.iterdir() if p.is_dir() and not self._whole(p.name)]
        for folder in gone:
            shutil.rmtree(folder)
        return sorted(p.name for p in gone)

    def _copy_in(self, source: Path, listing: dict[str, str], digest: str) -> None:
        temporary = Path(tempfile.mkdtemp(prefix=".put-", dir=self.root))
        final = self.root / digest
        try:
            for name, expected in listing.items():
                if _copy_file(source / name, temporary / name) != expected:
                    raise IntegrityError(
                        f"{source / name} changed while it was being copied",
                        "wait until its writer is done, then try again",
                    )
            for folder in {(temporary / name).parent for name in listing}:
                _sync_folder(folder)
            temporary.chmod(0o755)
            os.rename(temporary, final)
            write_atomic(final / MARKER, json.dumps({"files": listing}, indent=1, sort_keys=True))
            _sync_folder(self.root)
        except BaseException as error:
            for folder in (temporary, final):
                shutil.rmtree(folder, ignore_errors=True)
            _raise_if_full(error, final)
            raise

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One writer at a time, or a sweep would delete the folder another one is filling."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _listing(folder: Path) -> dict[str, str]:
    """Relative name (with slashes) -> SHA-256 of the bytes, sorted by name."""
    if not folder.is_dir():
        raise NotFoundError(f"no directory {folder}", "check the path")
    files: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ModelError(
                f"{path} is not a regular file", "replace links by the files they point to"
            )
        if path.is_file() and name != MARKER:
            files[name] = _digest_of_file(path)
    return dict(sorted(files.items()))


def _digest_of_listing(listing: dict[str, str]) -> str:
    text = json.dumps(sorted(listing.items()), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy_file(source: Path, target: Path) -> str:
    """Copy, flush to the disk, make read-only; the digest of the bytes that were copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    target.chmod(0o444)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _raise_if_full(error: BaseException, path: Path) -> None:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise PerennialError(
            f"no space left while writing {path}",
            "free some space and run the same command again; nothing was half-written",
        ) from error
