"""ONNX models, through onnxruntime."""
