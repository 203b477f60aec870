"""Learn which pixels are cell, wall and background, with MONAI: ``python with_monai.py data.zarr``."""

import sys

import torch
from monai.data import DataLoader
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import Compose, EnsureChannelFirstd, RandAdjustContrastd, RandGaussianNoised

from cellprep import open_store
from cellprep.learn import StoreDataset


def train(store: str, epochs: int = 5, crop: int = 128, workers: int = 0) -> list[float]:
    torch.manual_seed(0)
    changes = Compose(
        [
            EnsureChannelFirstd("semseg", channel_dim="no_channel"),
            RandAdjustContrastd("image", prob=0.3, gamma=(0.8, 1.3)),
            RandGaussianNoised("image", prob=0.5, std=0.1),
        ]
    ).set_random_state(seed=0)
    ids = list(open_store(store))
    dataset = StoreDataset(store, ["semseg"], crop, ["flips", "rotation", "zoom"], ids=ids[1:], transform=changes)
    loader = DataLoader(dataset, batch_size=8, num_workers=workers, persistent_workers=workers > 0)
    channels = dataset.normalisation.channels
    network = UNet(2, channels, out_channels=3, channels=(16, 32, 64), strides=(2, 2))
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for epoch in range(epochs):
        dataset.set_epoch(epoch)
        total = 0.0
        for batch in loader:
            loss = loss_of(network(batch["image"]), batch["semseg"])  # which counts mirrored borders, too
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item()
        losses.append(total / len(loader))
        print(f"epoch {epoch}: loss {losses[-1]:.4f}")

    whole = StoreDataset(store, ["semseg"], crop=None, ids=ids[:1], normalisation=dataset.normalisation)[0]
    with torch.no_grad():
        answer = sliding_window_inference(whole["image"][None], (crop, crop), 4, network.eval(), overlap=0.25)
    right = (answer.argmax(1)[0] == whole["semseg"])[whole["counts"]].float().mean()
    print(f"image {whole['id']}: {right:.1%} of the pixels are right")
    return losses


if __name__ == "__main__":
    train(sys.argv[1], workers=2)
