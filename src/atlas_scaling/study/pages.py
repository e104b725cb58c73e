"""Text of pages whose translations have the same blocks: DocBook's HTML, Mallard, LibreOffice help.

Each parser takes the bytes of one page and gives its messages. Nothing is cleaned here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from atlas_scaling.study.catalogues import Message

_PARAGRAPH: Final = re.compile(rb'<p\s+id="([^"]+)"[^>]*>(.*?)</p>', re.S)


def parse_help(data: bytes) -> Iterator[Message]:
    """Paragraphs of a page of LibreOffice's help, by the ids that its translations share."""
    for paragraph in _PARAGRAPH.finditer(data):
        text = paragraph[2].decode("utf-8", errors="replace").strip()
        if text:
            yield Message(paragraph[1].decode("ascii", errors="replace"), text)


_UNREAD: Final = re.compile(
    r"<(head|info|comment|script|style|pre|screen)\b.*?</\1\s*>"
    r'|<ul class="docnav.*?</ul>|<!--.*?-->|<\?.*?\?>',
    re.S,
)
_BLOCK: Final = re.compile(
    r"</?(?:html|body|page|section|title|subtitle|desc|p|div|h[1-6]|hr|br|ul|ol|dl|li|dd|dt|list"
    r"|item|steps|terms|tree|table|thead|tbody|tr|td|th|note|quote|figure|links|blockquote)\b[^>]*>"
)
_TAG: Final = re.compile(r"<[^>]*>")


def parse_page(data: bytes) -> Iterator[Message]:
    """Titles and paragraphs of a page of HTML or Mallard, by place.

    The key is the place of a block and the number of blocks on the page: a translation of another
    edition of the page, with a block more or less, has no key in common with the others.
    """
    page = _UNREAD.sub(" ", data.decode("utf-8", errors="replace"))
    blocks = [" ".join(_TAG.sub("", block).split()) for block in _BLOCK.split(page)]
    blocks = [block for block in blocks if block]
    for place, block in enumerate(blocks):
        yield Message(f"{place}/{len(blocks)}", block)
