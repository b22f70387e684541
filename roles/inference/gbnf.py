"""GBNF, llama.cpp's language for grammars: read, followed byte by byte, and above all closed in time.

llama.cpp says which tokens a grammar allows next, and nothing of how far the end is; a text that is cut off at its
longest length would not parse. Here every position in a grammar knows the least number of bytes to its end, so that
`constraint` can refuse the token after which there would be too little room. The stacks are llama.cpp's own way of
following a grammar (a set of dotted rules, each with what comes after it), interned so that equal ones are one.
Decided against: steering by ever higher weights for the end (it ends nearly always, which is not always).
The language: llama.cpp's grammars/README.md; its token references (`<think>`) are left to llama.cpp alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mesh.errors import RoleError

ENDLESS = 1 << 40  # the cost of what never ends
REPEAT_MAX = 2000
POINT_MAX = 0x10FFFF
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "[": "[", "]": "]"}
_LIKED = [*map(ord, "aeinorstlmu0123456789 -.,x")]  # what a forced character is, where the grammar leaves the choice


@dataclass(frozen=True, slots=True)
class Letter:
    """One character out of ranges of code points, or out of all others."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False

    def takes(self, point: int) -> bool:
        """Whether the character is one of them."""
        return any(low <= point <= high for low, high in self.ranges) != self.negated

    def one_of(self, low: int, high: int) -> int | None:
        """The best liked code point from `low` to `high` that it takes, None when there is none. Never a surrogate."""
        edges = [low, *(edge for first, last in self.ranges for edge in (first, last + 1)), 0x20, 0x61, 0xE000]
        for point in (*_LIKED, *sorted(edges)):
            if low <= point <= high and not 0xD800 <= point <= 0xDFFF and self.takes(point):
                return point
        return None


Element = Letter | int  # a rule by its number
Alternative = tuple[Element, ...]


class Unreadable(RoleError):
    """Not a grammar, or one with parts that only llama.cpp follows."""


@dataclass(slots=True)
class Grammar:
    """Rules by number; rule 0 is `root`. `costs` are the least bytes each rule ends in."""

    rules: list[list[Alternative]]
    costs: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.costs = [ENDLESS] * len(self.rules)
        changed = True
        while changed:
            changed = False
            for number, alternatives in enumerate(self.rules):
                least = min((self.cost_of(alternative) for alternative in alternatives), default=ENDLESS)
                if least < self.costs[number]:
                    self.costs[number], changed = least, True

    def cost_of(self, elements: Iterable[Element]) -> int:
        """The least number of bytes that these elements together end in."""
        return min(ENDLESS, sum(_letter_cost(each) if isinstance(each, Letter) else self.costs[each] for each in elements))


def _letter_cost(letter: Letter) -> int:
    point = letter.one_of(0, POINT_MAX)
    return ENDLESS if point is None else len(chr(point).encode())


