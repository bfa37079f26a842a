"""Tensors of the Open Inference Protocol v2: as JSON, or behind the JSON in binary.

Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md and
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import base64
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEAD_LENGTH = "Inference-Header-Content-Length"
_DTYPES = {"UINT8": "u1", "FP32": "<f4"}


class BadRequest(ValueError):
    """The request is none of the protocol; the sentence says where."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One named tensor: an array, or for BYTES a list of them."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: NDArray[Any] | list[bytes]


def read_request(content: bytes, head_length: str | None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The JSON of a request, and its input tensors by name.

    Args:
        content: of the body: JSON, and behind it the binary tensors in the order of `inputs`.
        head_length: the header `Inference-Header-Content-Length`; None: all of the body is JSON.

    Raises:
        BadRequest: not JSON, keys missing, sizes that do not fit, an unknown datatype.
    """
    if head_length is not None and not (head_length.isascii() and head_length.isdigit() and int(head_length) <= len(content)):
        raise BadRequest(f"{HEAD_LENGTH} is {head_length!r}, and the body has {len(content)} bytes.")
    ends = len(content) if head_length is None else int(head_length)
    try:
        told = json.loads(content[:ends])
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The request is not JSON: {error}.") from error
    inputs = told.get("inputs") if isinstance(told, dict) else None
    if not isinstance(inputs, list) or not inputs or not all(isinstance(entry, dict) for entry in inputs):
        raise BadRequest("The request has no list of inputs.")
    tensors = {}
    for entry in inputs:
        size = _parameters(entry).get("binary_data_size")
        data: Any = entry.get("data")
        if size is not None:
            if not isinstance(size, int) or not 0 <= size <= len(content) - ends:
                raise BadRequest(f"binary_data_size is {size!r}, and {len(content) - ends} bytes are left in the body.")
            data = memoryview(content)[ends : ends + size]
            ends += size
        tensor = _tensor(entry, data)
        tensors[tensor.name] = tensor
    if ends != len(content):
        raise BadRequest(f"{len(content) - ends} bytes in the body belong to no input.")
    return told, tensors


def write_response(head: dict[str, Any], outputs: list[Tensor], binary: set[str]) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON where binary tensors follow it.

    Args:
        head: `model_name` and so on.
        outputs: in this order.
        binary: names of the outputs that are wanted in binary.
    """
    described = []
    tail = b""
    for output in outputs:
        entry: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
        if output.name in binary:
            data = _packed(output)
            entry["parameters"] = {"binary_data_size": len(data)}
            tail += data
        elif isinstance(output.values, list):
            entry["data"] = [value.decode() for value in output.values]
        else:
            entry["data"] = output.values.ravel().tolist()
        described.append(entry)
    text = json.dumps({**head, "outputs": described}).encode()
    return text + tail, len(text) if binary else None


def wanted_in_binary(told: dict[str, Any], names: set[str]) -> set[str]:
    """Which outputs the request asks for in binary: all by `binary_data_output`, or each by its `binary_data`."""
    by_default = bool(_parameters(told).get("binary_data_output", False))
    asked = told.get("outputs") or []
    if not isinstance(asked, list) or not all(isinstance(entry, dict) and entry.get("name") in names for entry in asked):
        raise BadRequest(f"outputs is a list of these names: {', '.join(sorted(names))}.")
    each = {entry["name"]: bool(_parameters(entry).get("binary_data", by_default)) for entry in asked}
    return {name for name in names if each.get(name, by_default)}


def _parameters(entry: dict[str, Any]) -> dict[str, Any]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise BadRequest("parameters is an object.")
    return parameters


def _tensor(entry: dict[str, Any], data: Any) -> Tensor:
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if not isinstance(name, str) or not isinstance(datatype, str):
        raise BadRequest("An input has a name and a datatype.")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise BadRequest(f"The shape of {name} is not a list of sizes.")
    if datatype == "BYTES":
        values: NDArray[Any] | list[bytes] = _unpacked(name, data)
        count = len(values)
    elif datatype in _DTYPES:
        values = _array(name, _DTYPES[datatype], data)
        count = values.size
    else:
        raise BadRequest(f"The datatype of {name} is {datatype!r}; UINT8, FP32 and BYTES are known here.")
    if count != math.prod(shape):
        raise BadRequest(f"{name} has {count} elements; its shape {shape} has {math.prod(shape)}.")
    return Tensor(name, datatype, tuple(shape), values if isinstance(values, list) else values.reshape(shape))


def _array(name: str, dtype: str, data: Any) -> NDArray[Any]:
    try:
        if isinstance(data, memoryview):
            return np.frombuffer(data, dtype)
        if not isinstance(data, list):
            raise BadRequest(f"The data of {name} is not a list.")
        return np.array(data, dtype).ravel()
    except (ValueError, TypeError, OverflowError) as error:
        raise BadRequest(f"The data of {name} can't be read: {error}.") from error


def _unpacked(name: str, data: Any) -> list[bytes]:
    """BYTES. In binary each element is its length in four bytes, little-endian, and then itself; in JSON ours are base64."""
    if isinstance(data, list):
        try:
            return [base64.b64decode(value, validate=True) for value in data]
        except (ValueError, TypeError) as error:
            raise BadRequest(f"The data of {name} is not a list of base64 strings: {error}.") from error
    if not isinstance(data, memoryview):
        raise BadRequest(f"The data of {name} is not a list.")
    elements = []
    at = 0
    while at < len(data):
        start = at + 4
        at = start + int.from_bytes(data[at:start], "little")
        if at > len(data):
            raise BadRequest(f"{name} ends within an element.")
        elements.append(bytes(data[start:at]))
    return elements


def _packed(output: Tensor) -> bytes:
    if isinstance(output.values, list):
        return b"".join(len(value).to_bytes(4, "little") + value for value in output.values)
    return output.values.astype(_DTYPES[output.datatype]).tobytes()
