"""The documentation site: `make docs` builds it into build/docs. No page asks another host for anything."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

project = "pulumi-cbr"
author = "The pulumi-cbr contributors"
project_copyright = author
release = version = installed_version("pulumi-cbr")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "sphinx_design",
    "tools.docs.reference",
]
exclude_patterns = ["_index.md", "installation-configuration.md"]
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "attrs_block"]
myst_heading_anchors = 4
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

pygments_dark_style = "monokai"

html_theme = "furo"
html_title = f"pulumi-cbr {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_logo = "logo.svg"
html_favicon = "logo.svg"
html_copy_source = False
html_show_sourcelink = False
copybutton_exclude = ".linenos, .gp, .go"
html_theme_options = {
    "sidebar_hide_name": False,
    "light_css_variables": {"color-brand-primary": "#5b3fb5", "color-brand-content": "#5b3fb5"},
    "dark_css_variables": {"color-brand-primary": "#b9a6ff", "color-brand-content": "#b9a6ff"},
}
