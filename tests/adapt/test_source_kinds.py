"""What each kind of source reads: git, OpenAPI, MCP, tools, records, corrections."""

import asyncio
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dulwich import porcelain

from adapt.gather.kinds import guessed, kind_of
from adapt.gather.visit import visit
from adapt.synthesize import synthesize
from agent.config import Settings
from store import Home, Store
from store.embeddings import HashEmbedder
from store.errors import UserError
from store.records import DocumentState, Episode, Message, Version, VersionState, utc_now
from store.source_records import Source, Visit
from tools.virtual_api.catalogue import build_catalogue, function_name

SERVER = Path(__file__).parents[1] / "mcp_server.py"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(Home(tmp_path / "home"), HashEmbedder()) as opened:
        yield opened


def source(kind: str, location: object, **options: Any) -> Source:
    return Source.model_validate(
        {"name": "s", "kind": kind, "location": str(location), "options": options,
         "added_at": utc_now()}
    )  # fmt: skip


def visited(store: Store, of: Source) -> Visit:
    kind = kind_of(of, store, Settings())
    kind.check(of)
    made = asyncio.run(visit(store, of, kind, Settings()))
    assert made.error is None, made.error
    return made


def titles(store: Store) -> set[str]:
    return {d.title for d in store.documents.list(DocumentState.ACCEPTED)}


def commit(root: Path, files: dict[str, str], when: int) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    porcelain.add(str(root), [str(root / name) for name in files])
    porcelain.commit(
        str(root), message=b"x", author=b"a <a@a>", committer=b"a <a@a>",
        commit_timestamp=when, commit_timezone=0, author_timestamp=when, author_timezone=0,
    )  # fmt: skip


def test_a_checkout_s_committed_documentation_is_read(store: Store, tmp_path: Path) -> None:
    """With licence and date of its last change; not what is not committed, nor what is no
    documentation. A changed file is a new edition."""
    root = tmp_path / "repo"
    porcelain.init(str(root)).close()
    licence = "MIT License\n\nPermission is hereby granted, free of charge, ... The software is "
    licence += 'provided "as is".'
    files = {"LICENSE.txt": licence, "docs/a.md": "# Alpha\n\nAlpha is the first letter of it.",
             "b.md": "# Beta\n\nBeta comes after it, as everybody knows.",
             "code.py": "x = 1"}  # fmt: skip
    commit(root, files, 1_600_000_000)
    commit(root, {"b.md": "# Beta\n\nBeta was changed in the second commit of it."}, 1_700_000_000)
    (root / "draft.md").write_text("# Draft\n\nThis was never committed.")
    checkout = source("git", root)
    assert visited(store, checkout).added == 2
    found = {d.title: d for d in store.documents.list()}
    assert set(found) == {"Alpha", "Beta"}
    assert {d.licence for d in found.values()} == {"MIT"}
    assert found["Alpha"].published_at == datetime.fromtimestamp(1_600_000_000, UTC)
    assert found["Beta"].published_at == datetime.fromtimestamp(1_700_000_000, UTC)
    again = visited(store, checkout)
    assert (again.unchanged, again.bytes_read) == (2, 0)
    commit(root, {"docs/a.md": "# Alpha\n\nAlpha is no longer what it was before."}, 1_700_000_001)
    assert visited(store, checkout).changed == 1
    assert visited(store, source("git", root, patterns="docs/*.md")).gone == 1


@pytest.mark.parametrize("kind", ["git", "folder", "openapi", "toolbench", "mcp"])
def test_what_can_never_work_is_refused_before_it_is_added(
    store: Store, tmp_path: Path, kind: str
) -> None:
    """A place that is not there, and an option that means nothing."""
    there = SERVER if kind == "openapi" else tmp_path
    for wrong in (source(kind, tmp_path / "absent"), source(kind, there, colour="red")):
        with pytest.raises(UserError):
            kind_of(wrong, store, Settings()).check(wrong)


