"""Baselines to compare models with: functions of sixteen frames (16, H, W, 3), RGB float32 0 to 1, to a map (h, w)."""

import cv2
import numpy as np

_WIDTH = 64  # pixels of the scale at which Hou and Zhang compute the spectral residual


def centre(frames: np.ndarray) -> np.ndarray:
    """Return a centred Gaussian, whatever the frames: standard deviations of a fifth of height and width."""
    down, across = (np.exp(-0.5 * (np.linspace(-0.5, 0.5, length) / 0.2) ** 2) for length in frames.shape[1:3])
    return np.outer(down, across).astype(np.float32)


def spectral(frames: np.ndarray) -> np.ndarray:
    """Return the spectral residual saliency of the last frame.

    Source: Hou and Zhang, "Saliency Detection: A Spectral Residual Approach", CVPR 2007.
    """
    height, width = frames.shape[1:3]
    grey = cv2.resize(frames[-1].mean(axis=-1), (_WIDTH, round(_WIDTH * height / width)), interpolation=cv2.INTER_AREA)
    spectrum = np.fft.fft2(grey)
    amplitude = np.log(np.abs(spectrum) + 1e-6).astype(np.float32)
    residual = amplitude - cv2.blur(amplitude, (3, 3))
    unusual = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    return cv2.GaussianBlur(unusual.astype(np.float32), (0, 0), _WIDTH / 25)


def motion(frames: np.ndarray) -> np.ndarray:
    """Return the mean change from frame to frame over the last eight frames, blurred by 1/32 of W."""
    change = np.abs(np.diff(frames[-8:].mean(axis=-1), axis=0)).mean(axis=0)
    return cv2.GaussianBlur(change, (0, 0), frames.shape[2] / 32)


BASELINES = {each.__name__: each for each in (centre, spectral, motion)}
"""Baselines by their name after ``baseline:``."""
