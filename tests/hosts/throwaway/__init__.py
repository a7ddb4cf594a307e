"""Throw-away hosts: booted systemd and a real package manager, on one machine, for the tests."""
