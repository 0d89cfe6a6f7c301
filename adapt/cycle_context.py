"""What a stage of an update cycle works with: the runtime, a folder, progress, child processes."""

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapt.events import Event, Notify
from adapt.runtime import Runtime
from adapt.stage import run_stage
from store.records import CycleStage

Outputs = dict[str, Any]
"""What a stage gives: small JSON of names, digests and counts."""


@dataclass(frozen=True)
class Context:
    """What a stage works with."""

    runtime: Runtime
    number: int
    stage: CycleStage
    notify: Notify

    @property
    def work(self) -> Path:
        """The stage's own folder; what is in it may be half done."""
        path = self.runtime.home.cycles / f"{self.number:04d}" / self.stage.value
        path.mkdir(parents=True, exist_ok=True)
        return path

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Tell the watcher how far the stage is."""
        self.notify(Event(self.stage, "progress", done, total, text))

    async def child(
        self, target: str, request: dict[str, Any], folder: Path | None = None
    ) -> Outputs:
        """Run heavy work in a child process; its progress becomes events.

        `folder` is for work that is not of this cycle alone; by default it is the stage's own.
        """
        place = folder or self.work / "child"

        def on_progress(said: dict[str, Any]) -> None:
            self.progress(
                int(said.get("done", 0)), int(said.get("total", 0)), str(said.get("text", ""))
            )

        cards = self.runtime.settings.update.cards
        environment = {"CUDA_VISIBLE_DEVICES": cards} if cards is not None else None
        cancel = threading.Event()
        stage = asyncio.ensure_future(
            asyncio.to_thread(
                run_stage, target, request, place, on_progress, env=environment, cancel=cancel
            )
        )
        try:
            return await asyncio.shield(stage)
        finally:
            # A thread cannot be cancelled: it is told, and waited for until the child is dead, as
            # it would go on writing into a folder that the next try uses.
            cancel.set()
            await asyncio.wait([stage])
