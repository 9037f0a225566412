"""Write a teacher's predictions for training cutouts: `teacher_predictions.py PREPARED MODEL ANSWERS.npz`.

The prepared folder has the teacher's cutout size; `train.teacher` then names the predictions, and the student may be
trained on a folder of the same objects in another size. A second run with the same inputs does nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from galclass.train.dataset import open_training_data
from galclass.train.teacher import write_teacher_predictions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--angles", type=float, nargs="+", default=[0.0, 30.0, 60.0], help="degrees")
    parser.add_argument("--without", nargs="*", default=[], help="sources that are not asked about")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data, angles = open_training_data(options.prepared), tuple(options.angles)
    write_teacher_predictions(options.model, data, angles, options.answers, without=frozenset(options.without))


if __name__ == "__main__":
    main()
