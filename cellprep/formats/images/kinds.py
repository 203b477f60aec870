"""Kinds of files by magic bytes, so that errors can name a file's format regardless of its extension."""

#: Number of bytes that are examined.
HEAD = 512

# Offset, bytes, name: the first match wins.
_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (8, b"WEBP", "WebP"),
    (0, b"BM", "BMP"),
    (0, b"\x93NUMPY", "NPY"),
    (0, b"PK\x03\x04", "NPZ"),
    (0, b"PK\x05\x06", "NPZ"),
    (0, b"ZISRAWFILE", "Zeiss CZI"),
    (0, b"\xda\xce\xbe\x0a", "Nikon ND2"),
    (0, b"\x0e\x03\x13\x01", "HDF4"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5 (such as Imaris IMS, ilastik, BigDataViewer)"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "OLE container (such as Olympus OIB, Zeiss ZVI)"),
    (0, b"p\x00\x00\x00", "Leica LIF"),
    (128, b"DICM", "DICOM"),
    (96, b"\xa0\xc0", "DeltaVision"),
    (96, b"\xc0\xa0", "DeltaVision"),
    (208, b"MAP ", "MRC"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"NRRD000", "NRRD"),
    (344, b"n+1\x00", "NIfTI"),
    (0, b"GIF8", "GIF"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n", "JPEG XL"),
    (4, b"jP  \r\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyp", "video"),
    (8, b"AVI ", "video"),
    (0, b"8BPS", "Photoshop PSD"),
    (0, b"gimp xcf", "GIMP XCF"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"%PDF", "PDF"),
    (0, b"MATLAB 5.0", "MATLAB"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"Rar!", "RAR"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"version https://git-lfs", "pointer of Git LFS"),
)
_TEXTS = ((b"<svg", "SVG"), (b"<!DOCTYPE html", "web page"), (b"<html", "web page"), (b"<OME", "OME-XML"))
_STEPS = {
    "gzip": "unpack it",
    "RAR": "unpack it",
    "7z": "unpack it",
    "video": "export one frame as TIFF",
    "PDF": "export it as TIFF or PNG",
    "pointer of Git LFS": "fetch the file itself with `git lfs pull`",
    "web page": "download the image itself",
}


def kind_of(head: bytes) -> str:
    r"""Return the kind of a file; an empty string if it is unknown.

    Parameters
    ----------
    head
        Its first `HEAD` bytes.

    Examples
    --------
    >>> kind_of(b"ZISRAWFILE"), kind_of(b"hello")
    ('Zeiss CZI', '')
    """
    for offset, magic, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind
    if head[:1] == b"P" and head[1:2].isdigit() and head[2:3].isspace():
        return "Netpbm"
    return next((kind for start, kind in _TEXTS if start in head[:256]), "")


def unreadable_problem(kind: str) -> str:
    """Describe a kind of file that cannot be read, with a remedy.

    Examples
    --------
    >>> unreadable_problem("DICOM")
    'it has the format DICOM, which cannot be read: export it as OME-TIFF, for example with Fiji or bfconvert'
    """
    step = _STEPS.get(kind, "export it as OME-TIFF, for example with Fiji or bfconvert")
    if kind in ("GIF", "HEIC", "AVIF", "JPEG XL", "JPEG XR", "Photoshop PSD", "GIMP XCF", "SVG", "Netpbm"):
        step = "save it as PNG or TIFF"
    return f"it has the format {kind}, which cannot be read: {step}"
