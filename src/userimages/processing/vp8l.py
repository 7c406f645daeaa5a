"""Lossless WebP: how many Huffman groups a stream has, which is what its decoder's memory depends on.

A group is five prefix codes, for which libwebp keeps tables of up to 8.4 KB, and a stream may have 65,536 of them: 20
bits of the file each. Their number stands nowhere. It is one more than the largest value of a small picture, that of
the groups, which follows the transforms and their small pictures. So these must be read through; the picture itself is
not. That takes less than it sounds: a copy or a color from the cache only repeats what was there, so the largest value
is that of a literal, and no pixel has to be kept.

The layout is that of the WebP Lossless Bitstream Specification.
"""

from collections.abc import Iterator

from userimages.processing.header import broken
from userimages.processing.limits import Limits

_ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
_LITERALS, _LENGTHS, _DISTANCES = 256, 24, 40
_CACHE_BITS = 11
_TABLE_ENTRIES = 256  # of a table cost as much as to read one symbol

_Code = tuple[int, list[tuple[int, int]]]  # how many bits to look at; for each value of them a symbol and its length


class Heads:
    """Counts the Huffman groups of the lossless streams of one file."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._groups = self._symbols = 0
        self.most = 0  # of one stream

    def read(self, stream: bytes, width: int, height: int) -> None:
        """Count the groups of a stream, which begins behind its header of five bytes.

        Raises:
            BrokenImageError: it is damaged.
            LimitExceededError: it has too many groups, or so much before them that to read it would take long.
        """
        reader = _Reader(stream, self._limits, self._symbols)
        try:
            groups = reader.groups(width, height)
        except IndexError:
            raise broken("its lossless pixels are damaged") from None
        self._symbols = reader.symbols
        self._groups += groups
        self._limits.allow_huffman_groups(self._groups)
        self.most = max(self.most, groups)


class _Reader:
    """A stream of bits, lowest first, and what the head of a lossless picture is made of."""

    def __init__(self, stream: bytes, limits: Limits, symbols: int) -> None:
        self._stream, self._end, self._at = stream, 8 * len(stream), 0
        self._limits, self.symbols = limits, symbols

    def groups(self, width: int, height: int) -> int:
        seen = set[int]()
        while self._take(1):
            kind = self._take(2)
            if kind in seen:
                raise broken("a transform of its lossless pixels comes twice")
            seen.add(kind)
            if kind < 2:  # prediction, or color: a small picture of blocks
                self._picture(self._blocks(width, height))
            elif kind == 3:  # a palette: pixels of few colors are packed, up to eight into one
                size = self._take(8) + 1
                self._picture(size)
                width = -(-width >> (0 if size > 16 else 1 if size > 4 else 2 if size > 2 else 3))
        self._cache()
        return 1 + self._picture(self._blocks(width, height)) if self._take(1) else 1

    def _blocks(self, width: int, height: int) -> int:
        bits = self._take(3) + 2
        return -(-width >> bits) * -(-height >> bits)

    def _picture(self, pixels: int) -> int:
        """Read a small picture and return the largest red and green, as one number, of its literals."""
        cache = self._cache()
        sizes = (_LITERALS + _LENGTHS + cache, _LITERALS, _LITERALS, _LITERALS, _DISTANCES)
        green, *others, distance = (self._code(size) for size in sizes)
        (red_bits, reds), (blue_bits, blues), (alpha_bits, alphas) = others
        largest = 0
        while pixels > 0:
            self._count(1)
            symbol = self._symbol(green)
            if symbol < _LITERALS:
                at = self._at  # three codes of at most 15 bits each: one word holds them
                word = int.from_bytes(self._stream[at >> 3 : (at >> 3) + 8], "little") >> (at & 7)
                red, bits = reds[word & (1 << red_bits) - 1]
                word >>= bits
                more = blues[word & (1 << blue_bits) - 1][1]
                self._at = at + bits + more + alphas[word >> more & (1 << alpha_bits) - 1][1]
                largest = max(largest, red << 8 | symbol)
                pixels -= 1
            elif symbol < _LITERALS + _LENGTHS:
                pixels -= self._number(symbol - _LITERALS)
                self._number(self._symbol(distance))
            else:
                pixels -= 1
            if self._at > self._end:
                raise broken("its lossless pixels are cut off")
        return largest

    def _cache(self) -> int:
        """Read how many colors the cache holds."""
        if not self._take(1):
            return 0
        bits = self._take(4)
        if not 1 <= bits <= _CACHE_BITS:
            raise broken("the color cache of its lossless pixels is not one")
        return 1 << bits

    def _number(self, prefix: int) -> int:
        """Read the rest of a length or a distance, of which a symbol states the magnitude."""
        if prefix < 4:
            return prefix + 1
        extra = (prefix - 2) >> 1
        return ((2 + (prefix & 1)) << extra) + self._take(extra) + 1

    def _count(self, symbols: int) -> None:
        self.symbols += symbols
        if self.symbols > self._limits.max_head_symbols:
            self._limits.allow_head_symbols(self.symbols)

    def _take(self, count: int) -> int:
        at = self._at
        self._at = at + count
        word = int.from_bytes(self._stream[at >> 3 : (at >> 3) + 4], "little")
        return word >> (at & 7) & (1 << count) - 1

    def _symbol(self, code: _Code) -> int:
        bits, table = code
        at = self._at
        word = int.from_bytes(self._stream[at >> 3 : (at >> 3) + 3], "little")
        symbol, length = table[word >> (at & 7) & (1 << bits) - 1]
        self._at = at + length
        return symbol

    def _code(self, size: int) -> _Code:
        if self._take(1):
            return self._simple_code()
        lengths = [0] * 19
        for place in _ORDER[: 4 + self._take(4)]:
            lengths[place] = self._take(3)
        lengths = self._lengths(_table(lengths), size)
        self._count((1 << max(lengths)) // _TABLE_ENTRIES)
        return _table(lengths)

    def _simple_code(self) -> _Code:
        two, wide = self._take(1), self._take(1)
        first = self._take(8 if wide else 1)
        return (1, [(first, 1), (self._take(8), 1)]) if two else (0, [(first, 0)])

    def _lengths(self, code: _Code, size: int) -> list[int]:
        """Read the lengths of the codes of *size* symbols, themselves coded."""
        reads = 2 + self._take(2 + 2 * self._take(3)) if self._take(1) else size
        lengths, last = list[int](), 8
        while reads and len(lengths) < size:
            reads -= 1
            self._count(1)
            symbol = self._symbol(code)
            if symbol < 16:
                lengths.append(symbol)
                last = symbol or last
            elif symbol == 16:
                lengths += [last] * (3 + self._take(2))
            else:
                lengths += [0] * (3 + self._take(3) if symbol == 17 else 11 + self._take(7))
        return lengths


def _table(lengths: list[int]) -> _Code:
    """Return the table of a canonical prefix code, by as many bits as its longest code has."""
    used = sorted((length, symbol) for symbol, length in enumerate(lengths) if length)
    if len(used) == 1:
        return 0, [(used[0][1], 0)]
    longest = max(lengths)
    if not used or sum(1 << longest - length for length, _ in used) != 1 << longest:
        raise broken("a code of its lossless pixels is not complete")
    table = [(0, 0)] * (1 << longest)
    for bits, length, symbol in _codes(used):
        table[bits :: 1 << length] = [(symbol, length)] * (1 << longest - length)
    return longest, table


def _codes(used: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Yield the code of each symbol, its first bit lowest."""
    code, before = 0, 0
    for length, symbol in used:
        code <<= length - before
        before = length
        yield int(f"{code:0{length}b}"[::-1], 2), length, symbol
        code += 1
