import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from cellprep.errors import ImageFileError
from cellprep.images import ImageFile, ImageFolder

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
    colours = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "palette.tif", GREY, photometric="palette", colormap=colours)
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "cmyk.jpg")
    for name, colour in (("cmyk.tif", "separated"), ("palette.tif", "palette"), ("cmyk.jpg", "CMYK")):
        with pytest.raises(ImageFileError, match=rf"{name}: its colours are {colour}: grey and RGB can be read"):
            decode(tmp_path / name)


def test_refuses_stacks_of_any_compression(tmp_path):
    pages = [Image.fromarray(page) for page in (GREY, GREY + 1, GREY + 2)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    with pytest.raises(ImageFileError, match=r"it is a stack \(I 3 x Y 6 x X 8\)"):
        decode(tmp_path / "a.tif")
    pages[0].save(tmp_path / "a.png", save_all=True, append_images=pages[1:])
    with pytest.raises(ImageFileError, match="it is a stack of 3 pictures"):
        decode(tmp_path / "a.png")


def test_refuses_pages_that_opencv_would_leave_out(tmp_path, monkeypatch):
    def lacks_codec(series):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(DEEP, 2, 0), metadata={"axes": "CYX"}, imagej=True)
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", lacks_codec)
    with pytest.raises(ImageFileError, match="its compression, NONE, needs imagecodecs: pip install imagecodecs"):
        decode(tmp_path / "a.tif")


def test_channels_that_are_equal_by_chance_stay(tmp_path):
    tifffile.imwrite(tmp_path / "two.tif", np.zeros((2, 6, 8), np.uint8), metadata={"axes": "CYX"}, imagej=True)
    tifffile.imwrite(tmp_path / "three.tif", np.zeros((3, 6, 8), np.uint8), metadata={"axes": "CYX"}, imagej=True)
    assert decode(tmp_path / "two.tif").shape == (2, 6, 8)
    assert decode(tmp_path / "three.tif").shape == (3, 6, 8)


def test_a_name_must_not_lie(tmp_path):
    tifffile.imwrite(tmp_path / "a.png", GREY)
    with pytest.raises(ImageFileError, match="it is damaged, or not a PNG"):
        decode(tmp_path / "a.png")


def test_refuses_bits(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY > 100)
    Image.fromarray(GREY > 100).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    for name in ("a.tif", "lzw.tif"):
        with pytest.raises(ImageFileError, match="holds bool values: images hold integers or floats"):
            decode(tmp_path / name)


def test_refuses_pictures_too_large_for_their_format(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((60, 80), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    assert decode(tmp_path / "a.png").shape == (60, 80)  # between one and two times the limit Pillow only warns
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageFileError, match=r"more than 178,956,970 pixels: store so large an image as TIFF"):
        decode(tmp_path / "a.png")


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_refuses_stacks(tmp_path, axes):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 6, 8), np.uint8), metadata={"axes": axes}, imagej=True)
    with pytest.raises(ImageFileError, match=rf"a\.tif: it is a stack \({axes[0]} 5 x Y 6 x X 8\)"):
        decode(tmp_path / "a.tif")


def test_refuses_pages_of_different_sizes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY)
        file.write(GREY[:3])
    with pytest.raises(ImageFileError, match="it holds 2 images of different kinds"):
        decode(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_refuses_truncated_files(tmp_path, name, share):
    path = tmp_path / name
    Image.fromarray(RNG.integers(0, 256, (60, 80), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ImageFileError, match=r"is damaged, or|is empty") as caught:
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
    with pytest.raises(ImageFileError, match="holds complex64 values: images hold"):
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
