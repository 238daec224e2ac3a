"""What the world may call: the webhook inbox and health checks, as one ASGI app.

Needs the extra ``[gateway]``; nothing else of moatbridge imports this package.

    gateway = Gateway(bridge)
    app = Starlette(lifespan=gateway.lifespan, routes=[Mount("/bridge", gateway.app)])

A host's own protections do not cover a mounted app, and need not: each route here
authenticates by itself (gateway 3).
"""

from __future__ import annotations

from moatbridge.gateway.app import Gateway

__all__ = ["Gateway"]
