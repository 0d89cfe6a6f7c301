"""The options of a source, which its kind alone knows: read and refused here in one way.

Called by the kinds of sources.
"""

from collections.abc import Collection

from store.errors import UserError
from store.source_records import Source


def refuse_options(source: Source, known: Collection[str] = ()) -> None:
    """Raises UserError for an option that the source's kind does not know."""
    for name in source.options:
        if name not in known:
            raise UserError(
                f"{name!r} is no option of a source of kind {source.kind}",
                f"there are: {', '.join(sorted(known))}" if known else "it has none",
            )


def texts(source: Source, name: str, usual: tuple[str, ...] = ()) -> tuple[str, ...]:
    """An option of one text or several. UserError when it is something else."""
    value = source.options.get(name, usual)
    several = (value,) if isinstance(value, str) else tuple(value) if _listed(value) else None
    if several is None or not all(isinstance(one, str) and one for one in several):
        raise UserError(
            f"the option {name} = {value!r} is no text",
            f"give --option {name}=TEXT, again for more",
        )
    return several


def text(source: Source, name: str) -> str | None:
    """An option of one text; None where it is not given. UserError when it is something else."""
    found = texts(source, name)
    if len(found) > 1:
        raise UserError(f"the option {name} is given {len(found)} times", "give it once")
    return found[0] if found else None


def _listed(value: object) -> bool:
    return isinstance(value, list | tuple)
