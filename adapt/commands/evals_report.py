"""`perennial eval report`: a run as an HTML page, or as a log of Inspect."""

from pathlib import Path

from adapt.commands import Options, refuse_folders
from adapt.commands.evals_find import refuse_other_setting, run_named
from adapt.evals.runs.html_report import page
from adapt.evals.runs.inspect_log import inspect_log
from store.errors import ConfigError
from store.files import write_atomic


def report(
    options: Options,
    name: str,
    against: str | None,
    html: Path | None,
    inspect: Path | None,
    suite: str | None,
) -> int:
    """Write what is asked for, whole or not at all, and say where it is."""
    if html is None and inspect is None:
        raise ConfigError("nothing to write", "give --html FILE or --inspect FILE.json")
    if inspect is not None and inspect.suffix != ".json":
        # Inspect knows the form of a log by its name.
        raise ConfigError(f"--inspect {inspect} does not end in .json", "give FILE.json")
    if against is not None and html is None:
        raise ConfigError("--against is for the HTML page", "give --html FILE")
    refuse_folders({"--html": html, "--inspect": inspect})
    run = run_named(options, name, suite)
    written: dict[str, str] = {}
    if html is not None:
        other = run_named(options, against, suite) if against else None
        if other is not None:
            refuse_other_setting(other, run)
        write_atomic(html, page(run, other))
        written["html"] = str(html)
    if inspect is not None:
        write_atomic(inspect, inspect_log(run))
        written["inspect"] = str(inspect)
    options.put(written, "\n".join(f"wrote {file}" for file in written.values()))
    return 0
