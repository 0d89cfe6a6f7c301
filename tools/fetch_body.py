"""Bytes of an answer to text: unpacked piece by piece within a bound, decoded, XML without tricks.

Reads nothing from the network: an XML document's references, DTD and entities are never followed.
Called by tools.fetch, and by adapt.gather for files that are packed themselves.
"""

import codecs
import re
import zlib
from email.message import Message
from typing import TYPE_CHECKING, Any

from store.errors import FetchRefused

if TYPE_CHECKING:
    from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]

RATIO = 200
"""Most times that a body may grow by being unpacked, once it is larger than RATIO_FROM."""
RATIO_FROM = 1 << 20
_SAMPLE = 1 << 16
"""Bytes from which an encoding that nobody states is guessed."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""UTF-32 stands before UTF-16, whose mark its own begins with."""
_DECLARED = re.compile(
    rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})"""
    rb"""|<meta[^>]{0,400}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""",
    re.IGNORECASE,
)
_ASCII_LIKE = {"ascii", "iso8859-1", "cp1252"}
_NOT_OF_THE_WEB = {"utf-7", "unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined"}
"""Python's, which no server means, and with which ASCII bytes become something else."""


class Unpacker:
    """Undoes gzip or deflate piece by piece, and never holds more than it may."""

    def __init__(self, encoding: str, limit: int) -> None:
        """`encoding` as in Content-Encoding; FetchRefused for one that was not asked for."""
        self._encoding = encoding.strip().lower() or "identity"
        if self._encoding not in ("identity", "gzip", "x-gzip", "deflate"):
            raise FetchRefused(f"it is packed as {encoding[:40]!r}, which was not asked for")
        self._limit = limit
        self._packed = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._inflate: Any = None

    def feed(self, piece: bytes) -> None:
        """Take a piece as it came. FetchRefused when it unpacks to too much, or is damaged."""
        self._packed += len(piece)
        if self._encoding == "identity":
            self._keep(piece)
            return
        while piece:
            if self._inflate is None:
                self._inflate = zlib.decompressobj(self._bits(piece))
            try:
                self._keep(self._inflate.decompress(piece, self._limit - self._size + 1))
            except zlib.error as error:
                raise FetchRefused(f"it is not valid {self._encoding}: {error}") from error
            piece = self._inflate.unconsumed_tail
            if self._inflate.eof:
                # gzip files may stand behind one another; zeros that pad a file are not one.
                piece = self._inflate.unused_data.lstrip(b"\0")
                self._inflate = None

    def end(self) -> bytes:
        """All of it. FetchRefused when the last piece is missing."""
        if self._inflate is not None:
            raise FetchRefused(f"its {self._encoding} is cut off")
        return b"".join(self._parts)

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise FetchRefused(
                f"it is more than {self._limit} bytes", "raise fetch.max_bytes to take it"
            )
        if self._size > max(RATIO_FROM, RATIO * self._packed):
            raise FetchRefused(f"it unpacks to more than {RATIO} times its size")
        self._parts.append(data)

    def _bits(self, piece: bytes) -> int:
        if self._encoding != "deflate":
            return 16 + zlib.MAX_WBITS
        # By the standard it has zlib's header; some servers send it without.
        return zlib.MAX_WBITS if piece[0] & 0x0F == 8 else -zlib.MAX_WBITS


def unpack_gzip(data: bytes, limit: int) -> bytes:
    """What a gzip file holds, at most `limit` bytes. FetchRefused for more, or a damaged one."""
    unpacker = Unpacker("gzip", limit)
    unpacker.feed(data)
    return unpacker.end()


def media_type(content_type: str) -> tuple[str, str]:
    """Type such as text/html and charset ("" when none is stated) of a Content-Type header."""
    message = Message()
    message["content-type"] = content_type
    charset = message.get_param("charset", "")
    stated = bool(content_type.strip())
    return message.get_content_type() if stated else "", charset if isinstance(charset, str) else ""


def decode(data: bytes, charset: str = "") -> str:
    """Text of bytes: by their mark, the charset of the header, what the document says of itself,
    as UTF-8 if they are, and else by a guess. FetchRefused for what is no text."""
    for mark, name in _BOMS:
        if data.startswith(mark):
            return _text(data.decode(name, "replace"))
    found = _DECLARED.search(data[:4096])
    named = next((g.decode() for g in found.groups() if g), "") if found else ""
    for name in filter(None, (_known(charset), _known(named))):
        # UTF-8 served as Latin-1 is common; the other way round it would hardly ever be valid.
        tried = ("utf-8", "cp1252") if name in _ASCII_LIKE else (name,)
        for codec in tried:
            try:
                return _text(data.decode(codec))
            except (UnicodeDecodeError, LookupError):  # the latter for `zip` and its like
                continue
    try:
        return _text(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _text(data.decode(_guess(data), "replace"))


def _known(charset: str) -> str:
    """Python's name of a charset that a page may be written in, or ""."""
    try:
        name = codecs.lookup(charset).name if charset else ""
    except (LookupError, ValueError):
        return ""
    return "" if name in _NOT_OF_THE_WEB else name


def _guess(data: bytes) -> str:
    import charset_normalizer

    best = charset_normalizer.from_bytes(data[:_SAMPLE]).best()
    return best.encoding if best is not None else "cp1252"


def _text(text: str) -> str:
    if "\0" in text:
        raise FetchRefused("it is not text")
    return text.removeprefix("\ufeff")


def parse_xml(text: str) -> "etree._Element":
    """The root of an XML document. Nothing is loaded for it and no entity is expanded.

    FetchRefused when it is not well formed, or defines entities of its own.
    """
    from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]

    # Encoded anew: what the document says of its own encoding is of the bytes it came in.
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text, count=1)
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, dtd_validation=False, attribute_defaults=False,
        no_network=True, huge_tree=False, remove_comments=True, remove_pis=True, encoding="utf-8",
    )  # fmt: skip
    refuse_entities(text)
    try:
        return etree.fromstring(text.encode("utf-8", "replace"), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise FetchRefused(f"it is not well-formed XML: {error}") from error


def refuse_entities(text: str) -> None:
    """FetchRefused for a document that defines entities: they are read by nothing of the web's
    feeds and sitemaps, and can be made to grow without bound."""
    if "<!entity" in text.lower():
        raise FetchRefused("its XML defines entities")
