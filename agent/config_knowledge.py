"""The sections of the settings about documents: fetching, gathering, trust and examples.

As agent.config_sections, which puts all sections together and is where others get them.
"""

import ipaddress
from typing import Literal

from pydantic import Field, field_validator

from agent.config_base import Section


class FetchSettings(Section):
    """What is fetched over HTTP, and how much of it."""

    allow: tuple[str, ...] = ()
    """Networks that may be fetched from although they are not public, such as 10.1.0.0/16."""
    timeout_s: float = Field(default=30.0, gt=0.0)
    """How long one answer may take, its redirects included, in seconds."""
    max_bytes: int = Field(default=10 << 20, ge=1)
    """Most of one body, before and after it is unpacked."""
    max_redirects: int = Field(default=5, ge=0)
    """Most redirects of one request."""
    pace_s: float = Field(default=1.0, ge=0.0)
    """Seconds at least between two requests to one host; its robots.txt may ask for more."""
    agent: str = Field(default="Perennial", pattern=r"^[A-Za-z][A-Za-z_-]*( [ -~]+)?$")
    """Who asks: the word that robots.txt files know it by, then what else its people should read,
    such as an address to write to."""

    @field_validator("allow")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value


class GatherSettings(Section):
    """How sources are visited and what counts as the same text."""

    near_duplicate: float = Field(default=0.9, gt=0.0, le=1.0)
    """Share of word groups in common (Jaccard) from which a text is one that is known already."""


class TrustSettings(Section):
    """What keeps a document back until a person has looked at it."""

    least: float = Field(default=0.3, ge=0.0, le=1.0)
    """Documents that are trusted less, by their source or their lineage, are all kept back."""
    believed: float = Field(default=1.0, ge=0.0, le=1.0)
    """Documents that are trusted less are also read for what their sentences mean, which takes a
    vector for each sentence and holds about one harmless document of two hundred."""
    volume: float = Field(default=5.0, ge=1.0)
    """How many times its usual number of new documents a source may bring at once."""
    repeats: int = Field(default=8, ge=2)
    """How many documents of a source may make one claim that no other source makes."""


class SynthesisSettings(Section):
    """Who writes examples from documents, and what that may cost."""

    writer: Literal["templates", "live", "endpoint"] = "templates"
    """`templates` needs no model. `live` asks the live version too, `endpoint` another
    OpenAI-compatible server; what they write stands beside the templates' examples."""
    endpoint: str = ""
    """URL of the endpoint, such as https://host/v1. Its key is read from OPENAI_API_KEY."""
    model: str = ""
    """Name of the endpoint's model."""
    timeout_s: float = Field(default=120.0, gt=0.0)
    """How long the endpoint may take for one answer, in seconds."""
    max_calls: int = Field(default=2000, ge=0)
    """Most questions to the writer in one update; what is over is written by templates alone."""
    max_tokens: int = Field(default=4_000_000, ge=0)
    """Most tokens of questions and answers in one update."""
    max_seconds: float = Field(default=3600.0, ge=0.0)
    """Most waiting for answers in one update, all answers added up."""
