"""Everything as Prometheus reads it: what was counted, what the store and the engines say now.

An engine's own series keep their names and labels; a label says which engine they are of. What an
engine tells of its process, rather than of its work, is left out: it would stand among ours.
Called by agent.api.metrics.
"""

import asyncio
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from agent.fleet import Inference
from agent.telemetry.attributes import ENGINE
from agent.telemetry.metrics import REGISTRY
from store import Store
from store.errors import PerennialError
from store.records import CycleState, VersionState

OF_ENGINES = "vllm:"


async def exposition(store: Store, engine: Inference) -> bytes:
    """All series. What is away is left out, and the series say so."""
    engines = await engine.expositions()
    return await asyncio.to_thread(_written, store, engines)


def _written(store: Store, engines: Mapping[str, str | None]) -> bytes:
    found = [*_of_store(store), *_of_engines(engines)]
    once = CollectorRegistry()
    once.register(_Found(found))
    return generate_latest(REGISTRY) + generate_latest(once)


class _Found(Collector):
    """Families that were made already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """The families."""
        return self._families


def _of_store(store: Store) -> list[Metric]:
    up = GaugeMetricFamily("perennial_store_up", "Whether the store answers.")
    try:
        families = _states(store)
    except PerennialError:
        up.add_metric([], 0)
        return [up]
    up.add_metric([], 1)
    return [up, *families]


def _states(store: Store) -> list[Metric]:
    live = GaugeMetricFamily(
        "perennial_live_version_info", "The live version; always 1.", labels=["version", "kind"]
    )
    number = GaugeMetricFamily("perennial_live_version_number", "Number of the live version.")
    if (version := store.versions.live()) is not None:
        live.add_metric([version.name, version.kind], 1)
        number.add_metric([], version.number)
    versions = GaugeMetricFamily("perennial_versions", "Versions by state.", labels=["state"])
    states = list(store.versions.states().values())
    for state in VersionState:
        versions.add_metric([state.value], states.count(state))
    documents = GaugeMetricFamily("perennial_documents", "Documents by state.", labels=["state"])
    for state, count in sorted(store.documents.count_by_state().items()):
        documents.add_metric([state.value], count)
    waiting = GaugeMetricFamily(
        "perennial_reviews_waiting", "Documents that are kept back and wait for a person.",
        value=store.reviews.count_waiting(),
    )  # fmt: skip
    cycles = CounterMetricFamily(
        "perennial_cycles", "Update cycles that have ended, by how.", labels=["state"]
    )
    counted = store.cycles.count_by_state()
    running = GaugeMetricFamily(
        "perennial_cycle_running", "Whether an update cycle is under way, or was interrupted.",
        value=counted.pop(CycleState.RUNNING, 0),
    )  # fmt: skip
    for state in CycleState:
        if state is not CycleState.RUNNING:
            cycles.add_metric([state.value], counted.get(state, 0))
    return [live, number, versions, documents, waiting, cycles, running]


def _of_engines(engines: Mapping[str, str | None]) -> list[Metric]:
    up = GaugeMetricFamily(
        "perennial_engine_up", "Whether an engine is ready and answers.", labels=[ENGINE]
    )
    families: dict[str, Metric] = {}
    for name, text in engines.items():
        try:
            told = list(text_string_to_metric_families(text)) if text is not None else None
        except ValueError:
            told = None
        up.add_metric([name], told is not None)
        for family in told or ():
            if family.samples and family.name.startswith(OF_ENGINES):
                _put(families, family, name)
    return [up, *families.values()]


def _put(families: dict[str, Metric], family: Metric, engine: str) -> None:
    """One family of an engine beside those of the others."""
    known = families.setdefault(
        family.name, Metric(family.name, family.documentation, family.type, family.unit)
    )
    for sample in family.samples:
        known.samples.append(sample._replace(labels={**sample.labels, ENGINE: engine}))
