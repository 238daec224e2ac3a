from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.adapter import Adapter, AdapterConfig
from moatbridge.errors import AdapterNotFound, ConfigurationError
from moatbridge.registry import KNOWN, Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE = """
from moatbridge.adapter import Adapter, AdapterConfig

class Config(AdapterConfig):
    port: int

class ToyAdapter(Adapter[Config]):
    name = "toy"
    Config = Config
    @classmethod
    def endpoints(cls, config): return [("127.0.0.1", config.port)]
    def open(self): ...
    def close(self): ...
    def probe(self): ...
    def streams(self): ...

def not_an_adapter(): ...
"""


def install(
    folder: Path, dist: str, entries: dict[str, str], *, version: str = "1.2.3"
) -> None:
    """Write what an installed distribution looks like on disk."""
    info = folder / f"{dist.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n"
    )
    lines = "".join(f"{name} = {target}\n" for name, target in entries.items())
    (info / "entry_points.txt").write_text(f"[moatbridge.adapters]\n{lines}")


def run(folder: Path, *lines: str) -> Any:
    """Run statements in a fresh interpreter that sees the folder; the value of `out`."""
    code = ["import sys, json", f"sys.path.insert(0, {str(folder)!r})"]
    code += [
        "from moatbridge.registry import Registry",
        "from moatbridge.errors import *",
    ]
    code += [*lines, "print(json.dumps(out))"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_installed_adapter_is_found_and_imported_only_when_asked_for(
    tmp_path: Path,
) -> None:
    (tmp_path / "toy_adapter.py").write_text(SOURCE)
    install(tmp_path, "moatbridge-toy", {"toy": "toy_adapter:ToyAdapter"})
    out = run(
        tmp_path,
        "registry = Registry()",
        "early = 'importlib.metadata' in sys.modules",
        "found = [name for name in registry if name == 'toy'] + ['toy' in registry]",
        "what = registry.describe('toy')",
        "lazy = 'toy_adapter' not in sys.modules",
        "cls = registry.get('toy')",
        "out = [early, found, what.distribution, what.version, what.target, lazy,",
        "       cls.__name__, registry.get('toy') is cls]",
    )
    assert out == [
        False, ["toy", True], "moatbridge-toy", "1.2.3", "toy_adapter:ToyAdapter", True,
        "ToyAdapter", True,
    ]  # fmt: skip


def test_two_distributions_claiming_one_name_are_both_named(tmp_path: Path) -> None:
    (tmp_path / "toy_adapter.py").write_text(SOURCE)
    for dist in ("moatbridge-toy", "acme-toy"):
        install(tmp_path, dist, {"toy": "toy_adapter:ToyAdapter"})
    out = run(
        tmp_path,
        "out = []",
        "for ask in (Registry().get, Registry().describe):",
        "    try: ask('toy')",
        "    except ConfigurationError as error: out += [error.code, error.message]",
    )
    assert out[0] == out[2] == "registry.twice"
    assert "acme-toy and moatbridge-toy" in out[1]


def test_one_distribution_seen_twice_is_one(tmp_path: Path) -> None:
    (tmp_path / "toy_adapter.py").write_text(SOURCE)
    (tmp_path / "again").mkdir()
    for folder in (tmp_path, tmp_path / "again"):
        install(folder, "moatbridge-toy", {"toy": "toy_adapter:ToyAdapter"})
    out = run(
        tmp_path,
        f"sys.path.append({str(tmp_path / 'again')!r})",
        "out = Registry().get('toy').__name__",
    )
    assert out == "ToyAdapter"


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [
        ("needs_driver:ToyAdapter", "registry.import", "'no_such_driver'"),
        ("toy_adapter:Missing", "registry.import", "toy_adapter:Missing"),
        ("breaks:ToyAdapter", "registry.import", "ends in ZeroDivisionError"),
        ("toy_adapter:not_an_adapter", "registry.not-adapter", "no subclass"),
    ],
)
def test_an_adapter_that_cannot_be_loaded_is_told(
    tmp_path: Path, target: str, code: str, words: str
) -> None:
    (tmp_path / "toy_adapter.py").write_text(SOURCE)
    (tmp_path / "needs_driver.py").write_text("import no_such_driver\n")
    (tmp_path / "breaks.py").write_text("1 / 0\n")
    install(tmp_path, "moatbridge-toy", {"toy": target})
    out = run(
        tmp_path,
        "try: Registry().get('toy')",
        "except ConfigurationError as error: out = [error.code, error.message]",
    )
    assert out[0] == code
    assert words in out[1]
    assert "moatbridge-toy" in out[1] or code == "registry.not-adapter"


