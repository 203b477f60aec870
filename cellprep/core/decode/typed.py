"""Command-line options of decoders, shared by several commands."""

from collections.abc import Mapping
from typing import Annotated

from cellprep.core.decode import DECODERS, parse_options
from cellprep.system.options import Option

_DEFAULTS = {
    name: ", ".join(f"{option}={value:g}" for option, value in decoder.defaults().items())
    for name, decoder in DECODERS.items()
}

DecoderOptions = Annotated[
    Mapping[str, float],
    Option(
        "Decoder option, repeatable. Defaults: "
        + "; ".join(f"{name}: {defaults}" for name, defaults in _DEFAULTS.items())
        + ".",
        flags=("--decoder-option",),
        metavar="NAME=VALUE",
        parse=parse_options,
        group="Decoding",
    ),
]