OPENAPI = {
    "openapi": "3.0.0",
    "info": {"title": "Pets", "license": {"name": "CC-BY-4.0"}, "description": "About <b>pets</b>"},
    "paths": {
        "/pets/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True,
                            "schema": {"type": "integer"}, "description": "number of the pet"}],
            "get": {"operationId": "getPet", "tags": ["pets"], "summary": "Get a pet",
                    "parameters": [{"$ref": "#/components/parameters/Lang"}]},
            "put": {"tags": ["pets"], "description": "Change a pet", "requestBody": {"content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}},
        },
        "/owners": {"get": {"operationId": "owners", "summary": "All owners"}},
    },
    "components": {
        "parameters": {"Lang": {"name": "lang", "in": "query",
                                "schema": {"type": "string", "enum": ["de", "en"]}}},
        "schemas": {"Pet": {"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"}, "parent": {"$ref": "#/components/schemas/Pet"}}}},
    },
}  # fmt: skip


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_operations_become_apis_that_are_learned_like_others(
    store: Store, tmp_path: Path, form: str
) -> None:
    """One document for each tag; parameters of path, query and body; a changed operation is news
    for its tag alone."""
    import yaml

    file = tmp_path / f"pets.{form}"
    dump = json.dumps if form == "json" else yaml.safe_dump
    file.write_text(dump(OPENAPI))
    of = source("openapi", file)
    assert visited(store, of).added == 2
    documents = {d.title: d for d in store.documents.list(DocumentState.ACCEPTED)}
    tool = json.loads(documents["Pets: pets"].text)
    get, put = sorted(tool["api_list"], key=lambda api: api["method"])
    assert (get["name"], get["method"]) == ("getPet", "GET")
    assert [p["name"] for p in get["required_parameters"]] == ["id"]
    assert get["optional_parameters"][0]["enum"] == ["de", "en"]
    assert get["required_parameters"][0]["type"] == "INTEGER"
    assert {p["name"] for p in put["required_parameters"]} == {"id", "name"}
    assert tool["tool_description"] == "About pets"
    assert documents["Pets: pets"].licence == "CC-BY-4.0"
    examples = synthesize(list(documents.values()), 0)
    called = {e.check["name"] for e in examples if e.check and e.check["kind"] == "call"}
    assert function_name("getPet", "Pets") in called
    changed = json.loads(json.dumps(OPENAPI))
    changed["paths"]["/owners"]["get"]["summary"] = "All owners, the eldest first"
    file.write_text(dump(changed))
    made = visited(store, of)
    assert (made.changed, made.unchanged, made.gone) == (1, 1, 0)


def test_published_openapi_documents_are_read(store: Store, published_data: Path) -> None:
    """Large ones, in seconds: every operation is in one of the documents."""
    for name in ("spotify_oas", "tmdb_oas"):
        file = published_data / "restbench" / "docs" / f"{name}.json"
        wanted = sum(
            method in ("get", "post", "put", "delete", "patch")
            for item in json.loads(file.read_text())["paths"].values()
            for method in item
        )
        of = source("openapi", file).model_copy(update={"name": name})
        assert visited(store, of).refused == 0
        found = [d for d in store.documents.list() if d.source == name]
        assert sum(len(json.loads(d.text)["api_list"]) for d in found) == wanted


def test_a_server_s_tools_are_apis_and_a_changed_tool_is_news(store: Store, tmp_path: Path) -> None:
    """A real server over standard input and output; what it does not list any more is gone."""
    tools = tmp_path / "tools.json"
    said = {"forecast": "Tell the weather of the next days", "history": "Tell past weather"}
    tools.write_text(json.dumps(said))
    of = source("mcp", shlex.join([sys.executable, str(SERVER), str(tools)]))
    assert visited(store, of).added == 2
    document = next(d for d in store.documents.list() if d.title == "weather: forecast")
    (api,) = json.loads(document.text)["api_list"]
    assert [p["name"] for p in api["required_parameters"]] == ["city"]
    types = {p["name"]: p["type"] for p in api["optional_parameters"]}
    assert types == {"days": "INTEGER", "unit": "STRING"}
    assert visited(store, of).unchanged == 2
    tools.write_text(json.dumps({"forecast": "Tell the weather of tomorrow alone"}))
    made = visited(store, of)
    assert (made.changed, made.gone) == (1, 1)


def test_a_server_that_is_none_fails_alone(store: Store) -> None:
    of = source("mcp", shlex.join([sys.executable, "-c", "print('hello')"]))
    made = asyncio.run(visit(store, of, kind_of(of, store, Settings()), Settings()))
    assert "cannot be asked" in (made.error or "") and made.added == 0


