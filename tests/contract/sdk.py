"""Huawei Cloud's own SDK, which nobody here wrote, connected to a simulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from huaweicloudsdkcbr.v1 import CbrClient
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig

from waiting import PATIENCE

#: The SDK calls datetime.utcnow, which newer Pythons warn of, and warns itself where dateutil is not installed.
WARNINGS = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unable to convert string:ImportWarning"),
]


def connected(keys: Mapping[str, str]) -> Any:
    """Return the SDK's client, signed in with the keys of `Simulator.access_key_env`."""
    credentials = BasicCredentials(keys["HW_ACCESS_KEY"], keys["HW_SECRET_KEY"], keys["HW_PROJECT_ID"])
    if "HW_SECURITY_TOKEN" in keys:
        credentials.with_security_token(keys["HW_SECURITY_TOKEN"])
    config = HttpConfig.get_default_config()
    config.timeout = (PATIENCE, PATIENCE)
    builder = CbrClient.new_builder().with_credentials(credentials).with_http_config(config)
    return builder.with_endpoint(keys["CBR_ENDPOINT"]).build()
