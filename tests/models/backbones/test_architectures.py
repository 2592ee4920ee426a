import pytest

from audionet.errors import InputError
from audionet.models.backbones.backbone import load_backbone


def test_an_unknown_architecture_lists_the_known_ones():
    with pytest.raises(InputError, match=r"efficientnet_lite0, .*tfhub, onnx; received 'resnet'"):
        load_backbone("resnet")
