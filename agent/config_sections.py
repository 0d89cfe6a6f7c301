"""The sections of the settings: what may be set, its default, and what rules out a value.

Reads no file and no variable by itself; `agent.config.load_settings` does, and is where everyone
else imports these from.
"""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.config_base import Section
from agent.config_knowledge import (
    FetchSettings,
    GatherSettings,
    SynthesisSettings,
    TrustSettings,
)
from agent.config_operations import BudgetSettings, FleetSettings, StorageSettings, SwapSettings
from agent.config_telemetry import TelemetrySettings
from agent.config_tools import ToolsSettings
from store.errors import ConfigError

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values vLLM takes for the largest LoRA rank."""
USUAL_QUOTA = 60.0
"""Percent of the rows that an update may move, where the engine serves as many."""


class EngineSettings(Section):
    """The inference engine (vLLM) and how long we wait for it."""

    max_lora_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = 128
    """Largest rank an adapter may have. Memory and time follow it, not the adapter's own rank."""
    max_loras: int = Field(default=8, ge=1)
    """How many adapters one batch may mix."""
    max_model_len: int = Field(default=1024, ge=64)
    """Longest prompt plus answer, in tokens."""
    kv_cache_gib: int = Field(default=1, ge=1)
    """Memory for the key-value cache on a CPU, in GiB."""
    gpu_memory_share: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Share of a GPU's memory the engine takes; the rest is for training beside it."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the weights. `auto` is float32 on a CPU and bfloat16 on a GPU."""
    enforce_eager: bool | None = None
    """Run without compiled graphs. Unset means yes on a CPU, no on a GPU."""
    tool_parser: str = "hermes"
    """vLLM's parser for the tool calls in the model's answers."""
    start_timeout_s: float = Field(default=240.0, gt=0.0)
    """How long the engine may take to answer its first request, in seconds."""
    request_timeout_s: float = Field(default=120.0, gt=0.0)
    """How long one request may take, in seconds."""

    @field_validator("max_lora_rank", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        """A variable of the environment is text, which a choice of numbers would refuse."""
        return int(value) if isinstance(value, str) and value.isdecimal() else value


class ServerSettings(Section):
    """The assistant's own HTTP address."""

    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs an API key."""
    port: int = Field(default=8321, ge=0, le=65535)
    """Port to listen on; 0 picks a free one."""
    api_key: SecretStr | None = None
    """A key that may do everything, besides those of `perennial key`. Read from
    PERENNIAL_SERVER__API_KEY only, never from a file."""
    origins: tuple[str, ...] = ()
    """Addresses of pages whose scripts may call, such as https://chat.example.org, besides those of
    this machine."""
    rate_per_minute: int | None = Field(default=None, ge=1)
    """Most requests that one key may send in a minute, where the key says nothing else."""
    concurrent: int | None = Field(default=None, ge=1)
    """Most requests of one key at once, where the key says nothing else."""


class AgentSettings(Section):
    """How the assistant works on one request."""

    max_steps: int = Field(default=6, ge=1)
    """Most model calls in one run."""
    tools_shown: Literal["schemas", "names", "retrieved"] = "retrieved"
    """What the model sees of its tools: all schemas, names only, or the `top_k` likeliest."""
    top_k: int = Field(default=6, ge=1)
    """Tools shown when `tools_shown` is `retrieved`."""
    max_tokens: int = Field(default=256, ge=1)
    """Most tokens in one model answer."""
    temperature: float = Field(default=0.0, ge=0.0)
    """Sampling temperature; 0 is greedy."""
    long_threads: Literal["trim", "summarise"] = "trim"
    """What becomes of the oldest turns of a thread that no longer fits into the model's window:
    the model does not see them any more, or it sees its own summary of them."""


class UpdateSettings(Section):
    """How new documents are written into the weights."""

    quota_percent: float | None = Field(default=None, gt=0.0, le=100.0)
    """Share of the rows of each layer's down projection that may change, in percent. Unset: 60,
    or as many as engine.max_lora_rank serves where these are fewer."""
    row_rule: Literal[
        "lowest", "highest", "global-lowest", "global-highest", "magnitude", "random"
    ] = "lowest"
    """How these rows are chosen: those that contribute least to what is known (LoKI's rule), or
    one of the rules it is compared with."""
    attribution: Literal["release", "paper", "captum"] = "release"
    """Which of LoKI's three published definitions of a row's contribution is used."""
    attribution_corpus: Path | None = None
    """JSON-lines file of conversations, prompts or MMLU questions over which contributions are
    measured. Unset: the general corpus."""
    epochs: int = Field(default=4, ge=1)
    """Passes over the examples of one update."""
    learning_rate: float = Field(default=1.8e-2, gt=0.0)
    """Peak learning rate of the rows."""
    batch_tokens: int = Field(default=4096, ge=64)
    """Most tokens of new examples in one step."""
    batch_examples: int = Field(default=8, ge=1)
    """Most new examples in one step."""
    replay_examples: int = Field(default=8, ge=0)
    """Examples of what was known in every step, beside the new ones."""
    replay_weight: float = Field(default=20.0, ge=0.0)
    """Weight of keeping the answers on those, beside learning the new ones."""
    skill_vector: Path | None = None
    """Folder of the skill vector that is added to updates. Unset: what the model brings."""
    skill_scale: float | None = Field(default=None, ge=0.0)
    """Lambda: how much of the skill vector is added; 0 adds none. Unset: what answers best of
    several, asked of the candidates themselves."""
    min_new_documents: int = Field(default=1, ge=1)
    """Fewer new documents than this and a cycle is skipped."""
    max_document_bytes: int = Field(default=1_000_000, ge=1)
    """A larger file is not taken in."""
    cards: str | None = None
    """GPUs that training uses, as CUDA_VISIBLE_DEVICES names them, such as "1" or "1,2". Unset: all
    that are visible, of which one is usually the engine's too."""
    general_corpus: Path | None = None
    """JSON-lines file of conversations that must not be forgotten. Unset: what the model brings."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything random in a cycle."""


class GateSettings(Section):
    """When a candidate is promoted."""

    alpha: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Share of the promoted updates that may be expected to be false, over all updates."""
    margin: float = Field(default=0.06, gt=0.0, lt=1.0)
    """A loss of this size on what was known, as a difference of mean scores, must be ruled out."""
    margins: dict[str, Annotated[float, Field(gt=0.0, lt=1.0)]] = Field(default_factory=dict)
    """The same for single suites, by name."""
    total_margin: float = Field(default=0.12, gt=0.0, lt=1.0)
    """The same for all updates since the base together, on the suites that never change."""
    stop_early: bool = True
    """Stop asking as soon as a suite has shown harm."""
    min_items: int = Field(default=20, ge=1)
    """Fewer items than this in a suite and the gate abstains."""
    min_gain: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Smallest useful gain on what is new."""


class ScheduleSettings(Section):
    """When cycles run by themselves. With neither key set they run only when asked."""

    interval_minutes: float | None = Field(default=None, gt=0.0)
    """Minutes between cycles."""
    cron: str | None = None
    """Five-field cron expression; excludes `interval_minutes`."""
    min_new_documents: int = Field(default=1, ge=1)
    """A scheduled cycle waits until this many new documents are there."""
    make_up_hours: float = Field(default=12.0, gt=0.0)
    """A scheduled cycle that was missed, because nothing ran here, is made up for, once, for so
    long."""

    @model_validator(mode="after")
    def _one_rhythm(self) -> "ScheduleSettings":
        if self.interval_minutes is not None and self.cron is not None:
            raise ValueError("interval_minutes and cron exclude each other; keep one")
        if self.cron is not None and len(self.cron.split()) != 5:
            raise ValueError("cron needs five fields, such as '0 3 * * *' (every day at three)")
        return self


class Settings(BaseSettings):
    """All settings of one home. Build it with `agent.config.load_settings`."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="PERENNIAL_",
        env_nested_delimiter="__",
        use_attribute_docstrings=True,
    )

    home: Path = Path(".perennial")
    """Directory that holds all state."""
    model: str = "pico"
    """`pico` is the embedded model; else a local directory or a hub name."""
    engine: EngineSettings = Field(default_factory=EngineSettings)
    server: ServerSettings = Field(default_factory=ServerSettings)
    agent: AgentSettings = Field(default_factory=AgentSettings)
    update: UpdateSettings = Field(default_factory=UpdateSettings)
    gate: GateSettings = Field(default_factory=GateSettings)
    schedule: ScheduleSettings = Field(default_factory=ScheduleSettings)
    fleet: FleetSettings = Field(default_factory=FleetSettings)
    swap: SwapSettings = Field(default_factory=SwapSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    budget: BudgetSettings = Field(default_factory=BudgetSettings)
    fetch: FetchSettings = Field(default_factory=FetchSettings)
    gather: GatherSettings = Field(default_factory=GatherSettings)
    trust: TrustSettings = Field(default_factory=TrustSettings)
    synthesis: SynthesisSettings = Field(default_factory=SynthesisSettings)
    tools: ToolsSettings = Field(default_factory=ToolsSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)

    @property
    def model_source(self) -> str:
        """What the engine loads: an absolute directory, or a hub name."""
        if self.model == "pico":
            return str(Path(__file__).resolve().parent / "pico")
        path = Path(self.model).expanduser()
        return str(path.resolve()) if path.is_dir() else self.model


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`. A name other than localhost counts as outside."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def quota_of(update: UpdateSettings, engine: EngineSettings, d_model: int) -> float:
    """The percentage of rows that updates of a model of this width move."""
    if update.quota_percent is not None:
        return update.quota_percent
    return min(USUAL_QUOTA, 100 * engine.max_lora_rank / d_model)


def lora_rank_for(rank: int) -> int:
    """The smallest `engine.max_lora_rank` that holds an adapter of `rank`; ConfigError over 512."""
    for allowed in LORA_RANKS:
        if rank <= allowed:
            return allowed
    raise ConfigError(
        f"an adapter of rank {rank} fits no engine: vLLM takes at most {LORA_RANKS[-1]}",
        "lower update.quota_percent, or consolidate the updates into merged weights",
    )
