"""Threads, runs and items of clients: whose they are, how they are found, how they end. On both
databases."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from store.database import Database
from store.errors import NotFoundError, StateError
from store.migrations import upgrade
from store.records import Episode, Message, utc_now
from store.store import Store
from store.thread_runs import ThreadRun
from store.threads import Threads


def episode(id: str, thread: str, owner: str | None = None) -> Episode:
    return Episode(
        id=id, thread=thread, version="v0", messages=(Message(role="user", content="hi"),),
        steps=1, created_at=utc_now(), owner=owner,
    )  # fmt: skip


def thread_run(id: str, thread: str, ago_s: float = 0.0) -> ThreadRun:
    at = utc_now() - timedelta(seconds=ago_s)
    return ThreadRun(
        id=id, thread=thread, assistant="a", created_at=at, updated_at=at, metadata={"n": 1},
        strategy="enqueue",
    )  # fmt: skip


def names(found: Any) -> list[str]:
    return [thread.name for thread in found]


def test_a_thread_is_made_once_and_found_by_its_name(store: Store) -> None:
    made = store.threads.create("k:t", "k", {"topic": "rain"})
    assert store.threads.get("k:t") == made
    assert (made.owner, made.status, made.tags) == ("k", "idle", {"topic": "rain"})
    with pytest.raises(StateError, match="already"):
        store.threads.create("k:t", "k", {})
    with pytest.raises(NotFoundError):
        store.threads.get("t")


def test_threads_are_found_by_owner_status_and_every_tag_they_have(store: Store) -> None:
    store.threads.create("a", None, {"x": 1, "deep": {"y": "z", "w": None}})
    store.threads.create("k:b", "k", {"x": 1})
    store.threads.create("k:c", "k", {"x": "1", "list": [1, 2]})
    store.threads.mark("k:c", "interrupted")
    search = store.threads.search
    assert sorted(names(search(None, tags={"x": 1}))) == ["a", "k:b"]
    assert names(search("k", tags={"x": 1})) == ["k:b"]
    assert names(search(None, tags={"x": 1, "deep": {"y": "z"}})) == ["a"]
    assert names(search(None, tags={"deep": {"y": "no"}})) == []
    assert names(search(None, tags={"list": [1, 2]})) == ["k:c"]
    assert names(search("k", status="interrupted")) == ["k:c"]
    assert names(search("k", names=["a", "k:b"])) == ["k:b"]
    assert (store.threads.count("k"), store.threads.count(None, tags={"x": 1})) == (2, 2)
    assert names(search(None, sort_by="name", ascending=True, limit=1, offset=1)) == ["k:b"]


def test_tags_are_merged_and_what_is_replaced_is_no_longer_found(store: Store) -> None:
    store.threads.create("t", None, {"a": 1, "b": "\x00 and \ud800"})
    assert store.threads.tag("t", {"a": 2}).tags == {"a": 2, "b": "\x00 and \ud800"}
    assert names(store.threads.search(None, tags={"a": 1})) == []
    assert names(store.threads.search(None, tags={"a": 2})) == ["t"]


def test_an_episode_takes_note_of_its_thread_and_a_run_without_one_makes_none(
    store: Store,
) -> None:
    store.episodes.add(episode("e1", "k:t", "k"))
    store.threads.mark("k:t", "interrupted")
    store.episodes.add(episode("e2", "k:t", "k"))
    store.episodes.add(episode("e3", "e3"))
    found = store.threads.search(None)
    assert [(t.name, t.owner, t.status) for t in found] == [("k:t", "k", "idle")]
    assert found[0].created_at < found[0].updated_at


def test_a_deleted_thread_leaves_no_word_behind(store: Store) -> None:
    store.threads.create("t", None, {"a": 1})
    store.episodes.add(episode("e1", "t"))
    store.episodes.add(episode("e2", "other"))
    store.feedback.put("e1", "down", "no")
    store.runs.add(thread_run("r1", "t"))
    store.threads.delete("t")
    assert names(store.threads.search(None)) == ["other"]
    assert [e.id for e in store.episodes.list()] == ["e2"]
    assert store.feedback.get("e1") is None
    assert store.runs.list("t") == []
    with pytest.raises(NotFoundError):
        store.threads.delete("t")


def test_runs_are_listed_latest_first_and_belong_to_one_thread(store: Store) -> None:
    old, new = thread_run("r1", "t", ago_s=60), thread_run("r2", "t")
    store.runs.add(old)
    store.runs.add(new)
    store.runs.mark(old, "success")
    assert [run.id for run in store.runs.list("t")] == ["r2", "r1"]
    assert [run.id for run in store.runs.list("t", limit=1, offset=1)] == ["r1"]
    assert [run.id for run in store.runs.list("t", status="success")] == ["r1"]
    for call in (store.runs.get, store.runs.delete):
        with pytest.raises(NotFoundError):
            call("other", "r1")
    store.runs.delete("t", "r1")
    assert [run.id for run in store.runs.list("t")] == ["r2"]


def test_what_a_killed_server_left_under_way_is_settled(store: Store) -> None:
    store.threads.create("t", None, {})
    store.threads.mark("t", "busy")
    run = thread_run("r1", "t")
    store.runs.add(run)
    store.runs.mark(run, "running")
    store.threads.settle()
    store.runs.settle()
    assert store.threads.get("t").status == "error"
    assert store.runs.get("t", "r1").status == "error"


def test_threads_of_an_older_home_are_listed(database: Database) -> None:
    """The migration finds them in the episodes, and whose they are in the keys."""
    with database.begin() as db:
        db.execute(text("DROP TABLE thread_marks"))
        for name in ("threads", "runs", "items"):
            db.execute(text(f"DROP TABLE {name}"))
        db.execute(text("UPDATE alembic_version SET version_num = '0006'"))
        db.execute(text("INSERT INTO api_keys VALUES ('abc', '', '{}')"))
        for id, thread in (("e1", "abc:t"), ("e2", "x:t"), ("e3", "e3"), ("e4", "abc:t")):
            row = {"id": id, "thread": thread, "at": utc_now()}
            db.execute(text("INSERT INTO episodes VALUES (:id, :thread, 'v0', :at, '{}')"), row)
        upgrade(db)
    found = Threads(database).search(None, sort_by="name", ascending=True)
    assert [(t.name, t.owner) for t in found] == [("abc:t", "abc"), ("x:t", None)]
    assert found[0].created_at < found[0].updated_at


def test_items_are_kept_by_owner_namespace_and_key(store: Store) -> None:
    put, get = store.items.put, store.items.get
    put("", ("users", "ann"), "likes", {"tea": True})
    put("k", ("users", "ann"), "likes", {"tea": False})
    put("", ("users", "ann"), "likes", {"tea": True, "n": 2})
    assert get("", ("users", "ann"), "likes").value == {"tea": True, "n": 2}
    assert get("k", ("users", "ann"), "likes").value == {"tea": False}
    with pytest.raises(NotFoundError):
        get("", ("users",), "likes")
    store.items.delete("", ("users", "ann"), "likes")
    store.items.delete("", ("users", "ann"), "likes")
    with pytest.raises(NotFoundError):
        get("", ("users", "ann"), "likes")


def test_items_are_searched_under_a_namespace_by_what_they_say(store: Store) -> None:
    for place, key, n in ((("a",), "1", 1), (("a", "b"), "2", 2), (("ab",), "3", 1), ((), "4", 1)):
        store.items.put("", place, key, {"n": n})
    found = store.items.search("", ("a",), {}, 10, 0)
    assert [item.key for item in found] == ["2", "1"]
    assert [item.key for item in store.items.search("", (), {"n": 1}, 2, 1)] == ["3", "1"]
    assert store.items.search("k", (), {}, 10, 0) == []
    assert store.items.namespaces("", (), (), None) == [(), ("a",), ("a", "b"), ("ab",)]
    assert store.items.namespaces("", ("a",), ("b",), None) == [("a", "b")]
    assert store.items.namespaces("", (), (), 1) == [(), ("a",), ("ab",)]
