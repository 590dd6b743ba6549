"""What every benchmark shares: measuring, comparing, showing."""
