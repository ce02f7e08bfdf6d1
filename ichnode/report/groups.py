"""The measurement groups of the report: one a lesion, one of the study, one of the follow-up.

Source: PS3.16 TID 1411, 1501, 4019.
"""

from collections.abc import Iterable
from typing import Any, Final

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from ichnode.domain.followup import Growth
from ichnode.domain.identity import MANUFACTURER, MODEL_NAME
from ichnode.domain.values import Expansion, Findings, Laterality, Lesion, ModelIdentity
from ichnode.report import codes
from ichnode.report.inputs import Context, Source
from ichnode.report.library import key_image, segment_of
from ichnode.report.readings import marker_items, score_items
from ichnode.report.seg import tracking_of
from ichnode.report.tree import add, comment, evaluation, measurement, referred, slice_image
from ichnode.report.wording import figure

STUDY_IDENTIFIER: Final = "ICH study-level"
FOLLOW_UP_IDENTIFIER: Final = "ICH follow-up"
LATERALITIES: Final = {
    Laterality.LEFT: codes.LEFT,
    Laterality.RIGHT: codes.RIGHT,
    Laterality.BILATERAL: codes.BILATERAL,
}

Group = Iterable[Dataset]


def lesion_group(source: Source, findings: Findings, lesion: Lesion, seg: Dataset, context: Context) -> Group:
    """TID 1411: what is measured on one segment."""
    identifier, uid = tracking_of(lesion, context)
    group: Group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(identifier=identifier, uid=uid),
        referenced_segment=segment_of(source, findings, lesion, seg),
        finding_category=codes.MORPHOLOGICALLY_ABNORMAL,
        finding_type=codes.HEMORRHAGE,
        finding_sites=[sr.FindingSite(anatomic_location=codes.BRAIN)],
        algorithm_id=_algorithm(findings.model, context),
        measurements=[_volume(lesion.volume_ml), *_density(lesion.hu_mean, lesion.hu_sd)],
    )
    return group


def study_group(source: Source, findings: Findings, context: Context) -> Group:
    """TID 1501: whether there is a haemorrhage at all, its figures, the markers, the scores."""
    absence = codes.UNDETERMINED if findings.undetermined else codes.ABSENT
    presence = codes.PRESENT if findings.present else absence
    scores, judgements = score_items(findings)
    predicted, category = _expansion(findings.expansion)
    side = LATERALITIES[findings.laterality] if findings.laterality else None
    group: Group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(STUDY_IDENTIFIER, context),
        finding_sites=[sr.FindingSite(anatomic_location=codes.BRAIN, laterality=side)],
        source_images=[key_image(source, findings)],
        algorithm_id=_algorithm(findings.model, context),
        measurements=[*_figures(source, findings), *scores, *predicted],
        qualitative_evaluations=[
            evaluation(codes.CEREBRAL_HEMORRHAGE, presence),
            *marker_items(source, findings.markers),
            *judgements,
            *category,
        ],
    )
    return group


def follow_up_group(source: Source, findings: Findings, growth: Growth, context: Context) -> Group:
    """TID 1501: how the haematoma has changed since an earlier scan, and which report and segmentation that one has."""
    share, baseline = growth.growth_percent, growth.baseline
    relative = [] if share is None else [measurement(codes.GROWTH_PERCENT, round(share, 1), codes.PERCENT)]
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(FOLLOW_UP_IDENTIFIER, context),
        finding_sites=[sr.FindingSite(anatomic_location=codes.BRAIN)],
        source_images=[key_image(source, findings)],
        algorithm_id=_algorithm(findings.model, context),
        measurements=[
            measurement(codes.GROWTH, round(growth.growth_ml, 2), codes.MILLILITER),
            *relative,
            measurement(codes.BASELINE_VOLUME, round(growth.baseline_ml, 2), codes.MILLILITER),
            measurement(codes.BASELINE_HOURS, round(growth.hours, 2), codes.HOUR),
        ],
        qualitative_evaluations=[evaluation(codes.EXPANDED, codes.YES if growth.expanded else codes.NO)],
    )
    earlier = [(codes.PRIOR_REPORT, baseline.report)] + ([(codes.BASELINE, baseline.seg)] if baseline.seg else [])
    add(group[0], [*(referred(name, reference) for name, reference in earlier), *_history(growth)])
    made: Group = group
    return made


def _history(growth: Growth) -> list[Dataset]:
    """The volume of every scan in words; why the earlier one could not be laid on this one."""
    scans = "; ".join(f"{figure(hours)} h: {figure(ml)} mL" for hours, ml in growth.history)
    said = [f"Volume since the first scan: {scans}"] if scans else []
    if growth.unregistered:
        said.append(f"The heads could not be laid on each other: {growth.unregistered}")
    return [comment(text) for text in said]


def _figures(source: Source, findings: Findings) -> list[Any]:
    """Volume by voxels and by ABC/2, diameter, density, number of parts; none where nothing was found."""
    if not findings.present:
        return []
    figures, size = [_volume(findings.volume_ml)], findings.size
    if size is not None:
        abc2_ml, slice_ = round(size.abc2_ml, 2), slice_image(source, size.diameter_slice)
        figures += [
            measurement(codes.ELLIPSOID_VOLUME, abc2_ml, codes.MILLILITER, method=codes.ABC2),
            measurement(codes.DIAMETER, round(size.diameter_mm, 1), codes.MILLIMETER, slice_, derivation=codes.MAXIMUM),
        ]
    figures += _density(findings.hu_mean, findings.hu_sd)
    if findings.hu_cv is not None:
        spread = round(findings.hu_cv, 3)
        figures.append(measurement(codes.ATTENUATION, spread, codes.NO_UNITS, derivation=codes.VARIATION))
    return [*figures, measurement(codes.PARTS, len(findings.lesions), codes.NO_UNITS)]


def _volume(volume_ml: float) -> Any:
    return measurement(codes.VOLUME, round(volume_ml, 2), codes.MILLILITER, method=codes.VOXEL_SUMMATION)


def _density(hu_mean: float | None, hu_sd: float | None) -> list[Any]:
    told = ((hu_mean, codes.MEAN), (hu_sd, codes.STANDARD_DEVIATION))
    return [
        measurement(codes.ATTENUATION, round(value, 1), codes.HOUNSFIELD, derivation=derivation)
        for value, derivation in told
        if value is not None
    ]


def _expansion(expansion: Expansion | None) -> tuple[list[Any], list[Any]]:
    """Measurements and evaluations; none where the weights may not speak of expansion."""
    if expansion is None:
        return [], []
    category = codes.EXPANSION_HIGH if expansion.probability >= expansion.threshold else codes.EXPANSION_LOW
    told: tuple[tuple[Code, float], ...] = (
        (codes.EXPANSION_PROBABILITY, expansion.probability),
        (codes.EXPANSION_THRESHOLD, expansion.threshold),
    )
    figures = [measurement(name, round(100 * value, 1), codes.PERCENT) for name, value in told]
    return figures, [evaluation(codes.EXPANSION_CATEGORY, category)]


def _tracking(identifier: str, context: Context) -> Any:
    return sr.TrackingIdentifier(identifier=identifier, uid=context.tracking_uid(identifier))


def _algorithm(model: ModelIdentity, context: Context) -> Any:
    """TID 4019, with the values that the ContributingEquipmentSequence has."""
    return sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        manufacturer=MANUFACTURER,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        parameters=[f"weights sha256={model.sha256}", f"node={MODEL_NAME} {context.installation.node_version}"],
    )
