"""Small files of microscopes, written by hand for what the libraries read; CZI by the library of its vendor."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

__all__ = ["write_czi", "write_lif", "write_nd2"]

_TAGS = {bool: "bool", int: "lx_uint32", float: "double", str: "CLxStringW"}


def write_nd2(
    path: Path,
    stack: NDArray[np.uint16],
    channels: Sequence[str],
    positions: Sequence[str],
    side: float | None = None,
) -> None:
    """Write a file of version 3: (P, T, Z, C, Y, X), one frame of all channels for each position, time and z."""
    shape = dict(zip("PTZCYX", stack.shape, strict=True))
    attributes = {
        "uiBpcInMemory": 16, "uiBpcSignificant": 16, "uiComp": shape["C"], "uiHeight": shape["Y"],
        "uiWidth": shape["X"], "uiWidthBytes": 2 * shape["C"] * shape["X"], "eCompression": 2,
        "uiSequenceCount": shape["P"] * shape["T"] * shape["Z"],
    }  # fmt: skip
    planes = {
        f"a{k}": {
            "sDescription": name, "uiCompCount": 1, "uiSampleIndex": k,
            "pFluorescentProbe": {"m_EmissionSpectrum": {"uiCount": 0}},
        }
        for k, name in enumerate(channels)
    }  # fmt: skip
    metadata = {
        "bCalibrated": side is not None, "dCalibration": side or 1.0,
        "sPicturePlanes": {"uiCount": len(channels), "sPlaneNew": planes},
    }  # fmt: skip
    points = {f"i{k:010}": {"dPosX": 0.0, "dPosY": 0.0, "dPosName": name} for k, name in enumerate(positions)}
    z = {"eType": 4, "uLoopPars": {"uiCount": shape["Z"], "dZStep": 0.5}}
    time = {
        "eType": 1, "uLoopPars": {"uiCount": shape["T"], "dStart": 0.0, "dPeriod": 1.0, "dDuration": 1.0},
        "ppNextLevelEx": {"i0000000000": z},
    }  # fmt: skip
    loops = {"eType": 2, "uLoopPars": {"Points": points}, "ppNextLevelEx": {"i0000000000": time}}
    frames = np.moveaxis(stack, 3, -1).reshape(-1, shape["Y"], shape["X"], shape["C"])
    chunks = {
        "ImageAttributesLV!": _variant({"SLxImageAttributes": attributes}),
        "ImageMetadataSeqLV|0!": _variant({"SLxPictureMetadata": metadata}),
        "ImageMetadataLV!": _variant({"SLxExperiment": loops}),
        **{f"ImageDataSeq|{k}!": b"\0" * 8 + frame.tobytes() for k, frame in enumerate(frames)},
    }
    signature, file_map = b"ND2 CHUNK MAP SIGNATURE 0000001!", b"ND2 FILEMAP SIGNATURE NAME 0001!"
    content = _chunk(b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0".ljust(64, b"\0"), 32)
    listed = b""
    for name, data in chunks.items():
        listed += name.encode() + struct.pack("<QQ", len(content), len(data))
        content += _chunk(name.encode(), data, 4072)  # values begin 4096 bytes behind the start of a chunk
    content_map = _chunk(file_map, listed + signature + struct.pack("<QQ", len(content), 0), 32)
    path.write_bytes(content + content_map + signature + struct.pack("<Q", len(content)))


def _chunk(name: bytes, data: bytes, reserve: int) -> bytes:
    return struct.pack("<IIQ", 0x0ABECEDA, reserve, len(data)) + name.ljust(reserve, b"\0") + data


def _variant(values: Mapping[str, Any]) -> bytes:
    return f'<?xml version="1.0"?><variant version="1.0">{_elements(values)}</variant>'.encode()


def _elements(values: Mapping[str, Any]) -> str:
    return "".join(
        f'<{name} runtype="CLxListVariant">{_elements(value)}</{name}>'
        if isinstance(value, Mapping)
        else f'<{name} runtype="{_TAGS[type(value)]}" value={quoteattr(str(value))}/>'
        for name, value in values.items()
    )


def write_lif(path: Path, images: Mapping[str, NDArray[Any]], side: float | None = None) -> None:
    """Write a file of version 2 of images (T, Z, C, Y, X), each channel of a z plane after the other."""
    elements, blocks = [], []
    for number, (name, image) in enumerate(images.items()):
        times, depth, channels, height, width = image.shape
        size, bits = image.dtype.itemsize, 8 * image.dtype.itemsize
        steps = (  # of the format's dimensions: identifier, length, bytes from one to the next
            (1, width, size), (2, height, size * width), (3, depth, size * width * height * channels),
            (4, times, size * width * height * channels * depth),
        )  # fmt: skip
        dimensions = "".join(
            f'<DimensionDescription DimID="{id_}" NumberOfElements="{length}" Origin="0" '
            f'Length="{(side or 0) * 1e-6 * (length - 1) if id_ < 3 else length - 1:.9g}" Unit="m" BitInc="0" '
            f'BytesInc="{step}"/>'
            for id_, length, step in steps
        )
        described = "".join(
            f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="{bits}" NameOfMeasuredQuantity="" Min="0" '
            f'Max="1" Unit="" LUTName="Gray" IsLUTInverted="0" BytesInc="{k * size * width * height}" BitInc="0"/>'
            for k in range(channels)
        )
        elements.append(
            f"<Element Name={quoteattr(name)} UniqueID='{number}'><Data><Image><ImageDescription><Channels>{described}"
            f"</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
            f'<Memory Size="{image.nbytes}" MemoryBlockID="MemBlock_{number}"/></Element>'
        )
        identifier = f"MemBlock_{number}".encode("utf-16-le")
        head = struct.pack("<IIBQBI", 0x70, len(identifier) + 14, 0x2A, image.nbytes, 0x2A, len(identifier) // 2)
        blocks.append(head + identifier + image.tobytes())
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="project" UniqueID="p"><Children>'
        f"{''.join(elements)}</Children></Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    path.write_bytes(struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml + b"".join(blocks))


def write_czi(
    path: Path,
    scenes: Sequence[NDArray[Any]],
    channels: Sequence[str],
    side: float | None = None,
    tile: int = 1000,
    compression: str = "uncompressed:",
) -> None:
    """Write scenes (T, Z, C, Y, X) side by side, in tiles of a number of columns; colours are (T, Z, 1, Y, X, 3)."""
    from pylibCZIrw.czi import create_czi

    path.unlink(missing_ok=True)
    with create_czi(str(path), compression_options=compression) as document:
        for number, scene in enumerate(scenes):
            for time, depth, channel in np.ndindex(*scene.shape[:3]):
                plane = scene[time, depth, channel]
                plane = plane[..., ::-1] if plane.ndim == 3 else plane  # colours are blue, green, red
                for left in range(0, plane.shape[1], tile):
                    document.write(
                        np.ascontiguousarray(plane[:, left : left + tile]),
                        plane={"T": time, "Z": depth, "C": channel},
                        scene=number,
                        location=(1000 * number + left, 7),
                    )
        lengths = {} if side is None else {"scale_x": side * 1e-6, "scale_y": side * 1e-6}
        document.write_metadata(channel_names=dict(enumerate(channels)), **lengths)
