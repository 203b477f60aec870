"""The networks: each is one file that says what it is, without torch, which its functions load."""

from cellprep.learn.networks.dn import DN
from cellprep.learn.networks.kind import NETWORKS, NetworkKind, NetworkSettings
from cellprep.learn.networks.semseg import SEMSEG
from cellprep.learn.networks.wn import WN
from cellprep.learn.networks.wtn import WTN

__all__ = ["NETWORKS", "NetworkKind", "NetworkSettings"]

# In the order in which `cellprep train all` trains them: parts come first. A new one is one file and its name here.
NETWORKS.update({kind.name: kind for kind in (SEMSEG, DN, WTN, WN)})
