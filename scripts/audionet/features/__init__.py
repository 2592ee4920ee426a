"""Sound to pictures: the recipes, the spectrograms and the image files."""
