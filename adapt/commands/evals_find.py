"""Finds the run that a person means: a folder, the digest of a report, or a version's report."""

from pathlib import Path

from adapt.commands import Options
from adapt.evals.runs.results import Run, find_run
from agent.config import home_of
from store import Store
from store.errors import ConfigError, NotFoundError
from store.evidence import EvalReport


def run_named(options: Options, name: str, suite: str | None = None) -> Run:
    """A run folder (path, name, beginning of a name), a report's digest, or a version's newest
    report, of `suite` where it has several. NotFoundError with what there is."""
    home = home_of(options.settings())
    found = find_run(name, home.evals)
    if found is not None:
        return found
    if home.exists():
        with Store.open(home) as store:
            reports = store.reports.evals_of(name)
            if reports:
                return Run(_newest(name, reports, suite))
            if len(name) == 64:
                return Run(store.reports.get_eval(name))
    raise NotFoundError(f"no run {name!r}", _what_there_is(home.evals))


def refuse_other_setting(first: Run, second: Run) -> None:
    """ConfigError where two runs were played by other settings: their digests differ as well, but
    do not say why."""
    if first.asked is None or second.asked is None:
        return
    one, other = first.asked.setting, second.asked.setting
    unlike = [
        f"{name} {one.get(name)!r} and {other.get(name)!r}"
        for name in sorted(one.keys() | other.keys())
        # The place of recorded replies is no part of what is asked; the replies are.
        if name != "cache" and one.get(name) != other.get(name)
    ]
    if unlike and first.asked.suite == second.asked.suite:
        raise ConfigError(
            f"the two were played by different settings: {', '.join(unlike)}",
            "run one of them again with the other's; `perennial eval judge` compares their answers",
        )


def _newest(version: str, reports: list[EvalReport], suite: str | None) -> EvalReport:
    suites = sorted({r.suite for r in reports})
    fitting = [r for r in reports if suite in (None, r.suite)]
    if not fitting:
        raise NotFoundError(
            f"{version} was never asked {suite}", f"it was asked: {', '.join(suites)}"
        )
    if suite is None and len(suites) > 1:
        raise NotFoundError(
            f"{version} has reports of {', '.join(suites)}", "say which with --suite"
        )
    return fitting[-1]


def _what_there_is(evals: Path) -> str:
    names = sorted(p.parent.name for p in evals.glob("*/run.json"))
    if not names:
        return "perennial eval run makes one"
    return f"there are: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"
