"""The section of the settings about tools: which there are, and on what terms each is called.

As agent.config_sections, which puts all sections together and is where others get them. Starts and
reads nothing: adapt.toolbox does, which makes the tools.
"""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from agent.config_base import Section

Permission = Literal["allow", "confirm", "deny"]
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,30}")


class TermsSettings(Section):
    """On what terms tools are called. What is unset is as for all tools."""

    permission: Permission | None = None
    """`allow` calls at once, `confirm` asks the user before each call, `deny` hides the tool."""
    timeout_s: float | None = Field(default=None, gt=0.0)
    """How long one call may take, in seconds. Waiting for the user does not count."""
    max_chars: int | None = Field(default=None, ge=100)
    """Most characters of one reply; the rest is cut off."""


class SourceSettings(TermsSettings):
    """What the sources of tools have in common."""

    only: tuple[str, ...] = ()
    """The tools that are offered, by the names that the source gives them. Empty: all."""


class NamedSettings(SourceSettings):
    """What sources have in common whose functions we name."""

    called: str = Field(default="", pattern=r"^[A-Za-z0-9 _-]{0,40}$")
    """The word that ends its functions' names, `<tool>_for_<word>`. Unset: the name of the source
    here. What learned its tools knows them by the name that they had there."""


class McpSettings(NamedSettings):
    """One MCP server. Its tools are confirmed, unless `permission` says otherwise."""

    command: tuple[str, ...] = ()
    """The program that is the server, and its arguments; it is started, and again when it dies."""
    url: str = ""
    """Address of a server that runs already and speaks streamable HTTP; instead of `command`."""
    env: tuple[str, ...] = ()
    """Names of variables that the program gets, beside PATH, HOME and the like."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers sent to the address, each from the variable of the environment that is named."""
    folder: Path | None = None
    """Where the program is started. Unset: a temporary folder."""
    start_timeout_s: float = Field(default=60.0, gt=0.0)
    """How long the server may take to start and to list its tools, in seconds."""
    max_message_bytes: int = Field(default=4 << 20, ge=1024)
    """A server that sends a longer message is stopped."""

    @model_validator(mode="after")
    def _one_way(self) -> "McpSettings":
        if bool(self.command) == bool(self.url):
            raise ValueError("an MCP server has a command or a url, one of them")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url = {self.url!r} is not an http address")
        return self


class OpenApiSettings(NamedSettings):
    """One OpenAPI document whose operations are tools. Those that may change something are
    confirmed, unless `permission` says otherwise."""

    location: str
    """The document: a file or a URL, in JSON or YAML."""
    server: str = ""
    """Where the operations are called. Unset: the first server that the document names."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers sent with every call, each from the variable of the environment that is named."""


class ToolBenchSettings(SourceSettings):
    """One folder of ToolBench's tool files, whose APIs are called through a ToolBench server."""

    folder: Path
    """The files: one tool in each, in a folder for each category."""
    server: str
    """URL of the server that executes calls, such as http://127.0.0.1:8080/virtual."""
    key: str = ""
    """Name of the variable of the environment that holds the server's key."""


class PythonSettings(TermsSettings):
    """Code that the model writes, run in a confined process."""

    enabled: bool = False
    """Whether the model may run code."""
    cpu_s: int = Field(default=10, ge=1)
    """Seconds of one processor that one run may take."""
    memory_mib: int = Field(default=512, ge=64)
    """Memory of one run."""
    file_mib: int = Field(default=16, ge=0)
    """Largest file that a run may write. Its files are gone when it ends."""
    unconfined: bool = False
    """Run code also where the kernel cannot keep it from the network and from files."""


class ToolsSettings(Section):
    """What the assistant can call."""

    permission: Permission = "allow"
    """For tools of which nothing else is said."""
    timeout_s: float = Field(default=30.0, gt=0.0)
    """How long one call may take, in seconds."""
    max_chars: int = Field(default=2000, ge=100)
    """Most characters of one reply; the rest is cut off."""
    rules: dict[str, TermsSettings] = Field(default_factory=dict)
    """Terms of single tools, by name or by a pattern such as delete_*. Of several that fit, the
    first counts, key by key; a rule stands over what the tool's source says."""
    universe: bool | None = None
    """Offer the virtual universe's APIs. Unset: with the embedded model, which has learned them."""
    functions: tuple[str, ...] = ()
    """Python functions that are offered: names of entry points in the group perennial.tools."""
    mcp: dict[str, McpSettings] = Field(default_factory=dict)
    """MCP servers, by a name of one's own."""
    openapi: dict[str, OpenApiSettings] = Field(default_factory=dict)
    """OpenAPI documents, by a name of one's own."""
    toolbench: dict[str, ToolBenchSettings] = Field(default_factory=dict)
    """Folders of ToolBench tools, by a name of one's own."""
    python: PythonSettings = Field(default_factory=PythonSettings)
    """Code that the model writes."""

    @field_validator("mcp", "openapi", "toolbench")
    @classmethod
    def _names(cls, value: dict[str, SourceSettings]) -> dict[str, SourceSettings]:
        for name in value:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name: letters, digits, _ and -, at most 31")
        return value
