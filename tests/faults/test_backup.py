"""SIGKILL of a backup and of a restore at every step that they tell of, and a damaged backup."""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.chain import Chain
from faults.invariants import TALLY, check_home
from faults.points import kill
from faults.processes import KILLED, finished

from store import Home, Store
from store.backup import write_backup
from store.embeddings import HashEmbedder
from store.errors import ConfigError, IntegrityError, StateError
from store.restore import restore_home


def dying(after: int) -> Callable[[str, int, int], None]:
    """What is told of progress, until the process dies of the telling number `after`."""
    told = 0

    def progress(*_: object) -> None:
        nonlocal told
        told += 1
        if told == after:
            kill()

    return progress


def back_up(home: Path, file: Path, after: int) -> None:
    """A process that writes a backup, and may die."""
    with Store.open(Home(home), HashEmbedder()) as store:
        write_backup(store, file, dying(after))


def restore(home: Path, file: Path, after: int) -> None:
    """A process that reads one."""
    restore_home(Home(home), file, dying(after))


@pytest.fixture(scope="module")
def whole(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the home that has learned."""
    file = tmp_path_factory.mktemp("backup") / "home.backup"
    assert finished(back_up, chain.finished(), file, 0) == 0
    return file


def test_a_killed_backup_is_no_backup_and_leaves_the_home_as_it_was(
    chain: Chain, tmp_path: Path
) -> None:
    home, file = chain.finished(), tmp_path / "home.backup"
    after = 1
    while (code := finished(back_up, home, file, after)) == KILLED:
        TALLY.inject("SIGKILL of a backup")
        TALLY.check(not file.exists(), "there is no file that looks like a backup")
        check_home(home)
        after += 1
    assert code == 0 and after > 3
    restore_home(Home(tmp_path / "home"), file, dying(0))
    TALLY.check(check_home(tmp_path / "home") == check_home(home), "the same version is live")


def test_a_killed_restore_is_no_home_and_begins_anew(
    chain: Chain, whole: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    after = 1
    while (code := finished(restore, home, whole, after)) == KILLED:
        TALLY.inject("SIGKILL of a restore")
        with pytest.raises(StateError, match="did not finish"):
            Store.open(Home(home), HashEmbedder())
        TALLY.check(Home(home).locked_by() is None, "nobody holds the lock")
        after += 1
    assert code == 0 and after > 3
    TALLY.check(check_home(home) == check_home(chain.finished()), "the same version is live")


def flipped(data: bytes, at: int) -> bytes:
    """With one bit flipped at `at`, or at the next place where the content is not the same
    afterwards: gzip has more than one way to say the same, and then nothing is damaged."""
    content = gzip.decompress(data)
    while True:
        changed = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
        try:
            if gzip.decompress(changed) != content:
                return changed
        except (OSError, EOFError, zlib.error):
            return changed
        at += 1


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("cut", [False, True], ids=["flipped", "truncated"])
def test_a_damaged_backup_is_refused_and_nothing_is_left_of_it(
    whole: Path, chain: Chain, tmp_path: Path, place: float, cut: bool
) -> None:
    data, file = whole.read_bytes(), tmp_path / "damaged.backup"
    at = int(len(data) * place)
    file.write_bytes(data[:at] if cut else flipped(data, at))
    TALLY.inject("damaged backup")
    home = tmp_path / "home"
    with pytest.raises((IntegrityError, ConfigError), match=r"damaged\.backup"):
        restore_home(Home(home), file, dying(0))
    TALLY.check(not home.exists() or not list(home.iterdir()), "the home is as it was")
    restore_home(Home(home), whole, dying(0))
    TALLY.check(check_home(home) == check_home(chain.finished()), "a whole one is read there")
