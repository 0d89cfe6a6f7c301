"""What the service and its cycles tell: readiness behind the door, spans and logs of a cycle."""

import asyncio
import io
import json
from pathlib import Path

import httpx
import pytest
from fake_runtime import fake_runtime, settings_of
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from spans import kept_spans

from adapt.cycle import run_cycle
from adapt.events import silent
from adapt.show import CycleView
from adapt.up import service
from agent.config_telemetry import TelemetrySettings
from agent.telemetry import attributes as names
from agent.telemetry.logs import logging_as
from agent.telemetry.metrics import STAGE_SECONDS


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return kept_spans()


def test_a_cycle_is_a_span_with_its_stages_below(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    """A stage is timed as well; without documents there is one, and nothing is learned."""

    def timed() -> float:
        found = [s for m in STAGE_SECONDS.collect() for s in m.samples]
        return sum(
            s.value for s in found
            if s.name.endswith("_count") and s.labels.get("stage") == "gather"
        )  # fmt: skip

    async def work() -> None:
        async with fake_runtime(settings_of(tmp_path / "home")) as runtime:
            await run_cycle(runtime, silent)

    before = timed()
    asyncio.run(work())
    cycle, stage = sorted(spans.get_finished_spans(), key=lambda span: len(span.name))
    assert (cycle.name, dict(cycle.attributes or {})) == (
        "cycle", {names.CYCLE: 1, names.CYCLE_STATE: "skipped"},
    )  # fmt: skip
    assert (stage.name, (stage.attributes or {})[names.STAGE]) == ("cycle gather", "gather")
    assert stage.parent and cycle.context and stage.parent.span_id == cycle.context.span_id
    assert timed() == before + 1


def test_the_service_is_ready_unless_its_door_is_shut(tmp_path: Path) -> None:
    """And says of its runs, in JSON, which version answered."""

    async def work() -> None:
        settings = settings_of(tmp_path / "home")
        async with fake_runtime(settings) as runtime:
            with CycleView() as view:
                async with service(runtime, view) as url, httpx.AsyncClient(base_url=url) as client:
                    assert (await client.get("/ready")).json()["missing"] == []
                    async with runtime.swap.door.shut(5.0):
                        answer = await client.get("/ready")
                        assert answer.status_code == 503
                        assert answer.json()["missing"] == ["weights are being replaced"]
                    assert (await client.get("/ready")).status_code == 200
                    chat = {"model": "live", "messages": [{"role": "user", "content": "hello"}]}
                    (await client.post("/v1/chat/completions", json=chat)).raise_for_status()
                    text = (await client.get("/metrics")).text
                    assert "perennial_engine_up" in text and "vllm:num_requests_running" in text

    stream = io.StringIO()
    with logging_as(TelemetrySettings(log_format="json", log_level="info"), stream):
        asyncio.run(work())
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["version"][:3] for line in lines if line["message"] == "run answered"] == ["v0-"]
