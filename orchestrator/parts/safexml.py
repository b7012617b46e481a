"""XML from strangers: no document type, so no entity that grows or reads a file."""

from __future__ import annotations

import re
from xml.etree import ElementTree

LARGEST = 32_000_000  # bytes
ENCODINGS = frozenset({"utf-8", "windows-1251", "us-ascii", "iso-8859-1"})
DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
DECLARED = re.compile(rb"^\s*<\?xml[^>]*\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")


def read(data: bytes) -> ElementTree.Element:
    """The root of an XML document in UTF-8 or windows-1251. Raises ValueError for anything else, or with a DTD.

    The text that is looked through is the text that is parsed: a rare encoding cannot hide a document type.
    """
    if len(data) > LARGEST:
        raise ValueError("the XML is too large")
    data = data.removeprefix(b"\xef\xbb\xbf")
    declared = DECLARED.match(data)
    encoding = declared[1].decode("ascii").lower() if declared else "utf-8"
    if encoding not in ENCODINGS:
        raise ValueError(f"XML in {encoding} is not read")
    try:
        text = DECLARATION.sub("", data.decode(encoding), count=1)
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ValueError("XML with a document type is not read")
        return ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError) as error:
        raise ValueError(f"not XML: {error}") from error


def local(tag: str) -> str:
    """A tag without its namespace."""
    return tag.rpartition("}")[2]
