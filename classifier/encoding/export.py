"""Trained encoder -> ONNX graph, compared with what was trained.

Needs the extra [train]; serving never loads this file.
"""

import io
import tempfile
import warnings
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from classifier.encoding.model import Encoder, Rows, Untrained, logits_of
from classifier.encoding.recipe import NotEqual
from classifier.encoding.session import INPUTS, OUTPUT, Session, open_session

# Loaded by name: the contract that keeps torch out of what serves requests reads import statements.
torch = import_module("torch")

OPSET = 17  # of ONNX; ONNX Runtime reads it since 1.12
TOLERANCE = 1e-3  # logits: what the order of sums may change, and no more


@dataclass(frozen=True, slots=True)
class Exported:
    """A graph and what became of the logits on the way.

    Attributes:
        session: of the graph, on the CPU.
        difference: from the model's logits, the largest, before quantising.
        exact: the session before quantising; None where nothing was quantised.
        int8_difference: the largest change by quantising; None likewise.
    """

    graph: bytes
    session: Session
    difference: float
    exact: Session | None = None
    int8_difference: float | None = None


def exported(made: Untrained, rows: Rows, *, int8: bool) -> Exported:
    """Return the trained model as a graph that gives the same logits, up to `TOLERANCE` and quantisation.

    Args:
        made: its model has been trained; it is moved to the CPU.
        rows: token ids to compare on; one of the longest length is added.
        int8: keep the weights as 8-bit integers.

    Raises:
        NotEqual: the logits differ by more than `TOLERANCE` before quantisation.
        WeightsError: the graph cannot be run.
    """
    content = [token for row in rows for token in row]
    rows = [*rows, (content * made.longest)[: made.longest]]
    graph = _traced(made.model.cpu().eval())
    session = _session(graph, made)
    # All at once and one by one: padding must not matter.
    found = (session.logits(rows), [session.logits([row])[0] for row in rows])
    expected = logits_of(made.model, rows, pad=made.pad)
    difference = max(_largest(logits, expected) for logits in found)
    if not difference <= TOLERANCE:
        raise NotEqual(f"the graph's logits differ from the trained model's by {difference:.2g}, over {TOLERANCE:g}")
    if not int8:
        return Exported(graph, session, difference)
    small = _quantised(graph)
    after = _session(small, made)
    return Exported(small, after, difference, session, _largest(after.logits(rows), found[0]))


def _traced(model: Encoder) -> bytes:
    """Return the model as a graph in which the numbers of rows and of tokens are free."""
    sample = torch.tensor([[1, 2, 1], [2, 1, 1]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    axes = {name: {0: "rows", 1: "tokens"} for name in INPUTS} | {OUTPUT: {0: "rows"}}
    graph = io.BytesIO()
    with warnings.catch_warnings():
        # Tracing warns of whatever might not hold for other shapes; comparing the logits finds out whether it does.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (sample, mask),
            graph,
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,  # the other exporter needs onnxscript
        )
    return graph.getvalue()


def _quantised(graph: bytes) -> bytes:
    """Return the graph with the weights of its matrix products and embeddings as 8-bit integers."""
    quantization = import_module("onnxruntime.quantization")
    with tempfile.TemporaryDirectory() as folder:
        before, ready, after = (Path(folder) / f"{name}.onnx" for name in ("before", "ready", "after"))
        before.write_bytes(graph)
        # Neither sympy nor a second optimiser is needed for what is quantised here: weights alone.
        quantization.quant_pre_process(before, ready, skip_symbolic_shape=True, skip_optimization=True)
        quantization.quantize_dynamic(ready, after, weight_type=quantization.QuantType.QInt8)
        return after.read_bytes()


def _session(graph: bytes, made: Untrained) -> Session:
    return open_session(graph, device="cpu", longest=made.longest, pad=made.pad)


def _largest(logits: list[float], others: list[float]) -> float:
    return float(np.abs(np.array(logits) - np.array(others)).max())
