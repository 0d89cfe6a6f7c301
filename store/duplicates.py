"""Which texts say the same: datasketch's MinHash over word groups, and its bands as sorted arrays.

The sketches lie in the database; what is in memory is made of them and follows them, so any number
of processes may look and none keeps a truth of its own. Memory is some 200 bytes a document, where
datasketch's own dicts of sets take some kilobytes (`perennial bench gather` measures both). What
counts as the same, `same_text` says from the texts themselves. Called by store/taking.py.
"""

import base64
import re
import zlib
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from datasketch import MinHash
    from numpy.typing import NDArray

    Words = NDArray[np.uint32]
    Keys = NDArray[np.uint64]

PERMUTATIONS = 128
GROUP = 3
"""Words in a group."""
OWN = 40
"""A text with more word groups of its own than this says something that the other does not."""
_MOST = 32
"""Most sketches that one bucket is asked for: thousands of texts may share their beginning."""
_REMEMBERED = 100_000
"""Words whose hash is remembered, some 10 MB."""
_WORD = re.compile(r"\w+", re.ASCII)
# A sign of Chinese or Japanese counts as a word: there are no blanks between words.
_WORD_OR_SIGN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


@dataclass(frozen=True)
class Groups:
    """A text as what is compared of it."""

    hashes: "Words"
    """One of 32 bits for each group of words, sorted, each once."""
    numbers: int
    """Of 32 bits, of all words with a digit in them: texts with other numbers say other things."""


def groups_of(text: str) -> Groups:
    """The word groups of a text; a text of fewer words than a group has one, or none."""
    import numpy as np

    # Four times as quick where it gives the same.
    words = (_WORD if text.isascii() else _WORD_OR_SIGN).findall(text.lower())
    # In their order: where two prices change places, something else is said.
    digits = [word for word in words if not word.isalpha() and any(map(str.isdigit, word))]
    numbers = zlib.crc32("\n".join(digits).encode())
    if not words:
        return Groups(np.empty(0, dtype=np.uint32), numbers)
    one = np.array([_hashes[word] for word in words], dtype=np.uint64)
    size = min(GROUP, len(words))
    mixed = one[: len(one) - size + 1].copy()
    for place in range(1, size):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + one[place : len(one) - size + 1 + place]
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return Groups(np.unique((mixed >> np.uint64(32)).astype(np.uint32)), numbers)


def same_text(one: Groups, other: Groups, near: float) -> float | None:
    """Jaccard similarity of a text (`one`) with another that says all of it; None when it does
    not: it shares too little, has other numbers, or has more than `OWN` groups of its own."""
    import numpy as np

    if one.numbers != other.numbers:
        return None
    shared = len(np.intersect1d(one.hashes, other.hashes, assume_unique=True))
    similarity = shared / max(len(one.hashes) + len(other.hashes) - shared, 1)
    own = len(one.hashes) - shared
    return similarity if similarity >= near and own <= OWN else None


def sketch_of(groups: Groups) -> str:
    """What is kept to find texts like this one: MinHash and numbers, in base64."""
    import numpy as np

    # Shallow: updating puts new values in place of the old ones.
    sketch = copy(_empty_sketch())
    sketch.update_batch(groups.hashes.tolist())
    values = np.array([groups.numbers, *sketch.hashvalues], dtype="<u4")
    return base64.b64encode(values.tobytes()).decode()


class _Hashes(dict[str, int]):
    """CRC-32 of words, remembered: the same words come again and again."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _REMEMBERED:
            self.clear()
        value = self[word] = zlib.crc32(word.encode())
        return value


_hashes = _Hashes()


@cache
def _empty_sketch() -> "MinHash":
    from datasketch import MinHash

    return MinHash(num_perm=PERMUTATIONS, hashfunc=_as_it_is, scheme="affine32")


def _as_it_is(value: int) -> int:
    return value


@cache
def bands_of(near: float) -> tuple[int, int]:
    """How many bands of how many values find texts of that similarity: datasketch's choice, with
    a missed one counted as much worse than one that is looked at in vain."""
    from datasketch import MinHashLSH

    # Of exactly the same groups there would be one band, which datasketch refuses.
    lsh = MinHashLSH(threshold=min(near, 0.98), num_perm=PERMUTATIONS, weights=(0.05, 0.95))
    return lsh.b, lsh.r


class Buckets:
    """Numbers of sketches by their bands. Not for several threads at once."""

    def __init__(self, near: float) -> None:
        import numpy as np

        self.near = near
        self.last = 0
        """Number of the last sketch in it."""
        self._bands, self._rows = bands_of(near)
        odd = np.random.default_rng(7303014).integers(1 << 62, size=self._rows + self._bands)
        self._odd = odd.astype(np.uint64) * np.uint64(2) + np.uint64(1)
        # Runs of keys, each sorted, with the number of the sketch beside each key.
        self._runs: list[tuple[Keys, Words]] = []

    def keys(self, sketches: Sequence[str]) -> "Keys":
        """The keys of sketches, (sketches, bands)."""
        import numpy as np

        # Their bytes are a multiple of three, so that many are decoded as one.
        raw = np.frombuffer(base64.b64decode("".join(sketches)), dtype="<u4").astype(np.uint64)
        raw = raw.reshape(len(sketches), 1 + PERMUTATIONS)
        numbers = raw[:, :1]
        values = raw[:, 1 : 1 + self._bands * self._rows]
        values = values.reshape(len(sketches), self._bands, self._rows)
        mixed = (values * self._odd[: self._rows]).sum(axis=2, dtype=np.uint64)
        # Texts with other numbers share no bucket: a template filled in a thousand times is a
        # thousand texts, and each would be compared with all.
        mixed = (mixed ^ numbers) * self._odd[self._rows :]
        return mixed ^ (mixed >> np.uint64(32))

    def add(self, numbers: Iterable[int], sketches: Sequence[str]) -> None:
        """Sketches with their numbers, which rise."""
        import numpy as np

        if not sketches:
            return
        owners = np.fromiter(numbers, dtype=np.uint32, count=len(sketches))
        keys = self.keys(sketches).ravel()
        self._runs.append(_sorted(keys, owners.repeat(self._bands)))
        self.last = int(owners[-1])
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0]):
            new, old = self._runs.pop(), self._runs.pop()
            self._runs.append(
                _sorted(np.concatenate([old[0], new[0]]), np.concatenate([old[1], new[1]]))
            )

    def find(self, keys: "Keys") -> list[set[int]]:
        """For each row of keys, numbers of the sketches that share one of them."""
        import numpy as np

        found: list[set[int]] = [set() for _ in range(len(keys))]
        flat = keys.ravel()
        for run, owners in self._runs:
            first = np.searchsorted(run, flat, side="left")
            hits = np.flatnonzero(run[np.minimum(first, len(run) - 1)] == flat)
            if not len(hits):
                continue
            last = np.searchsorted(run, flat[hits], side="right")
            for hit, end in zip(hits.tolist(), last.tolist(), strict=True):
                start = int(first[hit])
                some = owners[start : min(end, start + _MOST)]
                found[hit // self._bands].update(some.tolist())
        return found


def _sorted(keys: "Keys", owners: "Words") -> "tuple[Keys, Words]":
    import numpy as np

    # Stable: what was added first is found first, and two sorted runs are merged in one pass.
    order = np.argsort(keys, kind="stable")
    return keys[order], owners[order]
