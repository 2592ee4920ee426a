import io
import tarfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from conftest import names_below

from audionet.errors import InputError, WeightsError
from audionet.models.backbones.backbone import load_backbone
from audionet.models.backbones.tfhub import find_module

ENGINES = ("openvino", "tensorflow")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIONET_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def hub_module(tmp_path_factory):
    """A SavedModel that gives the mean of each colour of pictures [n, 32, 48, 3] in 0..1, and of their halves."""
    import tensorflow as tf

    class MeanColour(tf.Module):
        def __init__(self):
            super().__init__()
            self.scale = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec((None, 32, 48, 3), tf.float32)])
        def __call__(self, images):
            return self.scale * tf.reduce_mean(images, axis=(1, 2))

    folder = tmp_path_factory.mktemp("hub") / "module"
    tf.saved_model.save(MeanColour(), str(folder))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_tfhub_module_takes_pictures_of_its_own_size_scaled_to_one(hub_module, engine):
    backbone = load_backbone("tfhub", tfhub_module=str(hub_module), engine=engine)
    pictures = np.full((2, 32, 48, 3), (0, 51, 255), np.uint8)
    assert (backbone.height, backbone.width, backbone.dimension) == (32, 48, 3)
    np.testing.assert_allclose(backbone(pictures), [[0, 0.4, 2]] * 2, rtol=1e-5)


@pytest.mark.slow
def test_an_archived_tfhub_module_gives_the_same(hub_module, tmp_path):
    with tarfile.open(tmp_path / "module.tar.gz", "w:gz") as archive:
        archive.add(hub_module, arcname=".")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), np.uint8)
    from_folder, from_archive = (
        load_backbone("tfhub", tfhub_module=str(module)) for module in (hub_module, tmp_path / "module.tar.gz")
    )
    np.testing.assert_array_equal(from_archive(pictures), from_folder(pictures))
    assert from_archive.weights["origin"] == "TF Hub module module.tar.gz"


@pytest.mark.slow
def test_a_tfhub_module_of_another_size_is_refused(hub_module):
    with pytest.raises(WeightsError, match="pictures of 96 x 96 pixels"):
        load_backbone("tfhub", tfhub_module=str(hub_module), image_size=96)


@pytest.mark.slow
def test_a_damaged_tfhub_module_is_refused(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="whole SavedModel"):
        load_backbone("tfhub", tfhub_module=str(tmp_path))


@pytest.mark.slow
def test_a_savedmodel_without_functions_is_refused(tmp_path):
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path / "module"))
    with pytest.raises(WeightsError, match="module, whose functions take nothing"):
        load_backbone("tfhub", tfhub_module=str(tmp_path / "module"))


def module_archive(path: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return path


@pytest.mark.parametrize("around", ["", "module/"])
def test_an_archived_module_is_unpacked_once(tmp_path, around):
    archive = module_archive(tmp_path / "module.tar.gz", [f"{around}saved_model.pb"])
    first = find_module(str(archive))
    (first.path / "mark").touch()
    assert (find_module(str(archive)).path / "mark").exists()
    assert first.sha256 == sha256(archive.read_bytes()).hexdigest()


def test_an_archive_that_reaches_out_of_its_folder_is_refused(tmp_path):
    archive = module_archive(tmp_path / "module.tar.gz", ["saved_model.pb", "../../outside"])
    with pytest.raises(WeightsError, match=r"module\.tar\.gz"):
        find_module(str(archive))
    assert names_below(tmp_path) == {"module.tar.gz"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_an_archive_with_anything_but_files_and_folders_is_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "module.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = kind, "saved_model.pb"
        archive.addfile(member)
    with pytest.raises(WeightsError, match="link in it is neither a file nor a folder"):
        find_module(str(tmp_path / "module.tar.gz"))
    assert not names_below(tmp_path / "cache")


def test_a_small_archive_that_unpacks_to_a_full_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("audionet.models.backbones.tfhub.MOST_MODULE_BYTES", 1_000_000)
    with tarfile.open(tmp_path / "module.tar.gz", "w:gz") as archive:
        for name in ("saved_model.pb", "more"):
            member = tarfile.TarInfo(name)
            member.size = 600_000
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    with pytest.raises(WeightsError, match="unpacked, it has more than"):
        find_module(str(tmp_path / "module.tar.gz"))
    assert not names_below(tmp_path / "cache")


def test_a_module_folder_is_told_by_its_content(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"one")
    first = find_module(str(tmp_path)).sha256
    (tmp_path / "saved_model.pb").write_bytes(b"two")
    assert find_module(str(tmp_path)).sha256 != first


@pytest.mark.parametrize("name", ["absent", "absent.tar.gz"])
def test_a_missing_module_is_named(tmp_path, name):
    with pytest.raises(InputError, match=r"absent.*, which is not there"):
        find_module(str(tmp_path / name))


def test_a_folder_without_a_saved_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"saved_model\.pb"):
        find_module(str(tmp_path))
