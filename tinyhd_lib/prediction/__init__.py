"""Prediction: a video in, saliency maps, map files and overlay videos out."""
