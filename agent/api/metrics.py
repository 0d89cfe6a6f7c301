"""GET /metrics: all series in Prometheus' text format. What they are is agent.telemetry's.

Built into the application by `agent.api.app`.
"""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from agent.api.auth import MayRead, State
from agent.telemetry.exposition import exposition

router = APIRouter(tags=["telemetry"])


@router.get(
    "/metrics",
    dependencies=[MayRead],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(state: State) -> Response:
    """Our own series, and every engine's under its usual names."""
    text = await exposition(state.store, state.engine)
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
