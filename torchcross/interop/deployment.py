"""Predictors in files that need neither this library nor Python: ONNX and torch.export."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from torchcross._kit.argument_checks import check_choice
from torchcross._kit.whole_files import write_whole
from torchcross.algorithms import PlainPredictor, Predictor
from torchcross.errors import InputError, MissingExtraError, TorchcrossError, WriteError

Format: TypeAlias = Literal["onnx", "torch-export"]
Images: TypeAlias = Literal["float32", "uint8"]

_DTYPES = {"float32": torch.float32, "uint8": torch.uint8}
_INPUT, _BATCH = "images", "batch"
# The sizes of the batches in which a written model is compared with the module it was made of.
_BATCHES = (2, 1, 3)
_TOLERANCE = 1e-3


def export_predictor(
    predictor: Predictor,
    path: str | Path,
    to: Format = "onnx",
    *,
    logits: bool = False,
    images: Images = "float32",
    image_shape: tuple[int, int, int] | None = None,
    support: Tensor | None = None,
    transductive: bool = False,
    force: bool = False,
) -> float:
    """Write a predictor for use elsewhere, and return how far its outputs are from the predictor's.

    The file computes in float32 and takes a batch of any size. It is compared with the predictor
    (with `support`: with `to_module(support=...)`) on made-up images in batches of several sizes
    before it gets its name. Class names, the target's type and what images it wants stand in its
    metadata (`torchcross.*`).

    to            `"onnx"` needs the extra `onnx`; `"torch-export"` is read by `torch.export.load`
    images        the number format of the images that the file takes: floating ones as the
                  predictor takes them, or uint8 from 0 to 255
    image_shape   (channels, height, width); the default is that of the images it was adapted to
    support, transductive   as in `Predictor.to_module`
    force         replace a file that is there
    """
    path, predictor = Path(path), predictor.to("cpu")
    check_choice("to", to, tuple(WRITERS))
    check_choice("images", images, tuple(_DTYPES))
    if path.exists() and not force:
        raise InputError(f"{path} is there already; give another name, or force=True to replace it")
    shape = _image_shape(predictor, image_shape)
    if to == "onnx":
        _require_onnx()
    module = predictor.to_module(
        "logits" if logits else "probabilities", support=support, transductive=transductive
    )
    # In a batch of one, BatchNorm may have no variance.
    counts = [count + transductive for count in _BATCHES]
    batches = [_made_up(count, shape, _DTYPES[images]) for count in counts]
    if support is None:
        expected = [_predictions(predictor, batch, logits=logits) for batch in batches]
    else:
        expected = [_outputs(module, batch) for batch in batches]
    # Few runtimes compute in float64.
    module = module.float()
    data, outputs = WRITERS[to](module, batches, _metadata(predictor, module, shape, images))
    error = max(map(_distance, outputs, expected))
    if not error <= _TOLERANCE:
        raise WriteError(
            f"{path} is not written: its outputs differ from the predictor's by up to {error:.1e}"
            " of their size; try the other format, or give predictor.to_module() to an exporter of"
            " your own"
        )
    write_whole(path, data)
    return error


def _image_shape(predictor: Predictor, wish: tuple[int, int, int] | None) -> tuple[int, int, int]:
    if predictor.image_shape is not None and len(predictor.image_shape) == 1:
        raise InputError(
            f"the predictor of {predictor.task.name!r} takes stored features, and export is for"
            " predictors of images; adapt on images, with the backbone that made the features"
        )
    shape = predictor.image_shape if wish is None else wish
    if shape is None:
        raise InputError(
            f"the predictor of {predictor.task.name!r} does not know the shape of its images; give"
            " image_shape=(channels, height, width)"
        )
    if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise InputError(f"image_shape is {shape}; give (channels, height, width)")
    channels, height, width = shape
    return channels, height, width


def _made_up(count: int, shape: tuple[int, int, int], dtype: torch.dtype) -> Tensor:
    """Images with every grey value in them, from a generator of their own."""
    generator = torch.Generator().manual_seed(count)
    pixels = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
    return pixels if dtype == torch.uint8 else pixels.to(dtype) / 255


@torch.no_grad()
def _outputs(module: torch.nn.Module, images: Tensor) -> Tensor:
    outputs: Tensor = module(images)
    return outputs


def _predictions(predictor: Predictor, images: Tensor, *, logits: bool) -> Tensor:
    return predictor.logits(images) if logits else predictor(images).probabilities


def _distance(outputs: Tensor, expected: Tensor) -> float:
    """The largest difference, where outputs above 1 count by their size."""
    return float(((outputs - expected).abs() / expected.abs().clamp(min=1)).max())


def _metadata(
    predictor: Predictor, module: PlainPredictor, shape: tuple[int, int, int], images: Images
) -> dict[str, str]:
    task = predictor.task
    values: dict[str, Any] = {
        "task": task.name,
        "domain": task.domain,
        "target": task.target.kind,
        "loss": task.target.loss_name,
        "classes": list(task.classes),
        "output": module.output,
        "image_shape": list(shape),
        "images": images,
        "normalisation": predictor.protocol.get("pixels"),
        "protocol": predictor.protocol,
    }
    return {
        f"torchcross.{name}": value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }


def _dynamic_shapes() -> Any:
    # The size of a batch of one could be taken for one that is always 1.
    return ({0: torch.export.Dim(_BATCH, min=1)},)


def _write_onnx(
    module: PlainPredictor, batches: list[Tensor], metadata: dict[str, str]
) -> tuple[bytes, list[Tensor]]:
    onnxruntime = import_module("onnxruntime")
    with _quiet("ONNX"):
        program: Any = torch.onnx.export(
            module,
            (batches[0],),
            dynamo=True,
            dynamic_shapes=_dynamic_shapes(),
            input_names=[_INPUT],
            output_names=[module.output],
            verbose=False,
        )
        model = program.model_proto
        for name, value in metadata.items():
            model.metadata_props.add(key=name, value=value)
        data: bytes = model.SerializeToString()
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        outputs = [session.run(None, {_INPUT: batch.numpy()})[0] for batch in batches]
    return data, [torch.from_numpy(output) for output in outputs]


def _write_torch_export(
    module: PlainPredictor, batches: list[Tensor], metadata: dict[str, str]
) -> tuple[bytes, list[Tensor]]:
    file = io.BytesIO()
    with _quiet("torch.export"):
        program = torch.export.export(module, (batches[0],), dynamic_shapes=_dynamic_shapes())
        torch.export.save(program, file, extra_files={"torchcross.json": json.dumps(metadata)})
        file.seek(0)
        again = torch.export.load(file).module()
    return file.getvalue(), [_outputs(again, batch) for batch in batches]


Writer: TypeAlias = Callable[
    [PlainPredictor, list[Tensor], dict[str, str]], tuple[bytes, list[Tensor]]
]
WRITERS: dict[str, Writer] = {"onnx": _write_onnx, "torch-export": _write_torch_export}


def _require_onnx() -> None:
    missing = []
    for name in ("onnx", "onnxruntime", "onnxscript"):
        try:
            import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise MissingExtraError(
            f"ONNX needs {', '.join(missing)}, which cannot be imported; run: pip install"
            " 'torchcross-fewshot[onnx]', or write the format torch-export, which needs nothing"
        )


@contextmanager
def _quiet(exporter: str) -> Iterator[None]:
    """Keep an exporter's progress to itself, and say in one sentence where it fails."""
    said = io.StringIO()
    try:
        with warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
            # Exporters warn of their own deprecations, which a caller cannot change.
            warnings.simplefilter("ignore")
            yield
    except (TorchcrossError, MemoryError):
        raise
    except Exception as error:
        # Exporters raise what the packages below them raise.
        reason = str(error).strip().partition("\n")[0][:300]
        raise WriteError(
            f"the exporter of {exporter} cannot take this backbone ({type(error).__name__}:"
            f" {reason}); try the other format, or change the backbone's forward so that it can be"
            " traced"
        ) from error
