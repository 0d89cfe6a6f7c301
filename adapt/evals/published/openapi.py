"""Operations of an OpenAPI 3 document as functions: name, description, schema of parameters.

Parameters of path, query and JSON body become properties of one object; answers are left out.
Called by adapt.evals.published.toolalpaca.
"""

from collections.abc import Mapping
from typing import Any

from adapt.evals.published.reading import field
from tools.openapi_document import METHODS, resolved

Operation = tuple[str, dict[str, Any]]


def operations(specification: Any, where: str) -> dict[str, Operation]:
    """(description, schema of an object) by operationId. ConfigError names what is missing."""
    paths = field({"Documentation": specification}, "Documentation", where, dict)
    found: dict[str, Operation] = {}
    for path, entry in field(paths, "paths", where, dict).items():
        for method in METHODS:
            if method in entry:
                operation = field(entry, method, f"{where}: {path}", dict)
                name = field(operation, "operationId", f"{where}: {method} {path}", str)
                found[name] = _described(operation), _schema(operation, specification)
    return found


def _described(operation: Mapping[str, Any]) -> str:
    return str(operation.get("description") or operation.get("summary") or "")


def _schema(operation: Mapping[str, Any], specification: Mapping[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    for parameter in operation.get("parameters", ()):
        name = str(parameter.get("name"))
        properties[name] = resolved(parameter.get("schema", {}), specification)
        if parameter.get("description"):
            properties[name] |= {"description": parameter["description"]}
        if parameter.get("required") is True:
            required.append(name)
    content = operation.get("requestBody", {}).get("content", {})
    body = resolved(content.get("application/json", {}).get("schema", {}), specification)
    properties |= body.get("properties", {})
    required += body.get("required", [])
    return {"properties": properties, "required": required}
