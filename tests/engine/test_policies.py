"""Policy packs: what they see of the inputs and the outputs of resources, in both flavors.

The package pulumi-policy needs older versions of gRPC and protobuf than this project. To the engine, a pack is a server of this
protocol. It is a program here, because the language host that tools/engine builds is too old to start one in a folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pulumi_cbr.simulator import Simulator

from .conftest import Cli, InitStack
from .written import WrittenStack

#: Refuses a destination project, and tells the status that it sees after all.
PACK = """
import os, signal
from concurrent.futures import ThreadPoolExecutor
import grpc
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import analyzer_pb2 as api, analyzer_pb2_grpc, plugin_pb2

POLICIES = {"destinations": api.MANDATORY, "statuses": api.ADVISORY}

def found(policy, urn, text):
    return api.AnalyzeDiagnostic(
        policyName=policy, policyPackName="shares", policyPackVersion="1.0.0", description=policy, message=text,
        enforcementLevel=POLICIES[policy], urn=urn
    )

def read(resource, name):
    properties = MessageToDict(resource.properties)
    first, *others = name.split("_")
    return properties.get(name, properties.get(first + "".join(map(str.capitalize, others))))

class Pack(analyzer_pb2_grpc.AnalyzerServicer):
    def Handshake(self, request, context):
        return api.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version="1.0.0")

    def GetAnalyzerInfo(self, request, context):
        policies = [api.PolicyInfo(name=name, enforcementLevel=level) for name, level in POLICIES.items()]
        return api.AnalyzerInfo(name="shares", version="1.0.0", policies=policies)

    def ConfigureStack(self, request, context):
        return api.AnalyzerStackConfigureResponse()

    def Remediate(self, request, context):
        return api.RemediateResponse()

    def Analyze(self, request, context):
        projects = [read(request, "dest_project_id"), *(read(request, "dest_project_ids") or [])]
        refused = os.environ["REFUSED_PROJECT"] in projects
        diagnostics = [found("destinations", request.urn, f"{request.name} is refused")] if refused else []
        return api.AnalyzeResponse(diagnostics=diagnostics)

    def AnalyzeStack(self, request, context):
        seen = []
        for resource in request.resources:
            shares = [MessageToDict(resource.properties), *(read(resource, "members") or {}).values()]
            statuses = [share["status"] for share in shares if "status" in share]
            seen += [found("statuses", resource.urn, f"{resource.name} is {statuses}")] if statuses else []
        return api.AnalyzeResponse(diagnostics=seen)

server = grpc.server(ThreadPoolExecutor(4))
analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Pack(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
signal.signal(signal.SIGINT, lambda *_: os._exit(0))
server.start()
server.wait_for_termination()
"""

PROGRAM = """
import pulumi_cbr.native

backups, projects = {data!r}
for flavor, module in ("dynamic", cbr), ("native", pulumi_cbr.native):
    one, two = backups[flavor]
    module.BackupShareMember(f"{{flavor}}-member", one, projects[0])
    module.BackupShare(f"{{flavor}}-set", two, projects)
"""


def test_policies_see_inputs_and_outputs(cli: Cli, init_stack: InitStack, simulator: Simulator, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.write_text(f"#!{sys.executable}\n{PACK}")
    pack.chmod(0o755)
    ids, projects = [backup.id for backup in simulator.backups[:4]], simulator.projects[:2]
    env = {**simulator.env(), "REFUSED_PROJECT": projects[0]}
    stack = WrittenStack(tmp_path / "written", tmp_path / "backend", cli, init_stack, env)
    stack.program(PROGRAM.format(data=({"dynamic": ids[:2], "native": ids[2:]}, projects)))
    names = [f"{flavor}-{kind}" for flavor in ("dynamic", "native") for kind in ("member", "set")]

    refused = cli(stack.folder, "preview", f"--policy-pack={pack}", env=env)
    assert refused.returncode != 0
    assert all(f"{name} is refused" in refused.stdout for name in names), refused.stdout

    stack.env = {**env, "REFUSED_PROJECT": simulator.projects[2]}
    told = stack.up(f"--policy-pack={pack}")
    for name in names:
        assert f"{name} is {['pending'] * (2 if name.endswith('set') else 1)}" in told, told
