"""Learn which pixels are cell, wall and background, with plain torch: ``python plain_unet.py data.zarr``."""

import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate, max_pool2d
from torch.utils.data import DataLoader

from cellprep.learn import StoreDataset


def block(inputs: int, outputs: int) -> nn.Module:
    layers = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    def __init__(self, inputs: int, outputs: int, width: int = 16) -> None:
        super().__init__()
        self.fine, self.coarse, self.both = block(inputs, width), block(width, width), block(2 * width, width)
        self.last = nn.Conv2d(width, outputs, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        fine = self.fine(image)
        coarse = interpolate(self.coarse(max_pool2d(fine, 4)), scale_factor=4)
        return self.last(self.both(torch.cat([fine, coarse], dim=1)))


def train(store: str, epochs: int = 5, crop: int = 128, workers: int = 0) -> list[float]:
    torch.manual_seed(0)
    dataset = StoreDataset(store, ["semseg"], crop)
    loader = DataLoader(dataset, batch_size=8, num_workers=workers, persistent_workers=workers > 0)
    network = UNet(dataset.normalisation.channels, outputs=3)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for epoch in range(epochs):
        dataset.set_epoch(epoch)
        total = 0.0
        for batch in loader:
            loss = cross_entropy(network(batch["image"]), batch["semseg"], reduction="none")[batch["counts"]].mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item()
        losses.append(total / len(loader))
        print(f"epoch {epoch}: loss {losses[-1]:.4f}")
    return losses


if __name__ == "__main__":
    train(sys.argv[1], workers=2)
