"""How long tests with a long form are: a few cases at every run, as many as a night allows when asked for."""

from __future__ import annotations

import os

LONG = os.environ.get("LAB_LONG") == "1"  # `LAB_LONG=1 python -m pytest tests` runs the long forms
