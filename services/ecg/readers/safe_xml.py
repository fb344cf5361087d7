"""XML from strangers: no entities, and not larger, deeper or fuller than an ECG file can be."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError, TreeBuilder

from services.ecg.readers.base import SourceFile, shown
from services.errors import MalformedInput, TooLarge

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_XML_BYTES = 16 * 1024 * 1024
MAX_ELEMENTS = 200_000
MAX_DEPTH = 64
MAX_ATTRIBUTES = 100

_HEAD_BYTES = 16 * 1024
_ROOT = re.compile(r"<([A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)[\s/>]")
_BEFORE_ROOT = MappingProxyType({"<?": "?>", "<!--": "-->"})
_UTF_16 = MappingProxyType({b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"})


def root_name(file: SourceFile) -> str:
    """The name of the outermost element without its namespace, or nothing if this is no XML."""
    head = file.head(_HEAD_BYTES)
    text = head.decode(_UTF_16.get(head[:2], "latin-1"), errors="replace")
    text = text.removeprefix("\u00ef\u00bb\u00bf").removeprefix("\ufeff").lstrip()
    found = _ROOT.match(text, _root_at(text))
    return found[2] if found else ""


def _root_at(text: str) -> int:
    """Where the first element may begin: behind instructions, comments and a document type."""
    at = 0
    while at < len(text):
        opening = next((mark for mark in _BEFORE_ROOT if text.startswith(mark, at)), None)
        if opening is not None:
            end = text.find(_BEFORE_ROOT[opening], at)
            at = end + len(_BEFORE_ROOT[opening]) if end >= 0 else len(text)
        elif text.startswith("<!DOCTYPE", at):
            declared = text.find("]", at) if "[" in text[at:].partition(">")[0] else at
            end = text.find(">", declared)
            at = end + 1 if min(declared, end) >= 0 else len(text)
        elif text[at].isspace():
            at += 1
        else:
            return at
    return at


def parsed_xml(file: SourceFile) -> Element:
    """The outermost element, tags without namespaces.

    MalformedInput (with line and column) for what is not well-formed or declares entities,
    TooLarge for what is beyond the limits above.
    """
    # defusedxml is loaded when there is XML to read
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    name = shown(file.plain_name)
    content = file.content(at_most_bytes=MAX_XML_BYTES)
    parser = DefusedXMLParser(target=_Builder(name))
    try:
        parser.feed(content)
        root: Element = parser.close()
    except DefusedXmlException as error:
        raise MalformedInput(f"{name} declares entities, which are not read") from error
    except ParseError as error:
        line, column = error.position
        problem = str(error).split(":", maxsplit=1)[0]
        said = f"{name}, line {line}, column {column}: {shown(problem)}"
        # its traceback leads to a frame that holds it, and so to all that was read until then, for
        # as long as the collector does not look there
        raise MalformedInput(said) from error.with_traceback(None)
    except (ValueError, LookupError) as error:  # encodings that Python does not know or cannot read
        raise MalformedInput(f"{name}: its text encoding cannot be read") from error
    finally:
        vars(parser).clear()  # it and what it calls hold each other, with the tree, if it fails
    return root


class _Builder(TreeBuilder):
    """Builds the tree while it counts."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name, self._n_elements, self._depth = name, 0, 0

    def start(self, tag: str, attrs: dict[Any, Any], /) -> Element:
        self._n_elements += 1
        self._depth += 1
        if self._n_elements > MAX_ELEMENTS:
            raise TooLarge(f"{self._name} has more than {MAX_ELEMENTS:,} elements")
        if len(attrs) > MAX_ATTRIBUTES:
            raise TooLarge(f"{self._name} has an element of {len(attrs):,} attributes")
        if self._depth > MAX_DEPTH:
            raise TooLarge(f"{self._name}: elements inside of more than {MAX_DEPTH} others")
        return super().start(tag.rpartition("}")[2], attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag.rpartition("}")[2])


def child_text(element: Element | None, path: str) -> str:
    """The text of a descendant without outer spaces; nothing where it is missing."""
    found = element.find(path) if element is not None else None
    return (found.text or "").strip() if found is not None else ""
