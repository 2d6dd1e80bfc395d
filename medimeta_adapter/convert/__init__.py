"""Convert folders, arrays, tables, MedMNIST, torchvision and Hugging Face datasets to MedIMeta."""

from __future__ import annotations

from medimeta_adapter.convert.from_arrays import ArrayTask, arrays
from medimeta_adapter.convert.from_csv import csv_images
from medimeta_adapter.convert.from_dataset import dataset
from medimeta_adapter.convert.from_folder import image_folder
from medimeta_adapter.convert.from_hugging_face import hugging_face
from medimeta_adapter.convert.from_medmnist import medmnist
from medimeta_adapter.convert.left_out import LeftOut, LeftOutReason
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.table import CsvTask
from medimeta_adapter.convert.unlabelled_images import Unlabelled
from torchcross._kit.progress import ProgressBar, ProgressBars

__all__ = [
    "About",
    "ArrayTask",
    "Converted",
    "CsvTask",
    "LeftOut",
    "LeftOutReason",
    "Options",
    "Progress",
    "ProgressBar",
    "ProgressBars",
    "Unlabelled",
    "arrays",
    "csv_images",
    "dataset",
    "hugging_face",
    "image_folder",
    "medmnist",
]
