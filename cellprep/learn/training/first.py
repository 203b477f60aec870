"""The network that a training begins with."""

from cellprep.errors import UsageError
from cellprep.learn.networks.kind import NetworkSettings
from cellprep.learn.networks.network import Network, build_network
from cellprep.learn.networks.vgg16 import load_vgg16
from cellprep.learn.training.options import TrainOptions
from cellprep.learn.weights import Weights, load_weights


def first_network(options: TrainOptions, image_channels: int, levels: int) -> Network:
    """Build the network, with random weights or those that the options name.

    Raises
    ------
    UsageError
        If the weights are those of another network than is to be trained.
    WeightsError
        If a file of weights cannot be read.
    """
    given = [load_weights(path) for path in options.init]
    names, parts = sorted(weights.settings.name for weights in given), options.kind.parts
    if names not in ([], [options.network], sorted(parts)):
        needed = f"those of a {options.network}" + (f", or of a {' and a '.join(parts)}" if parts else "")
        raise UsageError(f"--init gives weights of {' and '.join(names)}: give {needed}")
    settings = _settings(options, given, image_channels, levels)
    network = build_network(settings, options.seed)
    if options.encoder:
        load_vgg16(network, options.encoder)
    elif len(given) > 1:
        network.start_from(*(weights.network for part in parts for weights in given if weights.settings.name == part))
    elif given:
        network.load_state_dict(given[0].network.state_dict())
    return network


def _settings(options: TrainOptions, given: list[Weights], image_channels: int, levels: int) -> NetworkSettings:
    """Return the settings: what the options leave open, the weights to start from decide."""
    arch, base_channels = options.arch, options.base_channels
    if given:
        arch = arch or given[0].settings.arch
        base_channels = base_channels or given[0].settings.base_channels
    assert base_channels is not None  # the options leave it open only if weights are given
    signed_mask = options.background_cell and options.mask != "none"
    settings = NetworkSettings(
        options.network,
        arch,
        base_channels,
        image_channels,
        levels,
        masked=not options.background_cell,
        signed_mask=signed_mask,
    )
    for path, weights in zip(options.init, given, strict=True):
        found = weights.settings
        for name in found.kind.depends_on:
            if getattr(found, name) != getattr(settings, name):
                raise UsageError(
                    f"{path} has {name.replace('_', ' ')} {getattr(found, name)}, and this training "
                    f"{getattr(settings, name)}: they must be the same"
                )
    return settings
