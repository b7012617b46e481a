"""Compiles the templates of pages once: Voilà makes a new Jinja environment, with nothing in it, for every visitor."""

from __future__ import annotations

from types import CodeType
from typing import Any, ClassVar

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode


class Compiled(BytecodeCache):
    """What templates were compiled to, in memory, for as long as their text is the same."""

    def __init__(self) -> None:
        self._codes: dict[str, tuple[str, CodeType]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """As Jinja asks for it."""
        checksum, code = self._codes.get(bucket.key, ("", None))
        if checksum == bucket.checksum:
            bucket.code = code

    def dump_bytecode(self, bucket: Bucket) -> None:
        """As Jinja asks for it."""
        if bucket.code is not None:
            self._codes[bucket.key] = bucket.checksum, bucket.code


class CompiledOnce(Preprocessor):
    """Gives the exporter of each visitor the templates that were compiled for the first one.

    It changes nothing of the notebook: nbconvert asks its preprocessors after the environment has been made, and
    before a template is looked for.
    """

    compiled: ClassVar[Compiled] = Compiled()

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """As nbconvert asks for it."""
        exporter: Any = self.parent
        exporter.environment.bytecode_cache = self.compiled
        return nb, resources
