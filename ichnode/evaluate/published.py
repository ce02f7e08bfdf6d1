"""Figures of others, printed beside ours. They were measured on other patients: beside, not against."""

from dataclasses import dataclass
from typing import Final

ZHONG: Final = "Zhong et al., Stroke Vasc Neurol 2021;6(4):610-614, abstract; 266 patients, 27.8 % expanded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One figure of a publication. ``task`` is "segmentation" or "expansion"."""

    task: str
    what: str
    figure: str
    source: str


# Source: design notes of the project (model.md), "What the paper says" and "Evaluation".
PUBLISHED: Final = (
    Published(task="segmentation", what="nnU-Net", figure="median Dice 0.92", source="TICH-2 trial"),
    Published(
        task="segmentation",
        what="DeepBleed",
        figure="Dice 0.92",
        source="as published; intraventricular blood counted in",
    ),
    Published(
        task="segmentation", what="Winner of INSTANCE 2022", figure="Dice 0.69", source="challenge INSTANCE 2022"
    ),
    Published(
        task="segmentation",
        what="Convolutional network on few cases",
        figure="Dice 0.86, mean volume difference 1.33 mL",
        source="small-data study",
    ),
    Published(
        task="segmentation",
        what="BLAST-CT, not trained on these cases",
        figure="median Dice 0.85; 0.91 with intraventricular label",
        source="on PHE-SICH-CT-IDS; 50-86 s a scan",
    ),
    Published(task="expansion", what="Network (Zhong)", figure="AUC 0.80", source=ZHONG),
    Published(task="expansion", what="Volume model", figure="AUC 0.62", source=ZHONG),
    Published(task="expansion", what="BAT score", figure="AUC 0.65", source=ZHONG),
    Published(task="expansion", what="Swirl sign", figure="AUC 0.70", source=ZHONG),
    Published(task="expansion", what="Heterogeneous density", figure="AUC 0.70", source=ZHONG),
    Published(task="expansion", what="Black hole sign", figure="AUC 0.65", source=ZHONG),
    Published(task="expansion", what="Hypodensities", figure="AUC 0.64", source=ZHONG),
    Published(task="expansion", what="Fluid level", figure="AUC 0.58", source=ZHONG),
    Published(task="expansion", what="Irregular shape", figure="AUC 0.55", source=ZHONG),
    Published(task="expansion", what="Blend sign", figure="AUC 0.51", source=ZHONG),
    Published(task="expansion", what="Other networks", figure="AUC 0.75-0.81", source="range of publications"),
)
