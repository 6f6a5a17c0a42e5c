"""One's own pictures looked at, split and described in a config that PaddleClas's trainer takes as it is."""
