"""A segmentation of ours read back: the parts of a haematoma on the grid of the images that it was made from."""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ichnode.domain.errors import Rejected
from ichnode.domain.followup import Tracked
from ichnode.domain.values import Volume


def read_tracked(dataset: Dataset, volume: Volume) -> Tracked:
    """The parts in ``dataset`` on the grid of ``volume``, the scan that it was made from, and how they are called.

    Raises Rejected for a segmentation that is none of these images.
    """
    try:
        seg = hd.seg.Segmentation.from_dataset(dataset, copy=False)
        labels = _labels(seg, volume)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RuntimeError) as error:
        raise Rejected("The earlier segmentation does not fit the earlier images.") from error
    if not labels.any():  # a slice without a frame is taken as empty, and so is one of another series
        raise Rejected("The earlier segmentation does not fit the earlier images.")
    if labels.shape != volume.geometry.shape:
        raise Rejected("The earlier segmentation has another matrix than the earlier images.")
    tracking = {
        int(segment.SegmentNumber): (str(segment.TrackingID), str(segment.TrackingUID))
        for segment in dataset.SegmentSequence
        if "TrackingUID" in segment
    }
    return Tracked(labels=np.where(np.isin(labels, list(tracking)), labels, 0).astype(np.uint16), tracking=tracking)


def _labels(seg: hd.seg.Segmentation, volume: Volume) -> NDArray[np.uint16]:
    """(Z, Y, X) segment numbers; slices without a frame in the object hold none."""
    how = {"combine_segments": True, "ignore_spatial_locations": True, "assert_missing_frames_are_empty": True}
    frames = [source.frame_number for source in volume.sources]
    if frames[0] is None:
        pixels = seg.get_pixels_by_source_instance([s.sop_instance_uid for s in volume.sources], **how)
    else:
        pixels = seg.get_pixels_by_source_frame(volume.sources[0].sop_instance_uid, frames, **how)
    return np.asarray(pixels, np.uint16)
