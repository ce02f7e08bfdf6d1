import re
from copy import deepcopy

import numpy as np
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import JPEGBaseline8Bit

from ichnode.domain.errors import BadGeometry, Rejected, Retryable
from ichnode.domain.flags import Flag
from ichnode.image.load import load_series, read_datasets


@pytest.fixture
def geometry(stack):
    return stack(slices=12, size=16)


@pytest.fixture
def hu(geometry):
    return np.random.default_rng(4).integers(-1000, 1500, geometry.shape).astype(np.int16)


@pytest.fixture
def series(classic, hu, geometry):
    return classic(hu, geometry)


def shuffled(items):
    return [items[k] for k in np.random.default_rng(5).permutation(len(items))]


def every(series, **values):
    for one in series:
        for keyword, value in values.items():
            setattr(one, keyword, value)


# ------------------------------------------------------------------ order, values, geometry


def test_slices_in_any_order_and_without_numbers_become_one_volume(series, hu, geometry):
    every(series, InstanceNumber=None)
    mixed = shuffled(series)

    volume = load_series(mixed)

    assert (volume.hu == hu).all()
    assert volume.hu.dtype == np.int16
    assert np.allclose(volume.geometry.origins_mm, geometry.origins_mm, atol=1e-4)
    assert [s.sop_instance_uid for s in volume.sources] == [one.SOPInstanceUID for one in series]
    assert volume.flags == frozenset()


@pytest.mark.parametrize(
    ("bits", "signed", "intercept"), [(12, False, -1024), (12, True, 0), (16, False, -1024), (16, True, 0)]
)
def test_stored_bits_and_sign(classic, geometry, hu, bits, signed, intercept):
    series = classic(hu, geometry, bits=bits, signed=signed, intercept=intercept)

    assert (load_series(series).hu == hu).all()


def test_what_stands_in_the_unused_bits_is_ignored(classic, geometry, hu):
    series = classic(hu, geometry, bits=12, signed=True, intercept=0)
    for one in series:
        stored = np.frombuffer(one.PixelData, "<u2") & 0x0FFF  # a writer that does not extend the sign
        one.PixelData = (stored | 0x2000).tobytes()

    assert (load_series(series).hu == hu).all()


def test_values_that_stand_in_the_high_bits_are_shifted_down(classic, geometry, hu):
    series = classic(hu, geometry, bits=12)
    for one in series:
        one.PixelData = (np.frombuffer(one.PixelData, "<u2") << 4).tobytes()
        one.HighBit = 15

    assert (load_series(series).hu == hu).all()


def test_each_slice_has_its_own_rescale(series, hu):
    series[3].RescaleIntercept = -2024 + 1000 + 100
    series[4].RescaleSlope, series[4].RescaleIntercept = 2, -2048

    seen = load_series(series).hu

    assert (seen[3] == hu[3] + 100).all()
    assert (seen[4] == np.maximum(2 * (hu[4].astype(int) + 1024) - 2048, -1024)).all()


def test_a_broken_slope_gives_broken_numbers(series, hu):
    every(series, RescaleSlope=0.5)

    seen = load_series(series).hu

    assert seen.dtype == np.float32
    assert np.allclose(seen, np.maximum((hu.astype(float) + 1024) / 2 - 1024, -1024))


@pytest.mark.parametrize(("value", "stored"), [(-2000, -2000), (63536, -2000), (-500, -500)])
def test_padding_becomes_air(classic, geometry, hu, value, stored):
    hu[:, :3] = stored
    series = classic(hu, geometry, signed=True, intercept=0)
    every(series, PixelPaddingValue=value)

    assert (load_series(series).hu[:, :3] == -1024).all()


def test_padding_without_its_sign_extended_becomes_air(classic, geometry, hu):
    hu[:, :3] = -2000
    series = classic(hu, geometry, bits=12, signed=True, intercept=0)
    for one in series:
        one.PixelData = (np.frombuffer(one.PixelData, "<u2") & 0x0FFF).tobytes()
    every(series, PixelPaddingValue=-2000, RescaleIntercept=1500)

    assert (load_series(series).hu[:, :3] == -1024).all()


