"""``moatbridge serve``."""

from __future__ import annotations

from typing import Annotated

import typer

from moatbridge.cli.opening import opened_bridge
from moatbridge.cli.options import ConfigOption
from moatbridge.cli.terminal import complain
from moatbridge.errors import ConfigurationError


def serve(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")
    ] = 8080,
    tls_cert: Annotated[
        str | None, typer.Option(metavar="PATH", help="Certificate (PEM).")
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option(metavar="PATH", help="Its key (PEM).")
    ] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy in front holds the TLS.")
    ] = False,
    flows: Annotated[
        bool, typer.Option("--flows", help="Keep all flows going in this process too.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Receive webhooks: the gateway's inboxes, and health checks.

    A delivery is acknowledged only when it is safe in the ledger. What came in is
    worked off by `moatbridge run` beside this, or with --flows in this process. Any
    number of processes may do either. SIGTERM or Ctrl-C ends running requests first.
    """
    with opened_bridge(context, config) as bridge:
        try:
            from moatbridge.gateway import Gateway, serving  # noqa: PLC0415 - an extra
        except ImportError:
            raise _missing() from None
        gateway = Gateway(bridge)
        listen = serving.Listen(host, port, tls_cert, tls_key, behind_proxy)
        listen.check()
        runner = bridge.runner() if flows else None
        if runner is not None:
            runner.start(list(bridge.config.flows))
        try:
            serving.serve(
                gateway, listen, listening=lambda url: complain(f"listening on {url}")
            )
        finally:
            if runner is not None:
                runner.stop()


def _missing() -> ConfigurationError:
    message = "`serve` needs the extra gateway: pip install 'moatbridge[gateway]'."
    return ConfigurationError(message, code="gateway.extra")
