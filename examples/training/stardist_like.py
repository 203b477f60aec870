"""Learn StarDist's targets as a store makes them: ``python stardist_like.py data.zarr``.

Build the store with ``cellprep build-targets SOURCE --targets stardist:rays=16``. The distances along the rays
take no room in it: they are computed from the labels of each crop, after it is turned and zoomed.
"""

import sys

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader

from cellprep.learn import StoreDataset


def train(store: str, epochs: int = 5, crop: int = 96, workers: int = 0) -> list[float]:
    torch.manual_seed(0)
    dataset = StoreDataset(store, ["labels", "stardist_rays", "stardist_probability"], crop)
    loader = DataLoader(dataset, batch_size=8, num_workers=workers, persistent_workers=workers > 0)
    rays = dataset[0]["stardist_rays"].shape[0]
    layers = [nn.Conv2d(dataset.normalisation.channels, 32, 3, padding=1), nn.ReLU()]
    for dilation in (1, 2, 4, 8):
        layers += [nn.Conv2d(32, 32, 3, padding=dilation, dilation=dilation), nn.BatchNorm2d(32), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Conv2d(32, 1 + rays, 1))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for epoch in range(epochs):
        dataset.set_epoch(epoch)
        total = 0.0
        for batch in loader:
            answer, counts = network(batch["image"]), batch["counts"]
            inside = batch["stardist_probability"]
            wrong = binary_cross_entropy_with_logits(answer[:, 0], inside, reduction="none")[counts].mean()
            far = (answer[:, 1:] - batch["stardist_rays"]).abs().mean(1) * inside  # the middle of a cell matters most
            cells = counts & (batch["labels"] > 0)
            loss = wrong + 0.2 * far[cells].sum() / cells.sum().clamp(min=1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item()
        losses.append(total / len(loader))
        print(f"epoch {epoch}: loss {losses[-1]:.4f}")
    return losses


if __name__ == "__main__":
    train(sys.argv[1], workers=2)
