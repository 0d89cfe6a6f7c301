"""Operations of OpenAPI documents as tools: what is sent, and what no argument can bring about.

The server is real and keeps what it was sent; the document is one of its pages.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pet_service import DOCUMENT, Server, serving_pets

from agent.config import FetchSettings
from store.errors import ConfigError, DocumentError, ToolFailed, ToolRetry
from tools.base import CallContext
from tools.fetch import Fetcher
from tools.openapi import OpenApiTool, Service, document_of, tools_of
from tools.openapi_document import operations, parsed, server_of

LIMITS = FetchSettings(allow=("127.0.0.1/32",), timeout_s=5.0, max_bytes=50_000)


def on(
    work: Callable[[Server, dict[str, OpenApiTool]], Awaitable[None]],
    limits: FetchSettings = LIMITS,
    headers: dict[str, str] | None = None,
) -> None:
    """Do something with the document's tools, by the operation's name."""

    async def scenario() -> None:
        server = Server()
        async with serving_pets(server) as url, Fetcher(limits) as fetcher:
            read = tools_of(
                json.dumps(DOCUMENT), "pets.json", Service(url, fetcher, headers or {}), "pets"
            )
            await work(server, {tool.operation.name: tool for tool in read.tools})

    asyncio.run(asyncio.wait_for(scenario(), 30))


async def said(tool: OpenApiTool, **arguments: Any) -> str:
    return await tool.call(arguments, CallContext("t"))


def test_arguments_go_where_the_document_says() -> None:
    async def work(server: Server, tools: dict[str, OpenApiTool]) -> None:
        got = await said(tools["getPet"], id=7, tag=["a", "b c"], **{"X-Trace": "one"})
        assert got == '{"ok": true}'
        await said(tools["putPet"], id="x", name="Rex")
        await said(tools["many"], body=[1, 2])
        await said(tools["form"], name="Rex & co")
        lines = [(method, target, body) for method, target, _, body in server.asked]
        assert lines == [
            ("GET", "/v1/pets/7?tag=a&tag=b+c", ""),
            ("PUT", "/v1/pets/x", '{"name": "Rex"}'),
            ("POST", "/v1/many", "[1, 2]"),
            ("POST", "/v1/form", "name=Rex+%26+co"),
        ]
        assert server.asked[0][2]["x-trace"] == "one"
        assert server.asked[0][2]["authorization"] == "Bearer ours"
        assert all("perennial-tool" in headers for _, _, headers, _ in server.asked)

    on(work, headers={"Authorization": "Bearer ours"})


def test_what_may_change_something_is_confirmed_unless_told_otherwise() -> None:
    async def work(server: Server, tools: dict[str, OpenApiTool]) -> None:
        assert {name: tool.permission for name, tool in tools.items()} == {
            "getPet": "allow", "putPet": "confirm", "deletePet": "confirm", "many": "confirm",
            "form": "confirm",
        }  # fmt: skip
        assert tools["getPet"].spec.name == "getpet_for_pets"
        assert tools["getPet"].spec.description == "Get a pet"

    on(work)


def test_operations_that_cannot_be_called_are_left_out_with_the_reason() -> None:
    read = tools_of(json.dumps(DOCUMENT), "pets.json", Service("http://x.test", _none()), "pets")
    assert set(read.dropped) == {"upload", "elsewhere", "lost", "bad"}
    assert "multipart/form-data" in read.dropped["upload"]
    assert "does not fit" in read.dropped["elsewhere"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("getPet", {"id": "../../admin"}), ("getPet", {"id": "x/../../admin"}),
        ("getPet", {"id": "%2e%2e/admin"}), ("getPet", {"id": "x?admin=1#y"}),
        ("getPet", {"id": "@evil.test/"}), ("getPet", {"id": "\\..\\admin"}),
        ("getPet", {"id": {"a": ["/admin"]}}), ("getPet", {"id": "x\r\nHost: evil.test"}),
        ("getPet", {"id": "1", "tag": ["&admin=1#"]}),
    ],
)  # fmt: skip
def test_no_value_leads_to_another_path_or_host(name: str, arguments: dict[str, Any]) -> None:
    async def work(server: Server, tools: dict[str, OpenApiTool]) -> None:
        await said(tools[name], **arguments)
        (method, target, headers, _) = server.asked[0]
        path = target.partition("?")[0]
        assert method == "GET" and path.startswith("/v1/pets/") and path.count("/") == 3
        assert headers["host"] == f"127.0.0.1:{server.port}"
        assert target.count("#") == 0

    on(work)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("getPet", {"id": ".."}, "cannot be"), ("getPet", {"id": ""}, "cannot be"),
        ("getPet", {}, "id is missing"),
        ("getPet", {"id": 1, "X-Trace": "a\r\nX-Admin: 1"}, "on one line"),
        ("getPet", {"id": 1, "Authorization": "Bearer theirs"}, "no parameter Authorization"),
        ("getPet", {"id": 1, "Host": "evil.test"}, "no parameter Host"),
        ("putPet", {"id": 1, "name": "x", "role": "admin"}, "no parameter role"),
        ("putPet", {"id": 1, "name": 3}, "name must be string"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_not(name: str, arguments: dict[str, Any], words: str) -> None:
    async def work(server: Server, tools: dict[str, OpenApiTool]) -> None:
        with pytest.raises(ToolRetry, match=words):
            await said(tools[name], **arguments)
        assert server.asked == []

    on(work)


@pytest.mark.parametrize(
    ("status", "more", "error", "words"),
    [
        (404, "", ToolRetry, "status 404: no such pet"),
        (500, "", ToolRetry, "status 500"),
        (401, "", ToolFailed, "does not let us"),
        (302, "Location: http://127.0.0.1:1/admin\r\n", ToolFailed, "elsewhere"),
        (200, "Content-Encoding: br\r\n", ToolFailed, "not asked for"),
    ],
)
def test_an_answer_that_is_an_error_is_told(
    status: int, more: str, error: type[Exception], words: str
) -> None:
    async def work(server: Server, tools: dict[str, OpenApiTool]) -> None:
        server.status, server.more, server.reply = status, more, b"no such pet"
        with pytest.raises(error, match=words):
            await said(tools["getPet"], id=1)
        assert len(server.asked) == 1, "nothing is followed and nothing repeated"

    on(work)


def test_an_answer_has_a_bound_and_data_is_described() -> None:
    async def work(server: Server, tools: dict[str, OpenApiTool]) -> None:
        server.more, server.reply = "Content-Type: image/png\r\n", b"\x89PNG\0\0"
        assert "image/png, 6 bytes" in await said(tools["getPet"], id=1)
        server.reply = b""
        assert json.loads(await said(tools["getPet"], id=1)) == {"status": 200}
        server.reply = b"x" * 60_000
        with pytest.raises(ToolFailed, match="over the limit of 50000"):
            await said(tools["getPet"], id=1)

    on(work)


def test_a_private_address_is_refused_unless_the_settings_allow_it() -> None:
    async def work(server: Server, tools: dict[str, OpenApiTool]) -> None:
        with pytest.raises(ToolFailed, match=r"127\.0\.0\.1 is loopback"):
            await said(tools["getPet"], id=1)
        assert server.asked == []

    on(work, FetchSettings(timeout_s=5.0))


def test_a_document_that_is_fetched_does_not_choose_another_host() -> None:
    """Whoever writes it would be sent our headers and what users ask."""
    text = json.dumps(DOCUMENT | {"servers": [{"url": "https://evil.test/v1"}]})
    with pytest.raises(ConfigError, match=r"at another host, https://evil\.test/v1"):
        tools_of(text, "https://pets.test/openapi.json", Service("", _none()), "pets")
    chosen = Service("https://evil.test/v1", _none())
    assert tools_of(text, "https://pets.test/openapi.json", chosen, "pets").tools
    own = json.dumps(DOCUMENT | {"servers": [{"url": "/v2"}]})
    service = Service("", _none())
    tools_of(own, "https://pets.test/openapi.json", service, "pets")
    assert service.server == "https://pets.test/v2"


@pytest.mark.parametrize(
    ("more", "server"),
    [
        ({"servers": [{"url": "https://a.test/{v}/", "variables": {"v": {"default": "v9"}}}]},
         "https://a.test/v9"),
        ({"swagger": "2.0", "host": "b.test", "basePath": "/api"}, "https://b.test/api"),
        ({"host": "b.test", "schemes": ["http"]}, "http://b.test"),
        ({"servers": "none", "host": 3}, ""),
        ({"servers": [{"url": "file:///etc/passwd"}]}, ""),
    ],
)  # fmt: skip
def test_the_server_is_the_one_that_a_file_names(more: dict[str, Any], server: str) -> None:
    assert server_of(DOCUMENT | more, "pets.json") == server


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "paths: {}", '{"openapi": "3.0.0", "paths": 3}', "a: &a [*a, *a]",
     "{" * 100_000, "- " * 100_000, "a: " + "[" * 5000 + "]" * 5000],
)  # fmt: skip
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="is not read"):
        tools_of(text, "pets.json", Service("http://x.test", _none()), "pets")


def test_a_document_that_grows_without_bound_is_refused() -> None:
    """Nine lines of YAML that stand for a billion values."""
    lines = ["openapi: 3.0.0", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    lines.append("paths: {/x: {get: {parameters: [{name: n, in: query, schema: {enum: *a8}}]}}}")
    with pytest.raises(ValueError, match="more than 200000 values"):
        list(operations(parsed("\n".join(lines))))


def test_a_document_is_read_from_a_url_and_from_a_file(tmp_path: Any) -> None:
    async def scenario() -> None:
        server = Server(reply=json.dumps(DOCUMENT).encode())
        async with serving_pets(server) as url, Fetcher(LIMITS) as fetcher:
            assert json.loads(await document_of(url, fetcher, LIMITS)) == DOCUMENT
            server.status = 500
            with pytest.raises(DocumentError, match="status 500"):
                await document_of(url, fetcher, LIMITS)
            file = tmp_path / "pets.json"
            with pytest.raises(DocumentError, match="cannot be read"):
                await document_of(str(file), fetcher, LIMITS)
            file.write_text("x" * 60_000)
            with pytest.raises(DocumentError, match="over 50000 bytes"):
                await document_of(str(file), fetcher, LIMITS)

    asyncio.run(asyncio.wait_for(scenario(), 30))


def _none() -> Fetcher:
    return Fetcher(LIMITS)
