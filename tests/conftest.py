"""What holds for every test."""

from __future__ import annotations

import sys

from hypothesis import HealthCheck, settings
from lengths import LONG

# jsonschema, which reads notebooks, builds a check for international addresses for seconds if it can; none is tested
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

EXAMPLES = 300 if LONG else 25  # others are drawn at every run: a few each time come to many
# how long an example takes says something of the machine, and nothing of what is tested
settings.register_profile(
    "lab", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=EXAMPLES
)
settings.load_profile("lab")
