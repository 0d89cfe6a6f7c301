"""What Perennial writes down: frozen records and their life cycles. Imports nothing of ours.

Every record can be rebuilt from its JSON (`model_validate_json`). Digests are hex SHA-256 of
canonical bytes; `digest_of` makes them from any JSON value.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


def digest_of(value: Any) -> str:
    """SHA-256 (64 hex digits) of a JSON value in canonical form, or of bytes as they are."""
    if not isinstance(value, bytes):
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        value = text.encode()
    return hashlib.sha256(value).hexdigest()


def utc_now() -> datetime:
    """The present moment with its zone, in UTC."""
    return datetime.now(UTC)


class Record(BaseModel):
    """Base of all records: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DocumentState(StrEnum):
    """Life of a document. Only accepted text reaches search or training."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """It says what a stored document says."""
    QUARANTINED = "quarantined"
    ACCEPTED = "accepted"
    WITHDRAWN = "withdrawn"


class VersionState(StrEnum):
    """Life of a version. At most one is live, and at most one a canary: answering a share of the
    new threads before it is live."""

    CANDIDATE = "candidate"
    REJECTED = "rejected"
    ABSTAINED = "abstained"
    PROMOTED = "promoted"
    CANARY = "canary"
    LIVE = "live"
    RETIRED = "retired"
    ROLLED_BACK = "rolled_back"


class CycleStage(StrEnum):
    """Stages of one update cycle, in the order in which they run."""

    GATHER = "gather"
    SYNTHESIZE = "synthesize"
    ATTRIBUTE = "attribute"
    IMPLANT = "implant"
    COMPOSE = "compose"
    EVALUATE = "evaluate"
    GATE = "gate"
    SWAP = "swap"


class CycleState(StrEnum):
    """Life of a cycle. `skipped` means there was too little that is new."""

    RUNNING = "running"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    ABSTAINED = "abstained"
    SKIPPED = "skipped"
    FAILED = "failed"


DOCUMENT_TRANSITIONS: Mapping[DocumentState, frozenset[DocumentState]] = {
    DocumentState.NEW: frozenset(
        {DocumentState.ACCEPTED, DocumentState.QUARANTINED, DocumentState.WITHDRAWN}
    ),
    DocumentState.DUPLICATE: frozenset(set(DocumentState) - {DocumentState.DUPLICATE}),
    DocumentState.QUARANTINED: frozenset({DocumentState.ACCEPTED, DocumentState.WITHDRAWN}),
    DocumentState.ACCEPTED: frozenset({DocumentState.QUARANTINED, DocumentState.WITHDRAWN}),
    DocumentState.WITHDRAWN: frozenset(),
}

VERSION_TRANSITIONS: Mapping[VersionState, frozenset[VersionState]] = {
    VersionState.CANDIDATE: frozenset(
        {VersionState.REJECTED, VersionState.ABSTAINED, VersionState.PROMOTED}
    ),
    VersionState.REJECTED: frozenset({VersionState.PROMOTED}),
    VersionState.ABSTAINED: frozenset({VersionState.PROMOTED}),
    VersionState.PROMOTED: frozenset(
        {VersionState.CANARY, VersionState.LIVE, VersionState.RETIRED}
    ),
    VersionState.CANARY: frozenset({VersionState.LIVE, VersionState.ROLLED_BACK}),
    VersionState.LIVE: frozenset({VersionState.RETIRED, VersionState.ROLLED_BACK}),
    VersionState.RETIRED: frozenset({VersionState.LIVE}),
    VersionState.ROLLED_BACK: frozenset({VersionState.LIVE}),
}


class Document(Record):
    """One text from outside, named by the digest of its normalised text."""

    digest: str
    source: str
    address: str
    """Where it was found: a path, or a URL."""
    title: str
    text: str
    kind: Literal["prose", "api"]
    """`api` is one ToolBench-shaped tool in JSON."""
    fetched_at: datetime
    trust: float = Field(default=1.0, ge=0.0, le=1.0)
    licence: str | None = None
    language: str | None = None
    """ISO 639-1 code, where it can be told."""
    published_at: datetime | None = None
    """When the source says that it was written."""
    state: DocumentState = DocumentState.NEW


class CorpusSnapshot(Record):
    """The ordered set of documents one update learns from."""

    digest: str
    documents: tuple[str, ...]


class Message(Record):
    """One chat message. Tool calls and tool results follow the OpenAI shape."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    """Each `{"name": str, "arguments": {...}}`."""
    loss: bool = False
    """Whether the tokens of this (assistant) message are trained on."""


Split = Literal["train", "choose", "held_out"]
"""What an example is for: to train on, to choose between candidates by, or to judge the chosen by.
Whoever chose by the judge's questions would believe too much of the answers."""


