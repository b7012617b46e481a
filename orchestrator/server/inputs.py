"""The REST handler of uploads: a picture for a job to begin with."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from tornado.httputil import HTTPFile, HTTPInputError, parse_body_arguments

from orchestrator.inputs import Limits, save_upload
from orchestrator.server.api_models import Answer
from orchestrator.server.handlers import LabHandler
from orchestrator.server.operations import Route, operation
from orchestrator.server.refusals import Refusal

FORM = "multipart/form-data"
FORM_BYTES = 100_000  # that a form may take beside its file
REMEDY = f"Send the picture's bytes as the body, or as the field `file` of a {FORM}."


class UploadQuery(BaseModel):
    """What the picture is called, where it is the body itself."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[
        str, Field(max_length=255, description="A file name; its ending does not count.")
    ] = ""


class Stored(Answer):
    """The name by which a job asks for the picture: its parameter `image`, or `mask`."""

    name: str


class UploadHandler(LabHandler):
    """`POST /api/inputs`."""

    @property
    def max_body(self) -> int:
        """A picture of the largest size, in a form."""
        return Limits.of(self.lab.settings).bytes + FORM_BYTES

    @operation(
        "Store a picture for a job to begin with",
        tag="pictures",
        query=UploadQuery,
        accepts=("image/*", FORM),
        reply=Stored,
        status=201,
    )
    async def post(self) -> None:
        """Store the picture in dropIn, under a name that no other picture has."""
        filename, data = self._sent()
        limits = Limits.of(self.lab.settings)
        name = await self.blocking(save_upload, data, filename, paths=self.lab.paths, limits=limits)
        self.reply({"name": name}, status=201)

    def _sent(self) -> tuple[str, bytes]:
        said = self.query(UploadQuery).name
        kind = self.request.headers.get("Content-Type", "")
        if not kind.lower().startswith(FORM):
            return said, self.request.body
        files: dict[str, list[HTTPFile]] = {}
        try:
            parse_body_arguments(kind, self.request.body, {}, files)
        except HTTPInputError as error:
            raise Refusal(400, "The form cannot be read", remedy=REMEDY) from error
        if len(files.get("file", ())) != 1:
            raise Refusal(400, "The form has no file, or several", remedy=REMEDY)
        [file] = files["file"]
        return said or file.filename, file.body


ROUTES: list[Route] = [(r"api/inputs", UploadHandler)]
