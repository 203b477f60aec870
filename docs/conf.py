"""Configuration of Sphinx; ``make docs`` builds the site."""

import sys
from pathlib import Path

import cellprep

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "cellprep"
author = "The cellprep developers"
version = release = cellprep.__version__
extensions = [
    "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "commands", "signatures"
]  # fmt: skip
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"cellprep {version}"
html_static_path = ["_static"]
html_css_files = ["pictures.css"]
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
maximum_signature_line_length = 100  # longer ones have a parameter a line
python_use_unqualified_type_names = True  # of the full names that `signatures` writes
