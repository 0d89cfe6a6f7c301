"""What an update replays of earlier cycles: what the live version was trained on, nothing else."""

import asyncio
from pathlib import Path

from fake_runtime import add_version, fake_runtime, settings_of

from adapt.cycle_learning import learned_documents
from adapt.loki.batches import of_epoch
from adapt.rehearsal import examples_of, rehearsed
from store import Store
from store.records import Document, Example, Message, Update, digest_of, utc_now


def document(store: Store, text: str) -> str:
    """A stored document; its digest."""
    made = Document(
        digest=digest_of(text), source="s", address=text, title=text, text=text, kind="prose",
        fetched_at=utc_now(),
    )  # fmt: skip
    store.documents.add(made)
    store.documents.accept(made.digest)
    return made.digest


def example(document_digest: str) -> Example:
    """One training example of a document."""
    said = (
        Message(role="user", content="?"),
        Message(role="assistant", content=document_digest, loss=True),
    )
    return Example(
        digest=digest_of(["example", document_digest]), kind="qa", messages=said,
        documents=(document_digest,), split="train",
    )  # fmt: skip


def learn(store: Store, documents: list[str]) -> None:
    """A live version whose update was trained on `documents`."""
    version = add_version(store, number=7)
    update = Update(
        digest=version.digest, base_digest=version.base_digest, mask_digest="m",
        corpus_digest=store.documents.snapshot(documents).digest, examples_digest="e",
        settings={}, seed=0, created_at=utc_now(),
    )  # fmt: skip
    store.versions.add_update(update)
    made = version.model_copy(
        update={"name": "v8-learned", "number": 8, "digest": "d" * 64, "update": update.digest}
    )
    store.versions.create(made)
    store.versions.go_live(made.name)


def test_a_refused_cycles_examples_are_not_replayed(tmp_path: Path) -> None:
    """The live version does not know them: holding to its answers would unteach the cycle."""

    async def replayed() -> list[Example]:
        async with fake_runtime(settings_of(tmp_path / "home")) as runtime:
            store = runtime.store
            promoted, refused = document(store, "promoted"), document(store, "refused")
            store.examples.add(1, [example(promoted)])
            store.examples.add(2, [example(refused)])
            assert examples_of(store, learned_documents(runtime), before=3) == []
            learn(store, [promoted])
            return examples_of(store, learned_documents(runtime), before=3)

    (kept,) = asyncio.run(replayed())
    assert kept.messages[-1].content == digest_of("promoted")


def test_what_is_learned_again_is_no_more_than_what_is_new() -> None:
    """A seeded sample of the earlier, so that the hundredth update costs what the second did."""
    new = [example(f"n{n}") for n in range(5)]
    earlier = [example(f"e{n}") for n in range(40)]
    again = rehearsed(new, earlier, 3, "0/3")
    assert len({e.digest for e in again}) == 15
    assert again == rehearsed(new, earlier, 3, "0/3") != rehearsed(new, earlier, 3, "0/4")
    few = rehearsed(new, earlier[:3], 3, "0/3")
    assert {e.digest for e in few} == {e.digest for e in earlier[:3]}


def test_every_epoch_learns_others_again_until_all_have_come() -> None:
    """New ones 0 to 2, earlier ones 3 to 9."""
    epochs = [of_epoch(3, 7, epoch) for epoch in range(4)]
    assert all(chosen[:3] == [0, 1, 2] and len(chosen) == 6 for chosen in epochs)
    drawn = [index for chosen in epochs for index in chosen[3:]]
    assert sorted(drawn[:7]) == list(range(3, 10))
    assert sorted(of_epoch(3, 2, 5)) == [0, 1, 2, 3, 4]
    assert of_epoch(3, 0, 1) == [0, 1, 2]
