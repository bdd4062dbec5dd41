"""Constants that every stage shares; `manifest.toml` repeats those that Rust needs."""

from pathlib import Path

SEED = 20261121

# The input contract.
WIDTH = 320
HEIGHT = 320
CHANNELS = 3
PAD = 114
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
INPUT_NAME = "frame"

# The output contract: one probability a cell.
CELL = 16
GRID = WIDTH // CELL
# The network's largest stride, px: bars are left out by whole multiples of it.
STRIDE = 32
OUTPUT_NAME = "map"

# Frame score: mean of the TOP_K largest cells inside the picture (chosen by measuring).
TOP_K = 3
BOX_THRESHOLD = 0.5

MODEL_NAME = "strandwatch-s"
MODELS = Path(__file__).resolve().parent.parent

# Publishers that state a free licence for their failing pictures.
FREE_FAILING = ("rf-spaghetti3d", "rf-3dprinting-v6")
# Measured with, never trained on.
NEVER_TRAINED = ("snu-hyungjungkim",)
# Whole camera sequences of the training part that validation sees instead.
FOLD_SEQUENCES = ("BlackTilt_noz", "PinkNetriti_Early", "YellowOval_still")
