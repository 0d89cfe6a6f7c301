"""API keys: what is kept of them, what finds them, and how they end. On both databases."""

from datetime import timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from store.errors import NotFoundError, UserError
from store.records import utc_now
from store.store import Store


def test_a_key_is_found_by_what_was_shown_and_by_nothing_else(store: Store) -> None:
    key, shown = store.keys.create("team", ("chat",))
    assert store.keys.find(shown) == key
    other, _ = store.keys.create("other", ("chat",))
    for wrong in ("", "x", shown[:-1], shown + "x", shown.replace(key.id, other.id), key.id):
        assert store.keys.find(wrong) is None


def test_the_secret_is_in_no_row(store: Store) -> None:
    _, shown = store.keys.create("team", ("chat",))
    secret = shown.split("_", 2)[2]
    with store.database.read() as db:
        rows = db.execute(text("SELECT id, digest, record FROM api_keys")).all()
    assert len(rows) == 1 and secret not in str(rows)


def test_a_revoked_or_expired_key_is_no_key(store: Store) -> None:
    _, revoked = store.keys.create("team", ("chat",))
    store.keys.revoke("team")
    _, expired = store.keys.create("old", ("chat",), expires_at=utc_now() - timedelta(seconds=1))
    assert store.keys.find(revoked) is None and store.keys.find(expired) is None
    assert store.keys.any()


def test_a_name_is_free_again_after_its_key_has_ended(store: Store) -> None:
    store.keys.create("team", ("chat",))
    with pytest.raises(UserError, match="a key named 'team'"):
        store.keys.create("team", ("chat",))
    first = store.keys.revoke("team")
    second, _ = store.keys.create("team", ("read", "chat"))
    assert second.scopes == ("chat", "read")
    assert [key.id for key in store.keys.list()] == [first.id, second.id]


def test_what_is_no_key_cannot_be_revoked(store: Store) -> None:
    store.keys.create("team", ("chat",))
    with pytest.raises(NotFoundError) as missing:
        store.keys.revoke("none")
    assert "team" in str(missing.value.hint)


@pytest.mark.parametrize("name", ["", "  ", "a\nb"])
def test_a_key_has_a_name_that_can_be_read(store: Store, name: str) -> None:
    with pytest.raises(UserError, match="no name for a key"):
        store.keys.create(name, ("chat",))
    assert not store.keys.any()


def test_a_key_that_may_nothing_is_not_made(store: Store) -> None:
    with pytest.raises(ValidationError, match="needs a scope"):
        store.keys.create("team", ())
