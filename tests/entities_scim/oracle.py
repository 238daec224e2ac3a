"""scim2-models as an independent judge of what we emit."""

from __future__ import annotations

from typing import Any

from scim2_models import Context, PatchOp
from scim2_server.utils import load_default_provider

PROVIDER = load_default_provider()
MODELS = {
    kind: PROVIDER.model_for(name)
    for kind, name in (("Person", "User"), ("Group", "Group"))
}


def valid(resource: dict[str, Any], kind: str) -> Any:
    """The model of a resource that a create may send; raises if it may not."""
    return MODELS[kind].model_validate(
        resource, scim_ctx=Context.RESOURCE_CREATION_REQUEST
    )


def dumped(model: Any) -> dict[str, Any]:
    return model.model_dump(scim_ctx=Context.DEFAULT)


def applied(
    resource: dict[str, Any], bodies: list[dict[str, Any]], kind: str
) -> dict[str, Any]:
    """The resource after the PATCH requests, validated and applied by scim2-models."""
    model = valid(resource, kind)
    for body in bodies:
        patch = PatchOp[MODELS[kind]].model_validate(
            body, scim_ctx=Context.RESOURCE_PATCH_REQUEST
        )
        patch.patch(model)
    return dumped(model)
