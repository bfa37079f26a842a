import base64
import json

import numpy as np
import pytest

from local_model.tensors import BadRequest, Tensor, read_request, wanted_in_binary, write_response


def body(*inputs, tail=b"", **more):
    text = json.dumps({"inputs": list(inputs), **more}).encode()
    return text + tail, str(len(text))


def test_binary_tensors_are_read_in_the_order_of_the_inputs():
    a = {"name": "a", "datatype": "UINT8", "shape": [2, 2], "parameters": {"binary_data_size": 4}}
    b = {"name": "b", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 11}}
    _, tensors = read_request(*body(a, b, tail=bytes([1, 2, 3, 4]) + b"\x03\0\0\0cat\0\0\0\0"))
    assert tensors["a"].values.tolist() == [[1, 2], [3, 4]]
    assert tensors["b"].values == [b"cat", b""]


def test_json_tensors_are_read_nested_or_flat_and_bytes_as_base64():
    nested = {"name": "a", "datatype": "UINT8", "shape": [2, 1], "data": [[1], [2]]}
    flat = {"name": "b", "datatype": "FP32", "shape": [2], "data": [0.5, 1]}
    picture = {"name": "c", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(b"\xff\xd8").decode()]}
    text, _ = body(nested, flat, picture)
    _, tensors = read_request(text, None)
    assert tensors["a"].values.tolist() == [[1], [2]]
    assert tensors["b"].values.tolist() == [0.5, 1.0]
    assert tensors["c"].values == [b"\xff\xd8"]


PIXEL = {"name": "a", "datatype": "UINT8", "shape": [1], "parameters": {"binary_data_size": 1}}


@pytest.mark.parametrize(
    ("content", "head_length"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b"{}", None),
        (b'{"inputs": [1]}', None),
        (b"[" * 100_000, None),
        (b"{}", "3"),
        (b"{}", "-1"),
        (b"{}", "x"),
        body(PIXEL),
        body(PIXEL, tail=b"12"),
        body({**PIXEL, "parameters": {"binary_data_size": -1}}, tail=b"1"),
        body({**PIXEL, "parameters": {"binary_data_size": "1"}}, tail=b"1"),
        body({**PIXEL, "parameters": []}, tail=b"1"),
        body({**PIXEL, "shape": [2]}, tail=b"1"),
        body({**PIXEL, "shape": [-1]}, tail=b"1"),
        body({**PIXEL, "shape": "1"}, tail=b"1"),
        body({**PIXEL, "datatype": "FP32"}, tail=b"1"),
        body({**PIXEL, "datatype": "INT64"}, tail=b"1"),
        body({**PIXEL, "datatype": ["UINT8"]}, tail=b"1"),
        body({**PIXEL, "name": None}, tail=b"1"),
        body({**PIXEL, "datatype": "BYTES", "parameters": {"binary_data_size": 5}}, tail=b"\xff\xff\0\0x"),
        (body({"name": "a", "datatype": "UINT8", "shape": [1], "data": [256]})[0], None),
        (body({"name": "a", "datatype": "UINT8", "shape": [1], "data": ["x"]})[0], None),
        (body({"name": "a", "datatype": "UINT8", "shape": [2], "data": [[1], [1, 2]]})[0], None),
        (body({"name": "a", "datatype": "UINT8", "shape": [1]})[0], None),
        (body({"name": "a", "datatype": "BYTES", "shape": [1], "data": ["%"]})[0], None),
        (body({"name": "a", "datatype": "BYTES", "shape": [1]})[0], None),
    ],
)
def test_what_is_no_request_is_refused(content, head_length):
    with pytest.raises(BadRequest):
        read_request(content, head_length)


def test_outputs_are_written_in_binary_only_where_that_is_asked():
    outputs = [Tensor("f", "FP32", (2,), np.array([0.5, 1], np.float32)), Tensor("s", "BYTES", (1,), [b"cat"])]
    assert wanted_in_binary({}, {"f", "s"}) == set()
    assert wanted_in_binary({"parameters": {"binary_data_output": True}}, {"f", "s"}) == {"f", "s"}
    assert wanted_in_binary({"outputs": [{"name": "s", "parameters": {"binary_data": True}}]}, {"f", "s"}) == {"s"}
    content, length = write_response({"model_name": "m"}, outputs, {"s"})
    told = json.loads(content[:length])
    assert told["outputs"][0]["data"] == [0.5, 1.0]
    assert told["outputs"][1]["parameters"] == {"binary_data_size": 7}
    assert content[length:] == b"\x03\0\0\0cat"
    assert json.loads(write_response({}, outputs, set())[0])["outputs"][1]["data"] == ["cat"]


def test_an_output_that_nobody_gives_is_refused():
    with pytest.raises(BadRequest, match="outputs is a list of these names: f"):
        wanted_in_binary({"outputs": [{"name": "masks"}]}, {"f"})
