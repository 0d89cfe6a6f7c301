"""`perennial threads`: the conversations that are kept; whose they are, what they hold, and gone.

Reads the home itself, whether or not a server runs on it; a server that runs deletes.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from rich.prompt import Confirm

from adapt.commands import Options, refuse_folders
from adapt.running import find_running
from adapt.show import stderr, table
from agent.api.langgraph.exporting import export_of
from agent.graph import build_graph
from agent.thread_states import ThreadStates
from agent.threads import open_threads_of
from store import Store
from store.errors import NotFoundError
from store.files import write_atomic
from store.threads import Thread


def show_all(options: Options, key: str | None, limit: int) -> int:
    """List the threads, the one that was last spoken in first; of one key with `key`."""
    with options.read_store() as store:
        names = {one.id: one.name for one in store.keys.list()}
        owner = _owner(names, key) if key else None
        found = store.threads.search(owner, limit=limit)
    rows = [_told(thread) | {"key": names.get(thread.owner or "")} for thread in found]
    shown = table(rows, "name", "key", "status", "created_at", "updated_at")
    options.put(rows, shown if rows else "no threads yet; `perennial chat` begins one")
    return 0


def export(options: Options, name: str, out: Path | None) -> int:
    """Write all that is kept of a thread as JSON, to a file or to stdout. NotFoundError."""
    if out is not None:
        refuse_folders({"--out": out})
    with options.read_store() as store:
        value = asyncio.run(_export(store, store.threads.get(name)))
    text = json.dumps(value, ensure_ascii=False, indent=1)
    if out is None:
        sys.stdout.write(text + "\n")
        return 0
    write_atomic(out, text + "\n")
    counts = {part: len(value[part]) for part in ("states", "runs", "episodes")}
    options.put(
        {"thread": name, "file": str(out)} | counts,
        f"{out}: {counts['episodes']} answers of {name}",
    )
    return 0


def delete(options: Options, name: str, yes: bool) -> int:
    """Forget a thread for ever: what was said, its runs, its episodes. NotFoundError.

    Without `yes` a person is asked, or, where there is no terminal, nothing is changed: 1 then.
    """
    with options.read_store() as store:
        thread = store.threads.get(name)
        running = find_running(options.settings())
        asked = not options.as_json and sys.stdin.isatty()
        if not yes and not (
            asked and Confirm.ask(f"Forget {name} for ever?", console=stderr(), default=False)
        ):
            options.put({"deleted": None}, None)
            stderr().print("nothing was changed; --yes does it without a question")
            return 1
        if running is not None:
            asyncio.run(running.forget(name))
        else:
            asyncio.run(_forget(store, name))
    options.put({"deleted": _told(thread)["name"]}, f"{name} is forgotten")
    return 0


async def _export(store: Store, thread: Thread) -> dict[str, Any]:
    async with open_threads_of(store.home) as saver:
        states = ThreadStates(build_graph(saver), saver)
        return await export_of(store, states, thread, thread.name)


async def _forget(store: Store, name: str) -> None:
    async with open_threads_of(store.home) as saver:
        await ThreadStates(build_graph(saver), saver).delete(name)
    store.threads.delete(name)


def _owner(names: dict[str, str], key: str) -> str:
    for id, name in names.items():
        if key in (id, name):
            return id
    there = f"there are: {', '.join(names.values())}" if names else "see: perennial key create"
    raise NotFoundError(f"there is no key {key!r}", there)


def _told(thread: Thread) -> dict[str, Any]:
    told = thread.model_dump(mode="json", exclude={"owner", "tags"})
    return told | {"metadata": thread.tags}
