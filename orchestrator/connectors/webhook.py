"""A plain webhook: one JSON document by POST, to whatever address its user wrote down."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from orchestrator.connectors.http import client, host_of, translated
from orchestrator.errors import ServiceBroken

ANSWER_S = 10.0


async def post(
    url: str, document: Mapping[str, object], *, transport: httpx.AsyncBaseTransport | None = None
) -> None:
    """Send a document. Follows no redirects. Raises ServiceError, which names the host and never the whole address:
    the rest of it is often the key."""
    host = host_of(url)
    with translated("The webhook", host):
        async with client(url, transport=transport, keep_alive=False, read_s=ANSWER_S) as http:
            answer = await http.post(url, json=dict(document))
    if not answer.is_success:
        raise ServiceBroken(f"The webhook at {host} answered {answer.status_code}")