def test_discovery_off_looks_at_nothing(tmp_path: Path) -> None:
    (tmp_path / "toy_adapter.py").write_text(SOURCE)
    install(tmp_path, "moatbridge-toy", {"toy": "toy_adapter:ToyAdapter"})
    out = run(
        tmp_path,
        "registry = Registry(discover=False)",
        "names = list(registry)",
        "try: registry.get('toy')",
        "except AdapterNotFound as error: code = error.code",
        "out = [names, code, 'importlib.metadata' in sys.modules]",
    )
    assert out == [[], "registry.not-found", False]


def test_the_allow_list_comes_before_everything(tmp_path: Path) -> None:
    (tmp_path / "toy_adapter.py").write_text(SOURCE)
    install(tmp_path, "moatbridge-toy", {"toy": "toy_adapter:ToyAdapter"})
    out = run(
        tmp_path,
        "registry = Registry(allow=['other'])",
        "try: registry.get('toy')",
        "except ConfigurationError as error: code = error.code",
        "out = [list(registry), code, 'toy_adapter' in sys.modules]",
    )
    assert out == [[], "registry.forbidden", False]


def test_importing_moatbridge_is_cheap() -> None:
    out = run(
        Path("/nonexistent"),
        "out = [name for name in ('importlib.metadata', 'pydantic', 'ssl', 'sqlalchemy')",
        "       if name in sys.modules]",
    )
    assert out == []


class HandMade(Adapter[AdapterConfig]):
    name = "hand"
    Config = AdapterConfig

    @classmethod
    def endpoints(cls, config: Any) -> Sequence[tuple[str, int]]:
        return []

    def open(self) -> None: ...

    def close(self) -> None: ...

    def probe(self) -> Any: ...

    def streams(self) -> Any: ...


def test_adapters_can_be_registered_by_hand() -> None:
    registry = Registry(discover=False)
    registry.register("hand", HandMade)
    registry.register("hand", HandMade)
    assert registry.get("hand") is HandMade
    assert list(registry) == ["hand"]
    assert len(registry) == 1
    assert registry.describe("hand").distribution is None
    assert registry.describe("hand").target.endswith(":HandMade")
    assert repr(registry) == "Registry(['hand'])"

    class Other(HandMade):
        pass

    with pytest.raises(ConfigurationError) as caught:
        registry.register("hand", Other)
    assert caught.value.code == "registry.twice"
    with pytest.raises(ConfigurationError) as caught:
        registry.register("text", str)
    assert caught.value.code == "registry.not-adapter"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hnad", "did you mean 'hand'?"),
        ("ldap", "pip install 'moatbridge[ldap]'"),
        ("ldpa", "did you mean 'ldap'?"),
        ("quux", "there are: hand."),
    ],
)
def test_an_unknown_name_gets_the_nearest_or_what_to_install(
    name: str, words: str
) -> None:
    registry = Registry(discover=False)
    registry.register("hand", HandMade)
    with pytest.raises(AdapterNotFound) as caught:
        registry.get(name)
    assert words in str(caught.value)
    assert isinstance(caught.value, LookupError)


def test_every_adapter_of_this_project_is_known_by_its_distribution() -> None:
    registry = Registry()
    found = {name: registry.describe(name).distribution for name in registry}
    assert found == KNOWN


def test_a_registry_that_allows_less_knows_what_the_other_found(tmp_path: Path) -> None:
    (tmp_path / "toys.py").write_text(SOURCE)
    install(tmp_path, "toys", {"toy": "toys:ToyAdapter", "doll": "toys:ToyAdapter"})
    found = run(
        tmp_path,
        "from importlib import metadata",
        "scans, plain = [], metadata.entry_points",
        "metadata.entry_points = lambda **k: (scans.append(k), plain(**k))[1]",
        "every = Registry()",
        "same = every.get('toy') is every.allowing(('toy',)).get('toy')",
        "names = every.allowing(('toy',)).names()",
        "try: every.allowing(('toy',)).get('doll')",
        "except ConfigurationError as error: said = error.code",
        "asked = [k for k in scans if k.get('group') == 'moatbridge.adapters']",
        "out = [same, names, said, len(asked), 'doll' in every.allowing(None).names()]",
    )
    assert found == [True, ["toy"], "registry.forbidden", 1, True]


def test_what_is_registered_by_hand_is_allowed_by_name_too() -> None:
    registry = Registry(discover=False)
    registry.register("hand", HandMade)
    limited = registry.allowing(("hand",))
    assert limited.get("hand") is HandMade
    limited.register("other", HandMade)
    assert registry.names() == ["hand"]
