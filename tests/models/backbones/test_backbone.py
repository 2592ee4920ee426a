import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from audionet.errors import InputError
from audionet.features.image_io import fit_pictures
from audionet.files import cache_folder
from audionet.models.backbones.architectures import ARCHITECTURES
from audionet.models.backbones.backbone import load_backbone, loader_of
from audionet.models.backbones.engines import open_graph
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.backbones.taps import candidate_bottlenecks
from audionet.models.backbones.weights import RegistrySource, find_weights

LITE0 = ARCHITECTURES["efficientnet_lite0"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "tfhub"}, "--tfhub_module with a SavedModel"),
        ({"architecture": "tfhub", "tfhub_module": "folder", "weights": "file"}, "no --weights"),
        ({"architecture": "inception_v3", "tfhub_module": "folder"}, "Expected no --tfhub_module"),
        ({"architecture": "inception_v3", "image_size": 74}, "at least 75 x 75"),
        ({"architecture": "inception_v3", "engine": "abacus"}, "openvino_bf16, tensorflow; received 'abacus'"),
    ],
)
def test_options_that_exclude_each_other_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        load_backbone(**options)


@pytest.mark.parametrize("asked", ["auto", "classic", "block3", "block3@2+classic"])
def test_a_tfhub_module_is_read_where_it_can_be_and_says_so(capsys, asked):
    assert candidate_bottlenecks(ARCHITECTURES["tfhub"], asked) == ("classic",)
    loader_of(ARCHITECTURES["tfhub"], BackboneSettings(architecture="tfhub", bottleneck=asked), of_sound=True)
    assert (f"--bottleneck {asked} is passed over" in capsys.readouterr().err) == asked.startswith("block")


def test_the_engine_wanted_is_the_one_that_is_loaded():
    assert loader_of(LITE0, BackboneSettings(engine="tensorflow"), of_sound=True).keywords["engine"] == "tensorflow"


@pytest.fixture
def freezer(tmp_path, monkeypatch):
    """Count how often a graph is frozen, without any network."""
    monkeypatch.setenv("AUDIONET_CACHE", str(tmp_path))
    frozen = []

    def freeze(architecture, spec, weights, size):
        frozen.append(spec.text)
        return b"a graph", {"height": size[0], "width": size[1], "dimensions": [5] * len(spec.parts)}

    monkeypatch.setattr("audionet.models.backbones.backbone.freeze", freeze)
    (tmp_path / "weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    return frozen


def frozen_files(tmp_path: Path, suffix: str) -> list[Path]:
    return sorted((tmp_path / "graphs").glob(f"*{suffix}"))


def load_fake(tmp_path: Path, bottleneck: str = "block3", **options):
    weights = tmp_path / "weights.h5"
    return load_backbone("efficientnet_lite0", weights=weights, bottleneck=bottleneck, **options)


def test_a_graph_is_frozen_once(tmp_path, freezer):
    first, second = load_fake(tmp_path), load_fake(tmp_path)
    assert first == second
    assert freezer == ["block3"]


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path, freezer):
    (tmp_path / "graphs").write_text("in the way")
    assert load_fake(tmp_path).dimension == 5


@pytest.mark.parametrize("suffix", [".pb", ".json"])
def test_a_damaged_graph_is_frozen_again(tmp_path, freezer, suffix):
    whole = load_fake(tmp_path)
    (path,) = frozen_files(tmp_path, suffix)
    path.write_bytes(path.read_bytes()[:-4])
    assert load_fake(tmp_path) == whole
    assert len(freezer) == 2


def test_a_fingerprint_changes_with_weights_tap_and_size_only(tmp_path, freezer):
    same = {load_fake(tmp_path, bottleneck=text, image_size=size).digest for text, size in SAME}
    (tmp_path / "weights.h5").write_bytes(b"\x89HDF\r\n\x1a\nother")
    others = [load_fake(tmp_path, **options).digest for options in ({}, {"bottleneck": "block5"}, {"image_size": 96})]
    assert len(same) == 1
    assert len({*same, *others}) == 4
    assert all(len(fingerprint) == 16 for fingerprint in others)


SAME = [("block3", None), ("block3@1", 224), ("block3", (224, 224))]


def test_the_description_is_json_and_names_every_part(tmp_path, freezer):
    backbone = load_fake(tmp_path, bottleneck="block5+classic", image_size=(96, 128))
    described = json.loads(json.dumps(backbone.describe()))
    assert (described["height"], described["width"], described["dimension"]) == (96, 128, 10)
    assert described["slices"] == {"block5": [0, 5], "classic": [5, 10]}
    assert described["weights"]["sha256"]


