"""The universe over HTTP, in StableToolBench's shape: `POST /virtual`.

One world per session, named by the field `session` or the header `X-Session`; without either, all
callers share one. Checks no key. Started by whoever wants ToolBench's own client to speak to it.
"""

import json
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Header
from pydantic import BaseModel

from tools.virtual import Sessions
from tools.virtual_api.catalogue import Catalogue, standardize
from tools.virtual_api.executor import Session

MAX_RESPONSE = 1024
"""Characters left of a response when the request says `strip: truncate`."""


class VirtualRequest(BaseModel):
    """One call. `toolbench_key` is taken for the sake of existing clients and not read."""

    category: str
    tool_name: str
    api_name: str
    tool_input: dict[str, Any] | str = ""
    strip: str = ""
    toolbench_key: str = ""
    session: str | None = None


class VirtualResponse(BaseModel):
    """`response` is the reply's JSON as text; `error` is empty when the call succeeded."""

    error: str
    response: str


def create_app(catalogue: Catalogue, session_of: Callable[[str], Session] | None = None) -> FastAPI:
    """The app. `session_of` gives the world of a session name."""
    worlds = session_of or Sessions(catalogue)
    functions = {
        (standardize(a.category), standardize(a.tool), standardize(a.name)): a.function
        for a in catalogue.by_function.values()
    }
    app = FastAPI(title="Perennial virtual APIs", docs_url=None, redoc_url=None)

    @app.post("/virtual")
    async def virtual(
        request: VirtualRequest, x_session: str | None = Header(default=None)
    ) -> VirtualResponse:
        """Run one call. A fault of the call is data under a 200, as ToolBench's client expects."""
        names = (request.category, request.tool_name, request.api_name)
        category, tool, api = (standardize(name) for name in names)
        # ToolBench's client sends the bare API name, others the name the model called.
        function = functions.get((category, tool, api.removesuffix(f"_for_{tool}")))
        if function is None:
            words = f"no API {request.api_name} of {request.tool_name} in {request.category}"
            return VirtualResponse(error=words, response="")
        arguments: Any = request.tool_input
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except ValueError:
                return VirtualResponse(error="tool_input is not JSON", response="")
        session = worlds(request.session or x_session or "")
        reply = session.execute(function, arguments)
        if "error" in reply:
            return VirtualResponse(error=reply["error"], response="")
        text = json.dumps(reply)
        return VirtualResponse(
            error="", response=text[:MAX_RESPONSE] if request.strip == "truncate" else text
        )

    return app
