"""Where the tests of pages find what those of the server start it with."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "server"))
