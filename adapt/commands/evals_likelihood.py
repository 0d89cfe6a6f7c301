"""`perennial eval likelihood`: perplexity on pinned texts, and how far a version left its base."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapt.base import find_model
from adapt.commands import Options
from adapt.evals.likelihood import kl_to_base, perplexity, pinned_texts
from adapt.evals.runs.named import SEED
from adapt.evals.runs.target import Target, choose
from adapt.evals.suites import general_suite
from adapt.show import CycleView, table
from agent.config import home_of
from store import Store
from store.errors import ConfigError, NotFoundError

PROMPTS = 64
"""General questions behind which the two are compared."""
TOKENS = 32


@dataclass(frozen=True)
class Asked:
    """Whom, on which texts, and against whom."""

    version: str | None = None
    model: str | None = None
    texts: Path | None = None
    against: str | None = None


def likelihood(options: Options, asked: Asked) -> int:
    """Perplexity of one model; of a version also the divergence from the base, or `against`."""
    if asked.model is not None and asked.against is not None:
        raise ConfigError(
            "--against names a version, and --model has none", "give --version instead of --model"
        )
    texts = pinned_texts(asked.texts)
    settings = options.settings(model=asked.model)
    target = choose(settings, asked.version, asked.model, None)
    target = replace(target, beside=_beside(target, asked.against))
    prompts = general_prompts(find_model(settings.model).path) if target.beside else []
    with CycleView() as view:
        found = asyncio.run(_measure(target, texts, prompts, view))
    found = {"texts_from": str(asked.texts) if asked.texts else "the known encyclopedia", **found}
    rows = [
        {"figure": figure, **found[figure], "value": found[figure][figure]}
        for figure in ("perplexity", "kl")
        if figure in found
    ]
    shown = [{**row, "over": f"{row.get('texts') or row.get('prompts')}"} for row in rows]
    titles = {"perplexity": "perplexity", "kl": f"nats a token from {target.beside}"}
    for row in shown:
        row["figure"] = titles[row["figure"]]
        row["over"] += " texts" if "texts" in row else " prompts"
    columns = ("figure", "value", "low", "high", "over", "tokens")
    options.put(found, table(shown, *columns, title=f"{target.model}, 95% intervals"))
    return 0


def general_prompts(model_dir: Path) -> list[str]:
    """Questions of the suite `general`, as the model's own chat template writes them."""
    from adapt.models import load_tokenizer
    from adapt.render import Renderer

    renderer = Renderer(load_tokenizer(str(model_dir)))
    items = general_suite(SEED, PROMPTS).items
    return [renderer.text(i.messages, i.tools, generation_prompt=True) for i in items]


def _beside(target: Target, against: str | None) -> str:
    """The version to compare with: the base where none is named; empty for the base itself."""
    if target.source != "version":
        return ""
    home = home_of(target.settings)
    if not home.exists():
        if against is not None:
            raise NotFoundError(f"there is no home at {home.path}", "give --home, or no --against")
        return ""
    with Store.open(home) as store:
        if against is not None:
            name = store.versions.get(against).name
        else:
            bases = [v.name for v in store.versions.list() if v.kind == "base"]
            name = bases[0] if bases else ""
    if name == target.model and against is not None:
        raise ConfigError(f"--against {against} is the version itself", "name another one")
    return "" if name == target.model else name


async def _measure(
    target: Target, texts: Sequence[str], prompts: Sequence[str], view: CycleView
) -> dict[str, Any]:
    async with target.opened(view.engine) as engine:
        view.moving(f"perplexity of {target.model}")
        found: dict[str, Any] = {"perplexity": await perplexity(engine, target.model, texts)}
        if target.beside:
            view.moving(f"divergence of {target.model} from {target.beside}")
            found["kl"] = await kl_to_base(
                engine, target.beside, target.model, prompts, tokens=TOKENS
            )
        return found
