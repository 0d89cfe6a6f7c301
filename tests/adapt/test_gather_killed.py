"""Gathering real documents, killed with SIGKILL again and again, ends as if nothing had been."""

import signal
import subprocess
import sys
from pathlib import Path

from store import Home, Store
from store.embeddings import HashEmbedder

DRIVER = Path(__file__).parents[1] / "gather_process.py"
BANKING, TOOLS = 30, 70
"""Documents of each file; `gather_process.py` takes whole files as well."""
DEATHS = (0.07, 0.15, 0.4, 0.2)
"""Shares of the statements of an undisturbed gathering after which the next one dies."""


def cut(source: Path, target: Path, lines: int) -> Path:
    with source.open() as file:
        target.write_text("".join(line for line, _ in zip(file, range(lines), strict=False)))
    return target


def drive(home: Path, files: tuple[Path, Path], *death: int) -> tuple[int, str]:
    """How a gathering ended, and what it said."""
    command = [sys.executable, str(DRIVER), str(home), *map(str, files), *map(str, death)]
    root = DRIVER.parents[1]
    done = subprocess.run(
        command, cwd=root, env={"PYTHONPATH": str(root)}, timeout=300, capture_output=True,
        text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


def ledger(home: Path) -> dict[str, object]:
    """What is stored, less the moments; and that the indices are the ledger's."""
    with Store.open(Home(home), HashEmbedder()) as store:
        documents = [
            document.model_dump(mode="json", exclude={"fetched_at"})
            for document in sorted(store.documents.list(), key=lambda d: d.digest)
        ]
        places = {
            place.address: (place.state, place.document, place.stamp, place.reason)
            for source in store.sources.list()
            for place in store.places.of(source.name).values()
        }
        editions = [
            (e.source, e.address, e.number, e.document)
            for digest in sorted(store.documents.digests())
            for e in store.editions.of_document(digest)
        ]
        held = {r.document: [f.kind for f in r.findings] for r in store.reviews.list()}
        near = [store.documents.duplicate_of(document["digest"]) for document in documents]
        return {
            "documents": documents, "places": places, "editions": editions, "held": held,
            "near": near, "same": store.documents.differences().same,
        }  # fmt: skip


def test_a_gathering_that_was_killed_ends_with_the_same_ledger_and_index(
    published_data: Path, tmp_path: Path
) -> None:
    files = (
        cut(published_data / "tau2/docs/banking_knowledge_documents.jsonl",
            tmp_path / "banking.jsonl", BANKING),
        cut(published_data / "sealtools/docs/tool.jsonl", tmp_path / "tools.jsonl", TOOLS),
    )  # fmt: skip
    ended, count = drive(tmp_path / "undisturbed", files)
    assert ended == 0
    for share in DEATHS:
        ended, _ = drive(tmp_path / "killed", files, round(share * int(count)))
        assert ended == -signal.SIGKILL, share
    assert drive(tmp_path / "killed", files)[0] == 0
    undisturbed, killed = ledger(tmp_path / "undisturbed"), ledger(tmp_path / "killed")
    assert undisturbed["same"] is True
    assert len(undisturbed["places"]) == BANKING + TOOLS  # type: ignore[arg-type]
    for part, value in undisturbed.items():
        assert killed[part] == value, part
