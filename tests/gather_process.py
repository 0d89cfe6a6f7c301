"""Gathers two files of documents in a process of its own, which can be killed in the middle.

`python gather_process.py HOME BANKING TOOLS [STATEMENTS]`: sources are added where they are not
yet, all is gathered and indexed. With STATEMENTS the process dies by SIGKILL ahead of that
statement on its database, which may be in the middle of a transaction. Prints how many there were.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from adapt.gather import gather
from agent.config import Settings
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import utc_now
from store.source_records import Source


def main() -> None:
    """One gathering, or a part of one."""
    home, banking, tools = (Path(a) for a in sys.argv[1:4])
    last = int(sys.argv[4]) if len(sys.argv) > 4 else None
    count = 0

    def on_statement(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", on_statement)
    with Store.open(Home(home), HashEmbedder()) as store:
        if not store.sources.list():
            fields = {"text": "content", "title": "title", "id": "id"}
            for name, path, options in (("bank", banking, fields), ("tools", tools, {})):
                store.sources.add(
                    Source(
                        name=name, kind="toolbench", location=str(path), options=options,
                        added_at=utc_now(),
                    )
                )  # fmt: skip
        asyncio.run(gather(store, Settings(home=home)))
        store.documents.catch_up()
    sys.stdout.write(f"{count}\n")


if __name__ == "__main__":
    main()
