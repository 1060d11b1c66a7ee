"""Texts for users: one function for each message, with plain values in and one line out.

The form is ``<operation> failed: <cause> (<code>, HTTP <status>, request <id>). <One imperative sentence>.`` This module
imports nothing of the package, so that every other module may use it.
"""

from __future__ import annotations

# Settings and signing in

# Requests and responses

# Inputs

# Shares

# Acceptances and takeovers

# Commands

# The first-class provider
