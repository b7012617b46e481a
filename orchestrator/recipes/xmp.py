"""A text of the lab in an XMP packet, where no other program looks for its own. Text in, text out.

ISO 16684-1: unknown namespaces are kept by editors. EXIF's UserComment, where the recipe stood before, is what
AUTOMATIC1111, Civitai and their like read `parameters` from.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, unescape

NAMESPACE = "https://orchestrator-lab.invalid/ns/recipe/1.0/"
OPENS = f'<rdf:Description rdf:about="" xmlns:lab="{NAMESPACE}"><lab:recipe>'
CLOSES = "</lab:recipe></rdf:Description>"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    f'<rdf:RDF xmlns:rdf="{RDF}"></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
END = "</rdf:RDF>"
MAX_PACKET = 4_000_000  # characters
UNFIT = {"\ufffe": "\\ufffe", "\uffff": "\\uffff"}  # XML has no way to say them, JSON has


def with_document(packet: bytes | None, document: str) -> bytes:
    """The packet with a JSON document in it, in place of the one there was; the rest as it was.

    Raises ValueError when the packet is not one that can be added to.
    """
    there = packet.decode() if packet is not None else EMPTY
    start = there.find(OPENS)
    if start != -1 and (end := there.find(CLOSES, start)) != -1:
        there = there[:start] + there[end + len(CLOSES) :]
    if there.count(END) != 1 or f'xmlns:rdf="{RDF}"' not in there:
        raise ValueError("not a packet as everybody writes them")
    before, after = there.split(END)
    for unfit, said in UNFIT.items():
        document = document.replace(unfit, said)
    return f"{before}{OPENS}{escape(document)}{CLOSES}{END}{after}".encode()


def document_in(packet: bytes) -> str | None:
    """The JSON document in a packet, also when an editor has written the packet anew; None when there is none."""
    text = packet[:MAX_PACKET].decode(errors="replace")
    prefix = re.search(rf"xmlns:([A-Za-z_][\w.-]{{0,40}})=[\"']{re.escape(NAMESPACE)}[\"']", text)
    if prefix is None:
        return None
    name = f"{prefix[1]}:recipe"
    for opens, closes in ((f"<{name}>", f"</{name}>"), (f'{name}="', '"'), (f"{name}='", "'")):
        start = text.find(opens)
        end = text.find(closes, start + len(opens))
        if start != -1 and end != -1:
            quotes = {"&quot;": '"', "&apos;": "'", "&#xA;": "\n"}
            return unescape(text[start + len(opens) : end], quotes)
    return None
