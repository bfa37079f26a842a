"""From the TF.js graph model to safetensors: `python -m local_model.convert nanodet.json nanodet.bin OUT.safetensors`.

The graph's convolutions are numbered in the order in which PyTorch once exported them; our network's are named here in that order.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

_STORED = {"int32": "<i4", "float32": "<f4", "float16": "<f2"}


def convert(graph: Path, data: Path, out: Path) -> None:
    """Write the graph's convolutions as fp16 safetensors, under the names of `network.NanoDet`.

    Raises:
        ValueError: the graph is not the one that we know.
    """
    model = json.loads(graph.read_bytes())
    tensors = _tensors(model["weightsManifest"], data.read_bytes())
    nodes = model["modelTopology"]["node"]
    bias_of = {node["input"][0]: tensors[node["input"][1]] for node in nodes if node["op"] == "Add" and node["input"][1] in tensors}
    names = list(_names())
    weights: dict[str, NDArray[np.float16]] = {}
    for node in nodes:
        if node["op"] != "Conv2D":
            continue
        name = names[int(node["name"].rpartition("_")[2]) if "_" in node["name"] else 0]
        kernel = tensors[node["input"][1]].transpose(3, 2, 0, 1)  # height, width, in, out -> out, in, height, width
        weights[f"{name}.weight"] = np.ascontiguousarray(kernel, np.float16)
        weights[f"{name}.bias"] = np.ascontiguousarray(bias_of[node["name"]], np.float16)
    if len(weights) != 2 * len(names):
        raise ValueError(f"{graph} has {len(weights) // 2} convolutions; NanoDet-g has {len(names)}.")
    save_file(weights, out)


def _tensors(manifest: list[dict[str, Any]], data: bytes) -> dict[str, NDArray[Any]]:
    """Every stored tensor by its name. They lie behind one another in the order of the manifest."""
    tensors: dict[str, NDArray[Any]] = {}
    offset = 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        dtype = np.dtype(_STORED[entry.get("quantization", entry)["dtype"]])
        count = math.prod(entry["shape"])
        tensors[entry["name"]] = np.frombuffer(data, dtype, count, offset).reshape(entry["shape"])
        offset += count * dtype.itemsize
    if offset != len(data):
        raise ValueError(f"The manifest tells of {offset} bytes; there are {len(data)}.")
    return tensors


def _names() -> Iterator[str]:
    """The names of our convolutions in the order of the graph's numbers."""
    yield "stem.0"
    for stage, blocks in (("stage1", 1), ("stage2", 2), ("stage3", 2), ("stage4", 3)):
        yield f"{stage}.enter.0"
        for block in range(blocks):
            yield f"{stage}.reduce.{block}.0"
            yield f"{stage}.grow.{block}.0"
        yield f"{stage}.leave.0"
    yield from (f"lateral.{grid}" for grid in range(3))
    for grid in range(3):
        yield f"heads.{grid}.0.0"
        yield f"heads.{grid}.1"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m local_model.convert", description=__doc__)
    parser.add_argument("graph", type=Path, help="nanodet.json")
    parser.add_argument("data", type=Path, help="nanodet.bin")
    parser.add_argument("out", type=Path, help="where to write the safetensors file")
    arguments = parser.parse_args()
    convert(arguments.graph, arguments.data, arguments.out)
