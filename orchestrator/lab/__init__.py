"""The lab: everything put together for a notebook, the command line or the server."""

from __future__ import annotations

from orchestrator.lab.batches import Batches
from orchestrator.lab.looking import Looking
from orchestrator.lab.money import Money
from orchestrator.lab.queue import Queue
from orchestrator.lab.working import Working
from orchestrator.offers import Offers

__all__ = ["Lab", "Offers"]


class Lab(Batches, Queue, Money, Looking, Working):
    """The jobs, the pictures and the services of one paths.json.

    Cheap to make: nothing runs in the background until something is waited for or `worker` is entered.
    """
