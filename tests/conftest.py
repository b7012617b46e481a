"""What holds for every test."""

from __future__ import annotations

import os
import sys

from hypothesis import HealthCheck, settings

# jsonschema, which reads notebooks, builds a check for international addresses for seconds if it can; none is tested
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

# others are drawn at every run, so a few each time come to many; `LAB_LONG=1` draws many at once
EXAMPLES = 300 if os.environ.get("LAB_LONG") == "1" else 25
# how long an example takes says something of the machine, and nothing of what is tested
settings.register_profile(
    "lab", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=EXAMPLES
)
settings.load_profile("lab")
