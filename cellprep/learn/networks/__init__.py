"""The networks: each is described by one file that does not import torch; its functions load it."""

from cellprep.learn.networks.dn import DN
from cellprep.learn.networks.kind import NETWORKS, NetworkKind, NetworkSettings
from cellprep.learn.networks.semseg import SEMSEG
from cellprep.learn.networks.wn import WN
from cellprep.learn.networks.wtn import WTN

__all__ = ["NETWORKS", "NetworkKind", "NetworkSettings"]

# In the order in which `cellprep train all` trains them: parts first. To add one, write its file and name it here.
NETWORKS.update({kind.name: kind for kind in (SEMSEG, DN, WTN, WN)})
