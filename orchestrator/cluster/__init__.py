"""ComfyUI attempts on a Dask cluster. The state of every job stays with the lab's worker; only the attempt moves.

    with cluster.local(4) as here:            # a scheduler and four workers, each with an embedded engine
        lab = Lab.open(cluster=here.address)

Several plain ComfyUI servers need none of this: name them in COMFY_URL, comma-separated.
"""

from __future__ import annotations

import importlib.util

from orchestrator.cluster.local import Local, local
from orchestrator.errors import ClusterMissing

__all__ = ["Local", "local", "require"]


def require() -> None:
    """Raises ClusterMissing when the packages of the extra `cluster` are not there."""
    missing = [name for name in ("distributed", "fsspec") if importlib.util.find_spec(name) is None]
    if missing:
        raise ClusterMissing(f"Not installed: {', '.join(missing)}")
