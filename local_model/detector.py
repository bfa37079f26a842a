"""A detector: a network with what it needs to be asked and understood. The built-in NanoDet-g, or any other by its file.

Another detector is plugged in by a TOML file that lies beside its network:

    name = "my-detector"
    file = "my_detector.pt2"      # .pt2: torch.export; else TorchScript. TorchScript runs code: plug only what you trust
    sha256 = "…"                  # of the file; its first 8 digits are the version
    labels = ["cat", "dog"]
    iou_max = 0.6                 # for non-maximum suppression; 1.0 where the network has done its own
    half = false                  # true where you have seen that 16-bit floats leave its AP alone; much faster where there is hardware

    [input]                       # (B, 3, side, side) float32: (x - mean) / std of 0..255, letterboxed at the top left
    side = 416
    channels = "rgb"              # or "bgr"; mean and std in the same order
    mean = [0, 0, 0]
    std = [255, 255, 255]

    [output]                      # (boxes (B, N, 4) in pixels of the square, scores (B, N, classes) in [0, 1])
    boxes = "corners"             # x_min y_min x_max y_max; or "centres": x y width height
"""

import hashlib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from local_model import builtin
from local_model.boxes import Candidates, by_picture, cells, decode
from local_model.network import NanoDet


class BadDetector(ValueError):
    """The detector's file or its description can't be used; the sentence says why."""


@dataclass(frozen=True)
class Detector:
    """What answers.

    Attributes:
        name, version: both in every answer.
        labels: by class number.
        side: of the square input, in pixels.
        bgr: whether channels are blue, green, red.
        mean, std: (3,) float32, of 0..255, in the order of the channels.
        network: (B, 3, side, side) float32 -> its raw output.
        candidates: the raw output and the least score -> one entry a picture.
        iou_max: of boxes of one class in an answer.
        half: whether 16-bit floats leave its AP alone: the built-in's, by our own measurement (README); another's, if its TOML says so.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    side: int
    bgr: bool
    mean: Tensor
    std: Tensor
    network: nn.Module
    candidates: Callable[[Any, float], list[Candidates]]
    iou_max: float
    half: bool

    @property
    def model(self) -> str:
        """Name and version, as answers carry them."""
        return f"{self.name} {self.version}"


def load(weights: Path | None, device: torch.device) -> Detector:
    """The built-in detector, or the one that a TOML file describes.

    Raises:
        BadDetector: missing, damaged or not described fully.
    """
    return _builtin(device) if weights is None else _plugged(weights, device)


def _checked(path: Path, sha256: str) -> bytes:
    """A file's bytes, if they are the ones that were meant."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadDetector(f"{path} can't be read: {error.strerror}.") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise BadDetector(f"{path} is damaged or another file: its SHA-256 is {digest}, not {sha256}.")
    return content


def _builtin(device: torch.device) -> Detector:
    network = NanoDet()
    network.load_state_dict(load_safetensors(_checked(builtin.WEIGHTS, builtin.WEIGHTS_SHA256)))  # fp16 in the file, fp32 here
    grid = cells(builtin.SIDE, device)
    return Detector(
        name=builtin.NAME,
        version=builtin.VERSION,
        labels=builtin.LABELS,
        side=builtin.SIDE,
        bgr=True,
        mean=torch.tensor(builtin.MEAN_BGR, device=device),
        std=torch.tensor(builtin.STD_BGR, device=device),
        network=network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last),  # type: ignore[call-overload]
        candidates=lambda raw, score_min: decode(raw, grid, score_min),
        iou_max=0.6,
        half=True,
    )


def _plugged(description: Path, device: torch.device) -> Detector:
    try:
        told = tomllib.loads(description.read_text())
        picture, answer = told["input"], told["output"]
        path, sha256 = description.parent / told["file"], told["sha256"]
        if picture["channels"] not in {"rgb", "bgr"} or answer["boxes"] not in {"corners", "centres"}:
            raise BadDetector(f"{description}: channels is rgb or bgr, and boxes is corners or centres.")
        _checked(path, sha256)
        centres = answer["boxes"] == "centres"
        return Detector(
            name=told["name"],
            version=sha256[:8],
            labels=tuple(told["labels"]),
            side=int(picture["side"]),
            bgr=picture["channels"] == "bgr",
            mean=torch.tensor(picture["mean"], dtype=torch.float32, device=device),
            std=torch.tensor(picture["std"], dtype=torch.float32, device=device),
            network=_network(path, device),
            candidates=lambda raw, score_min: _above(raw, score_min, centres=centres),
            iou_max=float(told["iou_max"]),
            half=told.get("half") is True,
        )
    except OSError as error:
        raise BadDetector(f"{description} can't be read: {error.strerror}.") from error
    except KeyError as error:
        raise BadDetector(f"{description} does not say {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise BadDetector(f"{description} is not TOML: {error}.") from error


def _network(path: Path, device: torch.device) -> nn.Module:
    try:
        if path.suffix == ".pt2":
            return torch.export.load(path).module().to(device)
        return torch.jit.load(path, map_location=device).eval()  # type: ignore[no-untyped-call,no-any-return]
    except (RuntimeError, ValueError) as error:
        raise BadDetector(f"{path} is not a network that torch can load: {error}") from error


def _above(raw: tuple[Tensor, Tensor], score_min: float, *, centres: bool) -> list[Candidates]:
    boxes, scores = raw  # (B, N, 4), (B, N, C)
    picture, place, category = (scores > score_min).nonzero(as_tuple=True)
    chosen = boxes[picture, place].float()  # (M, 4)
    if centres:
        middle, half = chosen[:, :2], chosen[:, 2:] / 2
        chosen = torch.cat([middle - half, middle + half], 1)
    return by_picture(len(boxes), picture, chosen, scores[picture, place, category].float(), category)
