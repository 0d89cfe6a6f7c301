"""Places, visits and sources: what is kept of where documents come from."""

from datetime import timedelta

import pytest

from store.errors import NotFoundError, UserError
from store.records import utc_now
from store.source_records import Place, PlaceState, Source, Visit
from store.store import Store

NOW = utc_now()


def place(address: str, document: str | None = "d" * 64, **fields: object) -> Place:
    given = {
        "source": "s", "address": address, "state": PlaceState.PRESENT, "document": document,
        "stamp": "1", "first_seen_at": NOW, "seen_at": NOW,
    }  # fmt: skip
    return Place.model_validate(given | fields)


def test_what_was_seen_last_is_what_is_there(store: Store) -> None:
    """Addresses may be long and in any script; sources do not mix."""
    odd = "https://example.com/\u00e9\U0001f600/" + "x" * 5000
    refused = place("b", None, state=PlaceState.REFUSED, reason="is empty")
    store.places.put("s", [place(odd), refused])
    store.places.put("other", [place(odd, "e" * 64, source="other")])
    assert store.places.of("s") == {odd: place(odd), "b": refused}
    later = NOW + timedelta(hours=1)
    gone = place(odd, state=PlaceState.GONE, seen_at=later)
    store.places.put("s", [gone])
    store.places.touch("s", ["b", "never seen"], later)
    assert store.places.of("s") == {odd: gone, "b": refused.model_copy(update={"seen_at": later})}
    assert store.places.of_document("e" * 64) == [place(odd, "e" * 64, source="other")]


def test_many_places_are_written_at_once(store: Store) -> None:
    many = [place(f"a{n}") for n in range(1300)]
    store.places.put("s", many)
    store.places.put("s", many)
    store.places.touch("s", [one.address for one in many], NOW)
    assert len(store.places.of("s")) == 1300


def test_an_address_that_stands_twice_is_a_fault(store: Store) -> None:
    with pytest.raises(AssertionError, match="twice"):
        store.places.put("s", [place("a"), place("a", None)])
    assert store.places.of("s") == {}


def test_the_last_visit_to_each_source_is_known(store: Store) -> None:
    """The one that was stored last, whatever the clock says."""
    for name, minutes in (("a", 5), ("a", 0), ("b", 1)):
        began = NOW + timedelta(minutes=minutes)
        store.visits.add(Visit(source=name, started_at=began, seconds=1.5, added=minutes))
    assert {name: visit.added for name, visit in store.visits.last().items()} == {"a": 0, "b": 1}
    assert [visit.added for visit in store.visits.of("a")] == [0, 5]
    assert store.visits.of("a", limit=1)[0].seconds == 1.5


def source(name: str, location: str = "/x") -> Source:
    return Source(name=name, location=location, added_at=NOW, options={"patterns": ["a", "b"]})


def test_a_source_is_changed_and_forgotten_with_its_places(store: Store) -> None:
    """Its visits stay, for whoever asks where documents came from."""
    store.sources.add(source("s"))
    assert store.sources.change("s", paused=True).paused
    assert store.sources.get("s") == source("s").model_copy(update={"paused": True})
    store.places.put("s", [place("a")])
    store.visits.add(Visit(source="s", started_at=NOW, seconds=0.0))
    store.sources.remove("s")
    assert store.places.of("s") == {} and len(store.visits.of("s")) == 1
    with pytest.raises(NotFoundError):
        store.sources.change("s", paused=False)


@pytest.mark.parametrize("name", ["", " ", "a/b", "-x", "a ", "a\n", "x" * 65, "a\u200bb", "a:b"])
def test_a_name_that_is_none_is_refused(store: Store, name: str) -> None:
    with pytest.raises(UserError, match="name"):
        store.sources.add(source(name))


def test_a_place_is_one_source(store: Store) -> None:
    """By kind: a checkout may be read as it lies there and as it is committed."""
    store.sources.add(source("D\u00f6cs 2.0"))
    with pytest.raises(UserError, match="is already the source"):
        store.sources.add(source("other"))
    store.sources.add(source("other").model_copy(update={"kind": "git"}))
