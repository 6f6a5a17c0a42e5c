"""Whether all holds on this machine: what is counted and measured there, to compare with other machines."""
