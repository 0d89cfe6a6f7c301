"""`perennial gate`: how often the gate errs, and what it said of a candidate."""

from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType

from adapt.commands import Options, refuse_folders
from adapt.show import CycleView, gate_table, table
from store.errors import NotFoundError

SHOWN = ("scenario", "kind", "promoted", "promoted_first", "rejected", "abstained", "named")


def calibrate(
    options: Options, runs: int, years: int, seed: int, recorded: bool, png: Path | None
) -> int:
    """Simulate updates of known effect and show how the gate judged them."""
    from adapt.calibrate.recorded import recorded as read_recorded
    from adapt.calibrate.report import calibrate as run

    refuse_folders({"--png": png})
    settings = options.settings().gate
    held = None
    if recorded:
        with options.read_store() as store:
            held = read_recorded(store, settings)
    with CycleView() as view:
        found = run(settings, runs, years, seed, view.moving, held)
    if png is not None:
        from adapt.calibrate.picture import draw

        draw(found["curve"], settings.margin, settings.alpha, png)
    options.put(found, _shown(found))
    return 0


def _shown(found: dict[str, Any]) -> Group:
    parts: list[RenderableType] = [
        table(found["rates"], *SHOWN, title=f"{found['runs']} updates of each kind"),
    ]
    if "recorded" in found:
        parts.append(table(found["recorded"], *SHOWN, title="from recorded answers"))
    used = ("claim", "case", "fixed", "planned", "mean", "ratio", "decided")
    parts.append(table(found["items_used"], *used, title="items until decided"))
    year = ("mix", "promoted", "false", "false_share", "good_promoted", "least_level")
    parts.append(table(found["years"], *year, title="a year of nights"))
    rows = [{"promise": k.replace("_", " "), "found": v} for k, v in found["summary"].items()]
    parts.append(table(rows, "promise", "found", title="the worst of each kind"))
    return Group(*parts)


def show(options: Options, version: str | None) -> int:
    """What the gate said of a version, or of the last one that it judged."""
    with options.read_store() as store:
        gates = store.reports.gates()
        report = store.reports.gate_of(version) if version else gates[-1] if gates else None
        if version and report is None:
            store.versions.get(version)
        state = store.versions.get(report.candidate).state.value if report else ""
    if report is None:
        what = f"{version} was never judged" if version else "nothing was judged yet"
        raise NotFoundError(what, "`perennial cycles` lists what was tried")
    head = (
        f"[bold]{report.candidate}[/] against {report.live}, {report.created_at:%Y-%m-%d %H:%M} "
        f"UTC; now {state.replace('_', ' ')}"
    )
    options.put(report.model_dump(mode="json"), Group(head, gate_table(report)))
    return 0
