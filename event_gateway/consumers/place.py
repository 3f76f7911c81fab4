"""The place of a consumer: a floor, and runs of settled positions above it.

Owns their arithmetic and their form on disk. Called by the machine. Never
knows what an event is.
"""

import bisect


class Place:
    """Everything in (0, `floor`] and in the runs (after, upto] above it is settled.

    Args:
        floor: Position, 0 or more.
        runs: Disjoint, rising and above *floor*.
    """

    def __init__(self, floor: int, runs: list[tuple[int, int]] | None = None) -> None:
        self.floor = floor
        self._afters = [after for after, _ in runs or ()]
        self._uptos = [upto for _, upto in runs or ()]

    @property
    def runs(self) -> list[tuple[int, int]]:
        """The runs above the floor."""
        return list(zip(self._afters, self._uptos, strict=True))

    def covers(self, position: int) -> bool:
        """Whether *position* is settled."""
        if position <= self.floor:
            return True
        index = bisect.bisect_left(self._uptos, position)
        return index < len(self._uptos) and self._afters[index] < position

    def unsettled(self, upto: int) -> int:
        """Returns how many positions up to *upto* are not settled."""
        settled = sum(max(min(end, upto) - after, 0) for after, end in self.runs)
        return max(upto - self.floor, 0) - settled

    def cover(self, after: int, upto: int) -> None:
        """Takes (*after*, *upto*] as settled; the floor rises as far as it can."""
        first = bisect.bisect_left(self._uptos, after)
        last = bisect.bisect_right(self._afters, upto)
        if first < last:
            after = min(after, self._afters[first])
            upto = max(upto, self._uptos[last - 1])
        self._afters[first:last] = [after]
        self._uptos[first:last] = [upto]
        self.raise_to(self.floor)

    def raise_to(self, floor: int) -> None:
        """Takes everything up to *floor* as settled."""
        self.floor = max(self.floor, floor)
        gone = 0
        while gone < len(self._afters) and self._afters[gone] <= self.floor:
            self.floor = max(self.floor, self._uptos[gone])
            gone += 1
        if gone:
            del self._afters[:gone]
            del self._uptos[:gone]

    def encode(self) -> bytes:
        """Returns the runs as they are stored: lengths of gaps and runs, in turn."""
        out = bytearray()
        at = self.floor
        for after, upto in zip(self._afters, self._uptos, strict=True):
            for value in (after - at, upto - after):
                while value > 0x7F:
                    out.append(value & 0x7F | 0x80)
                    value >>= 7
                out.append(value)
            at = upto
        return bytes(out)


def decode(floor: int, data: bytes) -> Place:
    """Returns the place of *floor* and of what `encode` returned."""
    values: list[int] = []
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value)
            value = shift = 0
    runs: list[tuple[int, int]] = []
    at = floor
    for gap, length in zip(values[::2], values[1::2], strict=True):
        runs.append((at + gap, at + gap + length))
        at += gap + length
    return Place(floor, runs)
