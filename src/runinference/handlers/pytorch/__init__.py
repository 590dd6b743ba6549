"""PyTorch: models from a state dict, TorchScript or an exported program, on a CPU or a GPU."""
