"""Turning keys: what another key of the ring has sealed is sealed anew while everybody works."""
