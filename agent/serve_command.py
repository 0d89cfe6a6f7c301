"""The command line and environment that start vLLM, from our settings. Starts nothing itself."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from agent.config import EngineSettings
from agent.serve_model import weight_bytes

SERVER_MODULE = "vllm.entrypoints.openai.api_server"
SMALL_MODEL_BYTES = 256 * 2**20
"""Below this a second thread gains nothing and the quick start of `serve_launch` is used."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: arguments, and the variables set on top of our own environment."""

    arguments: tuple[str, ...]
    environment: dict[str, str]


TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The modules that an update (down_proj) or a skill vector (the others) may change."""


def vllm_command(
    model: str, served_name: str, socket: Path, settings: EngineSettings, *, gpu: bool
) -> Command:
    """vLLM serving `model` (a directory or hub name) as `served_name` on a Unix `socket`."""
    local = Path(model).is_dir()
    small = not gpu and local and weight_bytes(Path(model)) < SMALL_MODEL_BYTES
    here = Path(__file__).resolve().parent
    # -P: without it the working directory's or this folder's modules would shadow vLLM's imports.
    start = [sys.executable, "-P"]
    start += [str(here / "serve_launch.py")] if small else ["-m", SERVER_MODULE]
    eager = settings.enforce_eager if settings.enforce_eager is not None else not gpu
    dtype = settings.dtype
    if dtype == "auto":
        dtype = "bfloat16" if gpu else "float32"
    flags = {
        "--model": model,
        "--served-model-name": served_name,
        "--uds": str(socket),
        "--dtype": dtype,
        "--max-model-len": str(settings.max_model_len),
        "--max-lora-rank": str(settings.max_lora_rank),
        "--max-loras": str(settings.max_loras),
        "--tool-call-parser": settings.tool_parser,
        # Candidates under test run behind the traffic of the live version.
        "--scheduling-policy": "priority",
        # A model's generation_config.json would change answers (top_p, repetition penalty)
        # that we asked to be greedy.
        "--generation-config": "vllm",
        # JSON without blanks: a small model that may write them fills its answer with line ends.
        "--structured-outputs-config": '{"backend": "guidance", "disable_any_whitespace": true}',
    }
    if gpu:
        flags["--gpu-memory-utilization"] = str(settings.gpu_memory_share)
    # Otherwise vLLM gives embeddings and logits a LoRA too, a quarter of a small model's time.
    targets = ["--lora-target-modules", *TARGETS]
    switches = [
        *targets,
        "--enable-lora",
        "--enable-auto-tool-choice",
        "--disable-uvicorn-access-log",
    ]
    if eager:
        switches.append("--enforce-eager")
    arguments = [*start, *(part for pair in flags.items() for part in pair), *switches]
    return Command(tuple(arguments), _environment(settings, local=local, gpu=gpu, small=small))


def _environment(
    settings: EngineSettings, *, local: bool, gpu: bool, small: bool
) -> dict[str, str]:
    values = {
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        # Dev endpoints (pause, reload_weights) are safe only because the socket is private.
        "VLLM_SERVER_DEV_MODE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": os.environ.get("VLLM_LOGGING_LEVEL", "INFO"),
        "PYTHONUNBUFFERED": "1",
        # Its own 5 s are also the client's: a connection closed just as it is used loses a request.
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "600",
    }
    if local:
        values["HF_HUB_OFFLINE"] = "1"
    if not gpu:
        values["VLLM_CPU_KVCACHE_SPACE"] = str(settings.kv_cache_gib)
        if settings.enforce_eager is not False:
            # Eager or not, the first log-probabilities are compiled with g++, which may be missing.
            values["TORCHDYNAMO_DISABLE"] = "1"
        # oneDNN keeps a kernel for each shape that it meets, and every number of tokens in a batch
        # is one: 1024 of them are hundreds of MiB and no faster.
        values["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "128"
    if small:
        # One thread and no worker process: no OpenMP state that a fork could break, and no
        # hand-over between processes in every step.
        values |= {
            "OMP_NUM_THREADS": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        }
    return values
