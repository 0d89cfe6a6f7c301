"""Plays many episodes at once with one model, and records what a policy gradient needs.

All conversations of a batch take their turns together: pieces are padded on the left, keys and
values are kept between turns, and an episode that is over leaves the batch. The tokens are those
that the chat template writes. It judges nothing and trains nothing. Called by adapt.skill.train.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from adapt.render import Renderer
from adapt.skill.decoding import Reader
from adapt.skill.scenario import Game, Outcome
from store.errors import ModelError
from store.records import Message


@dataclass(frozen=True)
class Spoken:
    """One turn. `token_ids` ends with the end token unless the turn was cut off."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Of each token, under the distribution that it was drawn from."""


@dataclass(frozen=True)
class Rollout:
    """One played episode as tokens."""

    token_ids: tuple[int, ...]
    own: tuple[bool, ...]
    """Which tokens the model itself wrote; the rest is prompt and observation."""
    logprobs: tuple[float, ...]
    """One per own token, in order."""
    messages: tuple[Message, ...]
    outcome: Outcome


class Speaker(Protocol):
    """What plays the model's part in B conversations."""

    def speak(self, pieces: Sequence[Sequence[int]]) -> list[Spoken]:
        """One turn each, after the tokens that are new since the last turn."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these conversations only."""
        ...


class Sampler:
    """Draws turns from a causal language model (temperature 0 takes the likeliest token).

    One sampler serves one batch of conversations. `generator` makes the draws repeatable.
    """

    def __init__(
        self,
        model: nn.Module,
        end: int,
        *,
        temperature: float = 1.0,
        max_new_tokens: int = 96,
        generator: torch.Generator | None = None,
    ) -> None:
        self.end = end
        self.temperature, self.max_new_tokens = temperature, max_new_tokens
        self.generator = generator
        self.reader = Reader(model)
        self.device = self.reader.device
        self.begun = False
        self.unfed: list[list[int]] = []
        """Per conversation the last token, when the model has not read it yet."""

    @torch.no_grad()
    def speak(self, pieces: Sequence[Sequence[int]]) -> list[Spoken]:
        """One turn of every conversation."""
        waiting = self.unfed or [[] for _ in pieces]
        chunks = [[*u, *p] for u, p in zip(waiting, pieces, strict=True)]
        width = max(map(len, chunks))
        ids = torch.full((len(chunks), width), self.end, device=self.device)
        real = torch.zeros_like(ids, dtype=torch.bool)
        for row, chunk in enumerate(chunks):
            ids[row, width - len(chunk) :] = torch.tensor(chunk, device=self.device)
            real[row, width - len(chunk) :] = True
        tokens: list[list[int]] = [[] for _ in pieces]
        logprobs: list[list[float]] = [[] for _ in pieces]
        speaking = torch.ones(len(pieces), dtype=torch.bool, device=self.device)
        logits = self._read_shared(chunks, ids, real)
        while True:
            drawn, logs = self._draw(logits)
            said, chances = drawn.tolist(), logs.tolist()
            for row in speaking.nonzero()[:, 0].tolist():
                tokens[row].append(said[row])
                logprobs[row].append(chances[row])
            real = speaking[:, None].clone()
            ids = drawn[:, None]
            speaking = speaking & (drawn != self.end)
            if not speaking.any() or max(map(len, tokens)) == self.max_new_tokens:
                break
            logits = self.reader.read(ids, real)
        # Who spoke in the last step has a token that is drawn but not read.
        self.unfed = [[int(i)] if r else [] for i, r in zip(ids[:, 0], real[:, 0], strict=True)]
        return [Spoken(tuple(t), tuple(p)) for t, p in zip(tokens, logprobs, strict=True)]

    def keep(self, rows: Sequence[int]) -> None:
        """Drop the other conversations from memory."""
        assert self.begun, "nothing has been spoken yet"
        self.reader.keep(rows)
        self.unfed = [self.unfed[row] for row in rows]

    def _read_shared(self, chunks: list[list[int]], ids: Tensor, real: Tensor) -> Tensor:
        """Read the pieces; a prompt that several new conversations share is read once."""
        if self.begun:
            return self.reader.read(ids, real)
        self.begun = True
        first: dict[tuple[int, ...], int] = {}
        rows = [first.setdefault(tuple(chunk), len(first)) for chunk in chunks]
        where = [rows.index(number) for number in range(len(first))]
        logits = self.reader.read(ids[where], real[where])
        self.reader.keep(rows)
        return logits[torch.tensor(rows, device=self.device)]

    def _draw(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B] and their log-probabilities [B]."""
        logs = (logits.float() / (self.temperature or 1.0)).log_softmax(-1)
        if self.temperature == 0:
            drawn = logs.argmax(-1)
        else:
            drawn = torch.multinomial(logs.exp(), 1, generator=self.generator)[:, 0]
        return drawn, logs.gather(-1, drawn[:, None])[:, 0]


@dataclass
class _Track:
    """What one conversation has gathered so far."""

    episode: Game
    ids: list[int] = field(default_factory=list)
    own: list[bool] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def add(self, token_ids: Sequence[int], own: bool) -> None:
        self.ids += token_ids
        self.own += [own] * len(token_ids)


def end_token(renderer: Renderer) -> int:
    """The token that ends an assistant's message. ModelError when there is no such token."""
    asked = (Message(role="user", content="a"),)
    said = (*asked, Message(role="assistant", content="b"))
    whole = renderer.text(said).rstrip()
    start = renderer.text(asked, generation_prompt=True) + "b"
    found = renderer.tokens(whole.removeprefix(start))
    if not whole.startswith(start) or len(found) != 1:
        raise ModelError(
            f"the chat template ends an answer with {whole.removeprefix(start)[:40]!r}, "
            "which is not one token",
            "use a template that ends every message with one special token",
        )
    return found[0]


