import io
import json
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import noise
from PIL import Image

from audionet.errors import InputError, PictureError
from audionet.features.image_io import decode_picture, encode_jpg, fit_pictures, is_picture, read_about, read_picture
from audionet.features.recipes import DRAWINGS, RECIPES, Recipe, find_recipe
from audionet.features.spectrogram import draw


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def photograph() -> np.ndarray:
    """Soft colours, which jpg hardly changes: red grows to the right, green downwards."""
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    red, green = np.meshgrid(ramp, ramp)
    return np.stack([red, green, np.full_like(red, 100)], axis=2)


EVERY_RECIPE = RECIPES | {name: find_recipe("default", picture=name) for name in DRAWINGS}


@pytest.mark.parametrize("recipe", EVERY_RECIPE.values(), ids=EVERY_RECIPE)
def test_a_jpg_knows_its_recording_offset_and_recipe(recipe):
    about = {"recording": "alice/ü\udcff\n.mp3", "offset_seconds": 2.0, "recipe": recipe.to_json()}
    kept = read_about(encode_jpg(draw(noise(), recipe), quality=92, about=about))
    assert kept["recording"] == about["recording"]
    assert kept["offset_seconds"] == 2.0
    assert Recipe.from_json(kept["recipe"]) == recipe


def test_a_jpg_is_close_to_what_was_drawn(photograph):
    decoded = decode_picture(encode_jpg(photograph, quality=92))
    assert np.abs(decoded.astype(int) - photograph).mean() < 3


def test_a_gray_jpg_is_read_as_the_same_gray_that_coding_it_in_colour_would_give(photograph):
    gray = np.repeat(photograph[:, :, :1], 3, axis=2)
    content = encode_jpg(gray, quality=92)
    assert Image.open(io.BytesIO(content)).mode == "L"
    in_colour = encoded(Image.fromarray(gray), "JPEG", quality=92, subsampling=0)
    assert len(content) < len(in_colour)
    assert np.array_equal(decode_picture(content), decode_picture(in_colour))


@pytest.mark.parametrize("comment", [b"", b"hello", b"[1]", b"{", b'{"a": 1}', b"\xff"])
def test_a_picture_that_is_not_ours_says_nothing_about_itself(photograph, comment):
    assert read_about(encoded(Image.fromarray(photograph), "JPEG", comment=comment)) == {}


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_says_nothing_about_itself(content):
    assert read_about(content) == {}


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "WEBP", "TIFF", "JPEG"])
def test_a_picture_is_known_by_its_content_not_by_its_name(tmp_path, photograph, kind):
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(Image.fromarray(photograph), kind))
    picture = read_picture(path)
    assert picture.shape == (64, 64, 3)
    assert np.abs(picture.astype(int) - photograph).mean() < 12


@pytest.mark.parametrize(("mode", "kind"), [("L", "JPEG"), ("CMYK", "JPEG"), ("1", "PNG"), ("P", "PNG"), ("LA", "PNG")])
def test_gray_cmyk_and_palette_pictures_become_rgb(photograph, mode, kind):
    content = encoded(Image.fromarray(photograph).convert(mode), kind)
    assert decode_picture(content).shape == (64, 64, 3)


def test_a_cmyk_jpg_keeps_its_colours(photograph):
    decoded = decode_picture(encoded(Image.fromarray(photograph).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(decoded.astype(int) - photograph).mean() < 6


def test_sixteen_bit_gray_is_scaled_and_not_clipped():
    levels = np.linspace(0, 65_535, 64).astype(np.uint16)[None].repeat(64, axis=0)
    decoded = decode_picture(encoded(Image.fromarray(levels), "PNG"))
    assert decoded[0, :, 0] == pytest.approx(levels[0] / 257, abs=1)


def test_what_is_transparent_becomes_white(photograph):
    clear = np.dstack([photograph, np.zeros((64, 64), np.uint8)])
    assert (decode_picture(encoded(Image.fromarray(clear), "PNG")) == 255).all()


def test_a_picture_is_turned_as_its_camera_noted(photograph):
    exif = Image.Exif()
    exif[0x0112] = 3  # the orientation of a camera held upside down
    decoded = decode_picture(encoded(Image.fromarray(photograph), "PNG", exif=exif))
    assert np.array_equal(decoded, photograph[::-1, ::-1])


@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.9])
def test_a_corrupt_jpg_is_refused_by_name(tmp_path, photograph, share):
    content = encode_jpg(photograph, quality=92)
    (tmp_path / "a.jpg").write_bytes(content[: int(share * len(content))])
    with pytest.raises(PictureError, match=r"a\.jpg is not a readable picture"):
        read_picture(tmp_path / "a.jpg")


