"""Selection: layer-balanced, deterministic, and a mask file that cannot be changed unseen."""

import json

import numpy as np
import pytest

from adapt.loki.selection import Mask, SelectionCounts, rows_per_layer, select
from store.errors import ConfigError, ModelError


def counts(lowest, highest=None, quota=50.0, samples=4):
    low = np.array(lowest, dtype=np.int32)
    high = np.array(highest if highest is not None else lowest[::-1], dtype=np.int32)
    return SelectionCounts(low, high, samples, quota, "release")


def test_the_largest_counts_win_and_ties_go_to_the_lower_index():
    mask = select(counts([[1, 3, 3, 3], [2, 2, 2, 2]]), "base", "corpus")
    assert mask.rows == ((1, 2), (0, 1))
    assert (mask.rank, mask.rule, mask.d_model) == (2, "lowest", 4)


def test_every_layer_gives_the_same_number_of_rows():
    """A layer whose rows are chosen more often takes none from another."""
    mask = select(counts([[90, 80, 70, 60], [1, 0, 0, 2]]), "base", "corpus")
    assert [len(rows) for rows in mask.rows] == [2, 2]
    assert mask.rows[1] == (0, 3)


def test_highest_reads_the_other_counts():
    both = counts([[4, 4, 0, 0]], [[0, 0, 1, 4]])
    assert select(both, "b", "c", "highest").rows == ((2, 3),)


def test_random_depends_on_the_seed_only():
    wide = counts(np.zeros((3, 64)).tolist(), quota=10)
    first, again = (select(wide, "b", "c", "random", seed=1) for _ in range(2))
    other = select(wide, "b", "c", "random", seed=2)
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
        select(counts([[1, 2, 3, 4]]), "b", "c", "best")  # pyright: ignore[reportArgumentType]


def test_masks_and_counts_come_back_as_saved(tmp_path):
    made = counts([[1, 3, 3, 3], [2, 2, 2, 2]])
    made.save(tmp_path / "counts.json")
    read = SelectionCounts.load(tmp_path / "counts.json")
    assert np.array_equal(read.lowest, made.lowest)
    assert read.lowest.dtype == np.int32
    mask = select(read, "base", "corpus")
    mask.save(tmp_path / "mask.json")
    assert Mask.load(tmp_path / "mask.json") == mask
    assert json.loads((tmp_path / "mask.json").read_text())["digest"] == mask.digest


def test_a_changed_mask_file_is_refused(tmp_path):
    path = tmp_path / "mask.json"
    select(counts([[1, 3, 3, 3]]), "base", "corpus").save(path)
    path.write_text(path.read_text().replace("[1, 2]", "[1, 3]"))
    with pytest.raises(ModelError, match="digest"):
        Mask.load(path)
    path.write_text("{}")
    with pytest.raises(ModelError, match="does not hold"):
        Mask.load(path)
    with pytest.raises(ModelError, match="cannot be read"):
        Mask.load(tmp_path / "none.json")


@pytest.mark.parametrize("rows", [((1,), (1, 2)), ((),), ((2, 1),), ((1, 1),), ((4,),), ((-1,),)])
def test_rows_that_make_no_mask_are_refused(rows):
    with pytest.raises(ConfigError):
        Mask(rows, 4, 50.0, "lowest", "b", "c")
