"""A local stand-in for the service: identity and the members API of CBR, on loopback, for tests and trials.

    from pulumi_cbr.simulator import Simulator

    with Simulator(seed=1) as simulator:
        os.environ.update(simulator.env("owner"))
        ...
        assert simulator.count("POST", "/members$") == 1

The same thing runs on its own as ``python -m pulumi_cbr.simulator serve``. Serving needs the extra
``pulumi-cbr[simulator]``; importing does not.
"""

from pulumi_cbr.simulator.errors import Refused
from pulumi_cbr.simulator.faults import Fault
from pulumi_cbr.simulator.models import Account, Backup, MemberRecord, Vault
from pulumi_cbr.simulator.server import Call, Simulator

__all__ = ["Account", "Backup", "Call", "Fault", "MemberRecord", "Refused", "Simulator", "Vault"]