class Example(Record):
    """One conversation to train on or to ask. Trust is the lowest of its documents'."""

    digest: str
    kind: str
    """What it teaches: `api-doc`, `api-call`, `qa`, `replay`, ..."""
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()
    """Tools shown in the prompt, in the OpenAI function shape."""
    documents: tuple[str, ...]
    split: Split = "train"
    check: dict[str, Any] | None = None
    """For items that are asked: what a right answer is (see adapt.evals)."""
    dated: datetime | None = None
    """When its document was written, so far as is known, else fetched. Not part of the digest."""
    trust: float = Field(default=1.0, ge=0.0, le=1.0)


class Update(Record):
    """A LoKI update: the trained rows as a LoRA, and all that made them."""

    digest: str
    """Digest of the adapter directory."""
    base_digest: str
    mask_digest: str
    corpus_digest: str
    examples_digest: str
    settings: dict[str, Any]
    seed: int
    created_at: datetime


class SkillVector(Record):
    """v = theta_RL - theta_SFT of a source domain, held as a LoRA (PaST, arXiv 2601.11258)."""

    digest: str
    base_digest: str
    template_digest: str
    domain: str
    recipe: dict[str, Any]
    rounds: int


class SkillUse(Record):
    """A skill vector inside a version, with its scale."""

    vector: str
    scale: float


class Probe(Record):
    """Top next-token log-probabilities at fixed prompts, from transformers + PEFT in fp32.

    `token_ids[p][i]` and `logprobs[p][i]`: the i-th likeliest token after prompt p.
    """

    prompts: tuple[str, ...]
    """Rendered text, chat template applied."""
    token_ids: tuple[tuple[int, ...], ...]
    logprobs: tuple[tuple[float, ...], ...]


class Version(Record):
    """What users can talk to. `name` is `v<number>-<first six of digest>` and is never reused.

    The unmodified base model is version 0: no update, no vectors, `path` empty. A merged version
    is whole weights, its parent with base and adapter added up: no update and no vectors of its
    own, what is inside is told by its parents.
    """

    name: str
    number: int
    digest: str
    kind: Literal["base", "adapter", "merged"]
    base_digest: str
    """Of the weights that it is served on (adapt.base): its own where it is base or merged."""
    update: str | None = None
    skills: tuple[SkillUse, ...] = ()
    parent: str | None = None
    template_digest: str
    path: str = ""
    """Artifact digest of the adapter directory, or of the model's; empty for the base."""
    probe: Probe | None = None
    state: VersionState = VersionState.CANDIDATE
    created_at: datetime


class StageRecord(Record):
    """What one stage of a cycle took in and gave out, by digest."""

    stage: CycleStage
    started_at: datetime
    seconds: float | None = None
    inputs: dict[str, Any] = Field(default_factory=dict)
    outputs: dict[str, Any] | None = None
    """None until the stage has finished; readers trust only this."""
    error: str | None = None


class Cycle(Record):
    """One run of the loop, resumable at the first stage without outputs."""

    number: int
    state: CycleState
    started_at: datetime
    ended_at: datetime | None = None
    stages: tuple[StageRecord, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None

    def gave(self, stage: CycleStage) -> dict[str, Any] | None:
        """What a stage gave; None until it has finished."""
        return next((s.outputs for s in self.stages if s.stage is stage), None)


class Citation(Record):
    """A document that a tool answered from."""

    document: str
    """Its digest."""
    title: str
    address: str


class Episode(Record):
    """What the agent did in one run, and the one version that answered."""

    id: str
    thread: str
    version: str
    messages: tuple[Message, ...]
    steps: int
    error: str | None = None
    created_at: datetime
    """When the run ended."""
    seconds: float | None = None
    """Spent in model calls. This and what follows is None where it was not recorded."""
    tokens: int | None = None
    """Written by the model."""
    load: int | None = None
    """Runs under way when this one began, itself among them."""
    tool_calls: int | None = None
    tool_errors: int | None = None
    """Tool calls that failed."""
    malformed: int | None = None
    """Tool calls that could not be read."""
    empty: bool | None = None
    """Whether the run ended without a fault and without a word."""
    named: bool = False
    """Whether the client named the version: such runs are no sample of what users meet."""
    citations: tuple[Citation, ...] = ()
    """The documents that its tools answered from, each once."""
    owner: str | None = None
    """Id of the key that asked, where it is a tenant's."""
