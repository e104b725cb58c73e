"""Sphinx settings of the docs site; ``make docs`` builds it with warnings as errors."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE / "_ext")]

from sphinx.util.nodes import make_refnode  # noqa: E402

from atlas_scaling._version import __version__  # noqa: E402

project = "atlas-scaling"
author = "The atlas-scaling authors"
copyright = "The atlas-scaling authors"
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "cli_reference",
]
root_doc = "index"
exclude_patterns = ["_build", "README.md"]  # README.md is what GitHub shows; index.md includes it
nitpicky = True
# What a program printed is no shell language: an apostrophe in it may defeat the highlighter.
suppress_warnings = ["misc.highlighting_failure"]
# Types in signatures are named for readers; not each of them has a place in the reference.
nitpick_ignore_regex = [("py:(class|exc|obj|data|attr)", ".*")]

myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False

copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_copy_empty_lines = False

html_theme = "furo"
html_title = "atlas-scaling"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#005AA8", "color-brand-content": "#005AA8"},
    "dark_css_variables": {"color-brand-primary": "#62B6F7", "color-brand-content": "#62B6F7"},
}


def _by_short_name(app, env, node, content):  # type: ignore[no-untyped-def]
    """Link ``Fit`` in a signature to the one documented object that ends in ``.Fit``."""
    name = node.get("reftarget", "")
    objects = env.get_domain("py").objects
    found = [full for full in objects if full.rpartition(".")[2] == name.rpartition(".")[2]]
    if node.get("refdomain") != "py" or len(found) != 1:
        return None
    docname, anchor = objects[found[0]].docname, objects[found[0]].node_id
    return make_refnode(app.builder, node["refdoc"], docname, anchor, content, found[0])


def setup(app):  # type: ignore[no-untyped-def]
    """Resolve short names of types."""
    app.connect("missing-reference", _by_short_name)
