"""Gathers two files of documents in a process of its own, which can be killed in the middle.

`python gather_process.py HOME BANKING TOOLS [ADDRESSES]`: sources are added where they are not yet,
all is gathered and indexed, and with ADDRESSES the process dies by SIGKILL when so many were told.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from adapt.gather import gather
from agent.config import Settings
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import utc_now
from store.source_records import Source


def main() -> None:
    """One gathering, or a part of one."""
    home, banking, tools = (Path(a) for a in sys.argv[1:4])
    most = int(sys.argv[4]) if len(sys.argv) > 4 else None
    told = 0

    def progress(address: str) -> None:
        nonlocal told
        told += 1
        if told == most:
            os.kill(os.getpid(), signal.SIGKILL)

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
        asyncio.run(gather(store, Settings(home=home), progress))
        store.documents.catch_up()


if __name__ == "__main__":
    main()
