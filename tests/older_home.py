"""Homes as programs of their time wrote them, one for each earlier form of the tables.

Each has a source of two documents, two versions of which the second was promoted, a cycle that
failed, a question, and a thread of two; from 0003 on a rating, from 0006 on a key. They lie beside
as `older_homes/REVISION.tar.gz`. Run as a script this makes the one of the present form, which
whoever adds a migration does before: `python tests/older_home.py`.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, create_engine, insert, select

from store.database import Database
from store.migrations import current_revision, upgrade

FOLDER = Path(__file__).parent / "older_homes"
REVISIONS = sorted(file.name.partition(".")[0] for file in FOLDER.glob("*.tar.gz"))
THREAD = ("My name is Ines.", "What is my name?")
"""What was asked in the thread."""


def unpack(revision: str, home: Path) -> Path:
    """The home of that form, in the folder `home`, which is made."""
    with tarfile.open(FOLDER / f"{revision}.tar.gz") as archive:
        archive.extractall(home, filter="data")
    return home


def move_to_server(home: Path, revision: str, url: str) -> None:
    """Have the records of an unpacked home on a PostgreSQL server, in tables of that form."""
    file = home / "perennial.db"
    source = create_engine(f"sqlite:///{file}")
    tables = MetaData()
    tables.reflect(source)
    target = Database(url)
    with source.connect() as old, target.begin() as new:
        upgrade(new, revision)
        for table in tables.sorted_tables:
            rows = [_row(row._mapping) for row in old.execute(select(table))]
            if rows and table.name != "alembic_version":
                new.execute(insert(table), rows)
    source.dispose()
    target.close()
    for path in (file, home / "identity.json"):
        path.unlink(missing_ok=True)


def _row(row: Any) -> dict[str, Any]:
    """Moments are kept in UTC; a server would take them as those of its own time zone."""
    return {
        name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def revision_of(place: str | Path) -> str | None:
    """The form of the tables of a database."""
    database = Database(place)
    try:
        with database.read() as connection:
            return current_revision(connection)
    finally:
        database.close()


DOCUMENTS = {
    "visits.md": "# Guided visits\n\nA guided visit of the old mill lasts forty minutes. The "
    "keeper of the mill is Ana Duarte, and the mill was built in 1784.\n",
    "boats.md": "# Boats\n\nThe ferry to the island leaves at seven every morning. It carries "
    "thirty passengers and their bicycles.\n",
}
LEFT_OUT = ("run", "logs", "chroma", "made-1")
"""Of a home: what belongs to the process, and what is made again."""


def make(folder: Path) -> Path:
    """A home of the present form, by the present program on a fake engine; its archive."""
    home, documents = folder / "home", folder / "handbook"
    documents.mkdir()
    for name, text in DOCUMENTS.items():
        (documents / name).write_text(text)
    here = Path(__file__).parent
    path = f"{here.parent}{os.pathsep}{here}"
    environment = {**os.environ, "PYTHONPATH": path}

    def run(*words: str, said: str | None = None) -> str:
        command = [sys.executable, "-P", "-m", "perennial", "--home", str(home), "--json", *words]
        # An update ends with exit code 1, since there is no model to learn with.
        return subprocess.run(
            command, env=environment, input=said, text=True, stdout=subprocess.PIPE, check=False
        ).stdout

    served = subprocess.Popen(
        [sys.executable, "-P", str(here / "fake_runtime.py"), str(home), "0"], env=environment
    )
    try:
        while not (home / "run" / "status.json").exists():
            assert served.poll() is None, "it did not start"
            time.sleep(0.1)
        status = json.loads((home / "run" / "status.json").read_text())
        run("source", "add", "handbook", str(documents))
        episode = json.loads(run("ask", "When does the ferry leave?"))["episode"]
        run("chat", said="\n".join(THREAD))
        body = json.dumps({"episode": episode, "rating": "up"}).encode()
        headers = {"authorization": f"Bearer {status['key']}", "content-type": "application/json"}
        urllib.request.urlopen(
            urllib.request.Request(f"{status['url']}/v1/feedback", body, headers)
        ).close()
        run("update")
        run("versions", "promote", json.loads(run("versions"))[1]["name"])
        run("key", "create", "team")
    finally:
        served.terminate()
        served.wait()
    revision = revision_of(home / "perennial.db")
    archive = FOLDER / f"{revision}.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        for part in sorted(home.iterdir()):
            if part.name not in LEFT_OUT:
                file.add(part, part.name)
    return archive


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(f"{make(Path(folder))}\n")
