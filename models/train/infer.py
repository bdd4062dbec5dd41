"""Runs an exported model over pictures, as the daemon does."""

from pathlib import Path

import numpy as np
import onnxruntime

from preprocess import Placement, letterbox, normalise
from settings import INPUT_NAME, OUTPUT_NAME


class Model:
    """An exported model."""

    def __init__(self, path: Path, threads: int = 2):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.name = path.name
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        # Sizes that are left open have names.
        self.trims = isinstance(self.session.get_inputs()[0].shape[2], str)

    def failure_map(self, frame: np.ndarray) -> tuple[np.ndarray, Placement]:
        """The failure map of an RGB8 frame of any size, and where the frame lies in it."""
        boxed, place = letterbox(frame, self.trims)
        (found,) = self.session.run([OUTPUT_NAME], {INPUT_NAME: normalise(boxed)[None]})
        return found[0, 0], place
