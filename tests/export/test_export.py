"""An export is written, compared and kept only if it answers as its classifier."""

import dataclasses

import pytest
from exported import place, skip_without

from audionet.errors import ExportError, InputError
from audionet.export import export as export_module
from audionet.export.export import check_output
from audionet.export.formats import FORMATS
from audionet.export.frozen_graph import waveform_graph
from audionet.files import disk_is_full
from audionet.models.classifier import Classifier

pytest.importorskip("tensorflow", reason="exports need tensorflow", exc_type=ImportError)


@pytest.mark.parametrize("name", ["graph", "saved_model", "openvino"])
def test_a_full_disk_is_told_with_the_name_of_the_export(trained, parity_clips, tiny_disk, name):
    skip_without(name)
    output = place(tiny_disk, name)
    (tiny_disk / "other.bin").write_bytes(bytes(150_000))
    with pytest.raises(OSError) as caught:
        export_module.export_classifier(
            trained.classifier, output, format_name=name, input_kind="waveform", clips=parity_clips
        )
    assert disk_is_full(caught.value) and str(caught.value.filename).startswith(str(output))
    assert [path.name for path in tiny_disk.iterdir()] == ["other.bin"]


@pytest.mark.parametrize("name", ["graph", "saved_model"])
def test_an_export_that_answers_otherwise_is_not_kept(export, trained, tmp_path, monkeypatch, name):
    head = trained.classifier.members[0].head
    backwards = dataclasses.replace(head, weights=-head.weights, biases=-head.biases)
    monkeypatch.setattr(
        export_module,
        "waveform_graph",
        lambda classifier, batch: waveform_graph(_with_head(trained.classifier, backwards), batch=batch),
    )
    with pytest.raises(ExportError, match="was not kept, since it answers otherwise: It agrees with the classifier"):
        export(name)
    assert not list(tmp_path.iterdir())


def _with_head(classifier, head):
    """A classifier of the same network with another head; the one given stays as it is."""
    members = (dataclasses.replace(classifier.members[0], head=head),)
    return Classifier(labels=classifier.labels, members=members, about=classifier.about)


def test_an_earlier_export_is_replaced_and_what_is_not_one_stays(export, tmp_path):
    export("saved_model")
    export("saved_model")
    theirs = place(tmp_path, "saved_model")
    (theirs / "audionet.json").unlink()
    with pytest.raises(InputError, match=r"is something else\. Choose another name"):
        export("saved_model")
    assert (theirs / "saved_model.pb").exists()


def test_a_name_of_another_format_is_refused(trained, tmp_path):
    with pytest.raises(InputError, match=r"expected a name that ends in \.onnx for --format onnx"):
        check_output(tmp_path / "voices.tflite", FORMATS["onnx"], "onnx")


def test_a_missing_package_is_named_with_what_to_type(export, monkeypatch):
    for packages, words in (
        (("no_such_package",), "needs no_such_package, which is not"),
        (("one_such", "no_such_package"), "needs one_such and no_such_package, which are not"),
    ):
        monkeypatch.setitem(FORMATS, "onnx", dataclasses.replace(FORMATS["onnx"], packages=packages))
        with pytest.raises(InputError, match=rf"{words} installed\. Type: pip install '\./scripts\[export\]'"):
            export("onnx")


def test_eight_bits_need_something_to_calibrate_on(export):
    skip_without("tflite_int8")
    with pytest.raises(InputError, match="calibrated on recordings that the classifier was trained on"):
        export("tflite_int8", trained_on=[])
