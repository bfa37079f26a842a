"""A detector whose answer is known of every picture, in the files that another detector is plugged in by."""

import hashlib

import torch
from torch import nn

COLOURS = ("red", "green", "blue")

TOML = """
name = "{name}"
file = "{file}"
sha256 = "{sha256}"
labels = ["red", "green", "blue"]
iou_max = 0.6
[input]
side = 64
channels = "rgb"
mean = [0, 0, 0]
std = [255, 255, 255]
[output]
boxes = "{boxes}"
"""


class Colour(nn.Module):
    """One box, by default the left half of the square; the score of a class is the mean of its channel, to the power of `version`."""

    def __init__(self, version=1, box=(0.0, 0.0, 32.0, 64.0)):
        super().__init__()
        self.version = version
        self.register_buffer("box", torch.tensor(box))

    def forward(self, x):
        return self.box.expand(x.shape[0], 1, 4), x.mean((2, 3)).unsqueeze(1) ** self.version


def plug(folder, version=1, name="colour", toml="colour.toml"):
    """Write a version's file, then its description in one step, as a careful operator does. Returns the description's path."""
    file = folder / f"{name}-{version}.pt"
    if not file.exists():
        torch.jit.trace(Colour(version), torch.zeros(1, 3, 64, 64)).save(file)
    text = TOML.format(name=name, file=file.name, sha256=hashlib.sha256(file.read_bytes()).hexdigest(), boxes="corners")
    (folder / "new.toml").write_text(text)
    (folder / "new.toml").replace(folder / toml)
    return folder / toml


def version_of(folder, version, name="colour"):
    return hashlib.sha256((folder / f"{name}-{version}.pt").read_bytes()).hexdigest()[:8]
