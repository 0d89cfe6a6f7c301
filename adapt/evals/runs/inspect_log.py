"""A run as a log of Inspect (inspect-ai), to be opened with `inspect view` or `read_eval_log`.

Writes the published JSON form of `EvalLog`, version 2, as inspect-ai 0.3 reads it; inspect-ai is
not needed for that. A sample is an item; its metadata has the slice. Called by `perennial eval
report`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from adapt.evals.runs.journal import Entry
from adapt.evals.runs.results import ALL, Run, slice_rows
from store.evidence import ItemOutcome
from store.records import digest_of

SCORER = "perennial"
DEEPEST = 200
"""Brackets of a call's arguments: thousands inside one another cannot be written again."""
Json = dict[str, Any]


def inspect_log(run: Run) -> str:
    """The log as JSON text. An item that an engine fault kept from being asked is a sample with an
    error and no score; a run that is not through has the status `cancelled`."""
    entries = {entry.item: entry for entry in run.entries()}
    outcomes = run.report.outcomes
    samples = [_sample(run, o, entries.get(o.item), place) for place, o in enumerate(outcomes)]
    created = run.report.created_at.isoformat(timespec="seconds")
    usage = {
        run.report.version: _usage(
            sum(e.prompt_tokens for e in entries.values()),
            sum(e.completion_tokens for e in entries.values()),
        )
    }
    log: Json = {
        "version": 2,
        "status": "success" if run.finished else "cancelled",
        "eval": _spec(run, [sample["id"] for sample in samples], created),
        "plan": {"name": "plan", "steps": [], "config": _config(run)},
        "results": {
            "total_samples": run.items,
            "completed_samples": sum(o.error is None for o in outcomes),
            "scores": [_scores(outcomes)],
        },
        "stats": {"started_at": created, "completed_at": created, "model_usage": usage},
        "samples": samples,
    }
    return json.dumps(log, ensure_ascii=False, allow_nan=False, indent=1)


def _spec(run: Run, ids: list[str], created: str) -> Json:
    named = digest_of([run.report.digest, run.label])[:22]
    spec: Json = {
        "eval_id": named,
        "run_id": named,
        "task_id": digest_of(run.report.suite_digest)[:22],
        "created": created,
        "task": run.label,
        "task_args": {"suite_digest": run.report.suite_digest},
        "dataset": {"name": run.label, "samples": run.items, "sample_ids": ids, "shuffled": False},
        "model": run.report.version,
        "model_generate_config": _config(run),
        "config": {"epochs": 1},
        "packages": {"perennial": version("perennial")},
        "metadata": {"report": run.report.digest, "decoding": run.report.decoding},
        "scorers": [{"name": SCORER, "metrics": [{"name": "mean"}, {"name": "stderr"}]}],
    }
    if run.asked and run.asked.endpoint:
        spec["model_base_url"] = run.asked.endpoint
    return spec


def _config(run: Run) -> Json:
    """The part of the decoding that Inspect has names for."""
    decoding = run.report.decoding
    return {
        name: decoding[name] for name in ("temperature", "seed", "max_tokens") if name in decoding
    }


def _scores(outcomes: Sequence[ItemOutcome]) -> Json:
    """Mean and standard error, then the mean of each slice and of each further measure."""
    answered = [o for o in outcomes if o.error is None]
    scores = [o.score for o in answered]
    n, mean = len(scores), sum(scores) / max(len(scores), 1)
    spread = math.sqrt(sum((s - mean) ** 2 for s in scores) / (n - 1) / n) if n > 1 else 0.0
    metrics = {"mean": _metric("mean", mean), "stderr": _metric("stderr", spread)}
    whole, *slices = slice_rows(answered)
    for row in slices:
        metrics[f"slice {row['slice']}"] = _metric(row["slice"], row["mean"], "slice")
    for name in whole.keys() - {"slice", "mean", "low", "high", "items", "invalid", "faults"}:
        metrics[f"measure {name}"] = _metric(name, whole[name], "measure")
    assert whole["slice"] == ALL, whole
    return {
        "name": SCORER, "scorer": SCORER, "scored_samples": n,
        "unscored_samples": len(outcomes) - n, "metrics": metrics,
    }  # fmt: skip


