"""`perennial loki select` and `inspect` on an attribution made by hand, and a real `attribute`."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_models import build_tiny_model

from adapt.commands import Options
from adapt.commands.loki import attribute, inspect, select_rows
from adapt.loki.heat_map import layer_rows
from adapt.loki.scores import Attribution
from adapt.loki.selection import Mask, select
from store.errors import ConfigError, ModelError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two layers of eight rows, and the mask of a quarter."""
    generator = np.random.default_rng(1)
    counts = [generator.integers(0, 9, (2, 8)).astype(np.int32) for _ in range(4)]
    scores = generator.standard_normal((2, 8))
    found = Attribution(
        counts[0], counts[1], counts[2], counts[3], scores, np.abs(scores), samples=9,
        quota=25.0, definition="paper", steps=7, corpus="nine prompts", corpus_digest="c" * 64,
    )  # fmt: skip
    found.save(tmp_path / "attribution.safetensors")
    select(found, "b" * 64).save(tmp_path / "mask.json")
    return tmp_path


def test_inspect_draws_and_tells_each_layers_part(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    png, html = folder / "pictures" / "map.png", folder / "pictures" / "map.html"
    assert inspect(Options(as_json=True), folder, None, png, html) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["definition"], said["corpus"], said["rule"]) == ("paper", "nine prompts", "lowest")
    assert sum(layer["share"] for layer in said["layers"]) == pytest.approx(1.0, abs=1e-3)
    assert [layer["rows"] for layer in said["layers"]] == [2, 2]
    assert png.read_bytes().startswith(b"\x89PNG")
    page = html.read_text()
    assert "rows that may move" in page
    assert 'src="http' not in page, "the page must not need a network"


def test_the_chosen_rows_share_is_of_their_layer(folder: Path) -> None:
    found = Attribution.load(folder / "attribution.safetensors")
    everything = select(found, "b" * 64, rows=8)
    assert [row["chosen_share"] for row in layer_rows(found, everything)] == [1.0, 1.0]


def test_select_writes_a_mask_of_the_same_base(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "other.json"
    options = Options(as_json=True)
    assert select_rows(options, folder, out, "global-highest", 50.0, None, 0, None) == 0
    said, mask = json.loads(capsys.readouterr().out), Mask.load(out)
    assert (mask.rule, mask.base_digest, said["rank"]) == ("global-highest", "b" * 64, mask.rank)
    assert sum(said["rows"]) == 8


def test_what_does_not_fit_is_refused(folder: Path) -> None:
    options, out = Options(), folder / "out.json"
    with pytest.raises(ConfigError, match="both given"):
        select_rows(options, folder, out, "lowest", 5.0, 2, 0, None)
    with pytest.raises(ConfigError, match="unknown selection rule"):
        select_rows(options, folder, out, "best", None, None, 0, None)
    with pytest.raises(ConfigError, match="is not the base of"):
        select_rows(options, folder, out, "lowest", None, None, 0, "d" * 64)
    with pytest.raises(ConfigError, match="is a folder"):
        select_rows(options, folder, folder, "lowest", None, None, 0, None)
    with pytest.raises(ConfigError, match="is below a file"):
        inspect(options, folder, None, folder / "mask.json" / "map.png", None)
    Mask(((0,), (1,)), 8, 12.5, "lowest", "d" * 64, "c").save(out)
    with pytest.raises(ModelError, match="is of the base dddd"):
        inspect(options, folder, out, None, None)
    (folder / "mask.json").unlink()
    with pytest.raises(ConfigError, match="--base"):
        select_rows(options, folder, out, "lowest", None, None, 0, None)
    Mask(((0,),), 4, 25.0, "lowest", "b" * 64, "c").save(out)
    with pytest.raises(ModelError, match="1 layers of 4 rows"):
        inspect(options, folder, out, None, None)
    with pytest.raises(ModelError, match="is no attribution"):
        inspect(options, folder / "nothing", None, None, None)


def test_attribute_scores_a_users_prompts_in_two_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The result says which corpus, and a second call finds it done."""
    model = build_tiny_model(tmp_path / "model", "qwen2", hidden=64, layers=2)
    corpus = tmp_path / "mine.jsonl"
    corpus.write_text("".join(json.dumps({"prompt": f"say {n}"}) + "\n" for n in range(6)))
    options = Options(home=tmp_path / "home", as_json=True)
    printed = capsys.readouterr()
    for _ in range(2):
        given = {"definition": "paper", "quota": 10.0, "prompts": 4, "seed": 0, "workers": 2}
        assert attribute(options, tmp_path / "out", str(model), corpus, given) == 0
        printed = capsys.readouterr()
        said = json.loads(printed.out)
        assert (said["definition"], said["samples"]) == ("paper", 4)
        assert said["corpus"] == "4 prompts of mine.jsonl"
    assert "has these scores already" in printed.err
    assert Mask.load(tmp_path / "out" / "mask.json").rank == 6
    assert not (tmp_path / "home").exists()
    other = {"definition": "paper", "quota": 20.0, "prompts": 4, "seed": 0, "workers": 1}
    with pytest.raises(ConfigError, match="another quota_percent"):
        attribute(options, tmp_path / "out", str(model), corpus, other)
    for name, value, words in (("quota", 0.0, "quota of 0"), ("definition", "best", "definition")):
        with pytest.raises(ConfigError, match=words):
            attribute(options, tmp_path / "new", str(model), corpus, {**other, name: value})
    assert not (tmp_path / "new").exists()
