"""The detector that ships with the house: its name, its weights' file and what it can name. Nothing here imports torch."""

from pathlib import Path

NAME = "nanodet-g-416"
WEIGHTS = Path(__file__).parent / "weights" / "nanodet_g_416.safetensors"
WEIGHTS_SHA256 = "ab6949052bddae4d5e411057dd6b61168271e76a1200fb9ffdb8d025cb4c9cbd"
VERSION = WEIGHTS_SHA256[:8]
MODEL = f"{NAME} {VERSION}"
"""What every answer carries."""

SIDE = 416
"""Pixels of the square input."""

MEAN_BGR = (103.53, 116.28, 123.675)
STD_BGR = (57.375, 57.12, 58.395)

# fmt: off
LABELS: tuple[str, ...] = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed",
    "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)
"""COCO's 80 names in the order of the network's outputs (https://cocodataset.org, `categories` of instances_val2017.json)."""
# fmt: on
