"""The OpenAPI document of everything below agent.api, served at /openapi.json.

FastAPI writes it from the routes. What all routes have in common is put in here: the refusals that
any of them may answer with, and no 422, since a request that is malformed gets 400. Pages are no
part of it. Called by `agent.api.app`.
"""

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from agent.api.answers import ChatCompletionChunk
from agent.api.errors import MEANINGS, Refused

Json = dict[str, Any]

_ABOUT = """\
An agent that keeps learning, behind OpenAI's chat completions and LangGraph's protocol.

Keys are sent as `Authorization: Bearer KEY`; as long as none was made, this machine alone may call,
without one. A streamed answer is server-sent events, each a `ChatCompletionChunk`.
"""


def install(app: FastAPI) -> None:
    """Have `app` serve the document."""

    def document() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document


def _document(app: FastAPI) -> Json:
    made = get_openapi(
        title=app.title, version=version("perennial"), description=_ABOUT, routes=app.routes
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for model in (Refused, ChatCompletionChunk):
        whole = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(whole.pop("$defs", {}))
        schemas[model.__name__] = whole
    for path in made["paths"].values():
        for operation in path.values():
            _complete(operation)
    return made


def _complete(operation: Json) -> None:
    """Put in what every operation of its kind may answer with."""
    responses = operation["responses"]
    responses.pop("422", None)
    usual: list[int] = []
    if "parameters" in operation or "requestBody" in operation:
        usual.append(400)
    if "requestBody" in operation:
        usual.append(413)
    if "security" in operation:
        usual += [401, 403, 429]
    for status in usual:
        schema = {"$ref": f"#/components/schemas/{Refused.__name__}"}
        content = {"application/json": {"schema": schema}}
        said = {"description": MEANINGS[status], "content": content}
        responses.setdefault(str(status), said)
