"""Exported classifiers, on paddle.inference or ONNX Runtime; Paddle is imported only where it runs one."""
