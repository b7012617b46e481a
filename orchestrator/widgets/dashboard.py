"""The page one works with: ask for a picture, watch it being made, look at it."""

from __future__ import annotations

import ipywidgets

from orchestrator.lab import Lab
from orchestrator.widgets.form import GenerationForm
from orchestrator.widgets.heartbeat import Heartbeat
from orchestrator.widgets.newest import NewestImages
from orchestrator.widgets.queue import QueuePanel
from orchestrator.widgets.services import ServiceCards


class Dashboard(ipywidgets.Box):  # type: ignore[misc]  # it has no types
    """The services, the form, the newest pictures and the queue of a lab, side by side where there is room."""

    def __init__(self, lab: Lab) -> None:
        self.services = ServiceCards(lab)
        self.form = GenerationForm(lab)
        self.newest = NewestImages(lab)
        self.queue = QueuePanel(lab)
        self.heartbeat = Heartbeat()
        super().__init__([self.services, self.form, self.newest, self.queue, self.heartbeat])
        self.add_class("lab-dashboard")

    def close(self) -> None:
        """End every view's tasks and take the dashboard off the page."""
        for view in self.children:
            view.close()
        super().close()
