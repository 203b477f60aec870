"""Damaging bytes: small changes, truncation, and numbers at their limits; and JSON with replaced values."""

import json
import random
from typing import Any

__all__ = ["mutate", "mutate_json"]

_WORDS = [
    b"-1", b"0", b"4294967296", b"9223372036854775808", b"100000", b"1e309", b"NaN", b"null", b"\x00", b"\xff\xfe",
    b'"', b",", b"\n", b"\r", b"[" * 3000, b"{", b"../../x", b"\x1b[2J", b"<script>", "\u202e".encode(),
    "\u00e9".encode("latin1"), b"9" * 400,
]  # fmt: skip

# Placeholder for values that `json` does not write.
_RAW = {"@huge": "9" * 4301, "@infinite": "1e400", "@deep": "[" * 5000 + "]" * 5000}

_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 7, 64, 2**16, 2**31, 2**32, 2**63, 10**18, 0.5, -0.0, 1e-320, 1e308,
    float("nan"), float("inf"), "", "0", "NaN", "Infinity", "x" * 70_000, "\x00", "\x1b[2J", "..", "/", "a/b", [], {},
    [[]], [{}], [0], [1, 1], [1, 1, 1], [2**40, 2**40], [-1, 4], ["y", "x"], *_RAW,
    "uint8", "uint64", "int32", "bool", "float16", "float32", "complex128", "string", "r8", "|b1", "<f4", ">u2", "|O",
    "<U4", "|V8", "<M8[ns]", [["a", "<i4"]],
    "C", "F", "little", "big", "start", "end", "default", "v2", ".", "group", "array",
    *({"id": name} for name in ("zlib", "zstd", "blosc", "lz4", "pickle", "vlen-utf8", "json2", "delta", "fletcher32")),
    {"id": "delta", "dtype": "<i4"}, {"id": "blosc", "cname": "zstd", "clevel": 5, "shuffle": 2, "blocksize": 2**31},
    {"name": "gzip", "configuration": {"level": 5}}, {"name": "zstd", "configuration": {"level": 0, "checksum": True}},
    {"name": "transpose", "configuration": {"order": [1, 0]}}, {"name": "numcodecs.lz4"}, {"name": "crc32c"},
    {"name": "blosc",
     "configuration": {"cname": "lz4", "clevel": 1, "shuffle": "bitshuffle", "typesize": 4, "blocksize": 0}},
    {"name": "bytes", "configuration": {"endian": "big"}}, {"name": "bytes"}, {"name": "vlen-utf8"},
    {"name": "sharding_indexed", "configuration": {"chunk_shape": [2, 2], "codecs": [{"name": "bytes"}],
                                                   "index_codecs": [{"name": "bytes"}, {"name": "crc32c"}]}},
]  # fmt: skip


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return content with one to eight changes."""
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


def mutate_json(content: bytes, rng: random.Random) -> bytes:
    """Return a file's path, a zero byte and its JSON with one to three values replaced.

    Other content, and one in ten of these, is changed as in `mutate`.
    """
    path, _, text = content.partition(b"\0")
    try:
        document = [json.loads(text)]
    except ValueError:
        return path + b"\0" + mutate(text, rng)
    if rng.random() < 0.1:
        return path + b"\0" + mutate(text, rng)
    for _ in range(rng.choice((1, 1, 2, 3))):
        _exchange(document, rng)
    text = json.dumps(document[0] if document else None, indent=2).encode()
    for name, raw in _RAW.items():
        text = text.replace(f'"{name}"'.encode(), raw.encode())
    return path + b"\0" + text


def _exchange(document: Any, rng: random.Random) -> None:
    """Replace one value in a document by another, by one from elsewhere in it, or by none."""
    places = list(_places(document))
    if not places:
        return
    (within, key), (other, its_key) = rng.choice(places), rng.choice(places)
    kind = rng.randrange(8)
    if kind == 0:
        del within[key]
    elif kind == 1:
        within[key] = json.loads(json.dumps(other[its_key]))
    elif kind == 2 and isinstance(within, list):
        within.insert(key, json.loads(json.dumps(rng.choice(_VALUES))))
    elif kind == 3 and isinstance(within, dict):
        within[rng.choice(("", "x", "codecs", "filters", "fill_value", "\x1b[2J"))] = rng.choice(_VALUES)
    elif kind == 4 and type(within[key]) in (int, float):
        within[key] = within[key] * rng.choice((2, -1, 10**6)) + rng.choice((0, 1))
    else:
        within[key] = json.loads(json.dumps(rng.choice(_VALUES)))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return each list or object within a value with each of its indices or keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *_places(value[key]))]
