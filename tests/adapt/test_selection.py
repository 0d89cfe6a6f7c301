"""Selection: every rule on tables made by hand, deterministic, and files that cannot be changed."""

import itertools
import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from adapt.loki.definitions import DEFINITIONS
from adapt.loki.scores import Attribution, Tally
from adapt.loki.selection import Mask, Rule, rows_per_layer, select
from agent.config import UpdateSettings
from store.errors import ConfigError, ModelError


def found(lowest, quota=50.0, **tables):
    """An attribution with these counts; the tables that are not given hold zeros."""
    low = np.array(lowest, dtype=np.int32)
    zeros = {name: np.zeros(low.shape, np.int32) for name in ("highest", "global_lowest")}
    given = {name: np.array(table) for name, table in tables.items()}
    means = {"mean": np.zeros(low.shape), "magnitude": np.zeros(low.shape)}
    every = zeros | {"global_highest": zeros["highest"]} | means | given
    return Attribution(low, **every, samples=4, quota=quota, definition="release", steps=7,
                       corpus="four prompts", corpus_digest="corpus")  # fmt: skip


def test_the_largest_counts_win_and_ties_go_to_the_lower_index():
    mask = select(found([[1, 3, 3, 3], [2, 2, 2, 2]]), "base")
    assert mask.rows == ((1, 2), (0, 1))
    assert (mask.rank, mask.rule, mask.d_model, mask.corpus_digest) == (2, "lowest", 4, "corpus")


def test_every_layer_gives_the_same_number_of_rows():
    """A layer whose rows are chosen more often takes none from another."""
    mask = select(found([[90, 80, 70, 60], [1, 0, 0, 2]]), "base")
    assert [len(rows) for rows in mask.rows] == [2, 2]
    assert mask.rows[1] == (0, 3)


def test_highest_reads_the_other_counts():
    both = found([[4, 4, 0, 0]], highest=[[0, 0, 1, 4]])
    assert select(both, "b", "highest").rows == ((2, 3),)


def test_a_global_rule_has_one_pool_for_all_layers():
    """Four of eight rows; of equal counts the lower layer and then the lower index comes first."""
    pool = found([[0] * 4] * 3, global_lowest=[[9, 8, 7, 0], [7, 7, 7, 0], [0] * 4])
    mask = select(pool, "b", "global-lowest")
    assert mask.rows == ((0, 1, 2), (0, 1, 2), ())
    assert mask.rank == 3
    opposite = found([[0] * 4] * 2, global_highest=[[0, 0, 0, 0], [1, 2, 3, 4]])
    assert select(opposite, "b", "global-highest").rows == ((), (0, 1, 2, 3))


def test_magnitude_takes_the_smallest_scores_of_every_layer():
    table = found([[4, 4, 0, 0]], magnitude=[[0.5, 0.1, 0.3, 0.2]])
    assert select(table, "b", "magnitude").rows == ((1, 3),)


@pytest.mark.parametrize(
    "rule", ["lowest", "highest", "global-lowest", "global-highest", "magnitude", "random"]
)
def test_the_rows_of_a_smaller_quota_lie_within_those_of_a_larger(rule):
    generator = np.random.default_rng(0)
    counts = {n: generator.integers(0, 5, (3, 40)) for n in ("highest", "global_lowest")}
    tables = counts | {"global_highest": counts["highest"], "magnitude": generator.random((3, 40))}
    made = found(generator.integers(0, 5, (3, 40)), quota=20, **tables)
    masks = [select(made, "b", rule, quota=quota, seed=3) for quota in (5, 10, 30)]
    for small, large in itertools.pairwise(masks):
        assert all(set(a) <= set(b) for a, b in zip(small.rows, large.rows, strict=True))
    assert sum(map(len, masks[1].rows)) == 12


def test_rows_can_be_given_by_number():
    mask = select(found([[1, 3, 3, 3]]), "b", rows=3)
    assert mask.rows == ((1, 2, 3),)
    assert mask.quota == 75.0
    for wrong in (0, 5):
        with pytest.raises(ConfigError, match="rows per layer"):
            select(found([[1, 3, 3, 3]]), "b", rows=wrong)


