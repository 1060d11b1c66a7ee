"""Write the API reference into build/docs: of the resources in both flavours, the client, and the pytest fixtures."""

from __future__ import annotations

import builtins
import sys
import warnings
from pathlib import Path

import pdoc
import pdoc.render
import pulumi

import pulumi_cbr.api

MODULES = ("pulumi_cbr", "pulumi_cbr.native", "pulumi_cbr.api", "pulumi_cbr.simulator.pytest_plugin")


def main(folder: Path) -> None:
    # Pulumi's own types name each other by texts, which pdoc reads in the modules that use them.
    for name in "Input", "Output", "T":
        setattr(builtins, name, getattr(pulumi.output, name))
    # The client is imported when it is asked for, and pdoc does not ask.
    vars(pulumi_cbr.api)["CbrClient"] = pulumi_cbr.api.CbrClient
    warnings.simplefilter("error")
    pdoc.render.configure(docformat="restructuredtext")
    pdoc.pdoc(*MODULES, output_directory=folder)


if __name__ == "__main__":
    main(Path(*sys.argv[1:]))
