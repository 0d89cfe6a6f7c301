"""The form that an answer must have: any text, a JSON object, or JSON of a schema.

The engine holds the model to it token by token (vLLM's structured outputs); what is checked here is
only that a schema is one. Nothing that a schema refers to is ever fetched. Parsed as a part of
agent.api.schemas.
"""

import json
from typing import Annotated, Any, Literal

from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for
from pydantic import BaseModel, ConfigDict, Field, field_validator

from agent.api.text import Text
from agent.history import Wire

MAX_SCHEMA = 100_000
"""Longest schema, in characters of JSON: the engine compiles it before the first token."""


class AnyText(BaseModel):
    """No form at all."""

    type: Literal["text"]


class AnyObject(BaseModel):
    """A JSON object."""

    type: Literal["json_object"]


class NamedSchema(BaseModel):
    """A JSON schema and what it is called."""

    model_config = ConfigDict(serialize_by_alias=True)

    name: Text = Field(min_length=1, max_length=64)
    description: Text | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None
    """Either way the answer follows the schema."""

    @field_validator("schema_")
    @classmethod
    def _is_one(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            if len(json.dumps(value)) > MAX_SCHEMA:
                raise ValueError(f"is longer than {MAX_SCHEMA} characters")
            validator_for(value).check_schema(value)
        except SchemaError as error:
            raise ValueError(f"is no JSON schema: {error.message[:300]}") from None
        except RecursionError:
            raise ValueError("is nested too deeply") from None
        return value


class OfSchema(BaseModel):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[AnyText | AnyObject | OfSchema, Field(discriminator="type")]


def for_engine(form: AnyText | AnyObject | OfSchema | None) -> Wire | None:
    """The form as vLLM takes it; None where any text will do."""
    if form is None or isinstance(form, AnyText):
        return None
    return form.model_dump(exclude_none=True, by_alias=True)
