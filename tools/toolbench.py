"""APIs of ToolBench's tool files as tools, called through a server that speaks its protocol.

A file describes one tool: its name, and a list of APIs with their parameters. What executes the
calls is ToolBench's server, StableToolBench's, or `tools.virtual_api.server`. Opened by
adapt.toolbox; adapt.gather.toolbench learns the same files.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.errors import DocumentError, FetchFailed, ToolFailed, ToolRetry
from tools.base import CallContext, ToolSpec
from tools.fetch import Fetcher
from tools.fetch_answer import Asked
from tools.openapi_request import MARK
from tools.schema import described, problem_of, usable
from tools.virtual_api.catalogue import function_schema

Json = dict[str, Any]
MAX_FILES = 20_000
MAX_BYTES = 2_000_000
"""Largest file that is read."""


@dataclass(frozen=True)
class ToolBenchServer:
    """Who executes calls: `POST url`."""

    url: str
    fetcher: Fetcher
    key: str = ""


@dataclass(frozen=True)
class ToolBenchTool:
    """One API of one tool."""

    spec: ToolSpec
    category: str
    tool: str
    api: str
    server: ToolBenchServer

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
        """The server's response. ToolRetry with its words when it reports an error; ToolFailed
        where it may not be called or does not speak the protocol."""
        if problem := problem_of(self.spec.parameters, arguments):
            raise ToolRetry(problem)
        sent = {
            "category": self.category, "tool_name": self.tool, "api_name": self.api,
            "tool_input": json.dumps(dict(arguments), ensure_ascii=False), "strip": "",
            "toolbench_key": self.server.key, "session": context.thread,
        }  # fmt: skip
        asked = Asked(
            "POST", {"Content-Type": "application/json", MARK: "1"}, json.dumps(sent).encode()
        )
        try:
            answer = await self.server.fetcher.send(self.server.url, asked)
            if answer.status != 200:
                raise ToolRetry(f"the server answers with status {answer.status}")
            reply = json.loads(answer.text)
        except FetchFailed as error:
            raise ToolRetry(error.message, error.hint) from error
        except (DocumentError, ValueError, RecursionError) as error:
            raise ToolFailed(f"{self.server.url} gives no reply of ToolBench's: {error}") from error
        if not isinstance(reply, dict) or "response" not in reply:
            raise ToolFailed(f"{self.server.url} gives no reply of ToolBench's")
        if reply.get("error"):
            raise ToolRetry(_as_text(reply["error"]))
        return _as_text(reply["response"])


def tools_of(folder: Path, server: ToolBenchServer) -> tuple[list[ToolBenchTool], dict[str, str]]:
    """The APIs of all files below a folder, and what is left out, with the reason.

    They have the functions' names that learning their files teaches. DocumentError when there is
    no such folder.
    """
    if not folder.is_dir():
        raise DocumentError(f"{folder} is no folder", "give where the tool files are")
    made: dict[str, ToolBenchTool] = {}
    dropped: dict[str, str] = {}
    for place, path in enumerate(sorted(folder.rglob("*.json"))):
        shown = str(path.relative_to(folder))
        if place >= MAX_FILES:
            dropped[shown] = f"and those behind it: more than {MAX_FILES} files"
            break
        try:
            tool = _read(path)
        except ValueError as error:
            dropped[shown] = str(error)
            continue
        category = path.parent.name if path.parent != folder else str(tool.get("category", ""))
        for api in tool["api_list"]:
            try:
                one = _tool(tool, api, category, server)
            except ValueError as error:
                dropped[f"{shown}: {api['name']}"] = str(error)
                continue
            if one.spec.name in made:
                dropped[f"{shown}: {api['name']}"] = f"another is called {one.spec.name}"
            else:
                made[one.spec.name] = one
    return list(made.values()), dropped


def _read(path: Path) -> Json:
    """The tool of a file. ValueError says why there is none in it."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"is over {MAX_BYTES} bytes")
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from error
    except RecursionError as error:
        raise ValueError("is nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError("is not a JSON object")
    return completed(value)


def completed(value: Json) -> Json:
    """A tool as a file has it, with what files lack: one without a name is called by its
    standardized one, an API without a description by its name; of two APIs of one name the first
    counts. ValueError for what is no tool at all."""
    name = str(value.get("tool_name") or value.get("standardized_name") or "")
    apis = value.get("api_list")
    if not name or not isinstance(apis, list):
        raise ValueError("is no tool: it has no tool_name and api_list")
    made: dict[str, Json] = {}
    for api in apis:
        if isinstance(api, dict) and api.get("name"):
            given = dict(api)
            given["description"] = api.get("description") or str(api["name"]).replace("_", " ")
            for part in ("required_parameters", "optional_parameters"):
                given[part] = given.get(part) or []
            made.setdefault(str(api["name"]), given)
    return {**value, "tool_name": name, "api_list": list(made.values())}


def _tool(tool: Json, api: Json, category: str, server: ToolBenchServer) -> ToolBenchTool:
    for one in _parameters(api):
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise ValueError("a parameter has no name")
    function = function_schema(tool["tool_name"], api)["function"]
    said = described(function["description"], str(api["name"]))
    spec = ToolSpec(function["name"], said, usable(function["parameters"]))
    return ToolBenchTool(spec, category, tool["tool_name"], str(api["name"]), server)


def _parameters(api: Json) -> Iterator[Any]:
    for part in ("required_parameters", "optional_parameters"):
        if not isinstance(api[part], list):
            raise ValueError(f"{part} is no list")
        yield from api[part]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
