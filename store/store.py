"""The whole store of one home, opened once per process and shared by its threads.

It only puts the parts together. Any number of processes may have it open; Chroma alone is for
one of them, the one that searches. Called by the command line, the server and the cycle.
"""

import os
from types import TracebackType

from store.claims import Claims
from store.cycles import Cycles
from store.database import Database
from store.documents import Documents
from store.editions import Editions
from store.embeddings import Embedder, MiniLmEmbedder
from store.episodes import Episodes
from store.errors import BusyError
from store.examples import Examples
from store.feedback import FeedbackTable
from store.files import Artifacts
from store.home import Home
from store.index import PassageIndex
from store.items import Items
from store.keys import Keys
from store.keywords import KeywordIndex
from store.leases import FencedDatabase, Leases
from store.ownership import check_home, claim
from store.places import Places
from store.reports import Reports
from store.reviews import Reviews
from store.search import Search
from store.sources import Sources
from store.superseded import Superseded
from store.thread_runs import ThreadRuns
from store.threads import Threads
from store.trials import Trials
from store.versions import Versions
from store.visits import Visits


class Store:
    """Everything that is kept in one home. Also a context manager that closes."""

    def __init__(self, home: Home, database: Database, embedder: Embedder) -> None:
        self.home = home
        self.embedder = embedder
        self.database = database
        self.artifacts = Artifacts(home.artifacts)
        index, words = PassageIndex.of(home, embedder), KeywordIndex(home.keywords)
        self.documents = Documents(database, Search(database, index, words, embedder))
        self.places = Places(database)
        self.visits = Visits(database)
        self.editions = Editions(database)
        self.examples = Examples(database)
        self.superseded = Superseded(database)
        self.versions = Versions(database)
        self.reports = Reports(database)
        self.cycles = Cycles(database)
        self.episodes = Episodes(database)
        self.feedback = FeedbackTable(database)
        self.trials = Trials(database)
        self.sources = Sources(database)
        self.reviews = Reviews(database)
        self.claims = Claims(database)
        self.keys = Keys(database)
        self.threads = Threads(database)
        self.runs = ThreadRuns(database)
        self.items = Items(database)
        self.leases = Leases(database)

    @classmethod
    def open(cls, home: Home, embedder: Embedder | None = None) -> "Store":
        """Make the home if needed, migrate, and open. The default embedder loads on first search.

        The one place that knows which database and which search index a home has. Raises
        ConfigError for a home that cannot be used, StateError for one that a restore left half
        done, IntegrityError for a damaged database, BusyError while another release serves it.
        """
        check_home(home)
        home.create()
        database = FencedDatabase(home.database_url or home.database)
        try:
            _refuse_under_another(home, database)
            database.migrate()
            claim(home, database)
        except BaseException:
            database.close()
            raise
        return cls(home, database, embedder or MiniLmEmbedder())

    def close(self) -> None:
        """Close the database and the search index."""
        self.documents.close()
        self.database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _refuse_under_another(home: Home, database: Database) -> None:
    """New tables under a program that knows only the old ones would break what it is doing."""
    pid = home.locked_by()
    if pid not in (None, os.getpid()) and database.of_another_release():
        raise BusyError(
            f"the home {home.path} is in use by process {pid}, of another release",
            "use the commands of that release, or stop it first: docs/upgrade.md",
        )
