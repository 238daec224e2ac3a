"""The adapter in "What your API looks like" conforms, on a server with those habits."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from pydantic import SecretStr

from docs.pages import read
from moatbridge.changes import Ref
from moatbridge.testing import AdapterConformance, Harness, program

ROOT = Path(__file__).parents[2]
TOKEN = secrets.token_hex(12)


def adapter_of_the_page():
    page = read(ROOT / "docs/how-to/write-an-adapter.md")
    [block] = [
        each for each in page.blocks if (each.options or {}).get("file") == f"{NAME}.py"
    ]
    module = ModuleType(NAME)
    sys.modules[NAME] = module  # pydantic looks names up there
    exec(compile(block.text, f"{NAME}.py", "exec"), vars(module))
    return module


NAME = "moatbridge_rota"
rota = adapter_of_the_page()


@pytest.fixture(scope="module")
def port():
    server = Path(__file__).parents[1] / "servers/rota.py"
    with program([sys.executable, str(server), "{port}", TOKEN]) as port:
        yield port


class RotaHarness(Harness):
    unique = "login"
    clearable = "email"
    canaries = (TOKEN,)

    def __init__(self, port):
        self.endpoint = ("127.0.0.1", port)

    def call(self, method, path, body=None, **headers):
        host, port = self.endpoint
        data = None if body is None else json.dumps(body).encode()
        asked = Request(f"http://{host}:{port}{path}", data=data, method=method)
        asked.add_header("Authorization", f"Bearer {TOKEN}")
        for name, value in headers.items():
            asked.add_header(name, value)
        with urlopen(asked, timeout=30) as answer:
            return json.load(answer)

    def make(self, *, endpoint=None, credentials="good"):
        host, port = endpoint or self.endpoint
        token = TOKEN if credentials == "good" else "a-wrong-token"
        config = rota.RotaConfig(
            base_url=f"http://{host}:{port}",
            insecure_cleartext=True,
            auth={"kind": "bearer", "token": SecretStr(token)},
            page_size=5,
        )
        return rota.RotaAdapter(config, {})

    def sample(self, count):
        names = [secrets.token_hex(8) for _ in range(count)]
        return [
            {"staff_no": f"S{name}", "login": name, "email": f"{name}@mail.example"}
            for name in names
        ]

    def seed(self, records):
        for record in records:
            self.call("POST", "/staff", record)

    def read_all(self):
        rows = []
        while page := self.call("GET", f"/staff?offset={len(rows)}&limit=50")["staff"]:
            rows += page
        return rows

    def remove(self, values):
        for row in self.read_all():
            if row["login"] in values:
                self.call("DELETE", f"/staff/{quote(row['staff_no'], safe='')}")

    def target(self, record):
        return Ref(str(record["staff_no"]))

    def edit(self, value):
        [row] = [row for row in self.read_all() if row["login"] == value]
        self.put(row | {"email": f"{secrets.token_hex(8)}@mail.example"})

    def put(self, row):
        body = {name: row[name] for name in ("staff_no", "login", "email")}
        self.call(
            "PUT", f"/staff/{row['staff_no']}", body, **{"If-Match": f'"{row["rev"]}"'}
        )

    def change(self, record):
        return {"email": f"{secrets.token_hex(8)}@mail.example"}

    def broken(self):
        return {**self.sample(1)[0], "email": "x" * 201}


class TestRota(AdapterConformance):
    adapter = rota.RotaAdapter
    features = frozenset({"credentials", "deletes", "keyed", "network"})

    @pytest.fixture
    def harness(self, port):
        return RotaHarness(port)
