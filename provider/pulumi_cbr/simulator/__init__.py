"""A simulator of the identity service and of CBR, on loopback, for tests and trials.

    from pulumi_cbr.simulator import Simulator

    with Simulator(seed=1) as simulator:
        os.environ.update(simulator.env("owner"))
        ...
        assert simulator.count("POST", "/members$") == 1

``python -m pulumi_cbr.simulator serve`` runs it as a program. Serving needs the extra ``pulumi-cbr[simulator]``;
importing does not.
"""

from pulumi_cbr.simulator.errors import Refused
from pulumi_cbr.simulator.faults import Fault
from pulumi_cbr.simulator.models import Account, Backup, Call, MemberRecord, Vault
from pulumi_cbr.simulator.server import Simulator

__all__ = ["Account", "Backup", "Call", "Fault", "MemberRecord", "Refused", "Simulator", "Vault"]
