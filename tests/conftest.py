"""Lets every test import the checkout as the collection it is."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

# Ansible's own importer, so that tests load modules and plugins as a play does.
init_plugin_loader([str(Path(__file__).parent.parent / "collections")])
