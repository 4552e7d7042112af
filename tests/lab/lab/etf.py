"""Erlang's external term format, as far as terms come from a node: read only.

Atoms become `Atom`, but true and false become bools; binaries become bytes, charlists and other lists lists, tuples tuples,
maps dicts. Pids, ports, references and funs become `Opaque`, which can be compared.
"""

import struct
from dataclasses import dataclass


class Atom(str):
    """An atom: equal to the string of the same text, and shown as Erlang shows it."""

    def __repr__(self) -> str:
        return f"'{self}'"


@dataclass(frozen=True)
class Opaque:
    """A term that means something on Erlang nodes only."""

    kind: str
    data: bytes


def decode(data: bytes) -> object:
    """The one term in `data`."""
    reader = _Reader(data)
    if reader.take(1) != b"\x83":
        raise ValueError("not external term format")
    return reader.term()


_OPAQUE = {88: ("pid", 12), 103: ("pid", 9), 89: ("port", 8), 102: ("port", 5), 120: ("port", 12)}


class _Reader:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        part = self.data[self.at:self.at + size]
        if len(part) < size:
            raise ValueError(f"term is cut at byte {len(self.data)}")
        self.at += size
        return part

    def number(self, form: str) -> int:
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def terms(self, count: int) -> list:
        return [self.term() for _ in range(count)]

    def term(self) -> object:
        tag = self.number("B")
        match tag:
            case 97: return self.number("B")
            case 98: return self.number("i")
            case 110 | 111: return self.big(self.number("B" if tag == 110 else "I"))
            case 70: return self.number("d")
            case 118: return self.atom(self.number("H"))
            case 119: return self.atom(self.number("B"))
            case 100: return self.atom(self.number("H"), "latin-1")
            case 115: return self.atom(self.number("B"), "latin-1")
            case 104: return tuple(self.terms(self.number("B")))
            case 105: return tuple(self.terms(self.number("I")))
            case 106: return []
            case 107: return list(self.take(self.number("H")))
            case 108: return self.list(self.number("I"))
            case 109: return self.take(self.number("I"))
            case 77: return Opaque("bitstring", self.take(self.number("I") + 1))
            case 116: return {_hashable(self.term()): self.term() for _ in range(self.number("I"))}
            case 90 | 114: return self.reference(4 if tag == 90 else 1)
            case 112: return Opaque("fun", self.take(self.number("I") - 4))
            case 113: return Opaque("fun", repr(self.terms(3)).encode())
            case _ if tag in _OPAQUE:
                kind, size = _OPAQUE[tag]
                node = self.term()
                return Opaque(kind, f"{node}".encode() + self.take(size))
        raise ValueError(f"unknown tag {tag} at byte {self.at - 1}")

    def atom(self, size: int, encoding: str = "utf-8") -> Atom | bool:
        text = self.take(size).decode(encoding)
        return text == "true" if text in ("true", "false") else Atom(text)

    def big(self, size: int) -> int:
        negative = self.number("B")
        value = int.from_bytes(self.take(size), "little")
        return -value if negative else value

    def list(self, size: int) -> list:
        items, tail = self.terms(size), self.term()
        return items if tail == [] else [*items, tail]

    def reference(self, creation: int) -> Opaque:
        words = self.number("H")
        node = self.term()
        return Opaque("reference", f"{node}".encode() + self.take(creation + 4 * words))


def _hashable(value: object) -> object:
    match value:
        case list() | tuple(): return tuple(_hashable(item) for item in value)
        case dict(): return tuple((key, _hashable(item)) for key, item in value.items())
        case _: return value
