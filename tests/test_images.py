import hashlib
import itertools
import os
import struct
from dataclasses import replace

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from cellprep.errors import ImageFileError
from cellprep.formats.images.file import ImageFile
from cellprep.formats.images.folder import ImageFolder
from cellprep.formats.images.planes import StackOptions
from fuzz import tiffs

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8), dtype=np.uint8)
RGB = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (6, 8, 3), dtype=np.uint16)
ALPHA = np.full((6, 8, 1), 255, np.uint8)


def decode(path):
    return ImageFile(path).decode()


def test_reads_png(tmp_path):
    for name, pixels, expected in [
        ("grey", GREY, GREY),
        ("rgb", RGB, np.moveaxis(RGB, 2, 0)),
        ("rgba", np.concatenate([RGB, ALPHA], 2), np.moveaxis(RGB, 2, 0)),
        ("grey as rgb", np.repeat(GREY[..., None], 3, 2), GREY),
        ("grey as rgba", np.concatenate([np.repeat(GREY[..., None], 3, 2), ALPHA // 2], 2), GREY),
        ("grey and alpha", np.concatenate([GREY[..., None], ALPHA], 2), GREY),
    ]:
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(decode(tmp_path / f"{name}.png"), expected, err_msg=name)


def test_reads_png_of_16_bits(tmp_path):
    cv2.imwrite(str(tmp_path / "rgb.png"), DEEP[..., ::-1])
    cv2.imwrite(str(tmp_path / "grey.PNG"), DEEP[..., 0])
    np.testing.assert_array_equal(decode(tmp_path / "rgb.png"), np.moveaxis(DEEP, 2, 0))
    grey = decode(tmp_path / "grey.PNG")
    assert grey.dtype == np.uint16
    np.testing.assert_array_equal(grey, DEEP[..., 0])


def test_reads_palette_png(tmp_path):
    Image.fromarray(GREY // 128).convert("P").save(tmp_path / "palette.png")
    assert decode(tmp_path / "palette.png").shape == (6, 8)


def test_reads_jpeg(tmp_path):
    smooth = np.full((16, 24, 3), (200, 120, 40), np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg")
    Image.fromarray(smooth[..., 0]).save(tmp_path / "b.jpeg")
    assert decode(tmp_path / "a.jpg").shape == (3, 16, 24)
    assert np.abs(decode(tmp_path / "a.jpg").mean(axis=(1, 2)) - (200, 120, 40)).max() < 3
    assert decode(tmp_path / "b.jpeg").shape == (16, 24)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", ">u2", ">f4"])
def test_reads_tiff_in_its_own_dtype(tmp_path, dtype):
    pixels = GREY.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, byteorder=">" if dtype[0] == ">" else "<")
    read = decode(tmp_path / "a.tif")
    assert read.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(read, pixels)


def test_reads_tiff_channels(tmp_path):
    tifffile.imwrite(tmp_path / "rgb.tif", RGB, photometric="rgb")
    tifffile.imwrite(tmp_path / "planes.tiff", np.moveaxis(DEEP, 2, 0), metadata={"axes": "CYX"}, imagej=True)
    np.testing.assert_array_equal(decode(tmp_path / "rgb.tif"), np.moveaxis(RGB, 2, 0))
    np.testing.assert_array_equal(decode(tmp_path / "planes.tiff"), np.moveaxis(DEEP, 2, 0))


def test_reads_compressed_tiff(tmp_path):
    tifffile.imwrite(tmp_path / "deflate.tif", GREY, compression="zlib")
    cv2.imwrite(str(tmp_path / "lzw.tif"), RGB[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    np.testing.assert_array_equal(decode(tmp_path / "deflate.tif"), GREY)
    np.testing.assert_array_equal(decode(tmp_path / "lzw.tif"), np.moveaxis(RGB, 2, 0))


def test_samples_of_a_tiff_are_channels_unless_they_are_alpha(tmp_path):
    four = RNG.integers(0, 256, (6, 8, 4), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "two.tif", four[..., :2], photometric="minisblack", planarconfig="contig")
    tifffile.imwrite(tmp_path / "four.tif", four, photometric="rgb", extrasamples=["unspecified"])
    tifffile.imwrite(tmp_path / "alpha.tif", four, photometric="rgb", extrasamples=["unassalpha"])
    planes = np.concatenate([np.repeat(GREY[None], 3, 0), four[None, ..., 3]])
    tifffile.imwrite(tmp_path / "grey.tif", planes, photometric="rgb", planarconfig="separate", extrasamples=[1])
    np.testing.assert_array_equal(decode(tmp_path / "two.tif"), np.moveaxis(four[..., :2], 2, 0))
    np.testing.assert_array_equal(decode(tmp_path / "four.tif"), np.moveaxis(four, 2, 0))
    np.testing.assert_array_equal(decode(tmp_path / "alpha.tif"), np.moveaxis(four[..., :3], 2, 0))
    np.testing.assert_array_equal(decode(tmp_path / "grey.tif"), GREY)


def test_refuses_colours_that_are_neither_grey_nor_rgb(tmp_path):
    tifffile.imwrite(tmp_path / "cmyk.tif", np.zeros((6, 8, 4), np.uint8), photometric="separated")
    tifffile.imwrite(tmp_path / "ycbcr.tif", RGB, photometric="ycbcr", subsampling=(1, 1))
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "cmyk.jpg")
    for name, colour in (("cmyk.tif", "separated"), ("ycbcr.tif", "ycbcr without JPEG"), ("cmyk.jpg", "CMYK")):
        with pytest.raises(ImageFileError, match=rf"{name}: its colours are {colour}: "):
            decode(tmp_path / name)


def test_a_palette_stands_for_colours(tmp_path):
    colours = RNG.integers(0, 2**16, (3, 256), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="palette", colormap=colours)
    tifffile.imwrite(tmp_path / "fiji.tif", GREY, photometric="palette", colormap=np.tile(np.arange(256) * 257, (3, 1)))
    image = Image.fromarray(GREY)
    image.putpalette((colours // 256).astype(np.uint8).T.tobytes())
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "a.bmp")
    for name in ("a.tif", "a.png", "a.bmp"):
        np.testing.assert_array_equal(decode(tmp_path / name), (colours // 256).astype(np.uint8)[:, GREY])
    np.testing.assert_array_equal(decode(tmp_path / "fiji.tif"), GREY)


def test_refuses_stacks_of_any_compression(tmp_path):
    pages = [Image.fromarray(page) for page in (GREY, GREY + 1, GREY + 2)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    with pytest.raises(ImageFileError, match=r"it is a stack \(I 3 x Y 6 x X 8\)"):
        decode(tmp_path / "a.tif")
    pages[0].save(tmp_path / "a.png", save_all=True, append_images=pages[1:])
    with pytest.raises(ImageFileError, match="it is a stack of 3 images: one is expected"):
        decode(tmp_path / "a.png")


def test_channels_that_are_equal_by_chance_stay(tmp_path):
    tifffile.imwrite(tmp_path / "two.tif", np.zeros((2, 6, 8), np.uint8), metadata={"axes": "CYX"}, imagej=True)
    tifffile.imwrite(tmp_path / "three.tif", np.zeros((3, 6, 8), np.uint8), metadata={"axes": "CYX"}, imagej=True)
    assert decode(tmp_path / "two.tif").shape == (2, 6, 8)
    assert decode(tmp_path / "three.tif").shape == (3, 6, 8)


def test_a_name_must_not_lie(tmp_path):
    tifffile.imwrite(tmp_path / "a.png", GREY)
    with pytest.raises(ImageFileError, match="it is a TIFF file with the extension of PNG: rename it"):
        decode(tmp_path / "a.png")


def test_bits_are_black_and_white(tmp_path):
    bits = GREY > 100
    for name in ("a.png", "a.bmp", "a.tif"):
        Image.fromarray(bits).save(tmp_path / name)
    np.save(tmp_path / "a.npy", bits)
    tifffile.imwrite(tmp_path / "white.tif", ~bits, photometric="miniswhite")
    for name in ("a.png", "a.bmp", "a.tif", "a.npy", "white.tif"):
        np.testing.assert_array_equal(decode(tmp_path / name), bits * np.uint8(255), err_msg=name)


def test_axes_without_names(tmp_path):
    rgb, two = RGB.repeat(2, 0), DEEP[..., :2].repeat(2, 0)
    np.save(tmp_path / "a.npy", rgb)
    np.savez(tmp_path / "a.npz", image=GREY)
    tifffile.imwrite(tmp_path / "two.tif", np.moveaxis(two, 2, 0))
    tifffile.imwrite(tmp_path / "one.tif", GREY[None, ..., None])
    np.testing.assert_array_equal(decode(tmp_path / "a.npy"), np.moveaxis(rgb, 2, 0))
    np.testing.assert_array_equal(decode(tmp_path / "two.tif"), np.moveaxis(two, 2, 0))
    np.testing.assert_array_equal(decode(tmp_path / "one.tif"), GREY)
    np.testing.assert_array_equal(decode(tmp_path / "a.npz"), GREY)
    np.savez(tmp_path / "a.npz", image=GREY, mask=GREY)
    with pytest.raises(ImageFileError, match=r"a\.npz: it contains 2 arrays \(image, mask\): one is expected"):
        decode(tmp_path / "a.npz")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_pictures_are_turned_as_viewers_do(tmp_path, name, orientation):
    smooth = np.add.outer(np.arange(16) * 6, np.arange(24) * 4).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.stack([smooth, smooth // 2, smooth // 3], 2)).save(tmp_path / name, exif=exif, quality=95)
    with Image.open(tmp_path / name) as image:
        turned = ImageOps.exif_transpose(image)
        raw = tifffile.imread(tmp_path / name) if name == "a.tif" else np.asarray(image)  # Pillow turns TIFF by itself
        stored, shown = (np.moveaxis(one, 2, 0) for one in (raw, np.asarray(turned)))
    file = ImageFile(tmp_path / name)
    assert file.tag() == orientation
    np.testing.assert_array_equal(file.decode(), shown)
    np.testing.assert_array_equal(replace(file, orientation="ignore").decode(), stored)
    np.testing.assert_array_equal(file.decode((16, 24)), stored if orientation >= 5 else shown)
    np.testing.assert_array_equal(replace(file, orientation="apply").decode((16, 24)), shown)


def test_only_what_is_read_otherwise_than_before_has_another_hash(tmp_path):
    files = {}

    def write(name, pixels, **options):
        tifffile.imwrite(tmp_path / name, pixels, **options)
        files[name] = ImageFile(tmp_path / name)

    write("plain", GREY)
    for name, pixels, options in [
        ("grey", GREY, {}),
        ("deflate", GREY, {"compression": "zlib", "predictor": True}),
        ("lzw", GREY, {"compression": "lzw", "predictor": True}),
        ("lzw-rgb", RGB, {"compression": "lzw", "photometric": "rgb"}),
        ("jpeg", RGB.repeat(4, 0).repeat(4, 1), {"compression": "jpeg", "photometric": "rgb"}),
    ]:
        write(f"{name}.tif", pixels, **options)
        assert files[f"{name}.tif"].sha256() == hashlib.sha256((tmp_path / f"{name}.tif").read_bytes()).hexdigest()
    for name, pixels, options in [
        ("lzw-channels", RGB, {"compression": "lzw", "photometric": "minisblack", "planarconfig": "contig"}),
        ("planes", np.moveaxis(DEEP, 2, 0), {"compression": "lzw", "photometric": "rgb", "planarconfig": "separate"}),
        ("white", GREY, {"photometric": "miniswhite"}),
        ("turned", GREY, {"extratags": [(274, "H", 1, 3, True)]}),
        ("jpeg2000", GREY.repeat(4, 0).repeat(4, 1), {"compression": "jpeg2000"}),
    ]:
        write(f"{name}.tif", pixels, **options)
        assert files[f"{name}.tif"].sha256() != hashlib.sha256((tmp_path / f"{name}.tif").read_bytes()).hexdigest()
    assert replace(files["grey.tif"], orientation="ignore").sha256() == files["grey.tif"].sha256()
    assert replace(files["turned.tif"], orientation="ignore").sha256() != files["turned.tif"].sha256()
    assert replace(files["grey.tif"], keep_channels=True).sha256() != files["grey.tif"].sha256()


def test_grey_with_alpha_is_one_channel_even_if_channels_are_kept(tmp_path):
    Image.fromarray(np.dstack([GREY, GREY * 3])).save(tmp_path / "a.png")
    deep = np.dstack([DEEP[..., 0]] * 3 + [DEEP[..., 1]])
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    for keep in (False, True):
        file = ImageFile(tmp_path / "a.png", keep_channels=keep)
        np.testing.assert_array_equal(file.decode(), GREY)
    assert ImageFile(tmp_path / "a.png").sha256() == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    assert ImageFile(tmp_path / "deep.png", keep_channels=True).decode().shape == (3, 6, 8)  # stored as RGBA


def test_grey_stored_as_rgb_keeps_its_channels_if_asked(tmp_path):
    Image.fromarray(np.repeat(GREY[..., None], 3, 2)).save(tmp_path / "a.png")
    assert ImageFile(tmp_path / "a.png", keep_channels=True).decode().shape == (3, 6, 8)


def test_every_nth_kind_of_tiff_is_read_as_it_was_meant(tmp_path):
    wrong = {}
    for kind in itertools.islice(tiffs.kinds(), 0, None, 61):
        path = tmp_path / "a.tif"
        path.unlink(missing_ok=True)
        if told := tiffs.problem(path, kind):
            wrong[kind] = told
    assert not wrong


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "jpeg", "jpeg2000", "jpegxl", "webp", "png", "lerc"])
def test_damaged_and_missing_strips_are_no_zeros(tmp_path, compression):
    path, pixels = tmp_path / "a.tif", np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    pixels = pixels if compression != "webp" else np.stack([pixels] * 3, 2)
    tifffile.imwrite(path, pixels, compression=compression, rowsperstrip=32)
    with tifffile.TiffFile(path) as tiff:
        (_, start), (_, length) = tiff.pages.first.dataoffsets, tiff.pages.first.databytecounts
    content = path.read_bytes()
    for damage in (bytes(length), content[start : start + length // 2] + bytes(length - length // 2)):
        path.write_bytes(content[:start] + damage + content[start + length :])
        with pytest.raises(ImageFileError, match=r"a\.tif: it is damaged: "):
            decode(path)
    path.write_bytes(content)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages.first.tags["StripByteCounts"].overwrite([length, 0])
    with pytest.raises(ImageFileError, match="it is damaged: some of its 2 strips or tiles are missing"):
        decode(path)


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "jpegxl", "jpegxr", "webp", "png", "lerc"])
def test_a_strip_that_claims_more_than_it_is(tmp_path, compression):
    path, big, small = tmp_path / "a.tif", np.zeros((800, 640, 3), np.uint8), np.zeros((16, 16, 3), np.uint8)
    tifffile.imwrite(path, big, compression=compression, rowsperstrip=800, photometric="rgb")
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for name, value in (("ImageWidth", 16), ("ImageLength", 16), ("RowsPerStrip", 16)):
            tiff.pages.first.tags[name].overwrite(value)
    with pytest.raises(ImageFileError, match="a strip or tile of 16 x 16 pixels claims 800 x 640"):
        decode(path)
    tifffile.imwrite(path, small, compression=compression, photometric="rgb")
    assert decode(path).shape == (16, 16)


def test_a_tile_that_claims_more_than_its_image(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tiff:
        for name in ("TileWidth", "TileLength"):
            tiff.pages.first.tags[name].overwrite(2**15)
    with pytest.raises(
        ImageFileError, match="it is damaged: its tiles have 32768 x 32768 pixels, but the image has 6 x 8"
    ):
        decode(tmp_path / "a.tif")


def test_a_tiff_of_endless_pages_is_refused_at_once(tmp_path):
    entry = struct.pack("<HHII", 256, 3, 1, 8)
    pages = b"".join(struct.pack("<H", 1) + entry + struct.pack("<I", 8 + 18 * (k + 1)) for k in range(20_000))
    (tmp_path / "a.tif").write_bytes(b"II*\0\x08\0\0\0" + pages)
    with pytest.raises(ImageFileError, match="it is a stack of more than 10,000 pages"):
        decode(tmp_path / "a.tif")


def test_parts_of_an_ome_tiff_belong_together(tmp_path):
    names = ["a_C0.ome.tif", "a_C1.ome.tif"]
    ids = [f"urn:uuid:0000000{k}-0000-0000-0000-000000000000" for k in range(2)]
    parts = "".join(
        f'<TiffData FirstC="{k}" IFD="0" PlaneCount="1"><UUID FileName="{names[k]}">{ids[k]}</UUID></TiffData>'
        for k in range(2)
    )
    for k in range(2):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{ids[k]}"><Image ID="Image:0">'
            f'<Pixels DimensionOrder="XYCZT" ID="Pixels:0" SizeC="2" SizeT="1" SizeX="8" SizeY="6" SizeZ="1" '
            f'Type="uint8">{parts}</Pixels></Image></OME>'
        )
        tifffile.imwrite(tmp_path / names[k], GREY + k, description=xml, metadata=None)
    file = ImageFile(tmp_path / names[0])
    np.testing.assert_array_equal(file.decode(), [GREY, GREY + 1])
    np.testing.assert_array_equal(replace(file, planes=StackOptions(channel=1)).decode(), GREY + 1)
    before = file.sha256()
    tifffile.imwrite(tmp_path / names[1], GREY)
    assert file.sha256() != before
    (tmp_path / names[1]).unlink()
    with pytest.raises(ImageFileError, match=r"several files, of which a_C1\.ome\.tif is missing"):
        file.decode()
    content = (tmp_path / names[0]).read_bytes()
    (tmp_path / names[0]).write_bytes(content.replace(b"a_C1.ome.tif", b"../C1.ome.ti"))
    with pytest.raises(ImageFileError, match=r"it refers to '\.\./C1\.ome\.ti' as another part"):
        file.decode()


@pytest.mark.parametrize(("samples", "axes"), [(GREY, "YX"), (np.stack([GREY, GREY + 1]), "CYX")])
def test_an_ome_tiff_may_be_renamed_if_it_is_whole(tmp_path, samples, axes):
    channels = len(samples) if axes == "CYX" else 1
    first, last = '<UUID FileName="before.ome.tif">urn:uuid:00000000-0000-0000-0000-000000000000</UUID>', ""
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels DimensionOrder="XYCZT" ID="Pixels:0" SizeC="{{}}" SizeT="1" SizeX="8" SizeY="6" SizeZ="1" '
        f'Type="uint8"><TiffData IFD="0" PlaneCount="{{}}">{first}</TiffData>{last}</Pixels></Image></OME>'
    )
    tifffile.imwrite(tmp_path / "a.tif", samples, description=xml.format(channels, channels), metadata=None)
    file = ImageFile(tmp_path / "a.tif")
    np.testing.assert_array_equal(file.decode(), samples)
    assert file.sha256() == hashlib.sha256((tmp_path / "a.tif").read_bytes()).hexdigest()
    tifffile.imwrite(tmp_path / "b.tif", samples, description=xml.format(channels + 1, channels), metadata=None)
    with pytest.raises(ImageFileError, match=r"several files, of which before\.ome\.tif is missing"):
        decode(tmp_path / "b.tif")


def test_names_the_format_of_what_cannot_be_read(tmp_path):
    for name, content, told in [
        ("a.dcm", b"\0" * 128 + b"DICM", "it has the format DICOM, which cannot be read: export it as OME-TIFF"),
        ("a.tif", b"\xda\xce\xbe\x0a", "it is a Nikon ND2 file with the extension of TIFF: rename it"),
        ("a.png", b"GIF89a", "it has the format GIF, which cannot be read: save it as PNG or TIFF"),
        ("a.jpg", b"%!PS-Adobe-3.0 EPSF-3.0", "it has the format PostScript"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageFileError, match=f"{name}: {told}"):
            decode(tmp_path / name)
    (tmp_path / "b.nrrd").write_bytes(b"NRRD0004")
    with pytest.raises(ImageFileError, match=r"b\.nrrd: it has the format NRRD"):
        ImageFolder(tmp_path).find("b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_waits_for_no_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    for read in (ImageFile.decode, ImageFile.sha256):
        with pytest.raises(ImageFileError, match=r"cannot read .*a\.png: not a regular file but a pipe or a device"):
            read(ImageFile(tmp_path / "a.png"))
        with pytest.raises(ImageFileError, match=r"cannot read .*b\.png: Is a directory"):
            read(ImageFile(tmp_path / "b.png"))


def test_refuses_pictures_too_large_for_their_format(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((60, 80), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    assert decode(tmp_path / "a.png").shape == (60, 80)  # between one and two times the limit Pillow only warns
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageFileError, match=r"more than 178,956,970 pixels: store images of this size as TIFF"):
        decode(tmp_path / "a.png")


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_refuses_stacks(tmp_path, axes):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 6, 8), np.uint8), metadata={"axes": axes}, imagej=True)
    with pytest.raises(ImageFileError, match=rf"a\.tif: it is a stack \({axes[0]} 5 x Y 6 x X 8\)"):
        decode(tmp_path / "a.tif")


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3), (6, 8, 4)], ids=["grey", "RGB", "alpha"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("name", ["a.jp2", "a.j2k"])
def test_reads_jpeg_2000(tmp_path, name, dtype, shape):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    kind = "jp2" if name == "a.jp2" else "j2k"
    content = imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat=kind)
    (tmp_path / name).write_bytes(content)
    expected = pixels if pixels.ndim == 2 else np.moveaxis(pixels[..., :3], 2, 0)
    np.testing.assert_array_equal(decode(tmp_path / name), expected)
    assert decode(tmp_path / name).dtype == dtype
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ImageFileError, match=rf"{name}: it is damaged: it is truncated"):
        decode(tmp_path / name)
    (tmp_path / "a.nd2").write_bytes(content)
    if kind == "jp2":
        with pytest.raises(ImageFileError, match="it is an ND2 file of the old, JPEG 2000-based format"):
            decode(tmp_path / "a.nd2")


def test_refuses_pages_of_different_sizes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY)
        file.write(GREY[:3])
    with pytest.raises(ImageFileError, match=r"it contains 2 scenes \(0, 1\): select one with --scene"):
        decode(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_refuses_truncated_files(tmp_path, name, share):
    path = tmp_path / name
    Image.fromarray(RNG.integers(0, 256, (60, 80), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ImageFileError, match=r"it is damaged|is empty") as caught:
        decode(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_refuses_a_png_with_a_flipped_bit(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(GREY).save(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 20] ^= 4
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match="is damaged"):
        decode(path)


def test_refuses_what_is_no_image(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    (tmp_path / "a.gif").write_text("hello")
    tifffile.imwrite(tmp_path / "complex.tif", GREY.astype(np.complex64))
    with pytest.raises(ImageFileError, match=r"a\.png: it is damaged, or not a PNG"):
        decode(tmp_path / "a.png")
    with pytest.raises(ImageFileError, match=r"its name must end in \.png, \.tif"):
        decode(tmp_path / "a.gif")
    with pytest.raises(ImageFileError, match="it has complex64 values: images have integers or floats"):
        decode(tmp_path / "complex.tif")
    with pytest.raises(ImageFileError, match=r"cannot read .*: No such file"):
        decode(tmp_path / "b.png")


def test_finds_files_by_id(tmp_path):
    for name in ("a.png", "b.TIF", "c.d.jpg", "e.png", "e.tif", "f.txt"):
        (tmp_path / name).touch()
    (tmp_path / "g/images").mkdir(parents=True)
    (tmp_path / "g/images/g.png").touch()
    folder = ImageFolder(tmp_path)
    found = [folder.find(image_id).path.name for image_id in ("a", "b", "c.d", "a.png", "g")]
    assert found == ["a.png", "b.TIF", "c.d.jpg", "a.png", "g.png"]
    assert folder.others({"a", "b.TIF", "e"}) == ["c.d.jpg"]
    with pytest.raises(ImageFileError, match=r"several image files have this id: .*e\.png, .*e\.tif; keep one"):
        folder.find("e")
    with pytest.raises(ImageFileError, match=r"there is no image file f\.\* in"):
        folder.find("f")
    with pytest.raises(ImageFileError, match="cannot read the image folder"):
        ImageFolder(tmp_path / "nowhere")
    with pytest.raises(ImageFileError, match=r"a\.png is a file: give the folder that contains the images"):
        ImageFolder(tmp_path / "a.png")
