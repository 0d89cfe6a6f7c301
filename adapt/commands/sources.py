"""`perennial source`: the folders that documents come from."""

from pathlib import Path

from adapt.commands import Options
from adapt.gather import files_of
from adapt.show import table
from agent.config import home_of
from store import Store
from store.errors import DocumentError, UserError
from store.records import utc_now
from store.source_records import Source


def add(options: Options, name: str, folder: Path, trust: float) -> int:
    """Remember a folder. UserError when it is none, or the name is taken."""
    root = folder.expanduser().resolve()
    if not root.is_dir():
        raise UserError(f"{root} is not a folder", "make it first, then add it")
    if not name.strip():
        raise UserError("the name of a source cannot be empty", "say what it holds")
    source = Source(name=name, location=str(root), trust=trust, added_at=utc_now())
    with Store.open(home_of(options.settings())) as store:
        store.sources.add(source)
    files = _count(source)
    options.put(
        source.model_dump(mode="json") | {"files": files},
        f"{name}: {files} files in {root}; learn them with `perennial update`",
    )
    return 0


def show_all(options: Options) -> int:
    """List the sources."""
    with options.read_store() as store:
        sources = store.sources.list()
        documents = store.documents.count_by_source()
    rows = [
        s.model_dump(mode="json") | {"files": _count(s), "documents": documents.get(s.name, 0)}
        for s in sources
    ]
    shown = table(rows, "name", "location", "files", "documents", "trust")
    options.put(rows, shown if rows else "no sources; add one: perennial source add NAME FOLDER")
    return 0


def remove(options: Options, name: str) -> int:
    """Forget a source."""
    with options.read_store() as store:
        store.sources.remove(name)
    options.put({"removed": name}, f"{name} is forgotten; its documents stay")
    return 0


def _count(source: Source) -> int | None:
    """Files in the folder, None when it is gone."""
    try:
        return sum(1 for _ in files_of(source))
    except DocumentError:
        return None
