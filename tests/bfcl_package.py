"""A stand-in for the package bfcl-eval and its files: one class of tickets, some of it harmful.

Real code that real processes import: what is tested is where it runs and what may come of it. The
published package is compared with in the tests that need it.
"""

import json
from pathlib import Path
from typing import Any

_TICKETS = """
import os, socket, subprocess

class TicketAPI:
    def __init__(self):
        self.tickets = []
        self._clock = 0

    def _load_scenario(self, scenario, long_context=False):
        self.tickets = scenario.get("tickets", [])
        self.long = long_context

    def _secret(self):
        return "secret"

    def undocumented(self):
        return "undocumented"

    def open_ticket(self, title, priority=1):
        print("noise between the answers")
        if not title:
            raise ValueError("a ticket needs a title")
        self._clock += 1
        self.tickets.append({"title": title, "priority": priority})
        return {"number": len(self.tickets)}

    def close_ticket(self, number):
        self.tickets.pop(number - 1)
        return {"closed": number}

    def count_tickets(self):
        return len(self.tickets)

    def say(self, size):
        return "x" * size

    def hang(self):
        while True:
            pass

    def fill(self):
        return " " * (1 << 31)

    def die(self):
        os._exit(3)

    def connect(self):
        return socket.create_connection(("127.0.0.1", 9))

    def write(self):
        return open("left_behind", "w")

    def run_program(self):
        return subprocess.run(["true"])

    def environment(self):
        return sorted(os.environ)
"""
FUNCTIONS: dict[str, list[str]] = {
    "open_ticket": ["title", "priority"],
    "close_ticket": ["number"],
    "count_tickets": [],
    "say": ["size"],
    "hang": [], "fill": [], "die": [], "connect": [], "write": [], "run_program": [],
    "environment": [],
}  # fmt: skip
"""Parameters of the documented functions."""
_BACKEND = """
CLASS_FILE_PATH_MAPPING = {"TicketAPI": "bfcl_eval.tickets"}
STATELESS_CLASSES = []
"""


def make_package(folder: Path) -> Path:
    """The package, in a folder to be put on the path."""
    constants = folder / "bfcl_eval" / "constants"
    constants.mkdir(parents=True)
    for package in (constants.parent, constants):
        (package / "__init__.py").write_text("")
    (constants.parent / "tickets.py").write_text(_TICKETS)
    (constants / "executable_backend_config.py").write_text(_BACKEND)
    (constants / "default_prompts.py").write_text(
        "DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_FC = 'There is more now.'\n"
    )
    return folder


def write_lines(path: Path, records: list[Any]) -> None:
    """A file of JSON lines, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def asked(text: str) -> list[dict[str, str]]:
    """One turn of a user."""
    return [{"role": "user", "content": text}]


def make_conversations(data: Path) -> Path:
    """A data folder with one conversation of four turns; `close_ticket` comes in the third, and
    the second wants no calls."""
    base = data / "bfcl" / "dev"
    name = "multi_turn_miss_func"
    question = [asked("Open two tickets."), asked("Close the first."), [], asked("How many?")]
    gold = [["open_ticket('a')", "open_ticket(title='b', priority=2)"], [],
            ["close_ticket(number=1)"], ["count_tickets()"]]  # fmt: skip
    write_lines(
        base / f"BFCL_v4_{name}.jsonl",
        [{"id": f"{name}_0", "question": question, "initial_config": {"TicketAPI": {"tickets": []}},
          "involved_classes": ["TicketAPI"], "missed_function": {"2": ["close_ticket"]}}],
    )  # fmt: skip
    write_lines(
        base / "possible_answer" / f"BFCL_v4_{name}.jsonl",
        [{"id": f"{name}_0", "ground_truth": gold}],
    )
    write_lines(
        data / "bfcl" / "docs" / "multi_turn_func_doc" / "ticket_api.jsonl",
        [
            {"name": function, "description": function, "parameters": {
                "type": "dict", "properties": {key: {"type": "any"} for key in keys},
                "required": keys[:1]}}
            for function, keys in FUNCTIONS.items()
        ],
    )  # fmt: skip
    return data
