"""The base of a home: made once, whoever comes at the same time or died while making it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from fake_runtime import BASE

from adapt.runtime import ensure_base
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import Version, VersionState, utc_now


def test_two_at_once_make_one_base(tmp_path: Path) -> None:
    """Again and again: one try may miss the moment between a look and a write."""
    for number in range(10):
        home = Home(tmp_path / str(number))
        with Store.open(home, HashEmbedder()) as one, Store.open(home, HashEmbedder()) as two:
            begin = Barrier(2)

            def make(store: Store, begin: Barrier = begin) -> str:
                begin.wait()
                return ensure_base(store, BASE).name

            with ThreadPoolExecutor(2) as threads:
                assert set(threads.map(make, (one, two))) == {BASE.version_name}
            live = one.versions.live()
            assert live is not None and live.name == BASE.version_name


def test_a_base_whose_maker_died_before_it_was_live_goes_live(tmp_path: Path) -> None:
    with Store.open(Home(tmp_path), HashEmbedder()) as store:
        left = Version(
            name=BASE.version_name, number=0, digest=BASE.digest, kind="base",
            base_digest=BASE.digest, template_digest=BASE.template_digest,
            state=VersionState.PROMOTED, created_at=utc_now(),
        )  # fmt: skip
        store.versions.create(left)
        ensure_base(store, BASE)
        live = store.versions.live()
        assert live is not None and live.name == left.name
