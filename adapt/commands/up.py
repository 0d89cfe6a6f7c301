"""`perennial up`, from flags to the running service."""

import asyncio
from typing import Any

from rich.console import Console

from adapt.commands import Options
from adapt.show import CycleView
from adapt.up import up as serve


def up(
    options: Options,
    host: str | None,
    port: int | None,
    model: str | None,
    interval: float | None,
    cron: str | None,
) -> int:
    """Serve until stopped. A rhythm given here replaces the one in the settings."""
    schedule: dict[str, Any] = {}
    if interval is not None:
        schedule |= {"interval_minutes": interval, "cron": cron}
    elif cron is not None:
        schedule |= {"interval_minutes": None, "cron": cron}
    settings = options.settings(
        model=model, server__host=host, server__port=port, schedule=schedule or None
    )
    # Lines for people between those of JSON would break whoever reads the log.
    quiet = settings.telemetry.log_format == "json"
    with CycleView(Console(quiet=True) if quiet else None) as view:
        return asyncio.run(serve(settings, view, announce=options.put))
