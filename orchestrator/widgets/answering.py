"""Questions that a page asks of its view, each answered under the key it came with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.jobs import Failure
from orchestrator.widgets.view import Action, Message, View

logger = logging.getLogger(__name__)
MAX_KEY = 100  # characters


def answering(view: View, work: Callable[[Message], dict[str, Any]]) -> Action:
    """An action that does `work` in a thread and answers what it says, or why it could not.

    What `work` returns as `bytes` is sent beside the answer, not in it.
    """

    async def answer(message: Message) -> None:
        asked = {"kind": "answer", "key": str(message.get("key", ""))[:MAX_KEY]}
        try:
            said = await asyncio.to_thread(work, message)
        except OrchestratorError as error:
            view.send(asked | {"error": error.message, "remedy": error.remedy})
        except Exception as error:
            logger.exception("A view could not answer a page")
            failure = Failure.of(error)
            view.send(asked | {"error": failure.message, "remedy": failure.remedy})
        else:
            data = said.pop("bytes", [])
            view.send(asked | {"answer": said}, buffers=data)

    return answer
