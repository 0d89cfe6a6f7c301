"""`perennial versions prune`: clear away what the budget does not keep, now, or only tell."""

import asyncio
from dataclasses import asdict

from adapt.budget import in_gib
from adapt.collect import Collected, collect
from adapt.commands import Options
from adapt.running import find_running
from adapt.worker_run import alone, clear_away, place_of
from agent.config import Settings
from store import Store
from store.errors import BusyError


def prune(options: Options, dry_run: bool) -> int:
    """Remove old weights and leftovers. BusyError while a server or an update is at work, which
    clear away themselves, or a backup; a dry run needs nothing and counts what the server holds as
    in use."""
    settings = options.settings()
    with options.read_store() as store:
        running = find_running(settings)
        if dry_run:
            held = asyncio.run(running.status())["models"] if running else ()
            done = collect(store, settings, lambda: set(held), dry_run=True)
        elif running is not None:
            # Only the server knows which versions its runs are bound to.
            raise BusyError(
                f"the server at {running.url} holds the home {store.home.path}, and clears away "
                "after each update by itself",
                "stop it first, or see what would go: perennial versions prune --dry-run",
            )
        else:
            done = asyncio.run(_cleared(store, settings))
    value = asdict(done) | {"bytes": done.bytes}
    options.put(value, "\n".join([*done.lines(), _summary(done)]))
    return 0


async def _cleared(store: Store, settings: Settings) -> Collected:
    async def work() -> Collected:
        return await clear_away(store, settings, set)

    with store.home.lock():
        return await alone(store.leases, place_of(store.home), work)


def _summary(done: Collected) -> str:
    verb = "would free" if done.dry_run else "freed"
    return (
        f"{verb} {in_gib(done.bytes)}; {done.left_versions} versions keep their weights, "
        f"artifacts take {in_gib(done.left_bytes)}"
    )
