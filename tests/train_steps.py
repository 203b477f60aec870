"""Some steps of each network in double precision, to be compared.

By `main`, or ``python -m train_steps FILE COMMANDS``, which first runs commands, a list of their words each.
"""

import json
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from cellprep.cli import app
from cellprep.learn import NetworkSettings, build_network
from cellprep.learn.devices import choose_machine
from cellprep.learn.processes import joined
from cellprep.learn.training.options import TrainOptions
from cellprep.learn.training.trainer import Trainer

NETWORKS = [("semseg", "unet"), *((name, arch) for name in ("dn", "wtn", "wn") for arch in ("unet", "published"))]
SAMPLES, SIDE, LEVELS, STEPS = 5, 32, 4, 3


def batch(step):
    rng = np.random.default_rng(step)
    angle = rng.uniform(0, 6, (SAMPLES, SIDE, SIDE))
    made = {
        "image": rng.normal(size=(SAMPLES, 1, SIDE, SIDE)),
        "mask": (mask := (rng.random((SAMPLES, 1, SIDE, SIDE)) < 0.7).astype(float)),
        "domain": mask,
        "uvec": np.stack([np.sin(angle), np.cos(angle)], 1),
        "area": rng.integers(1, 200, angle.shape).astype(float),
        "semseg": rng.integers(0, 3, angle.shape),
        "energy": rng.integers(0, LEVELS, angle.shape),
        "counts": rng.random(angle.shape) < 0.9,
    }
    return {name: torch.from_numpy(values) for name, values in made.items()}


def train(name, arch, machine, here):
    levels = {"levels": LEVELS} if name.startswith("w") else {}
    network = build_network(NetworkSettings(name, arch=arch, base_channels=2, **levels), seed=0).double()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # whose chances differ
    trainer = Trainer(network, TrainOptions(name, out=Path("unused"), max_lr=1e-3), machine, STEPS)
    network.train()
    losses = []
    for step in range(STEPS):
        mine = {key: values[here.rank :: here.count] for key, values in batch(step).items()}
        losses.append(trainer._step(mine))
    return losses, {key: value.detach().clone() for key, value in network.state_dict().items()}


def main(out):
    machine = choose_machine("cpu", "float32")
    with joined(machine.device) as here:
        done = {f"{name} {arch}": train(name, arch, machine, here) for name, arch in NETWORKS}
        if here.rank == 0:
            torch.save(done, out)


if __name__ == "__main__":
    # What torchrun gives the processes is for one group: the first command's is kept for what follows.
    with mock.patch.object(torch.distributed, "destroy_process_group") as destroy:
        for words in json.loads(sys.argv[2]):
            assert not app(words, standalone_mode=False)
        main(sys.argv[1])
    destroy.assert_called_once_with()
    torch.distributed.destroy_process_group()
