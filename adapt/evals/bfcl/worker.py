"""The program of a confined process: the only code that imports bfcl_eval, and calls what is in it.

Reads requests and writes answers, one JSON value per line. Uses nothing of ours and evaluates no
text in mode `tools`: a call is a name on a list and named values. Nothing imports this; it is
started by adapt.evals.bfcl.sandbox as `python -I worker.py MODE ROOT CPU_SECONDS`.
"""

import copy
import importlib
import json
import os
import resource
import sys
import types
from collections.abc import Callable
from typing import Any

MEMORY = 1 << 29
"""Bytes of address space: many such processes may run at once."""
REPLY_CHARS = 500_000
"""Most characters of one reply that are sent out; the longest document of BFCL is far shorter."""
_EVALS = "bfcl_eval.eval_checker"
_REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn",
            "os.remove", "os.rename", "os.rmdir", "shutil.", "ctypes.", "pty.")  # fmt: skip


def confine(cpu_s: int) -> None:
    """Limits on time, memory and files; then no network, no other process, no written file."""
    for limit, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event.startswith(_REFUSED):
        raise PermissionError(f"{event} is not allowed here")


class Tools:
    """One conversation: the classes as the model changes them, and as the gold calls do."""

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """Build both sets of instances. Answers with the words that announce further functions."""
        self.model = self._instances(request)
        self.gold = self._instances(request)
        self.owners: dict[str, str] = {}
        for name in request["classes"]:
            # A function of two classes belongs to the later one, as in the published executor.
            self.owners |= dict.fromkeys(request["functions"][name], name)
        self.replies: list[str] = []
        self.called = False
        prompts = importlib.import_module("bfcl_eval.constants.default_prompts")
        return {"more": prompts.DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_FC}

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make the model's calls in order; their replies."""
        replies = self._made(self.model, request["calls"])
        self.called = self.called or bool(replies)
        self.replies += replies
        return {"replies": [reply[:REPLY_CHARS] for reply in replies]}

    def turn(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make the gold calls of the turn that ends; what is then wrong, "" for nothing.

        A turn without gold calls is not checked, which is the published rule.
        """
        called, self.called = self.called, False
        wanted = self._made(self.gold, request["calls"])
        if not request["calls"]:
            return {"fault": ""}
        if not called:
            return {"fault": "called nothing"}
        for name, gold in self.gold.items():
            try:
                if not _same_state(self.model[name], gold):
                    return {"fault": f"another state of {name}"}
            except RecursionError:
                return {"fault": f"a state of {name} too deep to compare"}
        left = list(self.replies)
        for reply in wanted:
            if reply not in left:
                return {"fault": "lacks a reply that the right calls give"}
            left.remove(reply)
        return {"fault": ""}

    def _instances(self, request: dict[str, Any]) -> dict[str, Any]:
        backend = importlib.import_module("bfcl_eval.constants.executable_backend_config")
        made: dict[str, Any] = {}
        for name in request["classes"]:
            module = importlib.import_module(backend.CLASS_FILE_PATH_MAPPING[name])
            made[name] = getattr(module, name)()
            if name not in backend.STATELESS_CLASSES:
                # A copy: a class changes what it is given, and the other set starts from it too.
                config = copy.deepcopy(request["config"].get(name, {}))
                made[name]._load_scenario(config, long_context=request["long_context"])
        return made

    def _made(self, instances: dict[str, Any], calls: list[Any]) -> list[str]:
        replies: list[str] = []
        for name, arguments in calls:
            try:
                if name not in self.owners:
                    raise NameError(f"there is no function {name[:64]!r}")
                method = getattr(instances[self.owners[name]], name)
                replies.append(_as_text(method(**arguments)))
            except Exception as error:  # Whatever a tool raises is its reply.
                replies.append(f"Error during execution: {error}")
        return replies


def _same_state(model: Any, gold: Any) -> bool:
    public = [name for name in vars(gold) if not name.startswith("_")]
    return all(getattr(model, name) == getattr(gold, name) for name in public)


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        try:
            return json.dumps(value)
        except (TypeError, ValueError):
            return str(value)
    return str(value)


def check_ast(request: dict[str, Any]) -> dict[str, Any]:
    """bfcl_eval's verdict on each of several lists of calls. What it breaks on is not valid."""
    model = types.ModuleType("bfcl_eval.constants.model_config")
    # The real module imports the clients of every vendor; only this one setting is read.
    setting = types.SimpleNamespace(underscore_to_dot=True)
    vars(model)["MODEL_CONFIG_MAPPING"] = {"perennial": setting}
    sys.modules[model.__name__] = model
    checker = importlib.import_module(f"{_EVALS}.ast_eval.ast_checker")
    python = importlib.import_module("bfcl_eval.constants.enums").Language.PYTHON
    valid: list[bool] = []
    for calls in request["outputs"]:
        output = [{name: arguments} for name, arguments in calls]
        try:
            verdict = checker.ast_checker(
                request["functions"], output, request["answer"], python, request["category"],
                "perennial",
            )  # fmt: skip
            valid.append(bool(verdict["valid"]))
        except Exception:
            valid.append(False)
    return {"valid": valid}


def check_silence(request: dict[str, Any]) -> dict[str, Any]:
    """bfcl_eval's verdict where no function fits, on each of several lists of calls."""
    is_empty = importlib.import_module("bfcl_eval.utils").is_empty_output
    outputs = ([{name: arguments} for name, arguments in calls] for calls in request["outputs"])
    return {"valid": [bool(is_empty(output)) for output in outputs]}


def check_turns(request: dict[str, Any]) -> dict[str, Any]:
    """bfcl_eval's verdict on each of several conversations of one item: steps of calls by turn.

    Its checker evaluates text. That text is made here, of names on the list and of literals.
    """
    checker = importlib.import_module(f"{_EVALS}.multi_turn_eval.multi_turn_checker")
    known = {name for names in request["functions"].values() for name in names}
    valid: list[bool] = []
    for place, turns in enumerate(request["outputs"]):
        steps = [[[_source(call, known) for call in step] for step in turn] for turn in turns]
        # The model's name tells apart the instances that the checker keeps.
        verdict = checker.multi_turn_checker(
            steps, request["gold"], request["entry"], request["category"], f"run{place}"
        )
        valid.append(bool(verdict["valid"]))
    return {"valid": valid}


def _source(call: list[Any], known: set[str]) -> str:
    name, arguments = call
    if name not in known or not all(key.isidentifier() for key in arguments):
        return "no_such_function()"
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def main() -> None:
    """Answer requests until there are no more."""
    mode, root, cpu_s = sys.argv[1:]
    confine(int(cpu_s))
    sys.path.insert(0, root)
    # What the classes print must not stand between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    tools = Tools()
    handlers: dict[str, dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
        "tools": {"start": tools.start, "run": tools.run, "turn": tools.turn},
        "reference": {"ast": check_ast, "silence": check_silence, "turns": check_turns},
    }
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = handlers[mode][request["do"]](request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