def rollout(
    speaker: Speaker,
    renderer: Renderer,
    episodes: Sequence[Game],
    end: int,
    max_length: int = 1024,
) -> list[Rollout]:
    """Play all episodes to their end; results in the order given.

    A conversation of more than `max_length` tokens is stopped. Raises ModelError when the template
    rewrites what it has already written.
    """
    tracks = [_Track(episode) for episode in episodes]
    live = tracks
    pieces = [renderer.tokens(_prompt(renderer, episode)) for episode in episodes]
    while live:
        rows: list[int] = []
        following: list[tuple[int, ...]] = []
        turns = zip(live, pieces, speaker.speak(pieces), strict=True)
        for row, (track, piece, spoken) in enumerate(turns):
            track.add(piece, own=False)
            track.add(spoken.token_ids, own=True)
            track.logprobs += spoken.logprobs
            reply = _hear(renderer, track.episode, spoken, end)
            if reply is not None and len(track.ids) + len(reply) > max_length:
                track.episode.stop(f"more than {max_length} tokens")
            elif reply is not None:
                rows.append(row)
                following.append(reply)
        live, pieces = [live[row] for row in rows], following
        if rows:
            speaker.keep(rows)
    return [_finished(track) for track in tracks]


def _finished(track: _Track) -> Rollout:
    outcome = track.episode.outcome
    assert outcome is not None, track.episode.messages
    return Rollout(
        tuple(track.ids), tuple(track.own), tuple(track.logprobs), track.episode.messages, outcome
    )


def _prompt(renderer: Renderer, episode: Game) -> str:
    return renderer.text(episode.messages, episode.tools, generation_prompt=True)


def _hear(renderer: Renderer, episode: Game, spoken: Spoken, end: int) -> tuple[int, ...] | None:
    """Let the world answer; the tokens up to the model's next turn, None when there is none."""
    whole = bool(spoken.token_ids) and spoken.token_ids[-1] == end
    said = spoken.token_ids[:-1] if whole else spoken.token_ids
    turns = len(episode.messages) + 1
    episode.hear(renderer.tokenizer.decode(said, skip_special_tokens=True), cut_off=not whole)
    if episode.outcome is not None:
        return None
    # The end token has been spoken; what the template writes after it comes with the reply.
    before = renderer.text(episode.messages[:turns], episode.tools).rstrip()
    after = _prompt(renderer, episode)
    if not after.startswith(before):
        raise ModelError(
            "the chat template rewrites earlier text when a tool replies",
            "use a template whose prefixes stay as they are",
        )
    return renderer.tokens(after[len(before) :])
