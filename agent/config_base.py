"""What all sections of the settings have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all sections: frozen, an unknown key is an error, field docstrings are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
