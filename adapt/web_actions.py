"""What the pages need from this layer, as agent.web.actions declares it.

Puts the parts together; most only read. Called by adapt.up.
"""

from pathlib import Path

from adapt.backlog import waiting_documents
from adapt.gather.adding import add_source, new_source, next_of, when
from adapt.gather.kinds import kind_of
from adapt.gather.looking import look, report
from adapt.lineage import document_lineage, version_lineage
from adapt.loki.step_log import read_steps
from adapt.proposal import proposal
from adapt.runtime import Runtime
from adapt.schedule import Worker
from adapt.web_judged import Judged
from adapt.web_scores import Scores
from agent.web.actions import NewSource, PageActions, Report
from store import Store
from store.records import CycleStage


class _Waiting:
    """The documents that wait, read anew only when a document or a cycle has changed: a page asks
    every two seconds, and there may be very many."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: tuple[object, list[str]] = (None, [])

    def __call__(self) -> list[str]:
        """Their digests."""
        newest = next(self._store.cycles.newest_first(), None)
        at = (self._store.documents.last_change(), newest and (newest.number, newest.state))
        if self._known[0] != at:
            self._known = (at, waiting_documents(self._store))
        return self._known[1]


def page_actions(runtime: Runtime, worker: Worker) -> PageActions:
    """The pages' actions on a runtime."""
    store, settings = runtime.store, runtime.settings

    def losses(cycle: int) -> list[Report]:
        # Where adapt.stages.implant_stage writes its log.
        stage = Path(f"{cycle:04d}") / CycleStage.IMPLANT.value
        return read_steps(runtime.home.cycles / stage / "child" / "loss.jsonl")

    def next_visits() -> dict[str, str]:
        last = store.visits.last()
        return {
            source.name: "paused"
            if source.paused
            else next_of(source, last.get(source.name)) or when(source.kind)
            for source in store.sources.list()
        }

    def add(given: NewSource) -> Report:
        made = new_source(
            given.name, given.location or None, given.kind or None, given.options,
            trust=given.trust, schedule=given.schedule or None,
        )  # fmt: skip
        add_source(store, settings, made)
        return made.model_dump(mode="json")

    async def test(name: str) -> Report:
        source = store.sources.get(name)
        async with runtime.visit_lock:
            looked = await look(store, source, kind_of(source, store, settings), settings)
        return report(name, looked)

    return PageActions(
        worker=worker.report,
        losses=losses,
        waiting=_Waiting(store),
        judged=Judged(runtime),
        scores=Scores(store),
        lineage=lambda version: version_lineage(store, version),
        came_of=lambda digest: document_lineage(store, digest),
        advice=lambda: proposal(store),
        next_visits=next_visits,
        add_source=add,
        test_source=test,
    )
