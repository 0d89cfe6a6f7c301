"""`perennial backup` and `perennial restore`: a whole home in one file, and back.

The work is store.backup's and store.restore's; here are progress, the lease that keeps weights
from being cleared away meanwhile, and the search index, which is made anew.
"""

import asyncio
import contextlib
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from adapt.commands import Options
from adapt.show import stderr
from adapt.worker_run import ARTIFACTS, alone
from agent.config import home_of
from agent.threads import copy_threads, open_threads
from store import Home, Store
from store.backup import Written, write_backup
from store.errors import PerennialError
from store.restore import ASIDE, restore_home


def backup(options: Options, file: Path) -> int:
    """Write the file. BusyError while weights are being cleared away."""
    began = time.monotonic()
    with options.read_store() as store, _Shown() as shown:
        written = asyncio.run(_written(store, file, shown))
    value = asdict(written) | {"seconds": round(time.monotonic() - began, 2)}
    options.put(
        value,
        f"{written.file}: {decimal(written.bytes)}, {sum(written.records.values())} records, "
        f"{written.artifacts} sets of weights, {written.files} other files",
    )
    return 0


async def _written(store: Store, file: Path, shown: "_Shown") -> Written:
    async def work() -> Written:
        try:
            async with _threads(store.home) as threads:
                return await asyncio.to_thread(write_backup, store, file, shown.tell, threads)
        finally:
            # A thread cannot be cancelled: without this the process would wait for all of it.
            shown.stopped.set()

    return await alone(store.leases, "", work, ARTIFACTS)


@contextlib.asynccontextmanager
async def _threads(home: Home) -> AsyncIterator[Path | None]:
    """A file of the threads of a home that keeps them in PostgreSQL; None for one with a file."""
    if home.database_url is None or home.threads_database.is_file():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix=".threads-", dir=home.path) as folder:
        file = Path(folder) / "threads.db"
        async with open_threads(home.database_url) as source, open_threads(file) as target:
            await copy_threads(source, target)
        yield file


def restore(options: Options, file: Path) -> int:
    """Fill the home, then its search index. What can be wrong: store.restore.restore_home."""
    began = time.monotonic()
    home = home_of(options.settings())
    with _Shown() as shown:
        restored = restore_home(home, file.expanduser().absolute(), shown.tell)
        indexed, why = _indexed(home, shown)
    if restored.aside:
        stderr().print(
            f"the settings name a database or a search index and were put aside: {ASIDE}",
            highlight=False,
        )
    if why:
        stderr().print(f"not searched yet, the first search tries again: {why}", highlight=False)
    value = asdict(restored) | {"indexed": indexed, "seconds": round(time.monotonic() - began, 2)}
    options.put(
        value,
        f"{restored.home}: {sum(restored.records.values())} records, {restored.artifacts} sets of "
        f"weights, {restored.files} other files, as of {restored.created}",
    )
    return 0


def _indexed(home: Home, shown: "_Shown") -> tuple[int | None, str]:
    """How many documents are in the search index, or why they are not: the home is whole anyhow."""
    with Store.open(home) as store:
        total = sum(store.documents.count_by_source().values())
        try:
            return store.documents.catch_up(lambda done: shown.tell("indexing", done, total)), ""
        except PerennialError as error:
            return None, str(error)


class _Shown(contextlib.AbstractContextManager["_Shown"]):
    """Progress on a terminal. `tell` may be called from any thread, and ends the work there when
    `stopped` is set."""

    def __init__(self) -> None:
        console = stderr()
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
            TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._bars.add_task("opening", total=None)
        self.stopped = threading.Event()

    def __enter__(self) -> "_Shown":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._bars.stop()

    def tell(self, text: str, done: int, total: int) -> None:
        """So much of so much is done."""
        if self.stopped.is_set():
            raise PerennialError("stopped", "run the command again")
        self._bars.update(self._task, description=text, completed=done, total=total)
