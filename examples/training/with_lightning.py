"""Learn which pixels are cell, wall and background, with Lightning: ``python with_lightning.py data.zarr``."""

import sys

import lightning
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from cellprep import open_store
from cellprep.learn import StoreDataset


class Segmentation(lightning.LightningModule):
    def __init__(self, training: StoreDataset) -> None:
        super().__init__()
        self.training_set, self.losses = training, []
        layers = [nn.Conv2d(training.normalisation.channels, 16, 3, padding=1), nn.ReLU()]
        for dilation in (1, 2, 4, 8):
            layers += [nn.Conv2d(16, 16, 3, padding=dilation, dilation=dilation), nn.BatchNorm2d(16), nn.ReLU()]
        self.network = nn.Sequential(*layers, nn.Conv2d(16, 3, 1))

    def on_train_epoch_start(self) -> None:
        self.training_set.set_epoch(self.current_epoch)

    def loss(self, batch: dict) -> torch.Tensor:
        answer = self.network(batch["image"])
        return cross_entropy(answer, batch["semseg"], reduction="none")[batch["counts"]].mean()

    def training_step(self, batch: dict, number: int) -> torch.Tensor:
        return self.loss(batch)

    def validation_step(self, batch: dict, number: int) -> None:
        self.log("loss", self.loss(batch), batch_size=1)

    def on_validation_epoch_end(self) -> None:
        self.losses.append(self.trainer.callback_metrics["loss"].item())
        print(f"epoch {self.current_epoch}: validation loss {self.losses[-1]:.4f}")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.parameters(), lr=3e-3)


def train(store: str, epochs: int = 5, crop: int = 128, workers: int = 0) -> list[float]:
    lightning.seed_everything(0, verbose=False)
    ids = list(open_store(store))
    shown = [image_id for image_id in ids if image_id not in ids[::5]]
    training = StoreDataset(store, ["semseg"], crop, ids=shown)
    validation = StoreDataset(store, ["semseg"], crop=None, ids=ids[::5], normalisation=training.normalisation)
    model = Segmentation(training)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="auto",
        devices=1,
        logger=False,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(training, batch_size=8, num_workers=workers, persistent_workers=workers > 0)
    trainer.fit(model, loader, DataLoader(validation, batch_size=1))
    return model.losses


if __name__ == "__main__":
    train(sys.argv[1], workers=2)