def test_a_server_from_npm_is_asked(store: Store, tmp_path: Path) -> None:
    """@modelcontextprotocol/server-everything, where npm and its registry can be reached."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("there is no npm here")
    package = "@modelcontextprotocol/server-everything"
    install = [npm, "install", "--prefix", str(tmp_path), "--no-audit", "--no-fund", package]
    try:
        done = subprocess.run(install, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("the registry of npm does not answer")
    if done.returncode:
        pytest.skip(f"npm: {done.stderr[-200:]}")
    program = tmp_path / "node_modules" / ".bin" / "mcp-server-everything"
    made = visited(store, source("mcp", shlex.join([str(program), "stdio"])))
    assert made.added >= 5 and made.refused == 0
    assert any("echo" in title for title in titles(store))


def test_toolbench_files_are_read_as_they_are_published(store: Store, tmp_path: Path) -> None:
    """Below folders of categories, without descriptions, with an API that stands twice."""
    (tmp_path / "tools" / "Weather").mkdir(parents=True)
    api = {"name": "get_now", "description": "", "required_parameters": None}
    tool = {"standardized_name": "sky", "api_list": [api, api]}
    (tmp_path / "tools" / "Weather" / "sky.json").write_text(json.dumps(tool))
    (tmp_path / "tools" / "none.json").write_text("[]")
    (tmp_path / "tools" / "more.json").write_text(json.dumps(build_catalogue(0).tools[0].to_json()))
    made = visited(store, source("toolbench", tmp_path / "tools"))
    assert (made.added, made.refused) == (2, 1)
    read = next(json.loads(d.text) for d in store.documents.list() if d.title == "sky")
    assert (read["category"], len(read["api_list"])) == ("Weather", 1)
    assert read["api_list"][0]["description"] == "get now"


def test_lines_are_tools_or_documents(store: Store, tmp_path: Path) -> None:
    """Tools of Seal-Tools; with the option `text` documents of any shape. A line that is moved is
    the same, and one that cannot be read is refused by its number."""
    seal = {"api_name": "getRain", "api_description": "Tell how much it rains", "field":
            "Earth/Weather", "parameters": {"place": {"type": "str", "description": "where"},
            "days": {"type": "int", "description": "how many"}}, "required": ["place"]}  # fmt: skip
    lines = [json.dumps(seal), "{", "", json.dumps(build_catalogue(0).tools[0].to_json())]
    file = tmp_path / "tools.jsonl"
    file.write_text("\n".join(lines))
    of = source("toolbench", file)
    made = visited(store, of)
    assert (made.added, made.refused) == (2, 1)
    rain = next(json.loads(d.text) for d in store.documents.list() if d.title == "Weather")
    assert rain["api_list"][0]["required_parameters"][0]["name"] == "place"
    assert rain["api_list"][0]["optional_parameters"][0]["type"] == "INTEGER"
    file.write_text("\n".join(reversed(lines)))
    again = visited(store, of)
    assert (again.unchanged, again.changed, again.added, again.bytes_read) == (2, 0, 0, 0)
    records = tmp_path / "records.jsonl"
    records.write_text('{"id": "r1", "title": "Fees", "content": "A card costs four crowns."}\n{}')
    of = source("toolbench", records, text="content").model_copy(update={"name": "records"})
    made = visited(store, of)
    assert (made.added, made.refused) == (1, 1)
    assert f"{records}#r1" in store.places.of("records")


def answered(store: Store, number: int, correction: str | None) -> None:
    if store.versions.live() is None:
        base = Version(
            name="v0-aaaaaa", number=0, digest="a" * 64, kind="base", base_digest="b" * 64,
            template_digest="c" * 64, state=VersionState.PROMOTED, created_at=utc_now(),
        )  # fmt: skip
        store.versions.create(base)
        store.versions.go_live(base.name)
    asked = Message(role="user", content=f"What is the capital of land {number}?")
    said = Message(role="assistant", content="I do not know.")
    store.episodes.add(
        Episode(
            id=f"e{number}", thread="t", version="v0-aaaaaa", messages=(asked, said), steps=1,
            created_at=utc_now(),
        )
    )  # fmt: skip
    store.feedback.put(f"e{number}", "down", correction)


def test_only_what_users_corrected_is_read_and_only_if_asked_for(store: Store) -> None:
    """What was taken back is gone."""
    answered(store, 1, "The capital of land 1 is Tarn.")
    answered(store, 2, None)
    of = source("episodes", "episodes")
    assert visited(store, of).added == 1
    (document,) = store.documents.list()
    assert "capital of land 1?" in document.text and "is Tarn" in document.text
    store.feedback.put("e1", "down", None)
    assert visited(store, of).gone == 1


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("https://example.com/docs/", "pages"),
        ("https://example.com/sitemap.xml", "pages"),
        ("https://example.com/blog/feed.xml", "feed"),
        ("https://example.com/news.rss", "feed"),
        ("https://example.com/v1/openapi.json", "openapi"),
        ("http://127.0.0.1:8000/mcp", "mcp"),
    ],
)
def test_what_a_location_looks_like(location: str, kind: str) -> None:
    assert guessed(location) == kind


def test_what_is_not_clear_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for location in (str(tmp_path), "https://example.com/data.xml", str(tmp_path / "absent")):
        with pytest.raises(UserError, match=r"--kind|make it first"):
            guessed(location)
