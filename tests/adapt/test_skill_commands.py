"""`perennial skill` on a tiny model: trained, taken out of checkpoints, added up, looked at."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import build_tiny_model, write_general_corpus

from adapt.base import find_model
from adapt.commands import Options
from adapt.commands.skill import combine, extract, inspect, train
from adapt.skill.vector import load_vector, save_vector
from store.errors import ConfigError, ModelError, StageError

DOWN = "model.layers.1.mlp.down_proj"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A tiny base that brings a general corpus."""
    path = build_tiny_model(
        tmp_path_factory.mktemp("base") / "model", "qwen3", hidden=64, layers=2, max_length=2048
    )
    write_general_corpus(path)
    return path


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(home=tmp_path / "home", as_json=True)


@pytest.fixture
def checkpoints(model: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The base, and the base with one layer moved."""
    after = tmp_path / "after"
    shutil.copytree(model, after)
    file = next(after.glob("*.safetensors"))
    tensors = load_file(file)
    tensors[f"{DOWN}.weight"][3] += 0.5
    save_file(tensors, file, {"format": "pt"})
    return model, after


def test_extract_writes_a_vector_for_the_base_and_tells_its_error(
    options, model, checkpoints, tmp_path, capsys
) -> None:
    out = tmp_path / "v"
    given = {"model": str(model), "rank": 4, "domain": "ours"}
    assert extract(options, checkpoints[0], checkpoints[1], out, given) == 0
    said = json.loads(capsys.readouterr().out)
    assert [cut["module"] for cut in said["cuts"]] == [DOWN]
    assert said["error"] < 1e-3
    loaded = load_vector(out, find_model(str(model), tmp_path / "digests"))
    assert loaded.record.domain == "ours"
    assert loaded.facts["cuts"] == said["cuts"]


def test_vectors_are_added_up_and_taken_away(options, model, checkpoints, tmp_path, capsys) -> None:
    """2 v - v is v, exactly as it acts; v - v is nothing, and no vector."""
    given = {"model": str(model), "rank": 4, "domain": "ours"}
    extract(options, checkpoints[0], checkpoints[1], tmp_path / "v", given)
    v = tmp_path / "v"
    combine(options, [f"{v}*2", f"{v}*-1"], tmp_path / "same", str(model), None)
    capsys.readouterr()
    assert inspect(options, tmp_path / "same", v, None, None, None) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["whole"]["cosine"] == pytest.approx(1.0, abs=1e-6)
    assert found["whole"]["norm"] == pytest.approx(found["whole"]["other"], rel=1e-5)
    with pytest.raises(ConfigError, match="parts cancel out"):
        combine(options, [str(v), f"{v}*-1"], tmp_path / "none", str(model), "nothing")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("factor", ["nan", "inf", "1e39", "x", "0"])
def test_a_factor_that_makes_no_numbers_is_refused(
    options, model, checkpoints, tmp_path, factor
) -> None:
    extract(
        options,
        checkpoints[0],
        checkpoints[1],
        tmp_path / "v",
        {"model": str(model), "rank": 4, "domain": "ours"},
    )
    with pytest.raises((ConfigError, ModelError), match=r"finite number|no numbers|adds nothing"):
        combine(options, [f"{tmp_path / 'v'}*{factor}"], tmp_path / "out", str(model), None)
    assert not (tmp_path / "out").exists()


def test_brackets_in_names_are_shown_as_they_are(options, model, checkpoints, tmp_path, capsys):
    """A domain is somebody else's text: read as markup, "[/b]" would be an error."""
    given = {"model": str(model), "rank": 4, "domain": "news [/b] and [red]x"}
    shown = Options(home=options.home)
    extract(shown, checkpoints[0], checkpoints[1], tmp_path / "v[bold]", given)
    combine(shown, [str(tmp_path / "v[bold]")], tmp_path / "w", str(model), None)
    inspect(shown, tmp_path / "w", None, None, None, None)
    said = capsys.readouterr().out.replace("\n", " ")
    assert said.count("news [/b] and [red]x") == 2 and "v[bold]" in said


def test_without_another_change_there_is_no_cosine(
    options, model, checkpoints, tmp_path, capsys
) -> None:
    given = {"model": str(model), "rank": 4, "domain": "ours"}
    extract(options, checkpoints[0], checkpoints[1], tmp_path / "v", given)
    capsys.readouterr()
    inspect(options, tmp_path / "v", None, None, None, None)
    found = json.loads(capsys.readouterr().out)
    assert found["whole"]["norm"] > 0 and found["whole"]["cosine"] is None
    assert {module["other"] for module in found["modules"]} == {None}


def test_the_folder_one_is_in_can_be_the_result(
    options, model, checkpoints, tmp_path, monkeypatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    given = {"model": str(model), "rank": 4, "domain": "ours"}
    extract(options, checkpoints[0], checkpoints[1], Path("."), given)
    assert (tmp_path / "here" / "card.json").is_file()


def test_a_vector_is_written_over_nothing(options, model, checkpoints, tmp_path) -> None:
    """Neither over another vector, its own part above all, nor beside a model's weights."""
    given = {"model": str(model), "rank": 4, "domain": "ours"}
    v = tmp_path / "v"
    extract(options, checkpoints[0], checkpoints[1], v, given)
    with pytest.raises(ConfigError, match="holds a vector already"):
        combine(options, [f"{v}*2"], v, str(model), None)
    with pytest.raises(ConfigError, match="holds a model"):
        extract(options, checkpoints[0], checkpoints[1], checkpoints[1], given)


def test_changes_of_two_models_are_not_compared(options, model, checkpoints, tmp_path) -> None:
    v, other = tmp_path / "v", tmp_path / "other"
    extract(
        options,
        checkpoints[0],
        checkpoints[1],
        v,
        {"model": str(model), "rank": 4, "domain": "ours"},
    )
    shutil.copytree(v, other)
    card = json.loads((other / "card.json").read_text())
    card["vector"]["base_digest"] = "0" * 64
    (other / "card.json").write_text(json.dumps(card))
    with pytest.raises(ConfigError, match="of another base"):
        inspect(options, v, other, None, None, None)


def test_inspect_draws(options, model, checkpoints, tmp_path, capsys) -> None:
    given = {"model": str(model), "rank": 4, "domain": "ours"}
    v, png, html = tmp_path / "v", tmp_path / "p" / "map.png", tmp_path / "p" / "map.html"
    extract(options, checkpoints[0], checkpoints[1], v, given)
    assert inspect(options, v, v, None, png, html) == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "cosine between them" in html.read_text()


def test_what_does_not_fit_is_refused_before_anything_is_written(
    options, model, checkpoints, tmp_path
) -> None:
    given = {"model": str(model), "rank": 4, "domain": "ours"}
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        extract(options, checkpoints[0], checkpoints[1], tmp_path / "file", given)
    with pytest.raises(ConfigError, match="no folder times a finite number"):
        combine(options, ["v*much"], tmp_path / "o", str(model), None)
    other = build_tiny_model(tmp_path / "other", "qwen3", hidden=64, layers=3, max_length=2048)
    base = find_model(str(other), tmp_path / "digests")
    name = "base_model.model.model.layers.2.mlp.up_proj"
    inside, out = base.d_model, load_file(next(other.glob("*.safetensors")))[
        "model.layers.2.mlp.up_proj.weight"].shape[0]  # fmt: skip
    save_vector(
        {f"{name}.lora_A.weight": torch.ones(1, inside),
         f"{name}.lora_B.weight": torch.ones(out, 1)},
        tmp_path / "theirs", base, domain="d", recipe={}, rounds=1, facts={},
    )  # fmt: skip
    with pytest.raises(ModelError, match="was made for another model"):
        combine(options, [str(tmp_path / "theirs")], tmp_path / "o", str(model), None)
    assert not (tmp_path / "o").exists()


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    for n in range(2):
        api = {"name": "get it", "description": f"Get it from {n}.", "required_parameters": [
            {"name": "x", "type": "STRING", "description": "the thing"}],
            "optional_parameters": []}  # fmt: skip
        (folder / f"t{n}.json").write_text(json.dumps({"tool_name": f"T{n}", "api_list": [api]}))
    return folder


def test_a_vector_that_does_not_help_is_not_written(options, model, tools, tmp_path) -> None:
    """A random model solves nothing before or after; what was done is kept to go on from."""
    given = {"source": tools, "categories": [], "questions": None, "rounds": 1,
             "steps": 1, "held_out": 4, "seed": 0, "threads": 1}  # fmt: skip
    with pytest.raises(StageError, match="of 4 held-out games 0% were solved before, 0% after"):
        train(options, tmp_path / "v", str(model), given, tmp_path / "work")
    assert not (tmp_path / "v").exists()
    assert (tmp_path / "work" / "skill-1-sft.done").is_file()
    with pytest.raises(ConfigError, match="2 tools do not make 3 parts"):
        train(options, tmp_path / "v", str(model), {**given, "rounds": 3}, None)
