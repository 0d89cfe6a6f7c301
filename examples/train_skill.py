"""Make the skill vector of a model: `python -m examples.train_skill --out agent/pico/skill`.

PaST (arXiv 2601.11258): per round, the documentation of some source tools is learned (LoKI, as an
update cycle does it), then closed-book tasks on them are played and rewarded (GRPO); the adapter is
carried from one round to the next. Measured on held-out tasks of the source. A killed run goes on
where it was. About 17 minutes on two cores for the embedded model.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from peft import PeftModel
from transformers import AutoTokenizer

from adapt.base import find_model
from adapt.loki.batches import collate, plan, prepare
from adapt.render import Renderer
from adapt.skill.environment import Episode, Rewards
from adapt.skill.policy import logprobs, lora_over, reference_logprobs
from adapt.skill.rollout import Sampler, end_token, rollout
from adapt.skill.train import GrpoSettings, train_skill
from adapt.skill.vector import save_vector
from agent.config import UpdateSettings
from examples.skill.sft import Workplace, bar, console, learn_documents
from examples.skill.source import (
    KINDS,
    general_examples,
    held_out_tasks,
    task_source,
)
from tools.virtual_api.catalogue import Tool, build_catalogue
from tools.virtual_api.tasks import Task

SOURCE = ("Logistics", "Events")
"""Categories that the embedded model has read schemas of, but does not know by heart."""


def measure(
    place: Workplace, model: Any, tasks: Sequence[Task], max_new_tokens: int
) -> dict[str, float]:
    """Closed-book success, greedy: over all tasks, and per kind."""
    renderer = Renderer(place.tokenizer)
    end = end_token(renderer)
    played = []
    for start in range(0, len(tasks), 64):
        episodes = [Episode(t, place.catalogue) for t in tasks[start : start + 64]]
        sampler = Sampler(model, end, temperature=0.0, max_new_tokens=max_new_tokens)
        played += rollout(sampler, renderer, episodes, end)
    scores: dict[str, float] = {}
    for kind in ("all", *(k for k, _ in KINDS)):
        own = [
            r.outcome.solved for t, r in zip(tasks, played, strict=True) if kind in ("all", t.kind)
        ]
        scores[kind] = round(sum(own) / max(1, len(own)), 4)
    return scores


@torch.no_grad()
def general_loss(place: Workplace, policy: PeftModel) -> dict[str, float]:
    """Mean loss on general conversations without and with the vector: what it costs elsewhere."""
    corpus = general_examples(place.base, 200, place.seed + 1)
    sequences = prepare(Renderer(place.tokenizer), corpus, 1024).sequences
    without, added, tokens = 0.0, 0.0, 0
    for rows in plan([len(s.token_ids) for s in sequences], 8192, 0, 0):
        batch = collate([sequences[row] for row in rows])
        without -= reference_logprobs(policy, batch).sum().item()
        added -= logprobs(policy, batch)[0].sum().item()
        tokens += len(batch.targets)
    return {"without": round(without / tokens, 4), "with": round(added / tokens, 4)}


def play_round(
    place: Workplace,
    number: int,
    tools: Sequence[Tool],
    grpo: GrpoSettings,
    tasks: int,
    start: dict[str, torch.Tensor] | None,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """One round: documents, games, and what they gave before and after."""
    name = f"round {number}"
    model, sft_digest = learn_documents(place, tools, f"round-{number}")
    held_out = held_out_tasks(place.catalogue, tools, tasks)
    before = measure(place, model, held_out, grpo.max_new_tokens)
    console.print(f"{name}: {before['all']:.0%} of {tasks} held-out tasks before RL")
    write = task_source(place.catalogue, tools, frozenset(t.digest for t in held_out))
    with bar(f"{name}: games") as show:
        result = train_skill(
            model,
            place.tokenizer,
            place.catalogue,
            write,
            grpo,
            Rewards(),
            sft_digest=sft_digest,
            start=start,
            replay=general_examples(place.base, 2000, place.seed),
            checkpoint_dir=place.work / f"round-{number}-grpo",
            log_path=place.work / f"round-{number}-grpo.jsonl",
            progress=lambda p: show(
                int(p["step"]),
                grpo.steps,
                f"reward {p['reward']:.2f}, solved {p['solved']:.0%}, kl {p['kl']:.3f}",
            ),
        )
    with lora_over(model, grpo.rank, result.tensors) as policy:
        after = measure(place, policy, held_out, grpo.max_new_tokens)
        general = general_loss(place, policy)
    console.print(f"{name}: {after['all']:.0%} after RL {result.stopped}")
    return result.tensors, {
        "tools": [t.name for t in tools],
        "tasks": tasks,
        "solved_before": before,
        "solved_after": after,
        "general_loss": general,
        "steps": len(result.curve),
        "stopped": result.stopped,
        "reward_curve": [p["reward"] for p in result.curve],
        "solved_curve": [p["solved"] for p in result.curve],
        "seconds": round(result.seconds),
    }


def main(
    model: Annotated[str, typer.Option(help="Model directory, or pico.")] = "pico",
    out: Annotated[Path, typer.Option(help="Where the vector goes.")] = Path("agent/pico/skill"),
    work: Annotated[Path, typer.Option(help="Checkpoints and logs.")] = Path("runs/skill"),
    steps: Annotated[int, typer.Option(help="RL steps of a round.")] = 40,
    rounds: Annotated[int, typer.Option(help="Disjoint parts of the source.")] = 2,
    tasks: Annotated[int, typer.Option(help="Held-out tasks to measure on, per round.")] = 120,
    threads: Annotated[int, typer.Option()] = 2,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train, measure, and write the vector; nothing is written when it does not help."""
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    base = find_model(model, work / "digests")
    catalogue = build_catalogue(0)
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    place = Workplace(base, tokenizer, catalogue, work, seed, threads)
    tools = [tool for category in SOURCE for tool in catalogue.category(category)]
    grpo = GrpoSettings(steps=steps, threads=threads, seed=seed)
    vector: dict[str, torch.Tensor] | None = None
    told: list[dict[str, Any]] = []
    for number in range(rounds):
        part = tools[number::rounds]
        vector, facts = play_round(place, number + 1, part, grpo, tasks, vector)
        told.append(facts)
    last = told[-1]
    if vector is None or last["solved_after"]["all"] <= last["solved_before"]["all"]:
        console.print(f"RL did not help; {out} is as it was. Try more steps.", style="bold red")
        raise typer.Exit(1)
    recipe = {
        "method": "LoKI on documentation and first calls, then GRPO on closed-book episodes",
        "command": "python -m examples.train_skill",
        "categories": list(SOURCE),
        "kinds": dict(KINDS),
        "update": UpdateSettings().model_dump(mode="json"),
        "grpo": asdict(grpo),
        "rewards": asdict(Rewards()),
    }
    record = save_vector(
        vector,
        out,
        base,
        domain=" and ".join(SOURCE),
        recipe=recipe,
        rounds=rounds,
        facts={"rounds_measured": told},
    )
    console.print(f"{out}: {record.digest[:12]} for base {base.digest[:12]}")


if __name__ == "__main__":
    typer.run(main)
