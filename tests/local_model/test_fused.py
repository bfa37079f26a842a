import pytest
import torch
from torch import nn

from local_model.fused import fuse
from local_model.network import ConvAct, NanoDet


@pytest.fixture(scope="module")
def networks():
    """The network as it is written, and fused, both of the same random weights."""
    torch.manual_seed(1)
    plain, quick = NanoDet().eval(), NanoDet().eval()
    quick.load_state_dict(plain.state_dict())
    fuse(quick)
    return plain, quick


@pytest.mark.parametrize("pictures", [1, 3])
def test_fused_layers_answer_as_those_that_they_stand_for(networks, pictures):
    plain, quick = networks
    x = torch.randn(pictures, 3, 96, 64).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        torch.testing.assert_close(quick(x), plain(x), rtol=1e-3, atol=1e-4)


def test_no_layer_that_has_a_quicker_equal_is_left(networks):
    _, quick = networks
    assert not [layer for layer in quick.modules() if isinstance(layer, ConvAct | nn.MaxPool2d | nn.LeakyReLU)]


def test_layers_of_another_kind_stay():
    other = nn.Sequential(nn.Conv2d(3, 3, 1), nn.MaxPool2d(2), nn.LeakyReLU(0.1))
    before = list(other)
    fuse(other)
    assert list(other) == before


def test_it_becomes_one_graph_without_python_in_it(networks):
    plain, quick = networks
    x = torch.randn(2, 3, 64, 96).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        graph = torch.jit.freeze(torch.jit.script(quick).eval())
        torch.testing.assert_close(graph(x), plain(x), rtol=1e-3, atol=1e-4)
