"""Learn the distances to a cell's rim along rays, as StarDist does: ``python stardist_like.py data.zarr``."""

import sys
from math import cos, pi, sin

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader

from cellprep.learn import StoreDataset

RAYS, LONGEST = 8, 32


def ray_distances(labels: torch.Tensor) -> torch.Tensor:
    """Return how many pixels of its own cell each pixel sees along each ray: (N, RAYS, H, W) float32."""
    y, x = torch.meshgrid(*map(torch.arange, labels.shape[1:]), indexing="ij")
    distances = torch.zeros(len(labels), RAYS, *labels.shape[1:])
    for ray in range(RAYS):
        sees = labels > 0
        for step in range(1, LONGEST + 1):
            down = (y + step * sin(2 * pi * ray / RAYS)).round().long()
            across = (x + step * cos(2 * pi * ray / RAYS)).round().long()
            within = (down >= 0) & (down < len(y)) & (across >= 0) & (across < y.shape[1])
            there = labels[:, down.clamp(0, len(y) - 1), across.clamp(0, y.shape[1] - 1)]
            sees = sees & within & (there == labels)
            distances[:, ray] += sees
    return distances


def train(store: str, epochs: int = 5, crop: int = 96, workers: int = 0) -> list[float]:
    torch.manual_seed(0)
    dataset = StoreDataset(store, ["labels"], crop)
    loader = DataLoader(dataset, batch_size=8, num_workers=workers, persistent_workers=workers > 0)
    layers = [nn.Conv2d(dataset.normalisation.channels, 32, 3, padding=1), nn.ReLU()]
    for dilation in (1, 2, 4, 8):
        layers += [nn.Conv2d(32, 32, 3, padding=dilation, dilation=dilation), nn.BatchNorm2d(32), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Conv2d(32, 1 + RAYS, 1))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for epoch in range(epochs):
        dataset.set_epoch(epoch)
        total = 0.0
        for batch in loader:
            rays = ray_distances(batch["labels"])
            centre = rays.amin(1) / rays.amax(1).clamp(min=1)  # high in the middle of a cell, 0 at its rim and outside
            answer, cells = network(batch["image"]), batch["counts"] & (batch["labels"] > 0)
            wrong = binary_cross_entropy_with_logits(answer[:, 0], centre, reduction="none")[batch["counts"]].mean()
            off = (answer[:, 1:] - rays).abs().mean(1)[cells].sum() / cells.sum().clamp(min=1)
            loss = wrong + 0.2 * off
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item()
        losses.append(total / len(loader))
        print(f"epoch {epoch}: loss {losses[-1]:.4f}")
    return losses


if __name__ == "__main__":
    train(sys.argv[1], workers=2)
