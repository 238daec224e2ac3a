from __future__ import annotations

import json
import re

from config.adapters import DirectoryConfig, registry
from moatbridge.config import LedgerConfig, json_schema, settings_schema


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


def test_one_adapters_settings_have_help_at_each_setting() -> None:
    found = settings_schema(DirectoryConfig)
    assert set(found["required"]) == {"urls"}
    told = settings_schema(LedgerConfig)["properties"]
    assert told["parcel"]["description"] == "Intents one parcel holds at most."
    assert "sqlite:///PATH" in told["url"]["description"]
    assert "`" not in told["url"]["description"]


def test_help_stands_in_the_schema_of_the_whole_file_too() -> None:
    flow = json_schema(registry())["properties"]["flows"]["additionalProperties"]
    assert (
        flow["properties"]["from"]["description"]
        == "Address of the stream it reads (from)."
    )


def test_a_form_knows_a_secret_by_its_schema() -> None:
    secret = settings_schema(LedgerConfig)["properties"]["password"]["anyOf"][0]
    assert secret["writeOnly"] is True
