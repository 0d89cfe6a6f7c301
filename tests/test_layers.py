"""The layers of the project: imports point down only, and the upper halves stay light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("store", "tools", "agent", "adapt")
HEAVY = {"torch", "vllm", "transformers"}


def modules() -> dict[str, Path]:
    """Dotted name -> file, for every module of every layer."""
    found = {}
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of each import below `tree`, wherever it stands."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            origin = ".".join(part for part in (base, node.module) if part)
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def test_imports_point_down_only() -> None:
    """store < tools < agent < adapt < perennial.py, inside functions as well."""
    rank = {layer: place for place, layer in enumerate((*LAYERS, "perennial", "tests"))}
    wrong = []
    for name, path in modules().items():
        own = rank[name.split(".")[0]]
        for line, target in imports(name, path, ast.parse(path.read_text())):
            if rank.get(target.split(".")[0], -1) > own:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other() -> None:
    """The graph of imports at module level has no cycle."""
    known = modules()
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        top = [node for node in ast.parse(path.read_text()).body if not isinstance(node, ast.If)]
        targets = {
            target if target in known else target.rpartition(".")[0]
            for _, target in imports(name, path, ast.Module(_statements(top), []))
        }
        graph[name] = {target for target in targets if target in known and target != name}
    while leaves := {name for name, targets in graph.items() if not targets & graph.keys()}:
        graph = {name: targets for name, targets in graph.items() if name not in leaves}
    assert not graph, f"in or above a cycle: {sorted(graph)}"


def _statements(body: list[ast.stmt]) -> list[ast.stmt]:
    """What runs at import: everything but the bodies of functions and classes."""
    return [node for node in body if isinstance(node, ast.Import | ast.ImportFrom | ast.Try)]


@pytest.mark.parametrize(
    "statement", ["import store, tools, agent.engine, adapt.cycle", "from store import Home, Store"]
)
def test_light_imports_load_nothing_heavy(statement: str) -> None:
    """The serving process and the command line start without torch, vLLM and transformers."""
    code = f"import sys\n{statement}\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_the_ground_floor_needs_no_database_library() -> None:
    """store.errors can be imported on a bare GPU machine, where only the numeric modules run."""
    code = (
        "import sys, store.errors\nprint(*{'sqlalchemy', 'pydantic', 'alembic'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
