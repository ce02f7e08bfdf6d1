"""What a scanner adds: beam hardening with its bands and streaks, and noise with the grain of its kernel."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.sparse import csr_array

Stack = NDArray[np.float32]

SIDE: Final = 128  # pixels of the coarse grid on which rays are followed
ANGLES: Final = 72
BONE_FROM_HU: Final = 250.0  # bone is what the scanner's correction for water does not know
SECOND_ORDER: Final = 1.6e-3  # share of a bone path's square that is missing in what is measured; HU a (1000 HU mm)²
STARVED: Final = 0.006  # noise that grows with the bone in the way: streaks between the petrous bones
EDGE: Final = 1e-6


def hardening(hu: Stack, pixel_mm: float, strength: float, rng: np.random.Generator) -> Stack:
    """(Z, Y, X) HU to add: dark bands between dense bones, and faint streaks.

    Bone is projected, the second-order error of a polychromatic beam is taken and projected back. Source: the model
    of Joseph and Spital, J Comput Assist Tomogr 1978;2:100.
    """
    planes, rows, _ = hu.shape
    step = rows / SIDE
    bone = np.clip(hu - BONE_FROM_HU, 0, 1500) / 1000
    coarse = _shrunk(bone).reshape(planes, -1).T * np.float32(pixel_mm * step)
    rays = _rays()
    paths = np.asarray(rays @ coarse, np.float32)
    error = -SECOND_ORDER * strength * paths**2
    error += STARVED * strength * rng.standard_normal(paths.shape, np.float32) * paths
    filtered = _ramp_filtered(error.reshape(ANGLES, SIDE, planes)).reshape(ANGLES * SIDE, planes)
    back = np.asarray(rays.T @ filtered, np.float32).T.reshape(planes, SIDE, SIDE)
    back *= np.float32(np.pi / ANGLES * 1000 / (pixel_mm * step))
    soft = (_shrunk(hu) > -20) & (_shrunk(hu) < 100)
    if soft.any():
        back -= np.median(back[soft])
    return np.stack([zoom(plane, step, order=1, grid_mode=True, mode="nearest") for plane in back])


def noise(hu: Stack, pixel_mm: float, sd_hu: float, blur_mm: float, rng: np.random.Generator) -> Stack:
    """(Z, Y, X) HU: noise with the ramp of filtered backprojection under the kernel's fall, more amid the head."""
    planes, rows, columns = hu.shape
    fy, fx = np.fft.fftfreq(rows, pixel_mm)[:, None], np.fft.rfftfreq(columns, pixel_mm)[None, :]
    frequency = np.hypot(fy, fx)
    shape = (frequency + 0.004) * np.exp(-2 * (np.pi * frequency * blur_mm * 1.55) ** 2)
    out = np.empty(hu.shape, np.float32)
    low = np.clip(_shrunk(hu), -1000, 300) + 1000
    for k in range(planes):
        grain = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((rows, columns), np.float32)) * shape, (rows, columns))
        thick = zoom(_attenuation(low[k]), rows / SIDE, order=1, grid_mode=True, mode="nearest")
        out[k] = grain * (sd_hu / grain.std()) * thick
    return out


def _attenuation(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """(SIDE, SIDE) how much noisier than in the middle of an average head: mean of what stands in the way."""
    total = plane.mean() / 400  # an average head fills 40 % of the field
    y, x = (np.arange(SIDE) - SIDE / 2)[:, None], (np.arange(SIDE) - SIDE / 2)[None, :]
    radial = 0.62 + 0.42 * np.exp(-((np.hypot(y, x) / (SIDE * 0.28)) ** 2))
    return np.asarray(radial * np.clip(total, 0.35, 1.3) ** 0.5, np.float32)


def _shrunk(stack: Stack) -> Stack:
    planes, rows, _ = stack.shape
    block = rows // SIDE
    return np.asarray(stack.reshape(planes, SIDE, block, SIDE, block).mean(axis=(2, 4)))


@lru_cache(maxsize=1)
def _rays() -> csr_array:
    """(ANGLES * SIDE, SIDE * SIDE) parallel projection: each pixel falls on the two nearest rays of every angle."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    rows, weights = [], []
    for n, angle in enumerate(np.arange(ANGLES) * np.pi / ANGLES):
        place = np.clip((x * np.cos(angle) + y * np.sin(angle)) / 1.0 + (SIDE - 1) / 2, 0, SIDE - 1 - EDGE).ravel()
        first = place.astype(np.int64)
        rows += [n * SIDE + first, n * SIDE + first + 1]
        weights += [1 - (place - first), place - first]
    pixels = np.tile(np.arange(SIDE * SIDE), 2 * ANGLES)
    entries = np.concatenate(weights).astype(np.float32), (np.concatenate(rows), pixels)
    return csr_array(entries, shape=(ANGLES * SIDE, SIDE * SIDE))


def _ramp_filtered(sinogram: Stack) -> Stack:
    """Along axis 1, by |frequency| with a Hann window."""
    frequency = np.fft.rfftfreq(2 * SIDE)
    ramp = frequency * (0.5 + 0.5 * np.cos(2 * np.pi * frequency))
    spectrum = np.fft.rfft(sinogram, 2 * SIDE, axis=1) * ramp[None, :, None]
    return np.asarray(np.fft.irfft(spectrum, axis=1)[:, :SIDE], np.float32)
