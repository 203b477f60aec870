"""Damaging bytes: small changes, cuts, and numbers at their limits."""

import random

__all__ = ["mutate"]

_WORDS = [
    b"-1", b"0", b"4294967296", b"9223372036854775808", b"100000", b"1e309", b"NaN", b"null", b"\x00", b"\xff\xfe",
    b'"', b",", b"\n", b"\r", b"[" * 3000, b"{", b"../../x", b"\x1b[2J", b"<script>", "\u202e".encode(),
    "\u00e9".encode("latin1"), b"9" * 400,
]  # fmt: skip


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return content with one to eight things changed."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        place = rng.randrange(len(data) + 1)
        length = min(len(data) - place, rng.choice((1, 2, 4, 16, 200)))
        kind = rng.randrange(7)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place : place + length] = rng.randbytes(length)
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = rng.choice(_WORDS)
        elif kind == 4:
            data[place : place + length] = rng.choice(_WORDS)
        elif kind == 5:
            data[place:place] = data[place : place + length] * rng.choice((1, 2, 50))
        else:
            del data[place:]
    return bytes(data)
