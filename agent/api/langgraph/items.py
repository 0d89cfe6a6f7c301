"""Items: JSON that clients keep beside threads, by namespace and key. Each key has its own."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from agent.api.auth import Caller, Chatting, MayChat, State
from agent.api.errors import ApiError, refusals
from agent.api.langgraph.answers import ItemAnswer, ItemsAnswer, NamespacesAnswer
from agent.api.langgraph.bodies import ItemBody, ItemPlace, ItemSearch, Key, NamespaceSearch
from store.items import Item

router = APIRouter(prefix="/store", dependencies=[MayChat], tags=["LangGraph store"])


@router.put("/items", status_code=204)
async def put(body: ItemBody, state: State, caller: Chatting) -> None:
    """Keep an item, in place of the one that is there."""
    await asyncio.to_thread(
        state.store.items.put, _owner(caller), tuple(body.namespace), body.key, body.value
    )


@router.get("/items", response_model=ItemAnswer, responses=refusals(404))
async def get(
    key: Annotated[Key, Query()], state: State, caller: Chatting,
    namespace: Annotated[str, Query(max_length=512)] = "",
) -> dict[str, Any]:  # fmt: skip
    """An item. The labels of its namespace are joined by dots."""
    if "\0" in namespace:
        raise ApiError(404, "there is no such item", code="not_found")
    labels = tuple(namespace.split(".")) if namespace else ()
    return _shown(await asyncio.to_thread(state.store.items.get, _owner(caller), labels, key))


@router.delete("/items", status_code=204)
async def delete(body: ItemPlace, state: State, caller: Chatting) -> None:
    """Forget an item."""
    await asyncio.to_thread(
        state.store.items.delete, _owner(caller), tuple(body.namespace), body.key
    )


@router.post("/items/search", response_model=ItemsAnswer)
async def search(body: ItemSearch, state: State, caller: Chatting) -> dict[str, Any]:
    """Items under a namespace, the latest first."""
    found = await asyncio.to_thread(
        state.store.items.search, _owner(caller), tuple(body.namespace_prefix), body.filter or {},
        body.limit, body.offset,
    )  # fmt: skip
    return {"items": [_shown(item) for item in found]}


@router.post("/namespaces", response_model=NamespacesAnswer)
async def namespaces(body: NamespaceSearch, state: State, caller: Chatting) -> dict[str, Any]:
    """The namespaces that hold something."""
    found = await asyncio.to_thread(
        state.store.items.namespaces, _owner(caller), tuple(body.prefix or ()),
        tuple(body.suffix or ()), body.max_depth,
    )  # fmt: skip
    return {"namespaces": [list(one) for one in found[body.offset : body.offset + body.limit]]}


def _owner(caller: Caller) -> str:
    return caller.tenant or ""


def _shown(item: Item) -> dict[str, Any]:
    return item.model_dump() | {"namespace": list(item.namespace)}
