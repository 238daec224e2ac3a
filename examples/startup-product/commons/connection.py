"""What a company has told us about its system so far: a file without a secret."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from commons import place

if TYPE_CHECKING:
    from pathlib import Path

SQLITE = "sqlite:///"

ATTRIBUTES = {
    "userName": ("Login", "login", True),
    "name.givenName": ("Given name", "given", False),
    "name.familyName": ("Family name", "family", True),
    "emails[type=work].value": ("E-mail", "mail", False),
    "title": ("Job title", "title", False),
    "enterprise.department": ("Department", "unit", False),
}
"""What the product shows of a person: path -> label, own column, needed."""


@dataclass
class Connection:
    """One company's way to its people.

    Args:
        adapter: Kind of system.
        settings: As the adapter's ``Config`` wants them; secrets are references.
        checked: The system was reached with these settings.
        stream: Name of the stream with the people.
        stream_settings: As the adapter's ``StreamConfig`` wants them.
        columns: The stream's fields: name -> whether it holds several values.
        mapping: `ATTRIBUTES` path -> field; only these fields ever leave the system.
    """

    adapter: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    checked: bool = False
    stream: str = ""
    stream_settings: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, bool] = field(default_factory=dict)
    mapping: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, company: str) -> Connection:
        """As far as the company has come."""
        file = place.of_company(company) / "connection.json"
        return cls(**json.loads(file.read_text())) if file.exists() else cls()

    def save(self, company: str) -> None:
        """Remember it."""
        place.keep(
            place.of_company(company) / "connection.json", json.dumps(asdict(self))
        )

    def tables(self, company: str, practice: Path | None) -> dict[str, Any]:
        """The configuration for moatbridge, with as much as is known.

        Args:
            company: Whose.
            practice: The folder to practise with; None on a server.
        """
        folder = place.of_company(company)
        system = {"adapter": self.adapter, **self.settings}
        if practice is not None:
            system["allow_networks"] = ["127.0.0.0/8", "::1/128"]
            if (url := system.get("url", "")).startswith(SQLITE):
                system["url"] = f"{SQLITE}{practice / url.removeprefix(SQLITE)}"
        config: dict[str, Any] = {
            "systems": {"company": system},
            "streams": {},
            "ledger": {
                "url": f"sqlite:///{folder}/ledger.db",
                "key_file": "file:ledger-key",
            },
        }
        if self.stream:
            config["streams"][f"company/{self.stream}"] = self._source()
        if self.stream and self.mapping:
            config["systems"]["commons"] = {
                "adapter": "commons",
                "url": f"sqlite:///{folder}/people.db",
                "max_label": "confidential",
            }
            config["streams"]["commons/people"] = self._target()
            config["flows"] = {
                "people": {
                    "from": f"company/{self.stream}",
                    "to": "commons/people",
                    "match": ["userName"],
                    "require": "effectively-once",
                }
            }
        return config

    def _source(self) -> dict[str, Any]:
        if not self.mapping:
            return self.stream_settings
        used = {*self.mapping.values(), *self.stream_settings.get("key", ())}
        fields = [name for name in self.stream_settings["fields"] if name in used]
        translator = {path: self._from(name) for path, name in self.mapping.items()}
        return {
            **self.stream_settings,
            "fields": fields,  # what is not mapped is not even read
            "translator": {"entity": "Person", "fields": translator},
        }

    def _from(self, name: str) -> Any:
        return {"from": name, "pick": "min"} if self.columns.get(name) else name

    @staticmethod
    def _target() -> dict[str, Any]:
        own = {path: column for path, (_, column, _) in ATTRIBUTES.items()}
        own["active"] = "active"
        return {
            "table": "people",
            "fields": ["id", *own.values()],
            "writable": list(own.values()),
            "external_id": "login",
            "translator": {"entity": "Person", "fields": own},
        }
