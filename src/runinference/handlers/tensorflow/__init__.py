"""TensorFlow: SavedModels, Keras files and weights."""
