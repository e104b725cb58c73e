"""Makes a renderer's SVG fit to stand inside a page, many to a page.

- Only drawing elements and attributes pass. Text of users (run ids, languages) is text in the
  renderer's SVG already; this is the second lock on that door.
- Ids get a prefix, since two charts of one page both call their clip path ``clip0``.
- What a mark says of itself (``aria-label``) becomes ``data-tip``, which the page shows under the
  pointer; the whole picture has one label for those who do not see it.
- Coordinates keep one decimal, a tenth of a CSS pixel.
"""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree

SVG: Final = "{http://www.w3.org/2000/svg}"
ELEMENTS: Final = frozenset(
    {"svg", "g", "path", "text", "tspan", "line", "rect", "circle", "defs", "clipPath"}
    | {"linearGradient", "stop"}
)
_GEOMETRY: Final = frozenset({"d", "x", "y", "x1", "x2", "y1", "y2", "transform"})
_PAINT: Final = frozenset(
    {"fill", "stroke", "opacity", "fill-opacity", "stroke-opacity", "stroke-width"}
    | {"stroke-dasharray", "stroke-dashoffset", "stroke-linecap", "stroke-linejoin"}
    | {"stroke-miterlimit", "clip-path", "offset", "stop-color", "gradientUnits"}
)
_TEXT: Final = frozenset(
    {"font-family", "font-size", "font-weight", "font-style", "text-anchor", "dx", "dy"}
)
ATTRIBUTES: Final = _GEOMETRY | _PAINT | _TEXT | {"r", "cx", "cy", "width", "height", "id"}
_DECIMALS: Final = re.compile(r"-?(?:\d*\.\d{2,}(?:e-?\d+)?|\d+(?:\.\d)?e-\d+)")
_REFERENCE: Final = re.compile(r"url\(#([^)]+)\)")
_DEFAULTS: Final = {"opacity": "1", "stroke-miterlimit": "10", "font-weight": "normal"}
_LABEL: Final = "aria-label"
_AXES: Final = ("axis", "legend", "title")


def for_page(document: str, *, prefix: str, label: str) -> str:
    """``document`` as one ``<svg>`` element for HTML.

    Args:
        document: an SVG document that Vega's renderer wrote.
        prefix: of ids; different for every picture of a page.
        label: what the whole picture says to a screen reader.
    """
    source = ElementTree.fromstring(document)
    root = _copied(source, prefix)
    assert root is not None, "the renderer's document is no SVG"
    size = {name: source.get(name, "0") for name in ("width", "height")}
    root.attrib.clear()
    root.attrib.update(
        {
            "viewBox": f"0 0 {size['width']} {size['height']}",
            "width": size["width"],
            "height": size["height"],
            "role": "img",
            _LABEL: label,
        }
    )
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _copied(element: ElementTree.Element, prefix: str) -> ElementTree.Element | None:
    """A clean copy without a namespace, or None where nothing of it is to be seen."""
    name = element.tag.removeprefix(SVG)
    if name not in ELEMENTS or element.get("display") == "none" or _is_empty(element, name):
        return None
    copy = ElementTree.Element(name, _attributes(element, prefix))
    label = element.get(_LABEL)
    if label and element.get("aria-roledescription") not in _AXES and name != "g":
        copy.set("data-tip", label)
    copy.text = element.text
    for child in element:
        kept = _copied(child, prefix)
        if kept is not None:
            copy.append(kept)
    if name == "g" and not len(copy):
        return None
    return _unwrapped(copy)


def _unwrapped(element: ElementTree.Element) -> ElementTree.Element:
    """The only child of a group that does nothing."""
    if element.tag == "g" and len(element) == 1 and not element.attrib:
        return element[0]
    return element


def _is_empty(element: ElementTree.Element, name: str) -> bool:
    """Paths without ink: Vega draws the (transparent) background of every group."""
    if name != "path":
        return False
    inked = any(element.get(paint) not in (None, "none") for paint in ("fill", "stroke"))
    return not element.get("d") or (element.get("class") == "background" and not inked)


def _attributes(element: ElementTree.Element, prefix: str) -> dict[str, str]:
    kept = {}
    for name, value in element.attrib.items():
        if name not in ATTRIBUTES or value == _DEFAULTS.get(name):
            continue
        if name == "transform" and value in ("translate(0,0)", "translate(0, 0)"):
            continue
        if name == "id":
            kept[name] = prefix + value
        elif name in _GEOMETRY:
            kept[name] = _DECIMALS.sub(_rounded, value)
        else:
            kept[name] = _REFERENCE.sub(rf"url(#{prefix}\1)", value)
    return kept


def _rounded(number: re.Match[str]) -> str:
    return format(round(float(number[0]), 1), "g")
