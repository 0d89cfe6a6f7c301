"""Artifacts and atomic writes: whole or absent, whatever happens."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store.errors import IntegrityError, ModelError, NotFoundError, PerennialError
from store.files import MARKER, Artifacts, digest_of_directory, write_atomic

ROOT = Path(__file__).resolve().parents[2]


def adapter(folder: Path, text: str = "weights") -> Path:
    (folder / "nested").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "nested" / "model.safetensors").write_text(text)
    return folder


def test_put_gives_a_copy_under_the_digest_of_its_bytes(tmp_path: Path) -> None:
    source = adapter(tmp_path / "a")
    artifacts = Artifacts(tmp_path / "artifacts")
    digest = artifacts.put(source)
    assert digest == digest_of_directory(source) == digest_of_directory(artifacts.path(digest))
    assert (artifacts.path(digest) / "nested" / "model.safetensors").read_text() == "weights"
    assert artifacts.digests() == [digest]
    artifacts.verify(digest)


def test_put_twice_stores_once(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    first = artifacts.put(adapter(tmp_path / "a"))
    stamp = (artifacts.path(first) / MARKER).stat().st_mtime_ns
    assert artifacts.put(adapter(tmp_path / "b")) == first
    assert artifacts.put(artifacts.path(first)) == first
    assert (artifacts.path(first) / MARKER).stat().st_mtime_ns == stamp


def test_names_and_bytes_both_count(tmp_path: Path) -> None:
    for name, files in {"a": {"x": "1"}, "b": {"y": "1"}, "c": {"x": "", "1": ""}}.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
    assert len({digest_of_directory(tmp_path / name) for name in "abc"}) == 3


def test_half_written_directory_is_invisible_and_swept(tmp_path: Path) -> None:
    """A directory that was renamed but lacks its marker does not exist for readers."""
    artifacts = Artifacts(tmp_path / "artifacts")
    digest = artifacts.put(adapter(tmp_path / "a"))
    (artifacts.root / digest / MARKER).unlink()
    (artifacts.root / ".put-left").mkdir()
    assert artifacts.digests() == []
    with pytest.raises(NotFoundError, match=digest):
        artifacts.path(digest)
    assert artifacts.sweep() == [".put-left", digest]
    assert artifacts.put(tmp_path / "a") == digest
    artifacts.verify(digest)


def test_put_killed_midway_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    source = tmp_path / "big"
    source.mkdir()
    for i in range(8):
        (source / f"{i}.bin").write_bytes(os.urandom(2 << 20))
    code = (
        "import sys; from pathlib import Path; from store.files import Artifacts\n"
        "Artifacts(Path(sys.argv[1])).put(Path(sys.argv[2]))"
    )
    artifacts = Artifacts(tmp_path / "artifacts")
    command = [sys.executable, "-c", code, str(artifacts.root), str(source)]
    child = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + 30
    while not list(artifacts.root.glob(".put-*/*")) and time.monotonic() < deadline:
        time.sleep(0.0005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert artifacts.digests() == []
    digest = artifacts.put(source)
    artifacts.verify(digest)
    assert [p.name for p in artifacts.root.iterdir() if p.is_dir()] == [digest]


def test_puts_at_the_same_time_agree(tmp_path: Path) -> None:
    """Writers of the same and of other directories do not sweep each other's folders away."""
    artifacts = Artifacts(tmp_path / "artifacts")
    sources = [adapter(tmp_path / f"s{i}", text=str(i // 2) * 100_000) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(artifacts.put, sources))
    assert artifacts.digests() == sorted(set(digests)) and len(set(digests)) == 4
    for digest in artifacts.digests():
        artifacts.verify(digest)


def test_failed_put_removes_its_temporary_folder(tmp_path: Path) -> None:
    source = adapter(tmp_path / "a")
    artifacts = Artifacts(tmp_path / "artifacts")
    digest = digest_of_directory(source)
    artifacts.root.mkdir()
    # A plain file where the directory must go makes the rename fail.
    (artifacts.root / digest).write_text("in the way")
    with pytest.raises(OSError):
        artifacts.put(source)
    assert sorted(p.name for p in artifacts.root.iterdir()) == [".lock", digest]


def test_links_and_empty_directories_are_refused(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    source = adapter(tmp_path / "a")
    (source / "link").symlink_to("/etc/hostname")
    with pytest.raises(ModelError, match="link"):
        artifacts.put(source)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="no files"):
        artifacts.put(tmp_path / "empty")
    with pytest.raises(NotFoundError):
        artifacts.put(tmp_path / "absent")
    assert artifacts.digests() == []


def test_verify_names_the_file_that_changed(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    digest = artifacts.put(adapter(tmp_path / "a"))
    file = artifacts.path(digest) / "nested" / "model.safetensors"
    file.chmod(0o644)
    file.write_text("other")
    with pytest.raises(IntegrityError, match=r"model\.safetensors differs"):
        artifacts.verify(digest)
    file.unlink()
    with pytest.raises(IntegrityError, match=r"model\.safetensors is missing"):
        artifacts.verify(digest)
    file.write_text("weights")
    (file.parent / "stray").write_text("")
    with pytest.raises(IntegrityError, match="stray does not belong"):
        artifacts.verify(digest)
    (artifacts.path(digest) / MARKER).write_text("no json")
    with pytest.raises(IntegrityError, match="cannot be read"):
        artifacts.verify(digest)


def test_remove_and_names_that_leave_the_root(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    digest = artifacts.put(adapter(tmp_path / "a"))
    artifacts.remove(digest)
    assert artifacts.digests() == []
    for name in (digest, "", "../a", "f" * 63):
        with pytest.raises(NotFoundError):
            artifacts.remove(name)


def test_write_atomic_replaces_whole_and_cleans_up(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.json"
    write_atomic(target, "old")
    write_atomic(target, b"new")
    assert target.read_bytes() == b"new"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_atomic(tmp_path / "folder", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "new"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_an_error_with_a_way_out() -> None:
    """A write that runs out of space says so; /dev/full is a disk that is always full."""
    from store.files import _raise_if_full

    with pytest.raises(PerennialError, match="no space left") as caught:
        try:
            with open("/dev/full", "wb", buffering=0) as file:
                file.write(b"x")
        except OSError as error:
            _raise_if_full(error, Path("adapter"))
    assert "free some space" in caught.value.hint
