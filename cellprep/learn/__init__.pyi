import cellprep.workflows.finetune
import cellprep.workflows.predict_and_measure
import cellprep.workflows.train_all
import cellprep.workflows.train_folds
import cellprep.workflows.tune

from .data.dataset import StoreDataset as StoreDataset
from .data.loading import train_loader as train_loader
from .data.loading import validation_loader as validation_loader
from .losses import direction_loss as direction_loss
from .losses import energy_loss as energy_loss
from .losses import semseg_loss as semseg_loss
from .networks import NetworkSettings as NetworkSettings
from .networks.network import Network as Network
from .networks.network import build_network as build_network
from .networks.vgg16 import load_vgg16 as load_vgg16
from .normalisation import Normalisation as Normalisation
from .prediction.bundle import Bundle as Bundle
from .prediction.bundle import load_bundle as load_bundle
from .prediction.bundle import save_bundle as save_bundle
from .prediction.bundle import with_decoding as with_decoding
from .prediction.instances import Instances as Instances
from .prediction.options import OutputOptions as OutputOptions
from .prediction.options import PredictionOptions as PredictionOptions
from .prediction.report import PredictionReport as PredictionReport
from .prediction.run import predict as predict
from .prediction.single import segment as segment
from .prediction.single import segment_types as segment_types
from .prediction.tuning import TuneOptions as TuneOptions
from .settings import Decoding as Decoding
from .training.options import TrainOptions as TrainOptions
from .training.run import TrainReport as TrainReport
from .training.run import train as train
from .weights import Weights as Weights
from .weights import load_weights as load_weights
from .weights import save_weights as save_weights

FinetuneReport = cellprep.workflows.finetune.FinetuneReport
finetune = cellprep.workflows.finetune.finetune
predict_and_measure = cellprep.workflows.predict_and_measure.predict_and_measure
train_all = cellprep.workflows.train_all.train_all
train_folds = cellprep.workflows.train_folds.train_folds
tune = cellprep.workflows.tune.tune

def require_torch(purpose: str) -> None: ...
