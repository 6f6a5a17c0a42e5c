"""The command `check`: annotations and class maps looked at as the dense hosts do before a training."""
