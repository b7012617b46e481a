"""What holds for every test."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from lengths import LONG

if TYPE_CHECKING:
    from served_lab import ServedLab
    from turns import ByNeighbours

# jsonschema, which reads notebooks, builds a check for international addresses for seconds if it can; none is tested
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

EXAMPLES = 300 if LONG else 15  # others are drawn at every run: a few each time come to many
# how long an example takes says something of the machine, and nothing of what is tested
settings.register_profile(
    "lab", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=EXAMPLES
)
settings.load_profile("lab")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Garbage is not looked for among thousands of tests and modules that live to the end: neither while they are
    made nor afterwards. That took a tenth of all time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def lab_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLab]:
    """One lab for all modules that end no server, without anybody's paid service: to start one takes seconds.

    Whoever gets it after others clears it first.
    """
    sys.path.append(str(Path(__file__).parent / "server"))
    from served_lab import ServedLab

    served = ServedLab(tmp_path_factory.mktemp("served"), BFL_BASE_URL="http://127.0.0.1:9")
    yield served
    served.stop()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByNeighbours | None:
    """Under `--dist loadfile` some files stay together."""
    if config.getoption("dist") != "loadfile":
        return None
    from turns import ByNeighbours

    return ByNeighbours(config, log)