def test_random_depends_on_the_seed_only():
    wide = found(np.zeros((3, 64)).tolist(), quota=10)
    other_counts = found(np.ones((3, 64)).tolist(), quota=10)
    first, again = (select(made, "b", "random", seed=1) for made in (wide, other_counts))
    other = select(wide, "b", "random", seed=2)
    assert first == again
    assert first.rows != other.rows
    assert first.digest != other.digest
    assert [len(rows) for rows in first.rows] == [6, 6, 6]


@pytest.mark.parametrize(
    ("d_model", "quota", "k"), [(896, 10, 89), (4096, 30, 1228), (192, 30, 57), (100, 29, 29)]
)
def test_k_is_the_floor_of_the_quota(d_model, quota, k):
    assert rows_per_layer(d_model, quota) == k


@pytest.mark.parametrize("quota", [0, 0.1, 101])
def test_a_quota_without_rows_is_refused(quota):
    with pytest.raises(ConfigError, match="quota"):
        rows_per_layer(64, quota)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ConfigError, match="rule"):
        select(found([[1, 2, 3, 4]]), "b", "best")  # pyright: ignore[reportArgumentType]


def test_masks_and_attributions_come_back_as_saved(tmp_path):
    made = found([[1, 3, 3, 3], [2, 2, 2, 2]], magnitude=np.full((2, 4), 0.1))
    made.save(tmp_path / "a.safetensors")
    read = Attribution.load(tmp_path / "a.safetensors")
    assert np.array_equal(read.lowest, made.lowest)
    assert np.array_equal(read.magnitude, made.magnitude)
    assert (read.samples, read.corpus, read.lowest.dtype) == (4, "four prompts", np.int32)
    replace(read, corpus="four prompts").save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    mask = select(read, "base")
    mask.save(tmp_path / "mask.json")
    assert Mask.load(tmp_path / "mask.json") == mask
    assert json.loads((tmp_path / "mask.json").read_text())["digest"] == mask.digest


def test_what_is_no_attribution_is_refused(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"{}")
    for name in ("a.safetensors", "none"):
        with pytest.raises(ModelError, match="is no attribution"):
            Attribution.load(tmp_path / name)


def test_a_tally_adds_batches_and_divides_by_samples():
    first, second = Tally.empty(1, 2), Tally.empty(1, 2)
    for tally, samples in ((first, 1), (second, 3)):
        tally.samples = samples
        tally.tables["lowest"] += samples
        tally.tables["mean"] += 2.0 * samples
    first.add(second)
    made = first.result(10.0, "paper", 7)
    assert made.lowest.tolist() == [[4, 4]]
    assert made.mean.tolist() == [[2.0, 2.0]]
    assert (made.samples, made.definition) == (4, "paper")


def test_a_changed_mask_file_is_refused(tmp_path):
    path = tmp_path / "mask.json"
    select(found([[1, 3, 3, 3]]), "base").save(path)
    path.write_text(path.read_text().replace("[1, 2]", "[1, 3]"))
    with pytest.raises(ModelError, match="digest"):
        Mask.load(path)
    path.write_text("{}")
    with pytest.raises(ModelError, match="does not hold"):
        Mask.load(path)
    with pytest.raises(ModelError, match="cannot be read"):
        Mask.load(tmp_path / "none.json")


@pytest.mark.parametrize("rows", [((), ()), ((2, 1),), ((1, 1),), ((4,),), ((-1,),)])
def test_rows_that_make_no_mask_are_refused(rows):
    with pytest.raises(ConfigError):
        Mask(rows, 4, 50.0, "lowest", "b", "c")


def test_the_settings_know_every_rule_and_definition():
    """They cannot import what they name: layers point down."""
    fields = UpdateSettings.model_fields
    assert get_args(fields["row_rule"].annotation) == get_args(Rule)
    assert get_args(fields["attribution"].annotation) == tuple(DEFINITIONS)
