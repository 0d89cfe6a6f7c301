"""Makes ahead what the next update needs and no document decides, while nothing else is at work.

The rows that may change belong to the base, and the answers on what must stay to the live version:
made ahead, an update begins with learning and asks the candidate alone. Whatever is not there yet
when an update begins, the update makes itself, with the same result. Called by adapt.schedule and
the demo.
"""

from adapt.cycle_context import Context
from adapt.cycle_judging import report_of
from adapt.cycle_learning import attribute_base
from adapt.cycle_suites import cycle_suites
from adapt.events import Notify, silent
from adapt.runtime import Runtime
from store.records import CycleStage


async def prepare(runtime: Runtime, notify: Notify = silent) -> None:
    """Make the mask, and ask the live version what the next update will compare.

    Can be cancelled at any time, and goes on later with what is missing. Raises what the stages
    raise: PerennialError.
    """
    number = len(runtime.store.cycles.list()) + 1
    await attribute_base(Context(runtime, number, CycleStage.ATTRIBUTE, notify))
    live = runtime.live()
    for suite in cycle_suites(runtime, number):
        await report_of(runtime, suite, live)
