"""HEIC: a walk over its boxes, before libheif sees them.

libheif is a parser in C++ that runs in this process, and one changed byte was enough to end it: an item type that is
not text became a NULL in pi-heif. So every box that the picture depends on is read here first, by the same rules: what
is out of bounds, of the wrong count, unterminated or not text is refused, and so is a picture of another size or depth
than its container says. What is inside the coded pictures is not looked into; that is the decoder's own work.

A picture is one coded picture, or a grid of them, as phones write it. Overlays and identities are refused: they may
nest, so that a few bytes state any amount of work, and libheif makes their canvas before it looks at its size.

The layout is that of ISO/IEC 14496-12 (boxes, items) and 23008-12 (pictures).
"""

import struct
from collections.abc import Iterator

from userimages.processing import hevc
from userimages.processing.header import broken
from userimages.processing.limits import Limits

_NEEDED = {b"hdlr", b"pitm", b"iinf", b"iprp", b"iloc"}
_PICTURES = (b"hvc1", b"grid")
_NESTED = {b"iden", b"iovl"}
_BLOCK = 64  # the coded size is one of whole blocks
_TEXT = frozenset(range(32, 127))

_Box = tuple[bytes, int, int]  # its type, and where its content lies


def check(data: bytes, limits: Limits) -> None:
    """Walk the boxes of a HEIC.

    Raises:
        BrokenImageError: one of them is not as it must be.
        LimitExceededError: there are too many.
    """
    try:
        _Walk(data, limits).check()
    except (struct.error, IndexError, UnicodeDecodeError):
        raise broken("one of its boxes ends too early") from None


