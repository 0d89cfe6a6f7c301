"""/metrics: our series and the engines', as Prometheus' own checker reads them."""

import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from agent_app import LIVE, client_of, engine_on, reckoner, run, state_on, user
from prometheus_client.parser import text_string_to_metric_families

from agent.api.state import AppState
from agent.fake_engine import FakeVllm
from agent.fleet import Fleet
from agent.fleet_member import Member
from agent.telemetry.attributes import ENGINE
from agent.telemetry.exposition import exposition
from store.store import Store

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "examples" / "grafana" / "perennial.json"
NAME = re.compile(r"\b(?:perennial_\w+|vllm:\w+|process_\w+)")


def exchange(state: AppState, *requests: tuple[str, str, Any]) -> list[httpx.Response]:
    """Method, path and body of each request; their answers."""

    async def work() -> list[httpx.Response]:
        async with client_of(state) as client:
            return [await client.request(m, path, json=body) for m, path, body in requests]

    return run(work())


def ask(words: str = "6*7", **more: Any) -> tuple[str, str, Any]:
    return "POST", "/v1/chat/completions", {"model": "live", "messages": user(words)} | more


METRICS = ("GET", "/metrics", None)


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Value by name and labels."""
    families = text_string_to_metric_families(text)
    return {
        (s.name, frozenset(s.labels.items())): s.value
        for family in families
        for s in family.samples
    }


def value(text: str, name: str, **labels: str) -> float:
    return samples(text).get((name, frozenset(labels.items())), 0.0)


def test_runs_tools_tokens_and_requests_are_counted(store: Store, fake: FakeVllm) -> None:
    state = state_on(fake, store)
    before, answer, after = exchange(state, METRICS, ask(), METRICS)
    assert after.headers["content-type"].startswith("text/plain; version=0.0.4")

    def grew(name: str, **labels: str) -> float:
        return value(after.text, name, **labels) - value(before.text, name, **labels)

    assert grew("perennial_runs_total", version=LIVE, outcome="answered") == 1
    assert grew("perennial_tool_calls_total", tool="calculate", outcome="ok") == 1
    assert grew("perennial_model_calls_total", outcome="ok") == 2
    spent = answer.json()["usage"]["prompt_tokens"]
    assert grew("perennial_tokens_total", version=LIVE, kind="prompt") == spent
    route = "/v1/chat/completions"
    assert grew("perennial_http_requests_total", method="POST", route=route, status="200") == 1
    assert value(after.text, "perennial_runs_in_progress") == 0


def test_what_the_model_makes_up_is_no_label(store: Store, fake: FakeVllm) -> None:
    """Nor is what strangers ask for: each label value is a series that is kept for ever."""
    fake.answer = lambda model, messages, tools: (
        "sorry" if messages[-1]["role"] == "tool" else [{"name": "made_up_7", "arguments": {}}]
    )
    state = state_on(fake, store)
    *_, text = exchange(state, ask(), ("GET", "/made/up/8", None), METRICS)
    assert "made_up_7" not in text.text and "/made/up/8" not in text.text
    assert value(text.text, "perennial_tool_calls_total", tool="unknown", outcome="error") >= 1


def test_the_state_of_the_store_is_told(store: Store, fake: FakeVllm) -> None:
    (text,) = exchange(state_on(fake, store), METRICS)
    assert value(text.text, "perennial_live_version_info", version=LIVE, kind="base") == 1
    assert value(text.text, "perennial_versions", state="candidate") == 1
    assert value(text.text, "perennial_store_up") == 1
    assert value(text.text, "perennial_cycles_total", state="promoted") == 0


def test_every_engine_is_told_under_its_own_names(store: Store, fake: FakeVllm) -> None:
    """One that is away is down, and costs no other its series."""
    members = [Member("engine", engine_on(fake)), Member("engine-1", engine_on(fake))]
    gone = FakeVllm(reckoner, served_name=LIVE, down=True)
    members.append(Member("engine-2", engine_on(gone)))
    for member in members:
        member.ready = True
    text = run(exposition(store, Fleet(members))).decode()
    series = "vllm:num_requests_running"
    for name in ("engine", "engine-1"):
        assert (
            samples(text)[series, frozenset({("model_name", LIVE), ("perennial_engine", name)})]
            == 0
        )
    up = {n: value(text, "perennial_engine_up", perennial_engine=n) for n in ("engine", "engine-2")}
    assert up == {"engine": 1, "engine-2": 0}
    assert text.count(f"# TYPE {series} gauge") == 1


def test_reading_needs_the_scope_for_it(store: Store, fake: FakeVllm) -> None:
    state = state_on(fake, store)
    _, shown = store.keys.create("chats", ("chat",), None)

    async def work() -> int:
        async with client_of(state) as client:
            headers = {"Authorization": f"Bearer {shown}"}
            return (await client.get("/metrics", headers=headers)).status_code

    assert run(work()) == 403


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian: prometheus) is absent")
def test_prometheus_own_checker_accepts_all_of_it(store: Store, fake: FakeVllm) -> None:
    """It parses, and lints names: vLLM's have colons, which are its own choice."""
    text = exchange(state_on(fake, store), ask(), METRICS)[-1].text
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60
    )
    complaints = [line for line in done.stderr.splitlines() if line and "vllm:" not in line]
    assert (complaints, done.returncode in (0, 3)) == ([], True), done.stderr


def expressions() -> list[str]:
    """Every query of the dashboard."""
    board = json.loads(DASHBOARD.read_text())
    return [t["expr"] for panel in board["panels"] for t in panel.get("targets", ())]


def test_the_dashboard_asks_for_series_that_there_are(store: Store, fake: FakeVllm) -> None:
    text = exchange(state_on(fake, store), ask(stream=True), METRICS)[-1].text
    told = {f.name for f in text_string_to_metric_families(text)}
    asked = {name for expr in expressions() for name in NAME.findall(expr)} - {ENGINE}
    ours = {re.sub(r"_(total|bucket|sum|count)$", "", n) for n in asked if "vllm:" not in n}
    assert ours and ours <= told | {re.sub("_total$", "", name) for name in told}


def test_the_dashboard_asks_for_series_that_vllm_has() -> None:
    spec = find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("vLLM is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "v1" / "metrics"
    source = "".join(path.read_text() for path in folder.glob("*.py"))
    asked = {n for expr in expressions() for n in NAME.findall(expr) if n.startswith("vllm:")}
    bare = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}
    assert asked and not [name for name in bare if f'"{name}"' not in source]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian: prometheus) is absent")
def test_every_query_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    whole = [expr.replace("$__rate_interval", "5m") for expr in expressions()]
    rules = [{"record": f"r{i}", "expr": expr} for i, expr in enumerate(whole)]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
