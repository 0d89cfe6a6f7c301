"""Train the embedded model from nothing: `python -m examples.pretrain_pico --tokens 36000000`.

Qwen3 architecture, 2.8 million parameters, loss on the assistant's tokens only, Muon for the
matrices and AdamW for the rest. Writes checkpoints from which `--resume` goes on, and a directory
that transformers and vLLM load. About 75 minutes on two cores.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch.nn import functional
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from examples.pico.batches import IGNORE, Batches
from examples.pico.vocabulary import build_tokenizer

WIDTH, LAYERS, HEADS, KV_HEADS, FEED_FORWARD = 192, 6, 6, 3, 512
FIRST = 8.0


def build_model(vocabulary: int, end: int, pad: int, seed: int) -> Qwen3ForCausalLM:
    """The untrained model."""
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=vocabulary,
            hidden_size=WIDTH,
            intermediate_size=FEED_FORWARD,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=KV_HEADS,
            head_dim=WIDTH // HEADS,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
            eos_token_id=end,
            pad_token_id=pad,
            bos_token_id=None,
            use_cache=False,
        )
    )


def optimizers(model: Qwen3ForCausalLM, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for hidden matrices; AdamW for embeddings and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(
            matrices, lr=rate, momentum=0.95, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def loss_of(model: Any, ids: torch.Tensor, labels: torch.Tensor, start: int) -> torch.Tensor:
    """Weighted mean cross-entropy; the vocabulary is computed only where a token carries loss.

    The first token of a turn (a call, or words) counts `FIRST` times: it decides whether to refuse,
    and as one token of thirty it would hardly be learned. `start` is the token before it.
    """
    hidden = model.model(ids).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    keep = wanted != IGNORE
    logits = model.lm_head(hidden[keep])
    weights = 1.0 + (FIRST - 1.0) * (ids[:, :-1][keep] == start)
    losses = functional.cross_entropy(logits, wanted[keep], reduction="none")
    return (losses * weights).sum() / weights.sum()


def scale_at(done: float) -> float:
    """Learning-rate factor: short warm-up, flat, linear to zero over the last 45%."""
    return min(1.0, done / 0.01, max(0.0, (1.0 - done) / 0.45))


def save(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file beside its place and rename it, so that a kill leaves the old one."""
    temporary = path.with_suffix(".tmp")
    write(temporary)
    os.replace(temporary, path)


def main(
    out: Annotated[Path, typer.Option(help="Directory of the result.")] = Path("runs/pico"),
    tokens: Annotated[int, typer.Option(help="Tokens to train on.")] = 36_000_000,
    batch: Annotated[int, typer.Option(help="Tokens per step.")] = 6144,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 4e-3,
    seed: Annotated[int, typer.Option()] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = False,
    base: Annotated[Path | None, typer.Option(help="Model to train further.")] = None,
    threads: Annotated[int, typer.Option()] = 2,
) -> None:
    """Train, save checkpoints, write the model directory."""
    torch._dynamo.config.cache_size_limit = 32
    # Gradients of what is long learned are denormal numbers, on which a CPU is slow.
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    resume = resume and checkpoint.exists()
    # A vocabulary trained again on a changed stream would not fit the weights.
    had = out / "model" if resume else base
    tokenizer: Any = AutoTokenizer.from_pretrained(had) if had else build_tokenizer(seed)
    names = ["<|end|>", "<|pad|>", "<|assistant|>"]
    end, pad, start = tokenizer.convert_tokens_to_ids(names)
    model = build_model(len(tokenizer), end, pad, seed)
    if base:
        model.load_state_dict(Qwen3ForCausalLM.from_pretrained(base).state_dict())
    model.set_attn_implementation("eager")
    model.model.forward = torch.compile(model.model.forward, dynamic=False)
    steppers = optimizers(model, rate)
    done, step, spent = 0, 0, 0.0
    if resume:
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        for o, s in zip(steppers, state["optimizers"], strict=True):
            o.load_state_dict(s)
        done, step, spent = state["done"], state["step"], state["spent"]
    batches = Batches(tokenizer, seed + 1000 * step, batch)
    # A model trained before needs no easy lessons.
    batches.progress.value = 1.0 if base else done / tokens
    began, tally = time.monotonic() - spent, []
    log = (out / "log.jsonl").open("a")

    def finish() -> None:
        model.save_pretrained(out / "model")
        tokenizer.save_pretrained(out / "model")

    for ids, labels in batches:
        loss = loss_of(model, ids, labels, start)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        factor = scale_at((done + 1) / tokens)
        for o in steppers:
            o.param_groups[0]["lr"] = rate * factor
            o.step()
            o.zero_grad(set_to_none=True)
        done, step = done + int((ids != pad).sum()), step + 1
        batches.progress.value = 1.0 if base else done / tokens
        tally.append(loss.item())
        if step % 50 == 0:
            spent = time.monotonic() - began
            log.write(
                json.dumps(
                    {
                        "step": step,
                        "tokens": done,
                        "loss": sum(tally) / len(tally),
                        "seconds": round(spent, 1),
                    }
                )
                + "\n"
            )
            log.flush()
            tally = []
        if step % 500 == 0 or done >= tokens:
            state = {
                "model": model.state_dict(),
                "optimizers": [o.state_dict() for o in steppers],
                "done": done,
                "step": step,
                "spent": spent,
            }
            save(checkpoint, lambda p, s=state: torch.save(s, p))
            finish()
        if done >= tokens:
            break
    batches.close()


if __name__ == "__main__":
    typer.run(main)
