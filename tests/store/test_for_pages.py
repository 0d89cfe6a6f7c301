"""What the pages ask of the store: a thread's runs, reports in short, keys by id.

On both databases.
"""

from datetime import UTC, datetime, timedelta

from store.evidence import EvalReport
from store.records import Document, Episode, Message
from store.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def episode(id: str, thread: str, minutes: int) -> Episode:
    return Episode(
        id=id, thread=thread, version="v0", messages=(Message(role="user", content=id),), steps=1,
        created_at=NOW + timedelta(minutes=minutes),
    )  # fmt: skip


def test_a_thread_is_its_last_runs_in_their_order(store: Store) -> None:
    for place in range(5):
        store.episodes.add(episode(f"e{place}", "chat-a", place))
    assert [e.id for e in store.episodes.of_thread("chat-a")] == ["e0", "e1", "e2", "e3", "e4"]
    assert [e.id for e in store.episodes.of_thread("chat-a", 2)] == ["e3", "e4"]
    assert list(store.episodes.of_thread("chat-b")) == []


def test_a_key_is_valid_by_its_id_until_it_ends(store: Store) -> None:
    key, _ = store.keys.create("team", ("chat",))
    old, _ = store.keys.create("old", ("chat",), expires_at=NOW)
    assert store.keys.valid(key.id) == key
    assert store.keys.valid(old.id) is None and store.keys.valid("nobody") is None
    store.keys.revoke("team")
    assert store.keys.valid(key.id) is None


def test_reports_are_told_in_short_the_oldest_first(store: Store) -> None:
    for place, suite in enumerate(("kept", "tools")):
        report = EvalReport(
            digest=f"d{1 - place}", version="v1", suite=suite, suite_digest="s", decoding={},
            engine={}, outcomes=(), created_at=NOW + timedelta(hours=place),
        )  # fmt: skip
        store.reports.add_eval(report)
    assert store.reports.evals() == [("d1", "v1", "kept"), ("d0", "v1", "tools")]


def test_every_change_of_a_document_has_another_number(store: Store) -> None:
    """Nothing else changes it: what was read under one number is true as long as it stays."""
    seen = [store.documents.last_change()]
    document = Document(
        digest="a" * 64, source="s", address="/a", title="", text="text", kind="prose",
        fetched_at=NOW,
    )  # fmt: skip
    store.documents.add(document)
    seen.append(store.documents.last_change())
    store.documents.accept(document.digest)
    seen.append(store.documents.last_change())
    assert len(set(seen)) == 3
    store.episodes.add(episode("e", "chat-a", 0))
    assert store.documents.last_change() == seen[-1]