def _metric(name: str, value: float, group: str | None = None) -> Json:
    metric: Json = {"name": name, "value": value}
    return {**metric, "group": group} if group else metric


def _sample(run: Run, outcome: ItemOutcome, entry: Entry | None, place: int) -> Json:
    messages = [_message(m) for m in entry.messages] if entry else []
    asked = next((i for i, m in enumerate(messages) if m["role"] == "assistant"), len(messages))
    wanted = {k: v for k, v in entry.check.items() if k != "kind"} if entry else {}
    sample: Json = {
        "id": outcome.name or outcome.item,
        "epoch": 1,
        "input": messages[:asked] or outcome.name or outcome.item,
        "target": json.dumps(wanted, ensure_ascii=False) if wanted else "",
        "messages": messages,
        "output": _output(run, outcome, messages, entry),
        "metadata": {
            "slice": outcome.slice, "item": outcome.item, "place": place,
            "check": entry.check.get("kind", "") if entry else "",
            "tools": list(entry.tools) if entry else [],
        },
        "total_time": entry.seconds if entry else None,
    }  # fmt: skip
    if outcome.error is not None:
        trace = {"traceback": outcome.error, "traceback_ansi": outcome.error}
        sample["error"] = {"message": outcome.error, **trace}
        return sample
    sample["scores"] = {
        SCORER: {
            "value": outcome.score, "answer": outcome.answer, "explanation": outcome.detail,
            "metadata": {"valid": outcome.valid, **outcome.measures},
        }
    }  # fmt: skip
    return sample


def _output(run: Run, outcome: ItemOutcome, messages: list[Json], entry: Entry | None) -> Json:
    """The last that the model said."""
    last = next((m for m in reversed(messages) if m["role"] == "assistant"), None)
    if last is None:
        return {"model": run.report.version, "choices": [], "completion": outcome.answer}
    reason = "tool_calls" if last.get("tool_calls") else "stop"
    output: Json = {
        "model": run.report.version,
        "choices": [{"message": last, "stop_reason": reason}],
        "completion": last["content"],
    }
    if entry:
        output["usage"] = _usage(entry.prompt_tokens, entry.completion_tokens)
    return output


def _usage(read: int, written: int) -> Json:
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}


def _message(message: Mapping[str, Any]) -> Json:
    content = message.get("content")
    made: Json = {
        "role": message.get("role"),
        "content": content if isinstance(content, str) else "",
    }
    if made["role"] == "assistant":
        made["source"] = "generate"
        if calls := [_call(call) for call in message.get("tool_calls") or ()]:
            made["tool_calls"] = calls
    elif made["role"] == "tool":
        made["tool_call_id"] = message.get("tool_call_id")
        made["function"] = message.get("name")
    return made


def _call(call: Mapping[str, Any]) -> Json:
    """Inspect wants read arguments: what cannot be read stands in the error, as it was written."""
    function = call["function"]
    raw = function.get("arguments") or "{}"
    made: Json = {"id": call.get("id") or "", "type": "function", "function": function["name"]}
    arguments = _read(raw)
    if isinstance(arguments, dict):
        return {**made, "arguments": arguments}
    return {**made, "arguments": {}, "parse_error": f"no JSON object: {raw}"}


def _read(raw: str) -> Any:
    """The JSON value; None for what strict readers refuse or cannot follow."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    if raw.count("[") + raw.count("{") > DEEPEST:
        return None
    try:
        # Python reads NaN and Infinity, which are no JSON.
        return json.loads(raw, parse_constant=refuse)
    except ValueError:
        return None
