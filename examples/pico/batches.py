"""Turns the stream into padded batches in a process of its own, so that training never waits."""

import multiprocessing as mp
from collections.abc import Iterator
from typing import Any

import torch

from examples.pico.stream import Conversation, Stream

IGNORE = -100


def encode(tokenizer: Any, c: Conversation) -> tuple[list[int], list[int]]:
    """Token ids and labels of one conversation.

    Only what the assistant says carries loss, and of that no mistake.
    """
    text = tokenizer.apply_chat_template(c.messages, tools=c.tools or None, tokenize=False)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    start, end = tokenizer.convert_tokens_to_ids(["<|assistant|>", "<|end|>"])
    turns = iter(not m.get("mistake") for m in c.messages if m["role"] == "assistant")
    labels, speaking = [], False
    for token in ids:
        labels.append(token if speaking else IGNORE)
        if token == start:
            speaking = next(turns)
        elif token == end:
            speaking = False
    return ids, labels


LENGTHS = (64, 128, 192, 256, 336, 480)
"""Padded lengths: few, since each shape is compiled once; longer conversations are left out."""


def _fill(
    stream: Stream, tokenizer: Any, budget: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(ids, labels) of shape [budget // length, length], as soon as a length has enough."""
    waiting: dict[int, list[tuple[list[int], list[int]]]] = {n: [] for n in LENGTHS}
    for conversation in stream:
        ids, labels = encode(tokenizer, conversation)
        length = next((n for n in LENGTHS if len(ids) <= n), None)
        if length is None:
            continue
        waiting[length].append((ids, labels))
        if len(waiting[length]) == budget // length:
            yield collate(waiting[length], length, tokenizer.pad_token_id)
            waiting[length] = []


def collate(
    batch: list[tuple[list[int], list[int]]], length: int, pad: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and labels as [batch, length], padded on the right."""
    ids = torch.full((len(batch), length), pad)
    labels = torch.full((len(batch), length), IGNORE)
    for row, (i, y) in enumerate(batch):
        ids[row, : len(i)] = torch.tensor(i)
        labels[row, : len(y)] = torch.tensor(y)
    return ids, labels


def _work(queue: Any, progress: Any, tokenizer: Any, seed: int, budget: int) -> None:
    torch.set_num_threads(1)
    stream = Stream(seed)
    stream.progress = progress.value
    for ids, labels in _fill(stream, tokenizer, budget):
        stream.progress = progress.value
        queue.put((ids.numpy(), labels.numpy()))


class Batches:
    """An endless iterator of (ids, labels); set `progress.value` as training goes on."""

    def __init__(self, tokenizer: Any, seed: int, budget: int) -> None:
        context = mp.get_context("spawn")
        self.progress = context.Value("d", 0.0)
        self.queue = context.Queue(maxsize=30)
        self.worker = context.Process(
            target=_work,
            args=(self.queue, self.progress, tokenizer, seed, budget),
            daemon=True,
        )
        self.worker.start()

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            ids, labels = self.queue.get()
            yield torch.from_numpy(ids), torch.from_numpy(labels)

    def close(self) -> None:
        """Stop the worker."""
        self.worker.terminate()
        self.worker.join()
