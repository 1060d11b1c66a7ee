"""The outputs of each resource that are not inputs: for programs that declare it, and for its controller."""

MEMBER_OUTPUTS = (
    "share_id",
    "status",
    "created_at",
    "updated_at",
    "vault_id",
    "image_id",
    "source_project_id",
    "endpoint",
)
SET_OUTPUTS = ("members", "source_project_id", "endpoint")
ACCEPTER_OUTPUTS = ("source_project_id", "status", "updated_at", "endpoint")
