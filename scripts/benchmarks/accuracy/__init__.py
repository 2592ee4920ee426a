"""Accuracy under noise, codecs and rooms: networks beside baselines."""
