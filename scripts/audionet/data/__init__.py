"""Folders of recordings and pictures: preprocess, list, group, split and augment them."""
