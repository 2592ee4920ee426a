"""Options about the pretrained network."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from audionet.models.backbones.own.own_input import parse_network_input
from audionet.ranges import between, check_ranges

Engine = Literal["auto", "openvino", "openvino_bf16", "tensorflow"]
"""What runs a network; `auto` is TensorFlow where it has a GPU or OpenVINO is missing, and else OpenVINO.

All compute in float32 and agree but for rounding. `openvino_bf16` computes in bfloat16, on CPUs that can, in half of
the time or less; its bottlenecks differ by about one percent.
"""


@dataclass(frozen=True)
class BackboneSettings:
    """Which pretrained network, and where it is read."""

    architecture: str = "efficientnet_lite0"
    """Pretrained network: efficientnet_lite0, efficientnet_b0 to b7, inception_v3, voice_encoder, speech_embedding, or
    one of your own: tfhub or onnx."""
    members: str = "auto"
    """Networks that answer together: single, pair, trio, words, or names such as efficientnet_lite0:log_mel +
    voice_encoder. auto lets networks that listen join the default one where this helps on validation."""
    tfhub_module: str | None = None
    """SavedModel to use as the network tfhub, which looks or listens: a URL of TensorFlow Hub, a folder, such as
    Keras' model.export writes, or a .tar.gz."""
    onnx_file: Path | None = None
    """ONNX file to use as the network onnx, which looks or listens."""
    network_input: str | None = None
    """What tfhub or onnx takes: sound and a sample rate, such as 'sound 16000'; or picture and the levels, 'picture
    0..1', -1..1, 0..255 or imagenet. By default its shapes tell which, and the rate is 16000, the levels 0..1."""
    weights: Path | None = None
    """File of pretrained weights to use instead of looking for some."""
    model_dir: Path | None = None
    """Folder that pretrained weights are kept in. By default one that all projects share."""
    image_size: Annotated[int | None, between(1, 2_048)] = None
    """Pixels a side that pictures are brought to. By default what serves the network best."""
    bottleneck: str = "auto"
    """Where the network is read: classic, or taps such as block3 or block3+block5. auto chooses on validation."""
    engine: Engine = "auto"
    """What runs the network. auto is TensorFlow where it has a GPU, and OpenVINO, which is faster, on a CPU.
    openvino_bf16 is faster still where the CPU has bfloat16, and rounds more."""

    def __post_init__(self) -> None:
        check_ranges(self)
        parse_network_input(self.network_input)

    def of_member(self, architecture: str) -> "BackboneSettings":
        """Return the settings of one member: what is said of other networks is left out."""
        own = self if architecture == self.architecture else BackboneSettings(engine=self.engine)
        return replace(
            own,
            tfhub_module=self.tfhub_module if architecture == "tfhub" else None,
            onnx_file=self.onnx_file if architecture == "onnx" else None,
            network_input=self.network_input if architecture in ("tfhub", "onnx") else None,
        )
