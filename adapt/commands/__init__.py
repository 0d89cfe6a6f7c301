"""The bodies of the commands, one module per noun. Called by perennial.py, which only parses.

Each function takes the shared `Options` and returns the exit code; errors rise to `main`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.config import Settings
    from store import Store


def refuse_folders(files: "dict[str, Path | None]") -> None:
    """Raises ConfigError where a file is to be written over a folder, or below a file."""
    from store.errors import ConfigError

    for option, path in files.items():
        if path is not None and path.is_dir():
            raise ConfigError(f"{option} {path} is a folder", "give a file")
        if path is not None:
            refuse_below_file(option, path)


def refuse_below_file(option: str, path: Path) -> None:
    """Raises ConfigError where a path cannot be made, since a part of it is a file."""
    from store.errors import ConfigError

    # Made absolute: "." has no folders above it.
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise ConfigError(f"{option} {path} is below a file, {above}", "give another place")


@dataclass(frozen=True)
class Options:
    """What all commands share."""

    home: Path | None = None
    """None means the usual one (agent.config.load_settings)."""
    as_json: bool = False
    """The result as one JSON value on stdout; everything else goes to stderr either way."""

    def settings(self, **overrides: Any) -> "Settings":
        """The settings of the home. ConfigError when they cannot be used."""
        from agent.config import load_settings

        return load_settings(self.home, **overrides)

    def read_store(self) -> "Store":
        """The store of a home that exists, for a look inside; NotFoundError where there is none.

        Only what writes makes a home: a look must not leave an empty one behind.
        """
        from agent.config import home_of
        from store import Store
        from store.errors import NotFoundError

        home = home_of(self.settings())
        if not home.exists():
            raise NotFoundError(
                f"there is no home at {home.path}",
                "begin with `perennial source add NAME FOLDER` or `perennial up`, or give --home",
            )
        return Store.open(home)

    def put(self, value: Any, shown: Any = None) -> None:
        """Write the result: `value` as JSON when asked for, else `shown` (anything rich prints)."""
        import json
        import sys

        from adapt.show import stdout

        if self.as_json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
            # `up` goes on after its line: a script that waits for it must get it now.
            sys.stdout.flush()
        elif shown is not None:
            stdout().print(shown, highlight=False)
