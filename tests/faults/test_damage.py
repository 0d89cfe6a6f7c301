"""Files that lost their end or one bit: refused by their digest, by name, with what is live as it
was."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cycle_driver import build_runtime
from faults.chain import Chain, said
from faults.invariants import TALLY, check_ended, check_home
from faults.processes import ROOT

from adapt.loki.scores import TABLES, Tally
from adapt.loki.tally_file import TallyFile
from adapt.stage import RESULT, run_stage
from store import Home, Store
from store.embeddings import HashEmbedder
from store.errors import IntegrityError
from store.files import MARKER
from store.records import CycleStage, CycleState

ADAPTER = ("adapter_model.safetensors", "adapter_config.json", MARKER)


def truncated(file: Path) -> None:
    """Half of it is gone."""
    data = file.read_bytes()
    _replace(file, data[: len(data) // 2])


def flipped(file: Path) -> None:
    """One bit in its middle is another."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    _replace(file, bytes(data))


def _replace(file: Path, data: bytes) -> None:
    file.chmod(0o644)
    file.write_bytes(data)
    TALLY.inject("damaged file")


ENV = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "adapt")])}
HOW = pytest.mark.parametrize("damage", [truncated, flipped])
Damage = Callable[[Path], None]


def outputs(home: Path, stage: CycleStage) -> dict[str, str]:
    """What a stage of the first cycle gave."""
    with Store.open(Home(home), HashEmbedder()) as store:
        return next(s.outputs or {} for s in store.cycles.get(1).stages if s.stage is stage)


def check_refused(
    chain: Chain, home: Path, name: str, damaged: frozenset[str] = frozenset()
) -> None:
    """The cycle ends there with words that name the file, and what was live is live."""
    before = check_home(home, damaged=damaged)
    assert chain.learned.run(home) == 0, said(home)
    TALLY.check(check_home(home, damaged=damaged) == before, "the live version stays")
    error = check_ended(home, 1, CycleState.FAILED).error or ""
    TALLY.check(name in error, f"the words name {name}: {error}")


@HOW
@pytest.mark.parametrize("file", ADAPTER)
@pytest.mark.parametrize("step", ["evaluate:started", "swap:started"])
def test_a_damaged_candidate_is_neither_asked_nor_swapped_in(
    chain: Chain, place: Path, step: str, file: str, damage: Damage
) -> None:
    home = chain.at(step, place)
    digest = outputs(home, CycleStage.COMPOSE)["digest"]
    damage(home / "artifacts" / digest / file)
    check_refused(chain, home, file, damaged=frozenset({digest}))


@HOW
@pytest.mark.parametrize("file", ADAPTER)
def test_a_damaged_update_is_not_composed(
    chain: Chain, place: Path, file: str, damage: Damage
) -> None:
    home = chain.at("compose:started", place)
    digest = outputs(home, CycleStage.IMPLANT)["update"]
    damage(home / "artifacts" / digest / file)
    check_refused(chain, home, file, damaged=frozenset({digest}))


@HOW
def test_an_adapter_that_was_damaged_before_it_was_stored_is_not_taken(
    chain: Chain, place: Path, damage: Damage
) -> None:
    """The trainer had named it with its digest; a power cut may keep the one and lose the other."""
    home = chain.trained(place)
    damage(home / "cycles" / "0001" / "implant" / "child" / "adapter" / ADAPTER[0])
    check_refused(chain, home, "child/adapter")


@HOW
def test_a_damaged_mask_is_not_trained_and_is_made_again(
    chain: Chain, place: Path, damage: Damage
) -> None:
    home = chain.at("attribute:started", place)
    masks = home / "masks"
    shutil.copytree(chain.dead("attribute:done") / "masks", masks, dirs_exist_ok=True)
    (mask,) = masks.glob("*/mask.json")
    damage(mask)
    check_refused(chain, home, "mask.json")
    TALLY.check(not mask.exists(), "the next cycle makes it again")


@HOW
@pytest.mark.parametrize("file", ADAPTER)
def test_a_damaged_live_version_is_not_loaded_and_can_be_left(
    chain: Chain, place: Path, file: str, damage: Damage
) -> None:
    """An engine that starts does not get it, and rolling back goes to what is whole."""
    home = Path(shutil.copytree(chain.finished(), place))
    digest = outputs(home, CycleStage.COMPOSE)["digest"]
    damage(home / "artifacts" / digest / file)

    async def scenario() -> None:
        with Home(home).lock(), Store.open(Home(home), HashEmbedder()) as store:
            learned = chain.learned
            runtime, _ = build_runtime(Home(home), store, learned.model, learned.inbox)
            (member,) = runtime.engine.members
            with pytest.raises(IntegrityError, match=file):
                await runtime.swap.fill(member)
            TALLY.check(not member.adapters, "the engine does not get it")
            await runtime.swap.roll_back()
            TALLY.check(runtime.live() == runtime.base.version_name, "the base is live")
            with pytest.raises(IntegrityError, match=file):
                await runtime.swap.promote(store.versions.list()[-1].name)
            TALLY.check(runtime.live() == runtime.base.version_name, "and stays")
            await runtime.engine.close()

    asyncio.run(scenario())
    check_home(home, damaged=frozenset({digest}))


@HOW
def test_a_damaged_tally_of_scores_is_not_gone_on_with(tmp_path: Path, damage: Damage) -> None:
    import numpy as np

    path = tmp_path / "state.safetensors"
    tables = {name: np.ones((4, 64)) for name in TABLES}
    TallyFile(path, "base").write(Tally(tables, 3), 7)
    assert TallyFile(path, "base").read() is not None
    damage(path)
    TALLY.check(TallyFile(path, "base").read() is None, "scoring begins anew")


@HOW
def test_a_damaged_checkpoint_is_not_gone_on_with(tmp_path: Path, damage: Damage) -> None:
    import torch

    from adapt.loki.checkpoint import TrainState, load_checkpoint, save_checkpoint

    trained = [torch.ones(8, 64, requires_grad=True)]
    optimizer = torch.optim.AdamW(trained)
    trained[0].sum().backward()
    optimizer.step()
    save_checkpoint(tmp_path, "run", TrainState(step=1), trained, [optimizer])
    assert load_checkpoint(tmp_path, "run", trained, [optimizer]) is not None
    before = trained[0].detach().clone()
    (file,) = tmp_path.iterdir()
    damage(file)
    found = load_checkpoint(tmp_path, "run", trained, [optimizer])
    TALLY.check(found is None, "training begins anew")
    TALLY.check(torch.equal(trained[0], before), "and nothing of it is used")


def test_a_result_of_a_stage_that_lost_its_end_is_made_again(tmp_path: Path) -> None:
    def add() -> dict[str, int]:
        return run_stage("stage_functions:add", {"a": 1, "b": 2}, tmp_path, env=ENV)

    assert add() == {"sum": 3}
    truncated(tmp_path / RESULT)
    TALLY.check(add() == {"sum": 3}, "the stage runs again")
