"""`perennial key`: who may call the assistant. A key is shown once, when it is made."""

from datetime import timedelta
from typing import Any, cast

from rich.text import Text

from adapt.commands import Options
from adapt.show import table
from agent.config import home_of
from store import Store
from store.errors import UserError
from store.keys import SCOPES, ApiKey, Scope
from store.records import utc_now


def create(
    options: Options,
    name: str,
    scopes: str,
    days: int | None,
    rate_per_minute: int | None,
    concurrent: int | None,
) -> int:
    """Make a key and show it. UserError for a scope that there is not, or a name that is taken."""
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    wrong = [scope for scope in wanted if scope not in SCOPES]
    if wrong or not wanted:
        said = f"there is no scope {wrong[0]!r}" if wrong else "a key needs a scope"
        raise UserError(said, f"there are: {', '.join(SCOPES)}")
    expires = utc_now() + timedelta(days=days) if days else None
    with Store.open(home_of(options.settings())) as store:
        key, secret = store.keys.create(
            name, cast(tuple[Scope, ...], tuple(wanted)), expires, rate_per_minute, concurrent
        )
    options.put(
        _told(key) | {"key": secret},
        Text(f"{secret}\n{name} may {', '.join(key.scopes)}. The key is not shown again."),
    )
    return 0


def show_all(options: Options) -> int:
    """List the keys, without what clients send."""
    with options.read_store() as store:
        rows = [_told(key) for key in store.keys.list()]
    shown = table(rows, "id", "name", "scopes", "state", "created_at", "expires_at")
    options.put(rows, shown if rows else "no keys; make one: perennial key create NAME")
    return 0


def revoke(options: Options, which: str) -> int:
    """End a key at once."""
    with options.read_store() as store:
        key = store.keys.revoke(which)
    options.put(_told(key), f"{key.name} ({key.id}) is revoked")
    return 0


def _told(key: ApiKey) -> dict[str, Any]:
    now = utc_now()
    state = "valid" if key.valid(now) else "revoked" if key.revoked_at else "expired"
    return key.model_dump(mode="json") | {"scopes": ", ".join(key.scopes), "state": state}
