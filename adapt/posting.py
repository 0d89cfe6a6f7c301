"""Documents that are posted to the assistant: taken in at once, each with what became of it.

Called by the server (adapt.up), which has agent.api.documents call it.
"""

from collections.abc import Sequence

from adapt.gather.posted import Posted
from adapt.gather.protocol import Draft
from adapt.gather.taking import Told
from adapt.gather.visit import visit
from agent.api.postings import Posting
from agent.api.state import Report
from agent.config import Settings
from store import Store
from store.errors import StateError, UserError


async def post(
    store: Store, settings: Settings, source: str, given: Sequence[Posting]
) -> list[Report]:
    """Take documents in from a source of kind `posted`; what became of each address, in order.

    NotFoundError for no such source, UserError for one of another kind, StateError while it is
    paused.
    """
    found = store.sources.get(source)
    if found.kind != "posted":
        raise UserError(
            f"{source!r} is a source of kind {found.kind}, which is not posted to",
            "make one with `perennial source add NAME --kind posted`",
        )
    if found.paused:
        raise StateError(f"{source!r} is paused", f"perennial source resume {source}")
    told: dict[str, Told] = {}

    def tell(one: Told) -> None:
        told[one.address] = one

    drafts = {one.address: _draft(one) for one in given}
    made = await visit(store, found, Posted(list(drafts.values())), settings, tell)
    over = Told("", "refused", reason=f"over the bound of one visit: {made.bound}")
    return [_report(address, told.get(address, over)) for address in drafts]


def _draft(given: Posting) -> Draft:
    return Draft(
        address=given.address,
        text=given.text,
        title=given.title,
        kind=given.kind,
        licence=given.licence,
        published_at=given.published_at,
        bytes_read=len(given.text.encode(errors="replace")),
    )


def _report(address: str, told: Told) -> Report:
    return {
        "address": address, "change": told.change, "document": told.document,
        "reason": told.reason or None,
        "held": [{"kind": f.kind, "words": f.words} for f in told.held],
    }  # fmt: skip
