"""ONNX files as networks, which OpenVINO reads and runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from audionet.console import silence_native_stderr
from audionet.errors import WeightsError
from audionet.files import brief, printable
from audionet.models.backbones.openvino_graphs import pack_graph
from audionet.models.backbones.own.own_input import (
    Given,
    OwnInput,
    Shape,
    Taken,
    averaged_axes,
    chosen_output,
    levels_of,
    taken_by,
    vector_axis,
)
from audionet.models.backbones.weights import Weights


class OnnxNetwork:
    """An ONNX file, read by OpenVINO."""

    def __init__(self, weights: Weights, declared: OwnInput):
        """Read it.

        Raises:
            WeightsError: it is damaged, has an operation that OpenVINO does not know, or takes no pictures or sounds.
        """
        import openvino  # 0.3 s

        self.name, self._declared = printable(weights.path.name), declared
        try:
            with silence_native_stderr():  # of what it thinks of a damaged file
                self._model = openvino.Core().read_model(weights.path)
        except RuntimeError as error:
            raise WeightsError(
                f"Expected an ONNX file that OpenVINO can run, received {printable(weights.path)}, which it cannot "
                f"({_on_one_line(error)}). Export the network again, or with another opset."
            ) from error
        taken = self._taken()
        if taken is None:
            listed = ", ".join(f"{one.element_type.get_type_name()} {one.partial_shape}" for one in self._model.inputs)
            raise WeightsError(
                f"Expected a network that takes {declared.wanted} alone, [n, height, width, 3], [n, 3, height, width], "
                f"[samples] or [n, samples], received {printable(weights.path)}, which takes "
                f"{brief(listed) or 'nothing'}. Export it with one input."
            )
        self.taken: Taken = taken

    def frozen(self, size: tuple[int, ...]) -> tuple[bytes, list[int]]:
        """Freeze it for pictures of a height and width, or for sounds of a number of samples; one at a time.

        Returns:
            A graph that `open_graph` runs, and the dimension of its vectors.

        Raises:
            WeightsError: it cannot take inputs of this size, or gives no vectors of a fixed length.
        """
        import openvino

        try:
            model = self._sized(size)
            (old,) = model.get_parameters()
            fed = self._fed(size)
            prepared = self._prepared(fed.output(0), size, old.get_element_type())
            for reader in old.output(0).get_target_inputs():
                reader.replace_source_output(prepared)
            vectors, dimension = self._vectors(model, size)
            frozen = openvino.Model([vectors], [fed], "network")
        except (RuntimeError, ValueError) as error:
            raise WeightsError(
                f"Expected a network that takes {self.taken.described(size, self._declared)}, received {self.name}, "
                f"which does not ({_on_one_line(error)}). Choose another size, sample rate or network."
            ) from error
        return pack_graph(frozen), [dimension]

    def _taken(self) -> Taken | None:
        if len(self._model.inputs) != 1:
            return None
        (fed,) = self._model.inputs
        if fed.partial_shape.rank.is_dynamic:
            return None
        taken = taken_by(_shape(fed), self._declared)
        types = ("f32", "f16") if taken and taken.listens else ("f32", "f16", "u8")
        return taken if fed.element_type.get_type_name() in types else None

    def _fed(self, size: Sequence[int]) -> Any:
        """Return the input of the frozen graph."""
        from openvino import opset13 as ops

        if self.taken.listens:
            return ops.parameter([1, *size], np.float32)
        return ops.parameter([1, *size, 3], np.uint8)

    def _prepared(self, fed: Any, size: Sequence[int], element_type: Any) -> Any:
        """Return inputs as the network takes them."""
        from openvino import opset13 as ops

        if self.taken.listens:
            values = ops.reshape(fed, np.array(self.taken.of_one(size)), False)
        else:
            takes_bytes = element_type.get_type_name() == "u8"
            levels = levels_of(self._declared, takes_bytes=takes_bytes, name=self.name)
            divisors, offsets = (np.array(numbers, np.float32) for numbers in (levels.divisors, levels.offsets))
            values = ops.add(ops.divide(ops.convert(fed, "f32"), divisors), offsets)
            if self.taken.is_channels_first:
                values = ops.transpose(values, np.array([0, 3, 1, 2]))
        return ops.convert(values, element_type.get_type_name()).output(0)

    def _sized(self, size: Sequence[int]) -> Any:
        """Return the model for inputs of a size."""
        model = self._model.clone()
        model.reshape({model.input(0): self.taken.of_one(size)})
        return model

    def _vectors(self, model: Any, size: Sequence[int]) -> tuple[Any, int]:
        """Return the node that gives vectors [1, d], and d."""
        from openvino import opset13 as ops

        shapes = self._output_shapes(model, size)
        names = [min(output.get_names(), default="") for output in model.outputs]
        given = [Given(name, shape) for name, shape in zip(names, shapes, strict=True)]
        number = chosen_output(given, self.taken, name=self.name)
        source, shape = model.results[number].input_value(0), shapes[number]
        axis = vector_axis(shape, self.taken)
        assert axis is not None  # as it was chosen
        dimension = shape[axis] or 0
        axes = averaged_axes(shape, self.taken)
        averaged = ops.reduce_mean(source, np.array(axes, int), False) if axes else source
        return ops.convert(ops.reshape(averaged, np.array([1, dimension]), False), "f32"), dimension

    def _output_shapes(self, model: Any, size: Sequence[int]) -> list[Shape]:
        """Return the shape of each output, with None where it depends on the size, as how many frames there are does.

        One that gives no real numbers has no axes.
        """
        shapes = [_shape(output) if output.element_type.is_real() else () for output in model.outputs]
        try:
            others = [_shape(output) for output in self._sized([2 * length for length in size]).outputs]
        except RuntimeError:  # it was made for this size alone
            return shapes
        return [
            tuple(length if length == other else None for length, other in zip(shape, more, strict=False))
            for shape, more in zip(shapes, others, strict=True)
        ]


def _shape(port: Any) -> Shape:
    """Return the lengths of a tensor's axes, none if it is not known how many it has."""
    if port.partial_shape.rank.is_dynamic:
        return ()
    return tuple(None if length.is_dynamic else length.get_length() for length in port.partial_shape)


def _on_one_line(error: Exception) -> str:
    return brief(" ".join(str(error).split()))
