"""The documented error codes of the service, and the exception for them.

Source: the public API references of CBR (shared list of error codes, "BackupService.*").
"""

from __future__ import annotations

__all__ = ["REFUSALS", "Refused"]

#: Number of the code behind ``BackupService.`` to (HTTP status, text).
REFUSALS: dict[int, tuple[int, str]] = {
    6105: (404, "The vault does not exist."),
    6200: (404, "The backup does not exist."),
    6700: (400, "Only cloud server backups can be shared."),
    6701: (400, "The maximum number of backup shares has been reached."),
    6702: (400, "Only backups in the available status can be shared."),
    6703: (400, "The backup has been shared."),
    6704: (400, "Invalid project ID of the tenant for sharing."),
    6705: (404, "The share member does not exist."),
    6706: (400, "Invalid update parameter value for the share member."),
    6707: (400, "Backup sharing is not allowed."),
    6708: (400, "Failed to update the status of the share member."),
    6709: (400, "Backups of servers with encrypted disks cannot be shared."),
    6710: (400, "The shared backup has been used to register an image. Delete the image first."),
    6711: (400, "Failed to delete the shared backup."),
    6712: (400, "The operation is not allowed in the current vault status."),
    6713: (400, "The type of the accepting vault and the resource type of the backup are different."),
    6714: (400, "A shared backup cannot be shared to the same member again."),
    8600: (403, "The account has not passed real-name authentication."),
    9900: (400, "Parameter verification failed."),
    9910: (500, "Unknown error."),
    9998: (500, "Authentication failed."),
}


class Refused(Exception):
    """The service refuses a request; nothing was changed.

    `state` raises it and `app` makes it an HTTP response. Tests that call the simulator from Python catch it.
    """

    #: Number of the documented code, such as 6703.
    number: int
    #: HTTP status of the response.
    status: int
    #: Code as the service writes it, such as ``BackupService.6703``.
    code: str
    #: The documented text, followed by the detail if there is one.
    message: str

    def __init__(self, number: int, detail: str = "") -> None:
        self.number = number
        self.status, text = REFUSALS[number]
        self.code = f"BackupService.{number}"
        self.message = f"{text} {detail}".strip()
        super().__init__(f"{self.code}: {self.message}")
