"""Which files a new adapter's distribution has, and what stands in them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Final, Literal

from moatbridge.errors import ConfigurationError
from moatbridge.scaffold.template import filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.scaffold.names import Names

ABILITIES: Final = ("scan", "follow", "fetch", "find", "write", "settle")
"""What can be chosen, in the order of the generated code."""

DEFAULT: Final = ("scan", "fetch", "find", "write")

_WIDTH: Final = 88

_OFFERED: Final = {
    ("http", "class"): ABILITIES,
    ("http", "functions"): tuple(each for each in ABILITIES if each != "settle"),
    ("folder", "class"): DEFAULT,
    ("folder", "functions"): DEFAULT,
    ("tcp", "functions"): DEFAULT,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the author asked for.

    Args:
        names: The adapter's names.
        abilities: Some of `ABILITIES`.
        form: A class, or functions only.
        system: What the generated code speaks to: a small HTTP server with JSON, or
            a folder of files, or a server that is asked in lines over TCP (by functions
            only).
    """

    names: Names
    abilities: Sequence[str] = field(default=DEFAULT)
    form: Literal["class", "functions"] = "class"
    system: Literal["http", "folder", "tcp"] = "http"

    def check(self) -> None:
        """Refuse what cannot be generated.

        Raises:
            ConfigurationError: ``scaffold.choice``.
        """
        offered = _OFFERED.get((self.system, self.form), ())
        lost = [ability for ability in self.abilities if ability not in offered]
        if lost:
            raise _choice(
                f"'{lost[0]}' cannot be generated in this form: leave out --functions "
                "and take --system http."
            )
        if not {"scan", "follow", "write"} & set(self.abilities):
            raise _choice("An adapter reads (scan or follow) or writes, or both.")
        if "follow" in self.abilities and "fetch" not in self.abilities:
            raise _choice("What was followed has to be fetched: choose fetch as well.")
        lone = "follow" in self.abilities and "scan" not in self.abilities
        if lone and self.form == "functions":
            raise _choice("A forgotten position is read anew: choose scan as well.")
        if "settle" in self.abilities and "follow" not in self.abilities:
            raise _choice("settle confirms what was followed: choose follow as well.")
        if self.system == "tcp":
            self._check_tcp()

    def _check_tcp(self) -> None:
        if "write" in self.abilities and "fetch" not in self.abilities:
            raise _choice("What is written replaces a whole row: choose fetch as well.")
        if "find" in self.abilities and "scan" not in self.abilities:
            raise _choice("What is looked for is read: choose scan as well.")

    @property
    def given(self) -> Sequence[str]:
        """What the adapter will be able to do.

        `moatbridge.adapter.record_files` always reads, fetches and finds.
        """
        if (self.system, self.form) != ("folder", "functions"):
            return self.abilities
        return [a for a in DEFAULT if a != "write" or a in self.abilities]

    @property
    def features(self) -> list[str]:
        """What the conformance test must declare."""
        found = [] if self.system == "folder" else ["credentials", "network"]
        if self.system == "tcp":
            found.append("busy")
        if "write" in self.given:
            found.append("keyed")
        if "scan" in self.given:
            found.append("rejects")
            found += [] if self.system == "folder" else ["short_pages"]
        if "follow" in self.given:
            found.append("deletes")
        return sorted(found)

    @property
    def command(self) -> str:
        """The command line that makes the same again."""
        parts = ["moatbridge new-adapter", self.names.name]
        parts.append(f"--abilities {','.join(self.abilities)}")
        if self.form == "functions":
            parts.append("--functions")
        return " ".join([*parts, f"--system {self.system}"])


def files(choice: Choice) -> dict[str, str]:
    """Path inside the distribution -> content.

    Raises:
        ConfigurationError: ``scaffold.choice``: these abilities do not go together.
    """
    choice.check()
    sources = {
        "pyproject.toml": "pyproject.toml.txt",
        "README.md": "README.md.txt",
        ".gitignore": "gitignore.txt",
        "scripts/check": "check.txt",
        f"src/{choice.names.package}/__init__.py": "package.py.txt",
        f"src/{choice.names.package}/adapter.py": (
            f"adapter_{choice.system}_{choice.form}.py.txt"
        ),
        "tests/test_conformance.py": f"tests/test_{choice.system}.py.txt",
    }
    if choice.system != "folder":
        name = "server" if choice.system == "http" else "server_tcp"
        sources["tests/conftest.py"] = "tests/conftest_http.py.txt"
        sources["tests/server.py"] = f"tests/{name}.py.txt"
    made = {path: _filled(choice, template) for path, template in sources.items()}
    made[f"src/{choice.names.package}/py.typed"] = ""
    return dict(sorted(made.items()))


def _filled(choice: Choice, template: str) -> str:
    names = choice.names
    home = resources.files("moatbridge.scaffold") / "templates"
    return filled(
        home.joinpath(*template.split("/")).read_text(encoding="utf-8"),
        {
            "name": names.name,
            "NAME": names.name.upper().replace("-", "_"),
            "Class": names.cls,
            "package": names.package,
            "dist": names.dist,
            "requirement": "moatbridge[http]>=0.1"
            if choice.system == "http"
            else "moatbridge>=0.1",
            "features": _as_set(choice.features),
            "abilities": ", ".join(choice.given),
            "command": choice.command,
        },
        {
            *choice.given,
            choice.form,
            choice.system,
            *(["features"] if choice.features else []),
        },
    )


def _as_set(words: Sequence[str]) -> str:
    """A set on one line, or on a line of its own where that would be too long."""
    text = "{" + ", ".join(f'"{word}"' for word in words) + "}"
    fits = len(f"    features = frozenset({text})") <= _WIDTH
    return text if fits else f"\n        {text}\n    "


def _choice(words: str) -> ConfigurationError:
    return ConfigurationError(words, code="scaffold.choice")
