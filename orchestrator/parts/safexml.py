"""XML from strangers: no document type, so no entity that grows or reads a file."""

from __future__ import annotations

from xml.etree import ElementTree

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

LARGEST = 32_000_000  # bytes


def read(data: bytes) -> ElementTree.Element:
    """The root of an XML document. Raises ValueError when it is too large, is none, or has a document type."""
    if len(data) > LARGEST:
        raise ValueError("the XML is too large")
    try:
        return defusedxml.ElementTree.fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise ValueError("XML with a document type is not read") from error
    except (ElementTree.ParseError, LookupError, UnicodeError) as error:
        raise ValueError(f"not XML: {error}") from error


def local(tag: str) -> str:
    """A tag without its namespace."""
    return tag.rpartition("}")[2]
