from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from local_model import builtin
from local_model.network import NanoDet


def test_raw_output_agrees_with_the_original_graph_run_node_by_node():
    """The reference is every 101st cell of the TF.js graph's own output, by an interpreter of its nodes and not by this network."""
    fixed = np.sin(np.arange(3 * 416 * 416) * 0.37).reshape(1, 3, 416, 416).astype(np.float32)
    network = NanoDet().eval()
    network.load_state_dict(load_file(builtin.WEIGHTS))
    with torch.inference_mode():
        raw = network(torch.from_numpy(fixed))
    assert raw.shape == (1, 3549, 124)
    np.testing.assert_allclose(raw[0, ::101].numpy(), np.load(Path(__file__).parent / "network_reference.npy"), atol=1e-3)