class Following:
    """A place in a grammar: `take` bytes as they come; `cost` bytes are needed at least to end, `closing` are such bytes."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._cells: dict[tuple[Alternative, int, int], int] = {}  # (alternative, place in it, what comes after) -> its number
        self._known: list[tuple[Alternative, int, int, int]] = [((), 0, -1, 0)]  # number 0: the end
        self._stacks: frozenset[int] = frozenset(self._expanded(self._cell((0,), 0, 0)))
        self._pending = b""

    @property
    def alive(self) -> bool:
        """Whether what was taken can still become a text of the grammar."""
        return bool(self._stacks) and (not self._pending or self.cost < ENDLESS)

    @property
    def ended(self) -> bool:
        """Whether what was taken is one."""
        return 0 in self._stacks and not self._pending

    @property
    def over(self) -> bool:
        """Whether nothing may follow any more."""
        return self._stacks == {0}

    @property
    def cost(self) -> int:
        """The least number of bytes to the end."""
        return min((self._cost(cell) for cell in self._stacks), default=ENDLESS)

    def state(self) -> tuple[frozenset[int], bytes]:
        """Where it stands, to come back to."""
        return self._stacks, self._pending

    def back_to(self, state: tuple[frozenset[int], bytes]) -> None:
        """Stand where it stood."""
        self._stacks, self._pending = state

    def take(self, spoken: bytes) -> bool:
        """Go on by these bytes, which may end within a character. Whether that is still within the grammar."""
        text = self._pending + spoken
        at = 0
        while at < len(text):
            length = _length(text[at])
            if at + length > len(text) and length and all(0x80 <= byte < 0xC0 for byte in text[at + 1 :]):
                break
            try:
                point = ord(text[at : at + length].decode())
            except (UnicodeDecodeError, TypeError):
                self._stacks, self._pending = frozenset(), b""
                return False
            self._stacks = frozenset(cell for stack in self._stacks for cell in self._after(stack, point))
            at += length
        self._pending = text[at:]
        return self.alive

    def closing(self) -> bytes:
        """The shortest bytes that end it; no bytes when it has ended or cannot."""
        out = b""
        cell = min(self._stacks, key=self._cost, default=0)
        pending = self._pending
        while cell:
            alternative, place, rest, _ = self._known[cell]
            letter = alternative[place]
            assert isinstance(letter, Letter)
            point = letter.one_of(*_points(pending))
            if point is None:
                return out
            out += chr(point).encode()[len(pending) :]
            pending = b""
            cell = min(self._expanded(self._cell(alternative, place + 1, rest)), key=lambda each: self._known[each][3], default=0)
        return out

    def _cost(self, cell: int) -> int:
        if not self._pending:
            return self._known[cell][3]
        alternative, place, rest, _ = self._known[cell]
        letter = alternative[place] if place < len(alternative) else None
        point = letter.one_of(*_points(self._pending)) if isinstance(letter, Letter) else None
        if point is None:
            return ENDLESS
        after = self._grammar.cost_of(alternative[place + 1 :]) + self._known[rest][3]
        return len(chr(point).encode()) - len(self._pending) + after

    def _after(self, cell: int, point: int) -> Iterator[int]:
        alternative, place, rest, _ = self._known[cell]
        if cell and isinstance(letter := alternative[place], Letter) and letter.takes(point):
            yield from self._expanded(self._cell(alternative, place + 1, rest))

    def _cell(self, alternative: Alternative, place: int, rest: int) -> int:
        """The number of the dotted rule; one that is read to its end is what comes after it."""
        if place == len(alternative):
            return rest
        key = (alternative, place, rest)
        number = self._cells.get(key)
        if number is None:
            number = self._cells[key] = len(self._known)
            cost = min(ENDLESS, self._grammar.cost_of(alternative[place:]) + self._known[rest][3])
            self._known.append((alternative, place, rest, cost))
        return number

    def _expanded(self, cell: int) -> list[int]:
        """The cells before which a character stands, or the end, that this one leads to."""
        found, seen, todo = [], {cell}, [cell]
        while todo:
            cell = todo.pop()
            alternative, place, rest, _ = self._known[cell]
            element = alternative[place] if cell else None
            if element is None or isinstance(element, Letter):
                found.append(cell)
                continue
            rest = self._cell(alternative, place + 1, rest)
            for choice in self._grammar.rules[element]:
                other = self._cell(choice, 0, rest)
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        return found


def _length(first: int) -> int:
    """The bytes of the character that begins with this one; 0 where none begins so."""
    if 0x80 <= first < 0xC2 or first > 0xF4:
        return 0
    return 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


def _points(pending: bytes) -> tuple[int, int]:
    """The code points that a character begun with these bytes may have; all of them when there are none."""
    if not pending:
        return 0, POINT_MAX
    length = _length(pending[0])
    bits = pending[0] & (0x7F >> length if length > 1 else 0x7F)
    for byte in pending[1:]:
        bits = bits << 6 | byte & 0x3F
    missing = 6 * (length - len(pending))
    least = (0, 0, 0x80, 0x800, 0x10000)[length]
    return max(least, bits << missing), min(POINT_MAX, (bits << missing) + (1 << missing) - 1)


def read_grammar(text: str) -> Grammar:
    """The grammar that `text` writes. Raises Unreadable with the line that cannot be read."""
    return _Reader(text).grammar()


class _Reader:
    """One pass over a grammar's text, by recursive descent."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._numbers: dict[str, int] = {"root": 0}
        self._rules: list[list[Alternative]] = [[]]
        self._written: set[str] = set()

    def grammar(self) -> Grammar:
        self._space(lines=True)
        while self._at < len(self._text):
            name = self._word()
            self._space(lines=False)
            self._expect("::=")
            self._space(lines=True)
            self._rules[self._number(name)] = self._alternatives(nested=False)
            self._written.add(name)
            self._space(lines=True)
        missing = sorted(set(self._numbers) - self._written)
        if missing:
            raise self._fault(f"there is no rule `{missing[0]}`")
        return Grammar(self._rules)

    def _alternatives(self, *, nested: bool) -> list[Alternative]:
        found = [self._sequence(nested=nested)]
        while self._peek("|"):
            self._at += 1
            self._space(lines=True)
            found.append(self._sequence(nested=nested))
        return found

    def _sequence(self, *, nested: bool) -> Alternative:
        elements: list[Element] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)\r\n":
            last = self._element()
            self._space(lines=nested)
            while self._at < len(self._text) and self._text[self._at] in "*+?{":
                last = self._repeated(last)
                self._space(lines=nested)
            elements += last
        return tuple(elements)

    def _element(self) -> list[Element]:
        letter = self._text[self._at]
        if letter == '"':
            self._at += 1
            found: list[Element] = []
            while not self._peek('"'):
                point = self._point()
                found.append(Letter(((point, point),)))
            self._at += 1
            return found
        if letter == "[":
            self._at += 1
            return [self._class()]
        if letter == ".":
            self._at += 1
            return [Letter(((0, POINT_MAX),))]
        if letter == "(":
            self._at += 1
            self._space(lines=True)
            inner = self._alternatives(nested=True)
            self._expect(")")
            return [self._new(inner)]
        if letter in "<!":
            raise self._fault("it names tokens")
        return [self._number(self._word())]

    def _class(self) -> Letter:
        negated = self._peek("^")
        self._at += negated
        ranges = []
        while not self._peek("]"):
            low = high = self._point()
            if self._peek("-") and not self._text.startswith("-]", self._at):
                self._at += 1
                high = self._point()
            ranges.append((low, high))
        self._at += 1
        return Letter(tuple(ranges), negated)

    def _repeated(self, elements: list[Element]) -> list[Element]:
        """`*`, `+`, `?`, `{m}`, `{m,}` or `{m,n}` after these."""
        least, most = self._times()
        inner = tuple(elements)
        if most is None:
            again = self._new([])
            self._rules[again] = [(*inner, again), ()]
            return [*inner * least, again]
        tail: Alternative = ()
        for _ in range(most - least):
            tail = (self._new([(*inner, *tail), ()]),)
        return [*inner * least, *tail]

    def _times(self) -> tuple[int, int | None]:
        sign = self._text[self._at]
        self._at += 1
        if sign != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]  # type: ignore[return-value]
        found = re.compile(r"\s*(\d+)\s*(,)?\s*(\d+)?\s*\}").match(self._text, self._at)
        if found is None:
            raise self._fault("a repetition is written {2}, {2,} or {2,4}")
        self._at = found.end()
        least = int(found[1])
        most = int(found[3]) if found[3] else None if found[2] else least
        if max(least, most or 0) > REPEAT_MAX:
            raise self._fault(f"it repeats something more than {REPEAT_MAX} times")
        return least, most

    def _point(self) -> int:
        if self._at >= len(self._text):
            raise self._fault("it ends within a text")
        letter = self._text[self._at]
        self._at += 1
        if letter != "\\":
            return ord(letter)
        kind = self._text[self._at : self._at + 1]
        self._at += 1
        if kind in _ESCAPES and kind:
            return ord(_ESCAPES[kind])
        digits = {"x": 2, "u": 4, "U": 8}.get(kind, 0)
        try:
            point = int(self._text[self._at : self._at + digits], 16)
        except ValueError:
            raise self._fault(f"there is no escape \\{kind}") from None
        self._at += digits
        return point

    def _new(self, alternatives: list[Alternative]) -> int:
        self._rules.append(alternatives)
        return len(self._rules) - 1

    def _number(self, name: str) -> int:
        if name not in self._numbers:
            self._numbers[name] = self._new([])
        return self._numbers[name]

    def _word(self) -> str:
        found = _NAME.match(self._text, self._at)
        if found is None:
            raise self._fault("a rule's name, a \"text\" or a [class] is expected")
        self._at = found.end()
        return found[0]

    def _space(self, *, lines: bool) -> None:
        pattern = r"(?:[ \t]|#[^\r\n]*|[\r\n])*" if lines else r"(?:[ \t]|#[^\r\n]*)*"
        found = re.compile(pattern).match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _peek(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _expect(self, text: str) -> None:
        if not self._peek(text):
            raise self._fault(f"`{text}` is expected")
        self._at += len(text)

    def _fault(self, what: str) -> Unreadable:
        line = self._text.count("\n", 0, self._at) + 1
        shown = self._text.splitlines()[line - 1].strip()[:80] if self._text else ""
        return Unreadable(f"the grammar cannot be read at line {line}: {what}", where=shown, instead="see llama.cpp's grammars/README.md")
