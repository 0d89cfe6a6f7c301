"""Vectors that are kept: each text is embedded once, whatever process or start asked first."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from store.embeddings import HashEmbedder
from store.errors import PerennialError
from store.vectors import KeptVectors


class Counting(HashEmbedder):
    """Remembers what it embedded."""

    def __init__(self, size: int = 64) -> None:
        super().__init__(size)
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts += texts
        return super().embed(texts)


def test_texts_are_embedded_once_over_all_starts(tmp_path: Path) -> None:
    texts = [f"tool number {i}" for i in range(70)]
    first, second = Counting(), Counting()
    made = KeptVectors(first, tmp_path / "vectors.db").kept(texts)
    again = KeptVectors(second, tmp_path / "vectors.db").kept([*texts, texts[0], "one more"])
    assert first.texts == texts
    assert second.texts == ["one more"]
    assert again[:70] == made
    assert again[70] == made[0]
    for vector, text in zip(made, texts, strict=True):
        assert vector == pytest.approx(HashEmbedder(64).embed([text])[0], abs=1e-6)


def test_queries_are_not_kept_and_embedders_not_mixed(tmp_path: Path) -> None:
    first = Counting()
    vectors = KeptVectors(first, tmp_path / "vectors.db")
    assert vectors.embed(["a query"]) == HashEmbedder(64).embed(["a query"])
    vectors.kept(["a query"])
    assert first.texts == ["a query", "a query"]
    assert len(KeptVectors(Counting(32), tmp_path / "vectors.db").kept(["a query"])[0]) == 32


def test_an_interrupted_start_keeps_what_was_done(tmp_path: Path) -> None:
    class Dying(Counting):
        def embed(self, texts: Sequence[str]) -> list[list[float]]:
            if self.texts:
                raise KeyboardInterrupt
            return super().embed(texts)

    texts = [f"tool number {i}" for i in range(50)]
    dying, after = Dying(), Counting()
    with pytest.raises(KeyboardInterrupt):
        KeptVectors(dying, tmp_path / "vectors.db").kept(texts)
    KeptVectors(after, tmp_path / "vectors.db").kept(texts)
    assert dying.texts
    assert dying.texts + after.texts == texts


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "vectors.db").write_bytes(b"no database at all " * 100)
    with pytest.raises(PerennialError, match=r"vectors\.db failed") as caught:
        KeptVectors(Counting(), tmp_path / "vectors.db").kept(["x"])
    assert "made again" in caught.value.hint
