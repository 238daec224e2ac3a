"""The demo goes on: all flows run, and a page shows what people see, until Ctrl-C."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Final

from moatbridge.demo.serve.app import PageServer

if TYPE_CHECKING:
    from moatbridge.demo.stage import Stage

_FLOWS: Final = ("orders", "decisions", "decisions.answers", "absences", "requests")


def go_on(stage: Stage, *, ending: threading.Event | None = None) -> None:
    """Serve the page and keep the content's flows running.

    Args:
        stage: The world after the last chapter.
        ending: Ends it; None: Ctrl-C does.
    """
    tell, world = stage.tell, stage.world
    page = PageServer(world)
    with world.bridge() as bridge:
        runner = bridge.runner()
        runner.start(list(_FLOWS))
        page.start()
        try:
            tell.say("")
            tell.say(f"The timeline, as people see it: {page.url}")
            tell.say(f"The platform's own page: {world.town.url}")
            for name in world.files.folders:
                tell.say(f"Drop folder: {world.files.folder / name}")
            tell.say("Everything goes on until you press Ctrl-C.")
            _wait(ending or threading.Event())
            tell.say("Ending ...")
        finally:
            page.stop()
            runner.stop()


def _wait(ending: threading.Event) -> None:
    """Until it is set, or Ctrl-C is pressed (once or often: we end in order)."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, lambda *_: ending.set())
    while not ending.wait(1.0):
        pass
