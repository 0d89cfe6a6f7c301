"""What is there to learn that no cycle has tried yet: the question the schedule asks.

Reads the sources' files without storing anything; an unchanged file is read once. A document that
was rejected or rolled back does not come back by itself: the same cycle would end the same way.
Called by adapt.schedule.
"""

from pathlib import Path

from adapt.gather import files_of, read_document
from store import Store
from store.errors import DocumentError
from store.records import CycleStage, CycleState, DocumentState
from store.source_records import Source

_TRIED = {CycleState.PROMOTED, CycleState.REJECTED, CycleState.ABSTAINED}


class Backlog:
    """Counts what is new. Remembers files by size and date."""

    def __init__(self, store: Store, max_bytes: int) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._read: dict[Path, tuple[tuple[int, int], str | None]] = {}

    def count(self) -> int:
        """Documents, stored or still in a source's folder, that no ended cycle has tried.

        Blocks while it reads files: call it in a thread.
        """
        waiting = self._store.documents.digests(DocumentState.ACCEPTED, DocumentState.NEW)
        known = self._store.documents.digests()
        for source in self._store.sources.list():
            waiting |= self._found(source) - known
        return len(waiting - self._tried())

    def _found(self, source: Source) -> set[str]:
        """Digests of the usable files of a source; none when its folder is gone."""
        found: set[str] = set()
        try:
            for path in files_of(source):
                state = path.stat()
                stamp = (state.st_size, state.st_mtime_ns)
                if self._read.get(path, ((0, 0), None))[0] != stamp:
                    self._read[path] = (stamp, self._digest(source, path))
                digest = self._read[path][1]
                found |= {digest} if digest else set()
        except (DocumentError, OSError):
            # A folder that is gone, or changes under us, is reported by the cycle that gathers.
            pass
        return found

    def _digest(self, source: Source, path: Path) -> str | None:
        try:
            return read_document(source, path, self._max_bytes).digest
        except DocumentError:
            return None

    def _tried(self) -> set[str]:
        tried: set[str] = set()
        for cycle in self._store.cycles.list():
            if cycle.state not in _TRIED:
                continue
            for stage in cycle.stages:
                if stage.stage is CycleStage.GATHER and stage.outputs:
                    corpus = self._store.documents.get_snapshot(stage.outputs["corpus"])
                    tried |= set(corpus.documents)
        return tried
