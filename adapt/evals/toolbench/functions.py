"""What a model is shown of ToolBench's APIs: ToolLLaMA's function names and schemas, and Finish.

The names are those of the published traces. Four things differ from the published code, where it
is plainly wrong: names that the cut to 64 characters makes equal are told apart, a parameter that
stands twice is shown once, optional parameters are shown of APIs that require none, and a called
name must be the whole name rather than the end of one. Called by the loader and by
adapt.evals.toolbench.steps.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from adapt.evals.toolbench.queries import Api, Parameter
from store.errors import ConfigError
from tools.virtual_api.catalogue import standardize

Schema = dict[str, Any]

FINISH = "Finish"
GIVE_ANSWER = "give_answer"
GIVE_UP = "give_up_and_restart"
NAME_CHARS = 64
"""Of a longer name the end is kept, so that the tool's name stays whole."""
DESCRIPTION_CHARS = 256
RESERVED = frozenset({"from", "class", "return", "false", "true", "id", "and"})
"""Words that ToolLLaMA's generated Python could not use as names."""
_TYPES = {"NUMBER": "integer", "STRING": "string", "BOOLEAN": "boolean"}
"""All other types are strings."""


def tool_word(name: str) -> str:
    """A tool's name as ToolLLaMA writes it: standardized, with get_ before a digit."""
    word = standardize(name)
    return f"get_{word}" if word[:1].isdigit() else word


def api_word(name: str) -> str:
    """An API's or a parameter's name: as a tool's, with is_ before a reserved word."""
    word = tool_word(name)
    return f"is_{word}" if word in RESERVED else word


def function_name(api: str, tool: str) -> str:
    """`<api>_for_<tool>`, of which the last 64 characters count."""
    return f"{api_word(api)}_for_{tool_word(tool)}"[-NAME_CHARS:]


def function_names(apis: Sequence[Api]) -> list[str]:
    """One name for each API, in order, all different.

    The second of two APIs with one name ends in _2, and so on. ConfigError where a tool or API has
    no letter or digit that a name could be made of.
    """
    names: list[str] = []
    for api in apis:
        if not standardize(api.name) or not standardize(api.tool):
            raise ConfigError(
                f"no function name can be made of API {api.name!r} of tool {api.tool!r}",
                "names need a letter from a to z or a digit",
            )
        name, count = function_name(api.name, api.tool), 1
        while name in names:
            count += 1
            mark = f"_{count}"
            name = function_name(api.name, api.tool)[-NAME_CHARS + len(mark) :] + mark
        names.append(name)
    return names


def schema_of(name: str, api: Api) -> Schema:
    """One API in OpenAI's function shape.

    `example_value` and `optional` are ToolLLaMA's; a JSON Schema may hold words of one's own.
    """
    said = f'A function of the tool "{tool_word(api.tool)}".'
    if own := api.description.strip().replace(api.name, name):
        said += f" What it does: {own[:DESCRIPTION_CHARS]}"
    shown = _distinct(api.parameters)
    parameters = {
        "type": "object",
        "properties": {word: _property(parameter) for word, parameter in shown.items()},
        "required": [word for word, parameter in shown.items() if parameter.required],
        "optional": [word for word, parameter in shown.items() if not parameter.required],
    }
    return _function(name, said, parameters)


def finish_schema() -> Schema:
    """The function that ends every run."""
    parameters = {
        "type": "object",
        "properties": {
            "return_type": {"type": "string", "enum": [GIVE_ANSWER, GIVE_UP]},
            "final_answer": {
                "type": "string",
                "description": f"What the user gets to read. Needed with {GIVE_ANSWER}.",
            },
        },
        "required": ["return_type"],
    }
    return _function(
        FINISH,
        "Ends the task. Call it with the final answer once the results suffice, or to give up and "
        "restart when there is no way on from here. Every attempt ends with this call, and the "
        "user sees nothing but the final answer: put all that was asked for into it.",
        parameters,
    )


def example_arguments(api: Api) -> dict[str, Any]:
    """Arguments that fit: every required parameter with its example, or a value of its type."""
    shown = _distinct(api.parameters)
    return {word: _example(parameter) for word, parameter in shown.items() if parameter.required}


def problem_of(schema: Mapping[str, Any], arguments: Any) -> str:
    """What keeps arguments from fitting a function's schema, empty when they fit.

    Names are checked and values are not: the published types are often wrong.
    """
    if not isinstance(arguments, Mapping):
        return "the arguments are not a JSON object"
    parameters = schema["function"]["parameters"]
    if missing := [name for name in parameters["required"] if name not in arguments]:
        return f"missing {', '.join(missing)}"
    if unknown := [str(name) for name in arguments if name not in parameters["properties"]]:
        return f"unknown {', '.join(unknown)[:100]}"
    return ""


def _distinct(parameters: Sequence[Parameter]) -> dict[str, Parameter]:
    """Parameters by shown name; of two with one name the first, which is the required one."""
    shown: dict[str, Parameter] = {}
    for parameter in parameters:
        shown.setdefault(api_word(parameter.name), parameter)
    return shown


def _property(parameter: Parameter) -> Schema:
    entry: Schema = {
        "type": _TYPES.get(parameter.type, "string"),
        "description": parameter.description[:DESCRIPTION_CHARS],
    }
    if str(parameter.default):
        entry["example_value"] = parameter.default
    return entry


def _example(parameter: Parameter) -> Any:
    if str(parameter.default):
        return parameter.default
    return {"integer": 1, "boolean": True}.get(_TYPES.get(parameter.type, ""), "example")


def _function(name: str, description: str, parameters: Schema) -> Schema:
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}
