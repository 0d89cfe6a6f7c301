"""The kinds of sources: who reads which, and which a location looks like.

Imports a kind only when a source is of it, since some come with large libraries. Called by
adapt.gather.gathering and the command line.
"""

from pathlib import Path
from urllib.parse import urlsplit

from adapt.gather.protocol import SourceKind
from agent.config import Settings
from store import Store
from store.errors import UserError
from store.source_records import Source
from store.source_records import SourceKind as Kind

_FEED_WORDS = ("rss", "atom", "feed")


def kind_of(source: Source, store: Store, settings: Settings) -> SourceKind:
    """Who reads a source."""
    most = settings.update.max_document_bytes
    match source.kind:
        case "folder":
            from adapt.gather.folder import Folder

            return Folder(most)
        case "git":
            from adapt.gather.git import Git

            return Git(most)
        case "toolbench":
            from adapt.gather.toolbench import ToolBench

            return ToolBench(most)
        case "openapi":
            from adapt.gather.openapi import OpenApi

            return OpenApi(settings)
        case "mcp":
            from adapt.gather.mcp import Mcp

            return Mcp()
        case "posted":
            from adapt.gather.posted import Posted

            return Posted()
        case "episodes":
            from adapt.gather.episodes import Episodes

            return Episodes(store)
        case "feed":
            from adapt.gather.feed import Feed

            return Feed(settings.fetch)
        case "pages":
            from adapt.gather.pages import Pages

            return Pages(settings.fetch)


def guessed(location: str) -> Kind:
    """What a location looks like. UserError where it could be several kinds."""
    if urlsplit(location).scheme in ("http", "https"):
        return _guessed_url(location)
    path = Path(location).expanduser()
    if path.is_dir():
        if (path / ".git").exists():
            raise UserError(
                f"{path} could be a folder or a git checkout",
                "say --kind folder (files as they lie there) or --kind git (what is committed)",
            )
        return "folder"
    ending = path.suffix.lower()
    if path.is_file() and ending == ".jsonl":
        return "toolbench"
    if path.is_file() and ending in (".json", ".yaml", ".yml"):
        return "openapi"
    # Whoever gives a path means a folder: a command line has to be called one.
    raise UserError(f"{path} is not a folder", "make it first, then add it, or say its --kind")


def _guessed_url(location: str) -> Kind:
    path = urlsplit(location).path.lower()
    last = path.rstrip("/").rpartition("/")[2]
    if last == "mcp":
        return "mcp"
    if any(word in last for word in ("openapi", "swagger")):
        return "openapi"
    if "sitemap" in last:
        return "pages"
    if last.endswith((".rss", ".atom")) or last.partition(".")[0] in _FEED_WORDS:
        return "feed"
    if last.endswith((".xml", ".json", ".yaml", ".yml")):
        raise UserError(f"{location} could be of several kinds", "say its --kind")
    return "pages"
