"""What holds for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# how long an example takes says something of the machine, and nothing of what is tested
settings.register_profile("lab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lab")
