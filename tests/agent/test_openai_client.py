"""OpenAI's own client, unmodified, against the API on a real port."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from agent_app import LIVE, NEXT, Wire, reckoner, run, served, state_on, user
from pydantic import BaseModel

from agent.api.answers import ChatCompletion, ChatCompletionChunk
from agent.fake_engine import FakeVllm
from store.store import Store

ASK: Any = {"model": "live", "messages": user("6*7")}
ANSWER = f'{LIVE} says {{"result": 42}}'


@pytest.fixture
def client(store: Store, fake: FakeVllm) -> Iterator[openai.OpenAI]:
    state = state_on(fake, store, api_key="secret")
    with (
        served(state) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="secret", max_retries=0) as client,
    ):
        yield client


def test_models_are_listed_and_each_is_found(client: openai.OpenAI) -> None:
    """The alias and every version, with the line that each comes from."""
    listed = list(client.models.list())
    assert [m.id for m in listed] == ["live", LIVE, NEXT]
    assert [client.models.retrieve(m.id) for m in listed] == listed
    assert listed[0].model_dump()["perennial"] == {"alias_of": LIVE}
    assert listed[2].model_dump()["perennial"]["line"] == [NEXT, LIVE]
    with pytest.raises(openai.NotFoundError, match="gpt-4"):
        client.models.retrieve("gpt-4")


def test_a_whole_answer_is_as_documented(client: openai.OpenAI, store: Store) -> None:
    whole = client.chat.completions.create(**ASK)
    assert whole.choices[0].message.content == ANSWER
    assert whole.system_fingerprint == whole.model == LIVE
    raw = client.chat.completions.with_raw_response.create(**ASK)
    assert ChatCompletion.model_validate_json(raw.content).perennial.tools[0].name == "calculate"
    assert raw.headers["X-Perennial-Version"] == LIVE
    # The client's own name for it, for people who ask why.
    assert whole._request_id == store.episodes.list()[-1].id


def test_a_stream_shows_text_tools_and_usage(client: openai.OpenAI, store: Store) -> None:
    """The tools' activity comes in a field that the client keeps without knowing it."""
    text, activity, usage, ids = "", [], None, set()
    options: Any = {"include_usage": True}
    for chunk in client.chat.completions.create(**ASK, stream=True, stream_options=options):
        ChatCompletionChunk.model_validate(chunk.model_dump(exclude_unset=True))
        usage = chunk.usage or usage
        ids.add(chunk.id)
        activity += [*(chunk.model_extra or {}).get("perennial", {})]
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert text == ANSWER
    assert activity[:2] == ["tool_call", "tool_result"]
    assert ids == {f"chatcmpl-{store.episodes.list(1)[0].id}"}
    whole = client.chat.completions.create(**ASK).usage
    assert usage is not None and whole is not None and usage.total_tokens == whole.total_tokens


def test_the_streaming_helper_puts_the_answer_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(**ASK) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content == ANSWER


def test_an_answer_is_parsed_into_a_model(client: openai.OpenAI, fake: FakeVllm) -> None:
    """The tool is called first; then the answer is asked for in the form of the schema."""

    class Sum(BaseModel):
        result: int

    def answer(model: str, messages: list[Wire], tools: list[Wire]) -> Any:
        if fake.requests[-1][1].get("response_format"):
            return json.dumps({"result": 42})
        return reckoner(model, messages, tools)

    fake.answer = answer
    parsed = client.chat.completions.parse(**ASK, response_format=Sum)
    assert parsed.choices[0].message.parsed == Sum(result=42)
    asked = [body for path, body in fake.requests if path.endswith("completions")]
    assert [("tools" in body, "response_format" in body) for body in asked] == [
        (True, False), (True, False), (False, True),
    ]  # fmt: skip
    schema = asked[-1]["response_format"]["json_schema"]["schema"]
    assert schema["properties"] == {"result": {"title": "Result", "type": "integer"}}
    with client.chat.completions.stream(**ASK, response_format=Sum) as stream:
        text = "".join(e.delta for e in stream if e.type == "content.delta")
    assert text == json.dumps({"result": 42}), "the answer without the form was streamed, too"


def test_errors_are_the_clients_own(client: openai.OpenAI, fake: FakeVllm) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt-4"):
        client.chat.completions.create(**{**ASK, "model": "gpt-4"})
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(**ASK, extra_body={"colour": "red"})
    assert (bad.value.param, "no such field" in bad.value.message) == ("colour", True)
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()
    fake.down = True
    with pytest.raises(openai.InternalServerError, match="does not answer"):
        client.chat.completions.create(**ASK)


def test_the_asynchronous_client_works(client: openai.OpenAI) -> None:
    async def work() -> str:
        async with openai.AsyncOpenAI(base_url=str(client.base_url), api_key="secret") as own:
            text = ""
            async for chunk in await own.chat.completions.create(**ASK, stream=True):
                text += chunk.choices[0].delta.content or ""
            return text

    assert run(work()) == ANSWER
