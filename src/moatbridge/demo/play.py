"""The demo from the first to the last line."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moatbridge.demo import (
    act_absences,
    act_changes,
    act_decisions,
    act_disasters,
    act_first_load,
    act_killed,
    act_orders,
    act_poison,
    act_profile,
    act_requests,
)
from moatbridge.demo.narration import Narrator
from moatbridge.demo.seed import FULL, QUICK
from moatbridge.demo.servers import Failed, Missing
from moatbridge.demo.stage import Stage
from moatbridge.demo.world import World
from moatbridge.errors import MoatbridgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ACTS: Final[tuple[Callable[[Stage], None], ...]] = (
    act_first_load.play,
    act_changes.play,
    act_profile.play,
    act_poison.play,
    act_disasters.play,
    act_killed.play,
    act_orders.play,
    act_decisions.play,
    act_absences.play,
    act_requests.play,
)
_ENDINGS: Final = (signal.SIGTERM, signal.SIGHUP)
_PACKAGES: Final = (
    "slapd ldap-utils postgresql php-cli php-soap php-xml php-sqlite3 openssh-server"
)
_MISSING: Final = 2
_FAILED: Final = 1


def play(*, quick: bool, keep: bool, serve: bool, folder: Path | None) -> int:
    """See `moatbridge.demo.main`."""
    tell = Narrator()
    home = folder or Path(tempfile.mkdtemp(prefix="moatbridge-demo-"))
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711)  # the account that PostgreSQL runs under must pass through
    try:
        with _ended_in_order():
            _play(tell, World(home, QUICK if quick else FULL), serve=serve)
    except Missing as missing:
        tell.say(f"{missing}.")
        tell.say(f"On Debian or Ubuntu: apt-get install {_PACKAGES}")
        tell.say("Everywhere: pip install 'moatbridge[demo]'")
        return _MISSING
    except (MoatbridgeError, Failed, OSError) as error:
        tell.expect("the story came to its end", "yes", f"no: {error}")
    finally:
        if keep:
            tell.say(f"Everything is kept in {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)
    if not serve:
        tell.finish()
    return _FAILED if tell.failed else 0


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """A request to end is an exception, so that the servers are stopped first."""
    if threading.current_thread() is not threading.main_thread():
        yield  # whoever runs us on a thread of his keeps his signals
        return
    before = {number: signal.signal(number, _end) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _play(tell: Narrator, world: World, *, serve: bool) -> None:
    size = world.size
    tell.act("Four legacy systems and three platforms on this machine")
    with tell.step("start the servers"):
        world.__enter__()
    try:
        tell.say(
            f"OpenLDAP: {size.people:,} people and {size.groups} groups, some of groups"
        )
        tell.say(f"{world.hr.kind}: {size.contractors:,} contractors")
        tell.say(f"ERP (PHP's SOAP server): {len(world.erp.orders())} orders to decide")
        tell.say("OpenSSH: two drop folders")
        tell.say("Platforms, all empty: SCIM, Mastodon's API, a webhook receiver")
        stage = Stage(world, tell)
        for act in _ACTS:
            act(stage)
        if serve:
            from moatbridge.demo.serve.going import go_on  # noqa: PLC0415 - an extra

            tell.finish()
            go_on(stage)
    finally:
        world.__exit__(None, None, None)