def test_the_sentence_says_which_weights_are_used(tmp_path, freezer):
    assert (
        load_fake(tmp_path).sentence() == "Backbone efficientnet_lite0 at block3: file weights.h5 (given by the user)."
    )


def test_parts_can_be_taken_out_of_a_larger_bottleneck(tmp_path, freezer):
    backbone = load_fake(tmp_path, bottleneck="block3+block5+classic")
    bottlenecks = np.arange(30).reshape(2, 15)
    np.testing.assert_array_equal(
        backbone.select(bottlenecks, "classic+block3@1"), bottlenecks[:, [*range(10, 15), *range(5)]]
    )
    with pytest.raises(InputError, match="received block6"):
        backbone.select(bottlenecks, "block6")


@pytest.mark.parametrize("pictures", [np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 224, 224, 3), np.float32)])
def test_pictures_of_another_size_or_type_are_refused(tmp_path, freezer, pictures):
    with pytest.raises(InputError, match="fit_pictures"):
        load_fake(tmp_path)(pictures)


ENGINES = ("openvino", "tensorflow")


@pytest.fixture(scope="module")
def fresh_graphs(tmp_path_factory):
    """A cache that shares the weights of the user's own, but none of its graphs, which other code may have frozen."""
    kept_weights = cache_folder() / "weights"
    kept_weights.mkdir(parents=True, exist_ok=True)
    folder = tmp_path_factory.mktemp("cache")
    (folder / "weights").symlink_to(kept_weights.resolve(), target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIONET_CACHE", str(folder))
        yield folder


def load_registry(architecture: str, bottleneck: str | None = None, **options):
    """Load with the registry's weights, also where the official ones could be had; an early tap is the quickest."""
    bottleneck = bottleneck or ("mixed2" if architecture == "inception_v3" else "block3")
    sources = [source for source in ARCHITECTURES[architecture].sources if isinstance(source, RegistrySource)]
    weights = find_weights(architecture, sources).path
    return load_backbone(architecture, weights=weights, bottleneck=bottleneck, **options)


@pytest.fixture(scope="module")
def multi_tap(fresh_graphs):
    return load_registry("efficientnet_lite0", bottleneck="block3+block3@mean+block3@4+block3@3+block5+classic")


@pytest.fixture(scope="module")
def pictures():
    """Five spectrogram-like pictures: smooth noise over the whole range."""
    coarse = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 3), np.uint8)
    return fit_pictures(coarse, height=224, width=224)


def can_compute_in_bfloat16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["efficientnet_lite0", "efficientnet_b0", "inception_v3"])
def test_openvino_and_tensorflow_agree(fresh_graphs, pictures, architecture):
    """Within 1e-4 of the vectors' length: float32 rounding through at most a hundred layers."""
    by_openvino, by_tensorflow = (
        load_registry(architecture, image_size=224, engine=engine)(pictures) for engine in ENGINES
    )
    difference = np.linalg.norm(by_openvino - by_tensorflow, axis=1)
    assert (difference < 1e-4 * np.linalg.norm(by_tensorflow, axis=1)).all()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["efficientnet_lite0", "inception_v3"])
def test_bfloat16_is_close_and_has_a_cache_of_its_own(fresh_graphs, pictures, architecture):
    """Within three percent of the vectors' length: eight bits of precision, through up to a hundred layers."""
    if not can_compute_in_bfloat16():
        pytest.skip("this CPU has no bfloat16")
    exact, rounded = (
        load_registry(architecture, image_size=224, engine=engine) for engine in ("openvino", "openvino_bf16")
    )
    difference = np.linalg.norm(exact(pictures) - rounded(pictures), axis=1)
    assert (difference > 0).all() and (difference < 0.03 * np.linalg.norm(exact(pictures), axis=1)).all()
    assert exact.digest != rounded.digest


@pytest.mark.slow
def test_a_cpu_without_bfloat16_is_told(fresh_graphs, monkeypatch):
    backbone = load_registry("efficientnet_lite0", engine="openvino_bf16")
    monkeypatch.setattr("openvino.Core.get_property", lambda *_: ["FP32"])
    with pytest.raises(InputError, match="--engine: expected a CPU with bfloat16"):
        backbone(np.zeros((1, backbone.height, backbone.width, 3), np.uint8))


