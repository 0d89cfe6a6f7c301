"""The base model: where its files are, what identifies it, and what it brings along.

Loads no weights. A base is known by the digest of its weights, configuration and tokenizer; a
version made for one base is refused on another. A home begins with one base; after a consolidation
merged weights are the base of what follows. Called by adapt.runtime and adapt.cycle.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import UpdateSettings
from store.errors import ConfigError, ModelError
from store.files import write_atomic
from store.records import Example, Message, Version, digest_of

if TYPE_CHECKING:
    from store import Store

PICO = Path(__file__).resolve().parent.parent / "agent" / "pico"
_IDENTITY = (
    "*.safetensors",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


@dataclass(frozen=True)
class BaseModel:
    """A model directory and its identity."""

    path: Path
    digest: str
    template_digest: str
    merged: str = ""
    """Name of the merged version that these weights are; empty for the first base of a home."""
    below: "tuple[BaseModel, ...]" = ()
    """The bases that it was merged from, the first of the home before all others."""

    @property
    def version_name(self) -> str:
        """The name under which these weights are served without an adapter."""
        return self.merged or f"v0-{self.digest[:6]}"

    @property
    def first(self) -> "BaseModel":
        """The base that the home began with: itself where nothing was merged."""
        return self.below[0] if self.below else self

    @cached_property
    def d_model(self) -> int:
        """Width of the residual stream, from the model's configuration."""
        try:
            config = json.loads((self.path / "config.json").read_text())
            return int(config.get("text_config", config)["hidden_size"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{self.path / 'config.json'} tells no hidden_size: {error}",
                "give the directory of a transformers model",
            ) from error

    @property
    def general_corpus(self) -> Path | None:
        """Conversations that stand for what the base can do, if the model brings them.

        Merged weights go on with what the first base brought.
        """
        path = self.first.path / "general.jsonl"
        return path if path.is_file() else None

    @property
    def skill(self) -> Path | None:
        """The skill vector that the model brings, if any."""
        path = self.path / "skill"
        return path if (path / "adapter_config.json").is_file() else None


def general_corpus(update: UpdateSettings, base: BaseModel) -> Path | None:
    """Conversations that stand for what must be kept: the user's own, or the model's."""
    return _own_file(update, "general_corpus") or base.general_corpus


def attribution_corpus(update: UpdateSettings, base: BaseModel) -> Path | None:
    """What contributions are measured over: the user's own, or the general corpus."""
    return _own_file(update, "attribution_corpus") or general_corpus(update, base)


def skill_vector(update: UpdateSettings, base: BaseModel) -> Path | None:
    """The skill vector that is added to updates: the user's own, or what the model brings.

    None also where it was made for a base that `base` was merged from: it is inside already.
    """
    own = update.skill_vector
    if own is not None and not own.is_dir():
        raise ConfigError(
            f"update.skill_vector {own} is not a folder",
            "give what `perennial skill train` wrote, or leave the key out",
        )
    if own is not None and base.below:
        from adapt.skill.vector import read_card

        if read_card(own).base_digest in {below.digest for below in base.below}:
            return None
    return own or base.skill


def _own_file(update: UpdateSettings, name: str) -> Path | None:
    own: Path | None = getattr(update, name)
    if own is not None and not own.is_file():
        raise ConfigError(
            f"update.{name} {own} is not a file",
            "give a JSON-lines file of conversations, or leave the key out",
        )
    return own


def find_model(model: str, cache: Path | None = None) -> BaseModel:
    """The embedded model (`pico`), a local directory, or a hub name that is then downloaded.

    `cache` is a folder for digests of large weights; without it a look leaves nothing behind.
    ModelError when something is missing.
    """
    if cache is None:
        with tempfile.TemporaryDirectory() as folder:
            return find_model(model, Path(folder))
    path = PICO if model == "pico" else Path(model).expanduser()
    if model != "pico" and not path.is_dir():
        path = _download(model)
    for name in ("config.json", "tokenizer.json"):
        if not (path / name).is_file():
            raise ModelError(f"{path} has no {name}", "give the directory of a transformers model")
    if not any(path.glob("*.safetensors")):
        raise ModelError(f"{path} has no *.safetensors", "convert the weights to safetensors")
    template = _template(path)
    return BaseModel(path.resolve(), _digest(path, cache), digest_of(template))


def base_of(store: "Store", version: Version, base: BaseModel) -> BaseModel:
    """The weights that a version's line trains on: its newest merged ancestor's, or the first base.

    `base` is the home's first base, or any other that this function gave. Everything is read from
    the records, nothing is hashed. NotFoundError when the merged weights are gone.
    """
    if version.base_digest == base.first.digest and version.kind != "merged":
        return base.first
    merged = version
    while merged.kind != "merged":
        assert merged.parent is not None, f"{version.name} is of no base of this home"
        merged = store.versions.get(merged.parent)
    assert merged.parent is not None, f"{merged.name} was merged from a version"
    before = base_of(store, store.versions.get(merged.parent), base)
    return BaseModel(
        path=store.artifacts.path(merged.path),
        digest=merged.base_digest,
        template_digest=merged.template_digest,
        merged=merged.name,
        below=(*before.below, before),
    )


def _download(name: str) -> Path:
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise ModelError(f"there is no model directory {name}", "give a directory, or owner/name")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.jinja"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"{name} could not be downloaded: {error}",
            "check the name and the connection, or give a local directory",
        ) from error


def _template(path: Path) -> str:
    separate = path / "chat_template.jinja"
    if separate.is_file():
        return separate.read_text()
    settings = path / "tokenizer_config.json"
    found = json.loads(settings.read_text()).get("chat_template") if settings.is_file() else None
    if not found:
        raise ModelError(
            f"the tokenizer in {path} has no chat template", "take an instruction-tuned model"
        )
    return found if isinstance(found, str) else json.dumps(found, sort_keys=True)


def _digest(path: Path, cache: Path) -> str:
    """SHA-256 over the files that make the model; kept by size and date, for large weights."""
    files = sorted({f for pattern in _IDENTITY for f in path.glob(pattern)})
    stamp = digest_of([[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files])
    known = cache / f"base-{stamp[:16]}"
    if known.is_file():
        return known.read_text()
    digests = []
    for f in files:
        with f.open("rb") as stream:
            digests.append([f.name, hashlib.file_digest(stream, "sha256").hexdigest()])
    digest = digest_of(digests)
    cache.mkdir(parents=True, exist_ok=True)
    write_atomic(known, digest)
    return digest


def read_conversations(path: Path) -> list[Example]:
    """A JSON-lines file of conversations (`messages`, `tools`) as replay examples.

    Assistant messages carry loss unless they say `"loss": false`. ModelError names the line that
    does not fit.
    """
    found: list[Example] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            found.append(conversation(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ModelError(
                f"{path} line {number} is not a conversation: {error}",
                'each line is {"messages": [...], "tools": [...]}',
            ) from error
    return found


def conversation(
    messages: Iterable[dict[str, object]], tools: Iterable[dict[str, object]] = ()
) -> Example:
    """One replay example from plain messages."""
    made = tuple(
        # What a user or a tool says is never learned, whatever the file marks.
        Message.model_validate({**m, "loss": m.get("role") == "assistant" and m.get("loss", True)})
        for m in messages
    )
    body = [[m.model_dump(mode="json") for m in made], list(tools)]
    return Example(
        digest=digest_of(body), kind="replay", messages=made, tools=tuple(tools), documents=()
    )