def test_text_and_folders_named_jpg_are_refused_by_name(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("text.jpg", "folder.jpg", "missing.jpg"):
        with pytest.raises(PictureError, match=name):
            read_picture(tmp_path / name)


def test_a_small_file_cannot_unfold_to_fill_the_memory():
    with pytest.raises(PictureError, match="pixels"):
        decode_picture(encoded(Image.new("1", (9_000, 9_000)), "PNG"))


@pytest.mark.parametrize("side", [10_000, 30_000])
def test_pictures_of_all_sizes_are_refused_without_a_warning(side):
    header = encoded(Image.new("1", (8, 8)), "PNG")
    claim = side.to_bytes(4, "big") * 2
    chunk = b"IHDR" + claim + header[24:29]
    content = header[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + header[33:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PictureError, match="pixels"):
            decode_picture(content)


def test_a_picture_that_is_none_is_refused_in_words_of_the_user(tmp_path):
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(PictureError) as refusal:
        read_picture(tmp_path / "a.jpg")
    assert "its format is unknown" in str(refusal.value) and "BytesIO" not in str(refusal.value)


def test_a_picture_that_a_program_would_have_to_decode_is_refused():
    with pytest.raises(PictureError, match="its format is unknown"):
        decode_picture(encoded(Image.new("RGB", (8, 8)), "EPS"))


def test_a_picture_of_gigabytes_is_refused_unread(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(3_000_000_000)  # which takes no room on the disk
    with pytest.raises(PictureError, match=r"a\.jpg cannot be read \(it has 3,000 MB; expected 256 MB at most"):
        read_picture(tmp_path / "a.jpg")


def commented(photograph, comment: bytes) -> bytes:
    return encoded(Image.fromarray(photograph), "JPEG", comment=comment)


@pytest.mark.parametrize(
    "comment", [b"[" * 60_000, b'{"recipe":' * 6_000, b"9" * 6_000, b"\xff\xfe", b"null", b"7", b"NaN"]
)
def test_a_comment_that_is_not_ours_says_nothing(photograph, comment):
    assert read_about(commented(photograph, comment)) == {}


HOSTILE = [
    {"recipe": None},
    {"recipe": "pancakes"},
    {"recipe": {"window_samples": 5}},
    {"recipe": {"window_samples": ["a"]}},
    {"recipe": {"sox_effects": 7}},
    {"recipe": {"sample_rate_hz": 16_000.5}},
    {"recipe": {"sample_rate_hz": True}},
    {"recipe": {"high_hz": float("nan")}},
    {"recipe": {"low_hz": float("-inf")}},
    {"recipe": {"picture_height": 10**400}},
    {"recipe": {"drawing": ["log_mel"]}},
    {"recipe": {"wavelet": 1}},
    {"recording": None},
    {"recording": ["a"]},
    {"recording": {"a": 1}},
    {"recording": "nul\0"},
    {"recording": "\ud800"},
    {"offset_seconds": float("nan")},
    {"offset_seconds": float("inf")},
    {"offset_seconds": -1},
    {"offset_seconds": "1"},
    {"offset_seconds": 10**400},
    {"offset_seconds": True},
    {"seconds": [2.0]},
    {"level_dbfs": "loud"},
    {"level_dbfs": float("nan")},
]


@pytest.mark.parametrize("changes", HOSTILE, ids=str)
def test_a_comment_of_ours_with_nonsense_in_it_is_refused(photograph, changes):
    recipe = find_recipe("default").to_json()
    about = {"recording": "alice/1.mp3", "offset_seconds": 2.0, "seconds": 2.0, "recipe": recipe}
    assert read_about(commented(photograph, json.dumps(about).encode()))["recording"] == "alice/1.mp3"
    change = changes.get("recipe")
    hostile = about | ({"recipe": recipe | change} if isinstance(change, dict) else changes)
    with pytest.raises(PictureError, match="what its comment says about it is damaged"):
        read_about(commented(photograph, json.dumps(hostile).encode()))


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.Png", "a.webp", "a.b.gif"])
def test_pictures_are_known_by_their_suffix_in_any_letter_case(name):
    assert is_picture(Path(name))
    assert not is_picture(Path(f"{name}.txt"))


def test_pictures_of_the_right_size_stay_as_they_are():
    pictures = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), np.uint8)
    np.testing.assert_array_equal(fit_pictures(pictures, height=20, width=30), pictures)


def test_pictures_of_many_sizes_become_one_size():
    pictures = [np.full((size, 2 * size, 3), size, np.uint8) for size in (10, 50, 224)]
    fitted = fit_pictures(pictures, height=40, width=60)
    assert (fitted.dtype, fitted.shape) == (np.uint8, (3, 40, 60, 3))
    np.testing.assert_array_equal(fitted[:, 0, 0, 0], [10, 50, 224])


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    inner = fit_pictures([stripes], height=16, width=16)[0, 2:-2, 2:-2]
    np.testing.assert_allclose(inner, 100, atol=8)


def test_no_pictures_fit_too():
    assert fit_pictures([], height=4, width=5).shape == (0, 4, 5, 3)


@pytest.mark.parametrize("picture", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32)])
def test_what_is_no_rgb_picture_is_refused(picture):
    with pytest.raises(InputError, match=r"uint8 \[h, w, 3\]"):
        fit_pictures([picture], height=9, width=9)