def test_a_range_of_padding_becomes_air(classic, geometry, hu):
    hu[:, :3], hu[0, 0, 0], hu[0, 4, 0] = 3000, 3005, 3011
    series = classic(hu, geometry, signed=True, intercept=0)
    every(series, PixelPaddingValue=3000, PixelPaddingRangeLimit=3010)

    seen = load_series(series).hu

    assert (seen[:, :3] == -1024).all()
    assert seen[0, 4, 0] == 3011


def test_padding_that_the_stored_bits_cannot_hold_hides_no_bone(classic, geometry, hu):
    series = classic(hu, geometry, bits=12)
    bone = 63536 % 4096 - 1024
    for one in series:
        stored = np.frombuffer(one.PixelData, "<u2").copy()
        stored[:3], stored[3] = 63536, 63536 % 4096
        one.PixelData = stored.tobytes()
    every(series, PixelPaddingValue=63536)

    seen = load_series(series).hu

    assert (seen[:, 0, :3] == -1024).all()
    assert (seen[:, 0, 3] == bone).all()


def test_undeclared_padding_becomes_air_too(classic, geometry, hu):
    hu[:, :3] = -3024

    assert load_series(classic(hu, geometry, signed=True, intercept=0)).hu.min() == -1024


def test_slices_ascend_along_their_own_normal(stack, classic, hu):
    feet_first = stack(slices=12, size=16, row=(-1, 0, 0), column=(0, 1, 0))

    volume = load_series(shuffled(classic(hu, feet_first)))

    assert (volume.hu == hu).all()
    assert volume.geometry.origins_mm[0, 2] > volume.geometry.origins_mm[-1, 2]


def test_a_tilted_gantry_is_kept_and_flagged(stack, classic):
    leaning = stack(slices=12, size=16, column=(0, 0.9483237, -0.3173047), lean_mm=-5 * 0.3346)

    volume = load_series(classic(np.full(leaning.shape, -1000), leaning))

    assert volume.flags == {Flag.QF_TILT}
    assert volume.geometry.tilt_deg == pytest.approx(18.5, abs=0.05)
    assert volume.geometry.gaps_mm == pytest.approx(np.full(11, 5.0), abs=1e-3)


def test_unequal_spacing_is_kept_and_flagged(stack, classic):
    unequal = stack(slices=12, size=16, gaps_mm=[4.0] * 6 + [7.0] * 5)

    volume = load_series(classic(np.full(unequal.shape, -1000), unequal))

    assert volume.flags == {Flag.QF_UNEQUAL}
    assert volume.geometry.gaps_mm == pytest.approx([4.0] * 6 + [7.0] * 5)


@pytest.mark.parametrize(("first", "others"), [(10, 10), (0.3, 0.3), (5, 3)])
def test_thick_thin_and_varying_slices_are_flagged(series, first, others):
    every(series, SliceThickness=others)
    series[0].SliceThickness = first

    assert load_series(series).flags == {Flag.QF_THICK}


@pytest.mark.parametrize("keyword", ["SliceThickness", "FrameOfReferenceUID"])
def test_a_header_with_gaps_that_can_be_filled_is_flagged(series, keyword):
    for one in series:
        del one[keyword]

    assert load_series(series).flags == {Flag.QF_HEADER}


def test_jitter_of_the_orientation_is_snapped_and_flagged(series):
    series[4].ImageOrientationPatient = [1, 0.0005, 0, -0.0005, 1, 0]

    volume = load_series(series)

    assert volume.flags == {Flag.QF_HEADER}
    assert np.linalg.norm(volume.geometry.row_cosine) == pytest.approx(1, abs=1e-12)
    assert volume.geometry.row_cosine @ volume.geometry.column_cosine == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("keyword", ["InstanceNumber", "AcquisitionNumber", "RescaleType", "PatientPosition"])
def test_what_the_volume_does_not_need_may_be_absent(series, hu, keyword):
    for one in series:
        if keyword in one:
            del one[keyword]

    assert (load_series(series).hu == hu).all()


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_values_that_cannot_be_read_count_as_absent(series, hu):
    for keyword, vr, raw in (("InstanceNumber", "IS", b"abc "), ("SliceThickness", "DS", b"4,0 ")):
        for one in series:
            tag = Tag(keyword)
            one[tag] = RawDataElement(tag, vr, len(raw), raw, 0, False, True)

    volume = load_series(series)

    assert (volume.hu == hu).all()
    assert volume.flags == {Flag.QF_HEADER}


