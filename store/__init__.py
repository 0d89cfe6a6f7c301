"""What is kept, and nothing else: records, the database, artifacts, documents, versions, cycles.

`Store` opens all of it. It is imported on first use, so that `store.errors` can be imported where
no database library is installed. Nothing here imports tools, agent or adapt.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from store.home import Home
    from store.store import Store

__all__ = ["Home", "Store"]


def __getattr__(name: str) -> Any:
    if name == "Store":
        from store.store import Store

        return Store
    if name == "Home":
        from store.home import Home

        return Home
    raise AttributeError(f"module 'store' has no attribute {name!r}")
