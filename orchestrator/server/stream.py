"""`GET /api/stream`: the lab's changes as they happen, as Server-Sent Events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from typing import Any

from tornado.iostream import StreamClosedError

from orchestrator.server.api_models import StreamQuery
from orchestrator.server.broadcast import Client
from orchestrator.server.handlers import MISSING, LabHandler
from orchestrator.server.operations import operation


class StreamHandler(LabHandler):
    """One follower's connection."""

    _client: Client | None = None

    @operation(
        "Changes as they happen, as Server-Sent Events",
        tag="lab",
        query=StreamQuery,
        media="text/event-stream",
    )
    async def get(self) -> None:
        """Events until one side goes. `Last-Event-ID` or `?lastEventId=` names the last one that was seen."""
        assert self.panel is not None
        stream = self.panel.stream
        last_id = self.request.headers.get("Last-Event-ID") or self.get_query_argument(
            "lastEventId", None
        )
        connection: Any = self.request.connection
        client = self._client = await stream.join(last_id, cut=connection.close)
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")  # nginx would hold events back
        try:
            while (data := await client.take()) is not None:
                self.write(data)
                await self.flush()
            self.finish(set_content_type="text/event-stream")
        except StreamClosedError:
            pass
        finally:
            stream.leave(client)

    head = MISSING

    def on_connection_close(self) -> None:
        """Called by Tornado when the client is gone."""
        if self._client is not None:
            self._client.end()
