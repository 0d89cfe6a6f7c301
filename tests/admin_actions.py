"""Administration without anything to administer, for tests of the API."""

from agent_app import LIVE, NEXT

from agent.api.state import Actions, Report
from store.errors import BusyError, NotFoundError, StateError


class Worker:
    """Actions that remember what was asked of them; one cycle at a time."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.running = False

    async def status(self) -> Report:
        return {"live": LIVE, "running": self.running}

    async def update(self) -> Report:
        if self.running:
            raise BusyError("cycle 1 is running", "see: perennial cycles")
        self.running = True
        return {"cycle": 1}

    async def roll_back(self) -> Report:
        raise StateError("there is nothing to roll back to", "promote a version first")

    async def promote(self, name: str) -> Report:
        if name != NEXT:
            raise NotFoundError(f"no version {name!r}", f"there are: {LIVE}, {NEXT}")
        self.asked.append(name)
        return {"live": name, "previous": LIVE}

    async def verify(self, name: str) -> Report:
        return {"probe_difference": 0.0 if name == LIVE else None}

    async def consolidate(self) -> Report:
        if self.running:
            raise StateError("an update is running", "wait for it: perennial cycles")
        return {"live": NEXT, "previous": LIVE}

    async def withdraw(self, digests: list[str]) -> Report:
        self.asked += digests
        return {"withdrawn": digests, "cycle": 2, "waits": ""}

    def actions(self) -> Actions:
        return Actions(
            self.status, self.update, self.roll_back, self.promote, self.verify, self.consolidate,
            self.withdraw,
        )  # fmt: skip
