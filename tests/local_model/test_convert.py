import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from local_model import builtin
from local_model.convert import convert


@pytest.fixture
def graph(tmp_path):
    """The graph model that our weights came from, as far as the conversion reads it: a list of (node, tensors)."""
    weights = load_file(builtin.WEIGHTS)
    order = ["stem.0"]
    for stage, blocks in (("stage1", 1), ("stage2", 2), ("stage3", 2), ("stage4", 3)):
        pairs = [f"{stage}.{part}.{block}.0" for block in range(blocks) for part in ("reduce", "grow")]
        order += [f"{stage}.enter.0", *pairs, f"{stage}.leave.0"]
    order += [f"lateral.{n}" for n in range(3)] + [f"heads.{n}.{part}" for n in range(3) for part in ("0.0", "1")]
    nodes, entries, data = [], [], b""
    for number, name in enumerate(order):
        conv = f"x/convolution_{number}" if number else "x/convolution"
        nodes.append({"name": conv, "op": "Conv2D", "input": ["before", f"kernel{number}"]})
        nodes.append({"name": f"x/Add_{number}", "op": "Add", "input": [conv, f"bias{number}"]})
        for kind, tensor in (("kernel", weights[f"{name}.weight"].transpose(2, 3, 1, 0)), ("bias", weights[f"{name}.bias"])):
            half = {"dtype": "float16", "original_dtype": "float32"}
            entries.append({"name": f"{kind}{number}", "shape": list(tensor.shape), "dtype": "float32", "quantization": half})
            data += np.ascontiguousarray(tensor).tobytes()
    return {"modelTopology": {"node": nodes}, "weightsManifest": [{"weights": entries}]}, data


def written(tmp_path, model, data):
    (tmp_path / "m.json").write_text(json.dumps(model))
    (tmp_path / "m.bin").write_bytes(data)
    convert(tmp_path / "m.json", tmp_path / "m.bin", tmp_path / "out.safetensors")
    return tmp_path / "out.safetensors"


def test_conversion_gives_the_committed_file_byte_for_byte(tmp_path, graph):
    out = written(tmp_path, *graph)
    assert hashlib.sha256(out.read_bytes()).hexdigest() == builtin.WEIGHTS_SHA256


def test_a_graph_with_a_convolution_missing_is_refused(tmp_path, graph):
    model, data = graph
    del model["modelTopology"]["node"][:2]
    with pytest.raises(ValueError, match="33 convolutions"):
        written(tmp_path, model, data)


def test_data_that_is_cut_short_is_refused(tmp_path, graph):
    model, data = graph
    with pytest.raises(ValueError, match="buffer"):
        written(tmp_path, model, data[:-2])


def test_the_readme_beside_the_weights_tells_their_digest():
    assert builtin.WEIGHTS_SHA256 in (builtin.WEIGHTS.parent / "README.md").read_text()