# ------------------------------------------------------------------ Enhanced multi-frame


@pytest.mark.parametrize(
    "shared",
    [("PixelMeasures", "PlaneOrientation", "PixelValueTransformation"), ()],
    ids=["shared-groups", "all-per-frame"],
)
def test_an_enhanced_image_is_the_same_volume(series, enhanced, hu, geometry, shared):
    order = np.random.default_rng(6).permutation(len(series))
    image = enhanced([series[k] for k in order], shared=shared)

    volume = load_series([image])

    assert (volume.hu == hu).all()
    assert np.allclose(volume.geometry.origins_mm, geometry.origins_mm, atol=1e-4)
    assert [s.frame_number for s in volume.sources] == [int(np.flatnonzero(order == k)[0]) + 1 for k in range(12)]


def test_an_enhanced_image_cut_in_two_instances_is_one_volume(series, enhanced, hu):
    one, other = enhanced(series[:6]), enhanced(series[6:])
    other.SOPInstanceUID = "1.2.9"

    assert (load_series([other, one]).hu == hu).all()


def test_enhanced_images_of_one_frame_each_are_one_volume(series, enhanced, hu):
    images = [enhanced([one]) for one in series]

    assert (load_series(shuffled(images)).hu == hu).all()


def test_frames_without_a_place_are_rejected(series, enhanced):
    image = enhanced(series)
    del image.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence

    with pytest.raises(Rejected, match=r"Slice 4 does not say where it lies"):
        load_series([image])


def test_a_frame_count_that_does_not_fit_is_rejected(series, enhanced):
    image = enhanced(series)
    image.NumberOfFrames = 13

    with pytest.raises(Rejected, match="announces 13 frames and describes 12"):
        load_series([image])


def test_frames_that_nothing_describes_are_rejected(series, enhanced):
    image = enhanced(series)
    del image.PerFrameFunctionalGroupsSequence

    with pytest.raises(Rejected, match="does not say where each of them lies"):
        load_series([image])


# ------------------------------------------------------------------ several acquisitions


def second_acquisition(series, count):
    again = []
    for k, one in enumerate(series[:count]):
        copy = deepcopy(one)
        copy.SOPInstanceUID, copy.AcquisitionNumber, copy.InstanceNumber = f"1.2.77.{k}", 2, 100 + k
        again.append(copy)
    return again


def test_of_two_acquisitions_the_whole_one_is_taken_and_flagged(series, hu):
    volume = load_series(second_acquisition(series, 4) + series)

    assert (volume.hu == hu).all()
    assert volume.flags == {Flag.QF_HEADER}
    assert {s.sop_instance_uid for s in volume.sources} == {one.SOPInstanceUID for one in series}


def test_two_whole_acquisitions_are_ambiguous(series):
    with pytest.raises(BadGeometry, match=r"Slices \d+ and \d+ lie at the same position"):
        load_series(series + second_acquisition(series, 12))


def test_an_acquisition_that_lacks_an_end_is_not_taken_for_the_whole(series):
    with pytest.raises(BadGeometry, match="no single acquisition covers the whole head"):
        load_series(series[1:] + second_acquisition(series, 3))


def test_two_acquisitions_that_complete_each_other_are_one_volume(series, hu):
    every(series[6:], AcquisitionNumber=2)

    volume = load_series(series)

    assert (volume.hu == hu).all()
    assert volume.flags == frozenset()


# ------------------------------------------------------------------ what can never be a head CT volume

