"""Formulas as trees whose terms carry roles, so that a term can be tied to the part of a picture it stands for.

A formula is written in a small part of LaTeX, with brackets around the terms that the picture shows:

    [landmark: \\hat S] = [kernel_1: F] [kernel_2: Z] [kernel_3: B]

`[role: …]` takes the colour of that role (`figures.roles`) and lights the blocks of that key; `[key/role: …]` names
the two apart. `_x`, `_{…}`, `^x`, `^{…}`, `\\hat x`, `\\tilde x` and `\\frac{…}{…}` mean what they mean in LaTeX. One
letter is a symbol; two or more in a row are a word such as softmax.
"""

import re
from dataclasses import dataclass

ACCENTS = ("hat", "tilde")
_TOKEN = re.compile(r"\\[a-z]+|[A-Za-z]+|[α-ω]|\d+|\s+|.", re.DOTALL)


@dataclass(frozen=True)
class Node:
    """One piece of a formula.

    kind: "letter", "word", "text", "prose" (a sentence around symbols), "sub", "sup", "hat", "tilde", "frac" (two
    children: above and below), "group" or "term". text: what the first four show. children: what the others hold.
    key, role: a term's.
    """

    kind: str
    text: str = ""
    children: tuple["Node", ...] = ()
    key: str = ""
    role: str = ""

    def as_json(self) -> dict:
        """The tree as plain data for the page."""
        data = {"kind": self.kind}
        if self.text:
            data["text"] = self.text
        if self.children:
            data["children"] = [child.as_json() for child in self.children]
        if self.kind == "term":
            data |= {"key": self.key, "role": self.role, "spoken": spoken(self.children)}
        return data


def parse_formula(source: str) -> tuple[Node, ...]:
    """The pieces of one line in order. ValueError, with the line, where a bracket or an argument is missing."""
    reader = _Reader(source)
    nodes = reader.read_until("")
    return tuple(nodes)


def symbols(nodes: tuple[Node, ...]) -> set[str]:
    """Every symbol in the tree, accents included: {"S", "\\hat S", "q"}. A raised T says "transposed" and is none."""
    found: set[str] = set()
    for node in nodes:
        if node.kind == "letter":
            found.add(node.text)
        elif node.kind in ACCENTS:
            found.add(f"\\{node.kind} {spoken(node.children)}")
        elif node.kind == "sup" and [child.text for child in node.children] == ["T"]:
            continue
        else:
            found |= symbols(node.children)
    return found


def terms(nodes: tuple[Node, ...]) -> list[Node]:
    """The terms that carry a role, in order, an outer one before those inside it."""
    found = []
    for node in nodes:
        found += ([node] if node.kind == "term" else []) + terms(node.children)
    return found


def inline(text: str) -> list[Node]:
    """A sentence with $symbols$ as pieces of one formula: plain text between what stands in dollars."""
    nodes: list[Node] = []
    for place, part in enumerate(text.split("$")):
        nodes += parse_formula(part) if place % 2 else ([Node("prose", part)] if part else [])
    return nodes


def spoken(nodes: tuple[Node, ...]) -> str:
    """The tree as one line of text, for screen readers and for a term's name."""
    return re.sub(r"\s+", " ", "".join(_spoken(node) for node in nodes)).strip()


def _spoken(node: Node) -> str:
    inner = "".join(_spoken(child) for child in node.children)
    match node.kind:
        case "letter" | "word" | "text" | "prose":
            return node.text
        case "sub":
            return f" {inner}"
        case "sup":
            powers = {"T": " transposed", "2": " squared", "3": " cubed", "+": " pseudo-inverse", "-1": " inverse"}
            return powers.get(inner, f" to the power {inner}")
        case "hat" | "tilde":
            return f"{inner} {node.kind}"
        case "frac":
            above, below = (_spoken(child) for child in node.children)
            return f" ({above}) over ({below}) "
        case _:
            return inner


class _Reader:
    """Reads a formula from left to right."""

    def __init__(self, source: str):
        self.source = source
        self.pieces = _TOKEN.findall(source)
        self.place = 0

    def read_until(self, closing: str) -> list[Node]:
        nodes: list[Node] = []
        while self.place < len(self.pieces):
            piece = self._next()
            if piece == closing:
                return nodes
            nodes.append(self._node(piece))
        if closing:
            raise ValueError(f'"{closing}" is missing in the formula "{self.source}".')
        return nodes

    def _node(self, piece: str) -> Node:
        if piece == "[":
            return self._term()
        if piece in ("_", "^"):
            return Node("sub" if piece == "_" else "sup", children=self._argument())
        if piece == "\\frac":
            return Node("frac", children=tuple(Node("group", children=self._argument()) for _ in range(2)))
        if piece.startswith("\\") and piece[1:] in ACCENTS:
            return Node(piece[1:], children=self._argument())
        if piece.startswith("\\") or piece in "]{}":
            raise ValueError(f'"{piece}" cannot stand there in the formula "{self.source}".')
        if piece[0].isalpha() and piece[0] != "Σ":
            return Node("letter" if len(piece) == 1 else "word", piece)
        return Node("text", piece)

    def _term(self) -> Node:
        head = ""
        while self.place < len(self.pieces) and (piece := self._next()) != ":":
            head += piece
        self._skip_spaces()
        key, _, role = head.strip().partition("/")
        return Node("term", children=tuple(self.read_until("]")), key=key, role=role or key)

    def _argument(self) -> tuple[Node, ...]:
        self._skip_spaces()
        if self.place == len(self.pieces):
            raise ValueError(f'Something is missing at the end of the formula "{self.source}".')
        piece = self._next()
        return tuple(self.read_until("}")) if piece == "{" else (self._node(piece),)

    def _skip_spaces(self) -> None:
        while self.place < len(self.pieces) and self.pieces[self.place].isspace():
            self.place += 1

    def _next(self) -> str:
        self.place += 1
        return self.pieces[self.place - 1]
