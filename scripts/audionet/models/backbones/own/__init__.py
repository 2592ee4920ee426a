"""Networks of the user's own: SavedModels and ONNX files, which look or listen."""
