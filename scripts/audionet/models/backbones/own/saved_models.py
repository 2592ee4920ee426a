"""SavedModels as networks: modules of TensorFlow Hub, and what Keras 3's `model.export` writes.

A SavedModel has functions: itself, if it can be called, Keras' `serve`, and its signatures. The first that takes
pictures or sounds and nothing else is the network. Beside them it may take a number, the sample rate, and a truth
value, whether it is trained, which it is not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from audionet.errors import WeightsError
from audionet.files import brief, printable
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
from audionet.models.backbones.tfhub import tensorflow_hub
from audionet.models.backbones.weights import Weights


@dataclass(frozen=True, eq=False)
class SavedNetwork:
    """A function of a SavedModel."""

    name: str  # of its folder
    taken: Taken
    declared: OwnInput
    function: Any
    arguments: Any  # the positional ones and those by name, with a tensor's description where a tensor belongs
    outputs: Any  # what it returns, in the same way
    module: Any  # which holds the function's variables

    def vectors(self, inputs: Any) -> Any:
        """Map inputs to vectors, float32 [n, d]; n is 1 if it takes one at a time.

        Inputs are a float32 tensor: pictures [n, height, width, 3] in 0..255, or sounds [n, samples] in -1..1.

        Raises:
            WeightsError: it cannot take inputs of this size, or gives no vectors.
        """
        import tensorflow as tf

        size = inputs.shape[1:] if self.taken.listens else inputs.shape[1:3]
        try:
            outputs = self._called(self._prepared(inputs, size))
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise WeightsError(
                f"Expected a network that takes {self.taken.described(size, self.declared)}, received "
                f"{printable(self.name)}, which does not ({brief(' '.join(str(error).split()))}). Choose another "
                "size, sample rate or network."
            ) from error
        return self._pooled(outputs)

    def _prepared(self, inputs: Any, size: Sequence[int]) -> Any:
        """Return inputs as the function takes them."""
        import tensorflow as tf

        dtype = _tensors(self.arguments)[0].dtype
        if self.taken.listens:
            return tf.cast(tf.reshape(inputs, self._shape(size)), dtype)
        levels = levels_of(self.declared, takes_bytes=dtype == tf.uint8, name=printable(self.name))
        pictures = inputs if levels.divisors == (1.0,) * 3 else inputs / _one_or_three(levels.divisors)
        if any(levels.offsets):
            pictures = pictures + _one_or_three(levels.offsets)
        if self.taken.is_channels_first:
            pictures = tf.transpose(pictures, (0, 3, 1, 2))
        return tf.cast(pictures, dtype)

    def _shape(self, size: Sequence[int]) -> list[int]:
        """Return the shape of sounds as the function takes them, with -1 for how many there are."""
        shape = list(self.taken.of_one(size))
        return shape if self.taken.is_one else [-1, *shape[1:]]

    def _called(self, inputs: Any) -> Any:
        import tensorflow as tf

        place = _tensors(self.arguments)[0]
        leaves = tf.nest.flatten(self.arguments)
        given = [inputs if leaf is place else self._given(leaf) for leaf in leaves]
        positional, named = tf.nest.pack_sequence_as(self.arguments, given)
        return self.function(*positional, **named)

    def _given(self, leaf: Any) -> Any:
        """Return what is given beside the inputs: a sample rate, or whether it is trained."""
        import tensorflow as tf

        if not isinstance(leaf, tf.TensorSpec):
            return leaf
        return tf.constant(False if leaf.dtype.is_bool else self.declared.sample_rate_hz, leaf.dtype)

    def _pooled(self, outputs: Any) -> Any:
        import tensorflow as tf

        tensors = tf.nest.flatten(outputs)
        # Of sounds, what is fixed for this length only, such as how many frames there are, is no vector's length.
        described = tf.nest.flatten(self.outputs) if self.taken.listens else tensors
        names = [path.rpartition("/")[2] for path in _paths(outputs)]
        given = [Given(name, _shape(one)) for name, one in zip(names, described, strict=True)]
        number = chosen_output(given, self.taken, name=printable(self.name))
        vectors, shape = tf.cast(tensors[number], tf.float32), given[number].shape
        if axes := averaged_axes(shape, self.taken):
            vectors = tf.reduce_mean(vectors, axis=axes)
        axis = vector_axis(shape, self.taken)
        assert axis is not None  # as it was chosen
        return tf.reshape(vectors, (-1, shape[axis])) if self.taken.is_one else vectors


def load_saved_network(weights: Weights, declared: OwnInput) -> SavedNetwork:
    """Load a SavedModel and find the function that is a network.

    Raises:
        InputError: the package tensorflow-hub is not installed.
        WeightsError: it cannot be loaded, or none of its functions takes pictures or sounds.
    """
    try:
        module = tensorflow_hub().load(str(weights.path))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise WeightsError(
            f"Expected a whole SavedModel in {weights.path}, received {error}; fetch it again."
        ) from error
    found = []
    for function, concrete in _functions(module):
        arguments = concrete.structured_input_signature
        tensors = _tensors(arguments)
        found += tensors
        if taken := _taken(tensors, declared):
            outputs = concrete.structured_outputs
            return SavedNetwork(weights.path.name, taken, declared, function, arguments, outputs, module)
    listed = ", ".join(f"{tensor.dtype.name} {tensor.shape}" for tensor in found)
    raise WeightsError(
        f"Expected a SavedModel with a function that takes {declared.wanted}, float32 [n, height, width, 3], [samples] "
        f"or [n, samples], received {printable(weights.path)}, whose functions take {brief(listed) or 'nothing'}. "
        "Choose another module or version."
    )


def _functions(module: Any) -> Iterator[tuple[Any, Any]]:
    """Yield functions, each with one of the forms that it takes and returns tensors in."""
    signatures = dict(getattr(module, "signatures", {}))
    first = [name for name in ("serving_default", "default") if name in signatures]
    forms = []
    if callable(module):
        forms += [(module, form) for form in getattr(module.__call__, "concrete_functions", ())]
    if callable(served := getattr(module, "serve", None)):
        forms += [(served, form) for form in getattr(served, "concrete_functions", ())]
    yield from sorted(forms, key=_is_trained)
    for name in dict.fromkeys((*first, *sorted(signatures))):
        yield signatures[name], signatures[name]


def _is_trained(form: tuple[Any, Any]) -> bool:
    """Tell whether a form is for training: a truth value among its arguments that is no tensor says so."""
    import tensorflow as tf

    return any(leaf is True for leaf in tf.nest.flatten(form[1].structured_input_signature))


def _tensors(arguments: Any) -> list[Any]:
    """Return the descriptions of tensors among arguments: first those with an axis, then scalars."""
    import tensorflow as tf

    tensors = [leaf for leaf in tf.nest.flatten(arguments) if isinstance(leaf, tf.TensorSpec)]
    return sorted(tensors, key=lambda tensor: tensor.shape.rank == 0)


def _taken(tensors: Sequence[Any], declared: OwnInput) -> Taken | None:
    """Return what is taken of one tensor with an axis, beside which there are only scalars that can be given."""
    import tensorflow as tf

    if not tensors or tensors[0].shape.rank in (None, 0) or any(one.shape.rank != 0 for one in tensors[1:]):
        return None
    if any(not (one.dtype.is_integer or one.dtype.is_bool) for one in tensors[1:]):
        return None
    taken = taken_by(tuple(tensors[0].shape.as_list()), declared)
    dtypes = (tf.float32, tf.float16) if taken and taken.listens else (tf.float32, tf.float16, tf.uint8)
    return taken if tensors[0].dtype in dtypes else None


def _shape(output: Any) -> Shape:
    """Return the shape of an output, which has no axes if it gives no real numbers."""
    dtype, shape = getattr(output, "dtype", None), getattr(output, "shape", None)
    return (
        tuple(shape.as_list()) if dtype is not None and dtype.is_floating and shape is not None and shape.rank else ()
    )


def _one_or_three(numbers: Sequence[float]) -> Any:
    return numbers[0] if len(set(numbers)) == 1 else list(numbers)


def _paths(outputs: Any) -> list[str]:
    """Return the names that outputs have in their structure, in the order of `tf.nest.flatten`."""
    if isinstance(outputs, dict):
        return [f"{name}/{path}" if path else str(name) for name in sorted(outputs) for path in _paths(outputs[name])]
    if isinstance(outputs, (list, tuple)):
        return [path for one in outputs for path in _paths(one)]
    return [""]
