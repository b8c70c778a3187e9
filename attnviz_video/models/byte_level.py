"""The table of byte-level BPE (GPT-2): which character of a token's name stands for which byte.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2: every byte is given a
printable character, so that a vocabulary can be written as text. Printable bytes stand for themselves, the others
take the characters from U+0100 on, in order.
"""

from __future__ import annotations

import codecs


def _byte_of_character() -> dict[str, int]:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + rank): byte for rank, byte in enumerate(others)}


#: Character in a byte-level token's name to the byte it stands for.
BYTE_OF_CHARACTER = _byte_of_character()


def token_bytes(name: str) -> bytes:
    """The bytes a byte-level token stands for; a name with foreign characters is literal text."""
    try:
        return bytes(BYTE_OF_CHARACTER[character] for character in name)
    except KeyError:
        return name.encode("utf-8", errors="replace")


def hexadecimal(raw: bytes) -> str:
    """Bytes that form no character, as they are shown: `<0xE7><0x9A>`."""
    return "".join(f"<0x{byte:02X}>" for byte in raw)


def _show_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return hexadecimal(error.object[error.start : error.end]), error.end


_HANDLER = "attnviz-hexadecimal"
codecs.register_error(_HANDLER, _show_bytes)


def utf8_stream() -> codecs.IncrementalDecoder:
    """A decoder that gives each character with the byte that completes it, and shows what never completes in hex."""
    return codecs.getincrementaldecoder("utf-8")(errors=_HANDLER)


def decode_bytes(raw: bytes) -> str:
    """All of `raw` as text, with bytes that form no character in hex."""
    return raw.decode("utf-8", errors=_HANDLER)