@pytest.mark.slow
def test_a_network_cut_at_its_tap_gives_what_the_longer_one_gives(multi_tap, pictures):
    cut = load_registry("efficientnet_lite0", bottleneck="block3")
    assert len(cut.graph) < len(multi_tap.graph) / 10
    np.testing.assert_allclose(cut(pictures), multi_tap.select(multi_tap(pictures), "block3"), rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_parts_of_a_bottleneck_are_averages_of_each_other(multi_tap, pictures):
    """Rows are frequencies, then segments of time, then channels: [28, segments, 40]."""
    parts = {part: multi_tap.select(multi_tap(pictures), part) for part in multi_tap.slices}
    kept = parts["block3"].reshape(5, 28, 40)
    for segments in (3, 4):
        in_time = parts[f"block3@{segments}"].reshape(5, 28, segments, 40)
        np.testing.assert_allclose(in_time.mean(axis=2), kept, atol=1e-3)
    np.testing.assert_allclose(parts["block3@mean"], kept.mean(axis=1), atol=1e-3)
    assert parts["classic"].shape == (5, 1280)


@pytest.mark.slow
def test_time_is_the_width_and_frequency_the_height(multi_tap):
    """A bright column late in the picture is felt in the late segments, at all frequencies alike."""
    empty = np.zeros((1, 224, 224, 3), np.uint8)
    late = empty.copy()
    late[:, :, 180:] = 255
    change = np.abs(multi_tap(late) - multi_tap(empty))
    by_segment = multi_tap.select(change, "block3@4").reshape(28, 4, 40).mean(axis=(0, 2))
    assert by_segment[3] > 5 * by_segment[0]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_bottleneck_does_not_depend_on_the_other_pictures(fresh_graphs, pictures, engine):
    backbone = load_registry("efficientnet_lite0", engine=engine)
    together = backbone(pictures)
    alone = np.concatenate([backbone(pictures[row : row + 1]) for row in range(len(pictures))])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)
    assert backbone(pictures[:0]).shape == (0, 1120)
    assert open_graph(backbone.graph, engine=engine)(pictures[:0]).shape == (0, 1120)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_threads_may_share_a_backbone(fresh_graphs, pictures, engine):
    from concurrent.futures import ThreadPoolExecutor

    backbone = load_registry("efficientnet_lite0", engine=engine)
    alone = backbone(pictures)
    with ThreadPoolExecutor(4) as threads:
        for result in threads.map(backbone, [pictures] * 8):
            np.testing.assert_allclose(result, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "golden"),
    [
        ("efficientnet_lite0", [0.13078, 6.17948, -3.39331, -4.97934, 6.82864]),
        ("efficientnet_b0", [-0.53842, 4.60723, 7.55623, 2.79546, -6.50002]),
        ("inception_v3", [0.32333, 0.63461, 1.38159, 0.0, 4.28473]),
    ],
)
def test_a_ramp_gives_its_golden_bottleneck(fresh_graphs, architecture, golden):
    """Mean, deviation and first three numbers at block3 or mixed2, 224 pixels, with the registry's weights.

    The picture's red grows to the right, its green downwards, and it has no blue.
    """
    ramp = np.arange(224, dtype=np.uint8)
    picture = np.stack(np.broadcast_arrays(ramp[None, :], ramp[:, None], np.uint8(0)), axis=-1)[None]
    (bottleneck,) = load_registry(architecture, image_size=224)(picture)
    assert [bottleneck.mean(), bottleneck.std(), *bottleneck[:3]] == pytest.approx(golden, rel=1e-3)


@pytest.mark.slow
def test_more_segments_than_columns_are_refused(fresh_graphs):
    with pytest.raises(InputError, match="at most 28 time segments at block3"):
        load_registry("efficientnet_lite0", bottleneck="block3@29")


@pytest.mark.slow
def test_a_cached_graph_runs_without_tensorflow(multi_tap, fresh_graphs):
    program = """
import sys, numpy
from audionet.models.backbones.backbone import load_backbone
backbone = load_backbone("efficientnet_lite0", weights=sys.argv[1], bottleneck=sys.argv[2], engine="openvino")
assert backbone(numpy.zeros((1, 224, 224, 3), numpy.uint8)).shape == (1, backbone.dimension)
assert not {"tensorflow", "keras"} & set(sys.modules)
"""
    weights = find_weights("efficientnet_lite0", LITE0.sources).path
    command = [sys.executable, "-c", program, str(weights), multi_tap.bottleneck]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert finished.returncode == 0, finished.stderr
