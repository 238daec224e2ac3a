from __future__ import annotations

import json
import re

from config.adapters import registry
from moatbridge.config import json_schema


def refs(value: object) -> list[str]:
    return re.findall(r'"\$ref": "([^"]+)"', json.dumps(value))


def test_schema_describes_the_whole_file() -> None:
    schema = json_schema(registry())
    assert set(schema["properties"]) == {
        "adapters", "systems", "streams", "flows", "ledger", "guard", "security", "run", "gateway",
    }  # fmt: skip
    systems = schema["properties"]["systems"]["additionalProperties"]["anyOf"]
    directory = next(s for s in systems if s["title"] == "a directory system")
    assert directory["properties"]["adapter"] == {"const": "directory"}
    assert {"urls", "tls", "deadline", "quota"} <= set(directory["properties"])
    assert "settings" not in directory["properties"]
    assert directory["required"] == ["adapter", "urls"]
    assert directory["additionalProperties"] is False


def test_every_reference_leads_somewhere() -> None:
    schema = json_schema(registry())
    found = refs(schema)
    assert found
    for ref in found:
        assert ref.removeprefix("#/$defs/") in schema["$defs"]


def test_flows_are_written_with_from_and_to() -> None:
    flow = json_schema(registry())["properties"]["flows"]["additionalProperties"]
    assert {"from", "to"} <= set(flow["properties"])
    assert flow["required"] == ["from", "to"]


def test_secrets_are_described_as_references() -> None:
    auth = json_schema(registry())["$defs"]["directory.system.Auth"]
    assert auth["properties"]["password"]["pattern"] == "^(env|file|keyring):.+"
