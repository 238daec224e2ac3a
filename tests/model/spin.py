"""Runs Spin over a model and believes only complete searches and real counterexamples."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

DEPTH = 100_000
TOO_LITTLE = (
    "max search depth too small",
    "out of memory",
    "hash table full",
    "aborting",
)


@dataclass(frozen=True)
class Verdict:
    """What Spin found out about one claim."""

    holds: bool
    states: int
    seconds: float
    counterexample: str = ""

    def __str__(self):
        return "holds" if self.holds else "violated"


class Model:
    """One configuration of a model, compiled in a folder of its own."""

    def __init__(self, source, folder, **settings):
        self._source = source
        self._folder = folder
        self._defines = [f"-D{name}={value}" for name, value in settings.items()]
        folder.mkdir(parents=True, exist_ok=True)
        self._run("spin", "-a", *self._defines, str(source))
        self._run("gcc", "-O0", "-w", "-o", "pan", "pan.c")

    def check(self, claim):
        """Search the whole state space for a run that breaks the claim."""
        said = self._run("./pan", "-N", claim, f"-m{DEPTH}", "-w20")
        assert f"({claim})" in said or "only one claim defined" in said, said
        assert not [why for why in TOO_LITTLE if why in said], said
        assert "Full statespace search" in said, said
        errors, states = (
            int(re.search(pattern, said).group(1))
            for pattern in (r"errors: (\d+)", r"(\d+) states, stored")
        )
        seconds = float(re.search(r"elapsed time ([\d.]+)", said).group(1))
        if not errors:
            assert "Search not completed" not in said, said
            return Verdict(holds=True, states=states, seconds=seconds)
        return Verdict(
            holds=False,
            states=states,
            seconds=seconds,
            counterexample=self._replay(claim),
        )

    def _replay(self, claim):
        """The run that breaks the claim, step by step; Spin must be able to repeat it."""
        trail = next(self._folder.glob("*.trail"))
        said = self._run(
            "spin",
            "-t",
            "-p",
            "-g",
            "-k",
            trail.name,
            *self._defines,
            str(self._source),
        )
        trail.unlink()
        assert "assertion violated" in said, f"{claim}: {said}"
        return said

    def _run(self, *command):
        done = subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, timeout=300, check=False
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr
