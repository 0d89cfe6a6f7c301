"""Operations of an OpenAPI document as tools: a call is a request to the document's one server.

What is sent is made by tools.openapi_request. No redirect is followed, and private addresses are
refused unless the settings allow them (tools.fetch). Opened by adapt.toolbox.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from store.errors import ConfigError, DocumentError, FetchFailed, ToolFailed, ToolRetry
from tools.base import CallContext, Permission, ToolSpec
from tools.fetch import Fetcher, Limits
from tools.fetch_answer import Fetched
from tools.openapi_document import Body, Operation, operations, parsed, server_of
from tools.openapi_request import body_of, request_of, schema_of
from tools.schema import described, problem_of, usable
from tools.virtual_api.catalogue import function_name

SAFE = ("get",)
"""Methods that change nothing."""


@dataclass
class Service:
    """The server of one document. `headers` go with every request."""

    server: str
    fetcher: Fetcher
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenApiTool:
    """One operation."""

    spec: ToolSpec
    operation: Operation
    service: Service
    body: Body | None

    @property
    def permission(self) -> Permission:
        """Unless something else is said: what may change something is confirmed."""
        return "allow" if self.operation.method in SAFE else "confirm"

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> str:
        """The answer's body. ToolRetry for arguments that do not fit and for an error that the
        server reports; ToolFailed where it may not be called."""
        if problem := problem_of(self.spec.parameters, arguments):
            raise ToolRetry(problem)
        query, asked = request_of(self.operation, self.body, arguments)
        url = self.service.server + query
        asked = replace(asked, headers={**asked.headers, **self.service.headers})
        try:
            answer = await self.service.fetcher.send(url, asked)
        except FetchFailed as error:
            raise ToolRetry(error.message, error.hint) from error
        except DocumentError as error:
            raise ToolFailed(error.message, error.hint) from error
        return _text(answer)


@dataclass(frozen=True)
class Read:
    """What was made of a document: its tools, and the operations that are none, with the reason."""

    tools: tuple[OpenApiTool, ...]
    dropped: Mapping[str, str]


async def document_of(location: str, fetcher: Fetcher, limits: Limits) -> str:
    """The text of a document at a URL or in a file. DocumentError when it cannot be read."""
    if location.startswith(("http://", "https://")):
        answer = await fetcher.fetch(location)
        if answer.status != 200:
            raise DocumentError(f"{location} answers with status {answer.status}")
        return answer.text
    path = Path(location).expanduser()
    try:
        if path.stat().st_size > limits.max_bytes:
            raise DocumentError(f"{path} is over {limits.max_bytes} bytes")
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"{path} cannot be read: {error}") from error


def tools_of(text: str, location: str, service: Service, called: str) -> Read:
    """The operations as functions `<operation>_for_<called>`. DocumentError when there is no
    document in the text, ConfigError when it is not clear where they are called."""
    try:
        document = parsed(text)
        found = list(operations(document))
    except ValueError as error:
        raise DocumentError(f"{location} is not read: {error}") from error
    service.server = service.server.rstrip("/") or _stated(document, location)
    made: dict[str, OpenApiTool] = {}
    dropped: dict[str, str] = {}
    for operation in found:
        try:
            body = body_of(operation)
            spec = ToolSpec(
                function_name(operation.name, called),
                described(operation.description, operation.name.replace("_", " ")),
                usable(schema_of(operation, body)),
            )
        except ValueError as error:
            dropped[operation.name] = str(error)
            continue
        if spec.name in made:
            dropped[f"{operation.method} {operation.path}"] = f"another is called {spec.name}"
            continue
        made[spec.name] = OpenApiTool(spec, operation, service, body)
    return Read(tuple(made.values()), dropped)


def _stated(document: Mapping[str, Any], location: str) -> str:
    server = server_of(document, location)
    if not server:
        raise ConfigError(f"{location} does not say where it is called", "set server")
    own = urlsplit(location)
    if own.scheme in ("http", "https") and urlsplit(server)[:2] != own[:2]:
        # Who writes the document would choose who gets our headers and what users ask.
        raise ConfigError(
            f"{location} is called at another host, {server}", "set server to that if it is right"
        )
    return server


def _text(answer: Fetched) -> str:
    """What the model reads. Raises for an answer that is an error."""
    kind = answer.media_type
    try:
        text = answer.text
    except DocumentError:
        text = f"[{kind or 'data'}, {len(answer.body)} bytes, which cannot be shown here]"
    if 200 <= answer.status < 300:
        return text or json.dumps({"status": answer.status})
    if answer.status in (401, 403):
        raise ToolFailed(f"the server does not let us: status {answer.status}: {text[:500]}")
    if 300 <= answer.status < 400:
        raise ToolFailed(f"the server sends us elsewhere, which is not followed ({answer.status})")
    raise ToolRetry(f"the server answers with status {answer.status}: {text[:1000]}")
