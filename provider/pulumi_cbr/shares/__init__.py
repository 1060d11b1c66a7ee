"""The command ``python -m pulumi_cbr shares``: list shares, mark what stacks manage, adopt the rest, draw a page."""
