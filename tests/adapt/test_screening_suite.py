"""The suite of screening: its documents, and a small run of it on the published data."""

import json
from pathlib import Path

from adapt.reproduce.screening import run
from adapt.reproduce.screening_campaigns import flood, series
from adapt.reproduce.screening_hostile import Carriers, hostile_documents, phrases
from adapt.reproduce.screening_real import real_documents

API = json.dumps(
    {
        "tool_name": "clock",
        "api_list": [
            {"name": "now", "description": "tells the time", "required_parameters": [],
             "optional_parameters": [{"name": "zone", "type": "STRING", "description": "where"}]}
        ],
    }
)  # fmt: skip
CARRIERS = Carriers([("Title", "One paragraph.\n\nAnother paragraph.")], [API])


def test_hostile_documents_are_their_seed() -> None:
    one, again, other = (hostile_documents("develop", seed, CARRIERS) for seed in (1, 1, 2))
    assert one == again and one != other
    assert len(one) >= 200 and len({h.name for h in one}) >= 12
    assert all(json.loads(h.text)["api_list"] for h in one if h.kind == "api")


def test_the_halves_share_no_wording() -> None:
    develop, report = phrases("develop"), phrases("report")
    assert set(develop) == set(report)
    for kind, lines in develop.items():
        assert not set(lines) & set(report[kind]), kind


def test_campaigns_come_in_numbers() -> None:
    assert len(flood("report", 1)) > 20
    made = series([f"Filler text {i}." for i in range(40)], "report", 1)
    assert len({h.text for h in made}) == len(made)


def test_the_halves_share_no_real_document(published_data: Path) -> None:
    halves = [
        {d.digest for each in real_documents(published_data, half, 1, 400).values() for d in each}
        for half in ("develop", "report")
    ]
    assert all(len(half) == 400 for half in halves) and not halves[0] & halves[1]


def test_nothing_hostile_gets_through(published_data: Path, tmp_path: Path) -> None:
    """A small run: every kind of hostile document among few real ones, to training and search."""
    found = run(published_data, tmp_path / "home", "develop", 3, real=160)
    assert found["missed"] == []
    assert found["hostile_in_training"] == found["hostile_held_in_search"] == 0
    assert found["hostile_all"]["documents"] >= 200
    assert found["real_all"]["documents"] == 160 and found["real_all"]["held"] <= 8
