"""A conversation as token ids, and exactly which of them are trained on.

The tokenizer's own chat template makes the text; the tokens of a message are found by rendering
ever longer prefixes of the conversation. It knows no template by name and truncates nothing.
Called by adapt.loki (training), adapt.stages and adapt.evals (prompts). Loads no torch.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from store.errors import ConfigError, ModelError
from store.records import Example, Message

_MARK = "zq9zq9"


@dataclass(frozen=True)
class Rendered:
    """One conversation. Both tuples have the same length; True marks a token with loss."""

    token_ids: tuple[int, ...]
    loss_mask: tuple[bool, ...]


class Renderer:
    """Renders many examples with one tokenizer, tokenising each piece of text once."""

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ModelError(
                "the tokenizer has no chat template",
                "use an instruct model, or put chat_template.jinja beside the tokenizer",
            )
        self.tokenizer = tokenizer
        self._ids: dict[str, tuple[int, ...]] = {}

    def text(
        self,
        messages: tuple[Message, ...],
        tools: tuple[dict[str, Any], ...] = (),
        generation_prompt: bool = False,
    ) -> str:
        """The conversation as the template writes it. Raises ModelError when it cannot."""
        from jinja2 import TemplateError

        try:
            return self.tokenizer.apply_chat_template(
                [chat_message(message) for message in messages],
                tools=list(tools) or None,
                tokenize=False,
                add_generation_prompt=generation_prompt,
            )
        except TemplateError as error:
            raise ModelError(
                f"the chat template refuses this conversation: {error}",
                "check the order of roles that the template allows",
            ) from error

    def tokens(self, text: str) -> tuple[int, ...]:
        """Token ids of template text; nothing is added, the template has written it all."""
        ids = self._ids.get(text)
        if ids is None:
            ids = tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])
            self._ids[text] = ids
        return ids

    def __call__(self, example: Example, generation_prompt: bool = False) -> Rendered:
        """Render one example; with `generation_prompt` it ends where the model would answer.

        Raises ModelError when the template rewrites what came before an answer, ConfigError when
        a message of another role than assistant carries loss.
        """
        messages, tools = example.messages, example.tools
        full = self.text(messages, tools, generation_prompt)
        ids: list[int] = []
        mask: list[bool] = []
        done = 0
        for index, message in enumerate(messages):
            if not message.loss:
                continue
            start, end = self._span(example, index, full)
            # Cut exactly at the span: a token must not straddle the prompt and the answer,
            # since in use the prompt is tokenised without the answer.
            for piece, loss in ((full[done:start], False), (full[start:end], True)):
                tokens = self.tokens(piece)
                ids += tokens
                mask += [loss] * len(tokens)
            done = end
        rest = self.tokens(full[done:])
        return Rendered((*ids, *rest), (*mask, *[False] * len(rest)))

    def _span(self, example: Example, index: int, full: str) -> tuple[int, int]:
        """Where message `index` lies in `full`: after its header, through its end-of-turn token."""
        if example.messages[index].role != "assistant":
            raise ConfigError(
                f"message {index} ({example.messages[index].role}) of example "
                f"{example.digest[:12]} carries loss",
                "only assistant messages are trained on",
            )
        before = self.text(example.messages[:index], example.tools, generation_prompt=True)
        if full.startswith(before):
            after = self.text(example.messages[: index + 1], example.tools)
            if after.startswith(before) and full.startswith(after):
                # The template's line break behind the end-of-turn token is never generated.
                return len(before), len(after.rstrip())
            # Qwen3 writes an empty thought into the last answer only: then the end-of-turn text
            # tells where the answer ends.
            end = full.find(self.end_of_turn, len(before)) if self.end_of_turn else -1
            if end >= 0:
                return len(before), end + len(self.end_of_turn)
        raise ModelError(
            f"the chat template rewrites earlier text, so the tokens of message {index} "
            "cannot be told apart",
            "train one assistant message, the last, per example",
        )

    @cached_property
    def end_of_turn(self) -> str:
        """What the template writes behind an answer, without white space; may be empty."""
        asked = Message(role="user", content="a")
        told = self.text((asked, Message(role="assistant", content=_MARK)))
        return told.rpartition(_MARK)[2].strip()


def render(tokenizer: Any, example: Example, generation_prompt: bool = False) -> Rendered:
    """Render one example; for many, keep one `Renderer`."""
    return Renderer(tokenizer)(example, generation_prompt)


def chat_message(message: Message) -> dict[str, Any]:
    """A message as chat templates take it, tool calls in the OpenAI function shape."""
    chat: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        chat["tool_calls"] = [
            {
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in message.tool_calls
        ]
    return chat