class _Walk:
    def __init__(self, data: bytes, limits: Limits) -> None:
        self._data, self._limits = data, limits
        self._parts = 0
        self._sizes = dict[int, tuple[int, int]]()  # by the number of the property
        self._setups = dict[int, tuple[int, int, int]]()  # how long a length is, and width and height, likewise
        self._uses = dict[int, list[int]]()  # the properties of each item
        self._bytes = dict[int, int]()  # of each property
        self._layouts = dict[int, bytes]()  # what each grid says of itself
        self._tiles = dict[int, list[int]]()  # the items that each item is made of

    def check(self) -> None:
        metas = [box for box in self._boxes(0, len(self._data)) if box[0] == b"meta"]
        if len(metas) != 1:
            raise broken("it does not have one box of metadata")
        found = dict[bytes, _Box]()
        for box in self._boxes(metas[0][1] + 4, metas[0][2]):
            if box[0] in found and box[0] in _NEEDED:
                raise broken("a box comes twice")
            found[box[0]] = box
        if not found.keys() >= _NEEDED:
            raise broken("it lacks a box")
        self._handler(*found[b"hdlr"][1:])
        items = self._items(*found[b"iinf"][1:])
        if items.get(self._primary(*found[b"pitm"][1:])) not in _PICTURES:
            raise broken("it has no picture")
        self._properties(*found[b"iprp"][1:], items)
        self._agree()
        self._locations(*found[b"iloc"][1:], items, *found.get(b"idat", (b"", 0, 0))[1:])
        if b"iref" in found:
            self._references(*found[b"iref"][1:], items)
        for number, kind in items.items():
            if kind == b"grid":
                self._grid(number, items)

    def _boxes(self, start: int, stop: int) -> Iterator[_Box]:
        """Yield the boxes that fill this range, exactly."""
        while start < stop:
            self._count()
            size, kind = struct.unpack_from(">I4s", self._data, start)
            body = start + 8
            if size == 1:
                size, body = self._number(body, 8), body + 8
            elif size == 0:
                size = stop - start
            if not _TEXT.issuperset(kind) or start + size > stop or start + size < body:
                raise broken("a box is longer than the file")
            yield kind, body, start + size
            start += size

    def _count(self) -> None:
        self._parts += 1
        self._limits.allow_parts(self._parts)

    def _number(self, start: int, size: int) -> int:
        if start + size > len(self._data):
            raise IndexError
        return int.from_bytes(self._data[start : start + size])

    def _text(self, start: int, stop: int) -> int:
        """Return where a string ends that is UTF-8 and ends in a zero byte."""
        end = self._data.index(b"\0", start, stop) if b"\0" in self._data[start:stop] else stop
        self._data[start:end].decode()
        if end == stop:
            raise broken("a string in it does not end")
        return end + 1

    def _handler(self, start: int, stop: int) -> None:
        if self._data[start + 8 : start + 12] != b"pict" or stop - start < 24:
            raise broken("it is not a picture")
        if stop - start > 24:
            self._text(start + 24, stop)

    def _primary(self, start: int, stop: int) -> int:
        size = 4 if self._data[start] else 2
        if start + 4 + size != stop:
            raise broken("its main picture is not named")
        return self._number(start + 4, size)

    def _items(self, start: int, stop: int) -> dict[int, bytes]:
        """Return the type of each item by its number."""
        size, items = 4 if self._data[start] else 2, dict[int, bytes]()
        count = self._number(start + 4, size)
        for kind, body, end in self._boxes(start + 4 + size, stop):
            version = self._data[body]
            if kind != b"infe" or version not in (2, 3):
                raise broken("an item is not described")
            wide = 2 if version == 2 else 4
            number, place = self._number(body + 4, wide), body + 4 + wide
            protected, item = struct.unpack_from(">H4s", self._data, place)
            if protected or not _TEXT.issuperset(item) or number in items or place + 6 > end:
                raise broken("an item is not as it must be")
            after = self._text(place + 6, end)
            if item in (b"mime", b"uri "):
                after = self._text(after, end)
                if item == b"mime" and after < end:
                    self._text(after, end)
            if item in _NESTED:
                raise broken("it is put together of other pictures, and not as a grid")
            items[number] = item
        if len(items) != count:
            raise broken("items are missing")
        return items

    def _properties(self, start: int, stop: int, items: dict[int, bytes]) -> None:
        containers, number = 0, 0
        for kind, body, end in self._boxes(start, stop):
            if kind == b"ipco":
                containers += 1
                for name, first, last in self._boxes(body, end):
                    number += 1
                    self._property(number, name, first, last)
            elif kind == b"ipma" and containers:
                self._associations(body, end, number, items)
        if containers != 1:
            raise broken("it has no properties")

    def _property(self, number: int, name: bytes, start: int, stop: int) -> None:
        size = self._bytes[number] = stop - start
        if name == b"ispe":
            width, height = struct.unpack_from(">II", self._data, start + 4)
            if size != 12 or not width or not height:
                raise broken("a size is not one")
            self._limits.allow_size(width, height)
            self._sizes[number] = width, height
        elif name == b"auxC":
            self._text(start + 4, stop)
        elif name in (b"irot", b"imir") and size != 1:
            raise broken("a turn is not one")
        elif name == b"pixi" and size != 5 + self._data[start + 4]:
            raise broken("a depth is not one")
        elif name == b"hvcC":
            self._decoder_setup(number, start, stop)

    def _decoder_setup(self, number: int, start: int, stop: int) -> None:
        """Walk the parameter sets of a HEVC decoder, which must state what the box itself states."""
        chroma, luma_bits, chroma_bits = self._data[start + 16 : start + 19]
        stated = chroma & 3, 8 + (luma_bits & 7), 8 + (chroma_bits & 7)
        place, sizes = start + 23, set[tuple[int, int]]()
        for _ in range(self._data[start + 22]):
            kind, units, place = self._data[place] & 63, self._number(place + 1, 2), place + 3
            for _ in range(units):
                self._count()
                size = self._number(place, 2)
                unit = self._data[place + 2 : place + 2 + size]
                place += 2 + size
                if place > stop or kind != unit[0] >> 1 & 63:
                    raise broken("the setup of its decoder is not as it must be")
                if kind == hevc.SEQUENCE:
                    found = hevc.sequence(unit)
                    sizes.add((found.width, found.height))
                    if stated != (found.chroma, found.luma_bits, found.chroma_bits):
                        raise broken("its depth is stated in two ways")
        if place != stop or len(sizes) != 1:
            raise broken("the setup of its decoder is not as it must be")
        self._setups[number] = ((self._data[start + 21] & 3) + 1, *sizes.pop())

    def _associations(self, start: int, stop: int, properties: int, items: dict[int, bytes]) -> None:
        version, flags = self._data[start], self._data[start + 3]
        wide, place, read = 4 if version else 2, start + 8, 0
        for _ in range(self._number(start + 4, 4)):
            self._count()
            item, count, place = self._number(place, wide), self._data[place + wide], place + wide + 1
            if item not in items:
                raise broken("a property belongs to no item")
            for _ in range(count):
                index = self._number(place, 2) & 0x7FFF if flags & 1 else self._data[place] & 0x7F
                place += 2 if flags & 1 else 1
                if index > properties:
                    raise broken("a property is missing")
                read += self._bytes.get(index, 0)  # libheif reads a profile once for each item that uses it
                self._limits.allow_metadata(read)
                self._uses.setdefault(item, []).append(index)
        if place != stop:
            raise broken("its properties are not as they must be")

    def _agree(self) -> None:
        """Check that each coded picture has the size that is stated of it, but for what fills its last blocks."""
        for uses in self._uses.values():
            setups = [self._setups[each][1:] for each in uses if each in self._setups]
            sizes = [self._sizes[each] for each in uses if each in self._sizes]
            if setups and len(sizes) != 1:
                raise broken("its size is not stated once")
            for (coded_wide, coded_high), (wide, high) in zip(setups, sizes, strict=False):
                if not (wide <= coded_wide < wide + _BLOCK and high <= coded_high < high + _BLOCK):
                    raise broken("its size is stated in two ways")

    def _units(self, start: int, stop: int, size: int) -> None:
        """Check that a coded picture holds no parameter sets, which could state something else again."""
        while start < stop:
            self._count()
            if self._data[start + size] >> 1 & 63 in hevc.PARAMETER_SETS:
                raise broken("its depth is stated in two ways")
            start += size + self._number(start, size)
        if start != stop:
            raise broken("a coded picture is cut off")

    def _locations(self, start: int, stop: int, items: dict[int, bytes], idat_start: int, idat_stop: int) -> None:
        """Check that what belongs to each item is within the file, or within the box for small ones."""
        version, sizes = self._data[start], self._number(start + 4, 2)
        offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        index = index if version else 0
        if version > 2 or not {offset, length, base, index} <= {0, 4, 8}:
            raise broken("it does not tell where its items are")
        wide = 4 if version == 2 else 2
        count, place, left = self._number(start + 6, wide), start + 6 + wide, len(self._data)
        for _ in range(count):
            item, place = self._number(place, wide), place + wide
            method = self._number(place, 2) & 15 if version else 0
            place += 4 if version else 2
            first, place = self._number(place, base), place + base
            extents, place = self._number(place, 2), place + 2
            setup = next((self._setups[each] for each in self._uses.get(item, ()) if each in self._setups), None)
            coded = items.get(item) == b"hvc1"
            grid = items.get(item) == b"grid"
            if (
                item not in items
                or method > 1
                or (coded and (setup is None or method))
                or (coded | grid and extents != 1)
            ):
                raise broken("it does not tell where an item is")
            for _ in range(extents):
                self._count()
                place += index
                at = first + self._number(place, offset)
                end, place = at + self._number(place + offset, length), place + offset + length
                left -= end - at
                if end > (idat_stop - idat_start if method else len(self._data)) or left < 0:
                    raise broken("items are outside of the file, or share their bytes")
                if grid:
                    self._layouts[item] = (
                        self._data[at + idat_start : end + idat_start] if method else self._data[at:end]
                    )
                if coded and setup:
                    self._units(at, end, setup[0])
        if place != stop:
            raise broken("it does not tell where its items are")

    def _references(self, start: int, stop: int, items: dict[int, bytes]) -> None:
        wide = 4 if self._data[start] else 2
        for kind, body, end in self._boxes(start + 4, stop):
            count, place = self._number(body + wide, 2), body + wide + 2
            numbers = [self._number(body, wide), *(self._number(place + wide * each, wide) for each in range(count))]
            if place + wide * count != end or not items.keys() >= set(numbers):
                raise broken("an item refers to none")
            if kind == b"dimg":
                self._tiles.setdefault(numbers[0], []).extend(numbers[1:])

    def _grid(self, number: int, items: dict[int, bytes]) -> None:
        """Check that a grid is as large as it is stated, and that its tiles are coded pictures that just cover it."""
        layout, tiles = self._layouts.get(number, b""), self._tiles.get(number, [])
        columns, rows = layout[3] + 1, layout[2] + 1
        wide, high = struct.unpack_from(">II" if layout[1] & 1 else ">HH", layout, 4)
        sizes = {self._size_of(each) for each in tiles if items[each] == b"hvc1"}
        if self._size_of(number) != (wide, high) or len(tiles) != columns * rows or len(sizes) != 1:
            raise broken("its grid is not as it must be")
        ((tile_wide, tile_high),) = sizes
        if not (
            all(items[each] == b"hvc1" for each in tiles)
            and (columns - 1) * tile_wide < wide <= columns * tile_wide
            and (rows - 1) * tile_high < high <= rows * tile_high
        ):
            raise broken("its tiles do not cover it")

    def _size_of(self, number: int) -> tuple[int, int]:
        """Return the one size that is stated of an item, or of none."""
        sizes = [self._sizes[each] for each in self._uses.get(number, ()) if each in self._sizes]
        return sizes[0] if len(sizes) == 1 else (0, 0)
