"""The formats that `torchcross data convert` reads."""

from __future__ import annotations

from torchcross.cli.group import Command, Group

_HERE = "medimeta_adapter.commands"

GROUP = Group(
    "Convert your own images, or another format, into a dataset in the MedIMeta format.",
    {
        "imagefolder": Command(f"{_HERE}.convert_imagefolder", "a folder of images per class"),
        "arrays": Command(f"{_HERE}.convert_arrays", ".npy files of images and labels"),
        "csv": Command(f"{_HERE}.convert_csv", "a table of paths, labels, subjects and splits"),
        "medmnist": Command(
            f"{_HERE}.convert_medmnist", "an .npz file of MedMNIST, any version and size"
        ),
        "huggingface": Command(
            f"{_HERE}.convert_huggingface", "a dataset of the Hugging Face hub, or a saved one"
        ),
    },
)
