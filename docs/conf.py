"""How Sphinx builds the site: ``make docs``."""

import sys
from pathlib import Path

import cellprep

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "cellprep"
author = "The cellprep developers"
version = release = cellprep.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "commands"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"cellprep {version}"
html_show_sphinx = False
html_show_sourcelink = html_copy_source = False
copybutton_prompt_text = "$ "  # lines with a prompt are copied without it; output is not copied
copybutton_line_continuation_character = "\\"
myst_enable_extensions = ["deflist"]
default_role = "py:obj"  # names in docstrings lead to what they name
myst_heading_anchors = 3
myst_links_external_new_tab = False
napoleon_google_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints = "none"  # signatures have them; the text tells shapes and units
