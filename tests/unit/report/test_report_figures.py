"""What the queue keeps of a result, made from its findings."""

from ichnode.domain.figures import Figures


def test_the_figures_say_which_weights_made_them(everything):
    findings = everything.findings
    facts = Figures.of(findings, report_uid=None, seg_uid=None).facts
    assert facts["weights"] == f"{findings.model.name} {findings.model.version}"
    assert facts["weights_sha256"] == findings.model.sha256