REJECTED = {
    "no rescale": (lambda s: [s[2].pop("RescaleSlope")], "Slice 3 does not say how its values become Hounsfield"),
    "not HU": (lambda s: every(s, RescaleType="US"), "are not Hounsfield units"),
    "slope zero": (lambda s: every(s, RescaleSlope=0), "are not Hounsfield units"),
    "no position": (lambda s: [s[2].pop("ImagePositionPatient")], "Slice 3 does not say where it lies"),
    "half a position": (lambda s: every(s[2:3], ImagePositionPatient=[1, 2]), "Slice 3 does not say where it lies"),
    "empty position": (lambda s: every(s[2:3], ImagePositionPatient=None), "Slice 3 does not say where it lies"),
    "no orientation": (lambda s: [s[2].pop("ImageOrientationPatient")], "does not say how it is turned"),
    "no spacing": (lambda s: [s[2].pop("PixelSpacing")], "does not say how large its pixels are"),
    "mixed spacing": (
        lambda s: every(s[5:], PixelSpacing=[0.5, 0.5]),
        re.escape("Slices 1 and 6 have different pixel spacing (1.8 mm and 0.5 mm); the series cannot be one volume."),
    ),
    "oblong pixels among square ones": (
        lambda s: every(s[5:], PixelSpacing=[1.8, 1.7]),
        re.escape("(1.8 mm and 1.8 × 1.7 mm)"),
    ),
    "mixed size": (lambda s: every(s[5:], Rows=8), re.escape("Slices 5 and 6 have different sizes (16 × 16 and 8")),
    "not parallel": (
        lambda s: every(s[5:], ImageOrientationPatient=[1, 0, 0, 0, 0.999, -0.0447]),
        "Slices 1 and 6 are not parallel",
    ),
    "skewed axes": (lambda s: every(s, ImageOrientationPatient=[1, 0, 0, 0.1, 0.995, 0]), "orientation is damaged"),
    "coronal": (lambda s: every(s, ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), "not axial: they lean 90°"),
    "colour": (lambda s: every(s, SamplesPerPixel=3), "Image 1 of the series is a colour picture"),
    "no pixels": (lambda s: [s[2].pop("PixelData")], "Object 3 of the series is not an image"),
    "pixels cut off": (lambda s: every(s[2:3], PixelData=b"\0" * 100), "Slice 3 cannot be decoded|slice 3 cannot"),
    "lossy": (lambda s: every(s, LossyImageCompression="01"), "compressed with loss of detail"),
    "spacing of an elephant": (lambda s: every(s, PixelSpacing=[5, 5]), "5 mm cannot be that of a head CT"),
    "spacing without end": (lambda s: every(s, PixelSpacing=["1e300", "1e300"]), "cannot be that of a head CT"),
    "a slice far away": (
        lambda s: every(s[-1:], ImagePositionPatient=[0, 0, 3000]),
        "apart; the series cannot be one volume",
    ),
    "rescale lost in a migration": (lambda s: every(s, RescaleIntercept=0), "no air round the head"),
    "more pixels than there are": (lambda s: every(s, Rows=65535, Columns=65535), "65535 × 65535 pixels"),
    "two studies": (lambda s: every(s[5:], StudyInstanceUID="1.2.98"), "more than one study"),
    "two patients": (lambda s: every(s[5:], PatientID="OTHER"), "more than one patient"),
    "two series": (lambda s: every(s[5:], SeriesInstanceUID="1.2.99"), "more than one series"),
    "two frames of reference": (lambda s: every(s[5:], FrameOfReferenceUID="1.2.99"), "one frame of reference"),
    "an instance twice": (lambda s: every(s[:2], SOPInstanceUID="1.2.99"), "there twice"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_never_analysable_and_the_sentence_says_why(series, name):
    spoil, sentence = REJECTED[name]
    spoil(series)

    with pytest.raises(Rejected, match=sentence):
        load_series(series)


def test_lossy_transfer_syntaxes_are_rejected(series):
    series[0].file_meta.TransferSyntaxUID = JPEGBaseline8Bit

    with pytest.raises(Rejected, match=r"may lose detail or that is not known \(JPEG Baseline"):
        load_series(series)


def test_few_slices_are_rejected(series):
    with pytest.raises(Rejected, match="has only 3 slice"):
        load_series(series[:3])


def test_an_empty_series_is_rejected():
    with pytest.raises(Rejected, match="no images"):
        load_series([])


def test_files_are_read_and_a_stranger_among_them_is_rejected(series, hu, tmp_path):
    paths = [tmp_path / f"{k}" for k in range(len(series))]
    for one, path in zip(series, paths, strict=True):
        one.save_as(path, enforce_file_format=True)

    assert (load_series(read_datasets(paths)).hu == hu).all()

    paths[3].write_bytes(b"not DICOM at all" * 20)
    with pytest.raises(Rejected, match="not a DICOM image"):
        read_datasets(paths)


def test_a_file_that_is_gone_may_come_back(tmp_path):
    with pytest.raises(Retryable):
        read_datasets([tmp_path / "gone"])
