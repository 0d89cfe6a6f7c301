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
    QUARANTINED = "quarantined"
    ACCEPTED = "accepted"
    WITHDRAWN = "withdrawn"


class VersionState(StrEnum):
    """Life of a version. At most one version is live."""

    CANDIDATE = "candidate"
    REJECTED = "rejected"
    ABSTAINED = "abstained"
    PROMOTED = "promoted"
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


class Verdict(StrEnum):
    """What the gate says of a candidate."""

    PROMOTE = "promote"
    REJECT = "reject"
    ABSTAIN = "abstain"


DOCUMENT_TRANSITIONS: Mapping[DocumentState, frozenset[DocumentState]] = {
    DocumentState.NEW: frozenset(
        {DocumentState.ACCEPTED, DocumentState.QUARANTINED, DocumentState.WITHDRAWN}
    ),
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
    VersionState.PROMOTED: frozenset({VersionState.LIVE, VersionState.RETIRED}),
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
    state: DocumentState = DocumentState.NEW


class Source(Record):
    """A place that documents come from."""

    name: str
    kind: Literal["folder"] = "folder"
    location: str
    trust: float = Field(default=1.0, ge=0.0, le=1.0)
    added_at: datetime


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

    The unmodified base model is version 0: no update, no vectors, `path` empty.
    """

    name: str
    number: int
    digest: str
    kind: Literal["base", "adapter", "merged"]
    base_digest: str
    update: str | None = None
    skills: tuple[SkillUse, ...] = ()
    parent: str | None = None
    template_digest: str
    path: str = ""
    """Artifact digest of the adapter directory; empty for the base."""
    probe: Probe | None = None
    state: VersionState = VersionState.CANDIDATE
    created_at: datetime


class ItemOutcome(Record):
    """One evaluated item: score in [0, 1], and enough to see why."""

    item: str
    """Digest of the item."""
    slice: str
    score: float = Field(ge=0.0, le=1.0)
    valid: bool = True
    """False for malformed calls and empty answers."""
    answer: str = ""
    detail: str = ""
    error: str | None = None
    """An engine fault; such an item decides nothing."""
    name: str = ""
    """What its benchmark calls the item."""
    measures: dict[str, float] = Field(default_factory=dict)
    """Further figures by name, such as `f1`: shown, never gated on."""


class EvalReport(Record):
    """A suite run on one version. Enough to repeat it."""

    digest: str
    version: str
    suite: str
    suite_digest: str
    decoding: dict[str, Any]
    engine: dict[str, Any]
    outcomes: tuple[ItemOutcome, ...]
    created_at: datetime

    @property
    def mean(self) -> float:
        """Mean score over the items, 0.0 when there are none."""
        return sum(o.score for o in self.outcomes) / max(len(self.outcomes), 1)


class SliceTest(Record):
    """A part of a suite on which a candidate lost more than the margin, beyond chance."""

    slice: str
    items: int
    live: float
    candidate: float
    p_value: float
    """Of the loss, corrected for the number of slices."""


class SuiteTest(Record):
    """One suite's paired test of candidate against live."""

    suite: str
    kind: Literal["superiority", "non_inferiority"]
    items: int
    planned: int = 0
    """Items of the suite: more than `items` where asking stopped early."""
    live: float
    candidate: float
    difference: float
    interval: tuple[float, float]
    """95% bootstrap interval of the difference."""
    margin: float
    level: float = 0.05
    """This update's share of the promised error."""
    e_value: float
    """Anytime-valid evidence for the claim."""
    e_against: float
    """Anytime-valid evidence against the claim."""
    p_value: float | None = None
    """Of the exact test of the claim; None where scores are graded."""
    mcnemar_p: float
    slices: tuple[SliceTest, ...] = ()
    """Slices that broke."""
    verdict: Verdict
    words: str


class GateReport(Record):
    """The gate's verdict with everything it was made from."""

    digest: str
    candidate: str
    live: str
    reports: tuple[str, ...]
    """Digests of the eval reports."""
    tests: tuple[SuiteTest, ...]
    alpha: float
    """The promised error, over all updates."""
    level: float = 0.05
    """What of it this update might spend."""
    tested: bool = True
    """False where nothing could be concluded: such a report spends nothing."""
    verdict: Verdict
    words: str
    summary: tuple[str, ...] = ()
    """The verdict for a reader in a hurry: learned, kept, how sure, what would have changed it."""
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


class Episode(Record):
    """What the agent did in one run, and the one version that answered."""

    id: str
    thread: str
    version: str
    messages: tuple[Message, ...]
    steps: int
    error: str | None = None
    created_at: datetime
