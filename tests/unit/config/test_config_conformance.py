"""The conformance statement says what the code does."""

import re
from itertools import product
from pathlib import Path

import pytest
from pydicom.uid import UID
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from ichnode import __version__
from ichnode import commitment as messages
from ichnode.config.receiving import Receive
from ichnode.deliver.classify import MEANINGS, Outcome
from ichnode.deliver.parcel import INTERCHANGEABLE
from ichnode.deliver.send import NAMES
from ichnode.domain.commitment import FAILURES
from ichnode.domain.flags import Flag
from ichnode.domain.identity import MANUFACTURER, MODEL_NAME, RESEARCH_NOTICE
from ichnode.domain.outputs import ObjectKind
from ichnode.domain.profile import SOP_CLASSES, USUAL, Profile, ScForm, SegForm, SrForm
from ichnode.receive import gate, intake, scp
from ichnode.receive.commitment import NO_SUCH_ACTION
from ichnode.receive.contexts import ACCEPT_ALSO, COMMITMENT, CT_CLASSES, TRANSFER_SYNTAXES, VERIFICATION
from ichnode.report import codes

PAGE = (Path(__file__).parents[3] / "docs/reference/conformance.md").read_text(encoding="utf-8")


def section(title):
    """The text under a heading, up to the next one."""
    return re.split(rf"^#+ {re.escape(title)}$", PAGE, flags=re.MULTILINE)[1].split("\n#")[0]


def rows(text):
    """The cells of each row of the tables in a text."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_every_sop_class_that_is_accepted_or_sent_stands_in_the_overview():
    roles = {row[1]: (row[2], row[3]) for row in rows(section("1 Overview")) if row[1].startswith("1.2")}
    accepted = {uid for uid, (_, as_scp) in roles.items() if as_scp.startswith("yes")}
    assert accepted == {VERIFICATION, COMMITMENT, *CT_CLASSES, *ACCEPT_ALSO, *SOP_CLASSES.values()}
    assert {uid for uid, (_, as_scp) in roles.items() if as_scp == "yes ⁴"} == {*SOP_CLASSES.values()} - {*ACCEPT_ALSO}
    assert set(Receive.model_fields["accept_also"].default) == set(ACCEPT_ALSO)
    asked = {
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelGet,
        StudyRootQueryRetrieveInformationModelMove,
    }
    assert {uid for uid, (as_scu, _) in roles.items() if as_scu.startswith("yes")} == {
        VERIFICATION,
        COMMITMENT,
        *SOP_CLASSES.values(),
        *asked,
    }
    for row in rows(section("1 Overview")):
        if row[1] in roles and "Query" not in row[0]:
            known = NAMES.get(row[1]) or UID(row[1]).name.removesuffix(" SOP Class")
            assert known == row[0].strip("*")


def test_a_profile_of_every_form_writes_every_class_of_the_table():
    kinds = frozenset(ObjectKind)
    forms = [Profile(seg=seg, sr=sr, sc=sc, kinds=kinds) for seg, sr, sc in product(SegForm, SrForm, ScForm)]
    assert {uid for profile in forms for uid in profile.sop_classes} == {*SOP_CLASSES.values()}
    assert USUAL.sop_classes == {*ACCEPT_ALSO}
    named = {profile.name for profile in forms}
    assert len(named) == len(forms)
    assert USUAL.name in named


def test_the_transfer_syntaxes_stand_in_their_order_of_preference():
    listed = [row[1] for row in rows(section("Presentation contexts")) if row[1].startswith("1.2")]
    assert tuple(listed) == TRANSFER_SYNTAXES
    sent = PAGE.split("### 3.3 STORAGE-SCU")[1].split("### 3.4")[0]
    assert all(syntax in sent for syntax in INTERCHANGEABLE)


def test_every_status_of_the_scp_is_listed_and_no_other():
    used = {getattr(intake, name) for name in ("SUCCESS", "OUT_OF_RESOURCES", "DATA_SET_MISMATCH", "CANNOT_UNDERSTAND")}
    numbers = {value for name, value in vars(intake).items() if name.isupper() and isinstance(value, int)}
    assert used == numbers - {intake.LONGEST_UID}
    assert {row[0] for row in rows(section("C-STORE status"))[2:]} == {f"0x{status:04X}" for status in used}


def test_every_status_of_storage_commitment_is_listed_and_no_other():
    takes = {messages.SUCCESS, messages.FAILED, messages.NO_SUCH_SOP_INSTANCE, messages.INVALID_ARGUMENT}
    listed = {row[0] for row in rows(section("Storage commitment as SCP"))[2:]}
    assert listed == {f"0x{status:04X}" for status in takes | {NO_SUCH_ACTION, messages.RESOURCE_LIMITATION}}
    reports, _, reasons = section("Storage commitment as SCU").partition("| Failure Reason")
    listed = {row[0] for row in rows(reports)[2:]}
    assert listed == {f"0x{status:04X}" for status in takes | {messages.NO_SUCH_EVENT}}
    assert all(f"0x{reason:04X}" in reasons for reason in FAILURES)


def test_every_rejection_is_listed():
    four = [row[1:] for row in rows(section("Associations")) if len(row) == 4]
    listed = {tuple(int(cell[0]) for cell in row) for row in four if all(cell[0].isdigit() for cell in row)}
    rejections = {value for name, value in (vars(scp) | vars(gate)).items() if name.startswith("REJECT_")}
    assert rejections <= listed
    assert listed - rejections == {(1, 1, 7)}  # pynetdicom's own


@pytest.mark.parametrize("meaning", MEANINGS, ids=lambda meaning: f"0x{meaning.first:04X}")
def test_every_status_that_a_destination_may_answer_is_listed_with_what_follows(meaning):
    words = {Outcome.SENT: "delivered", Outcome.AGAIN: "again", Outcome.DEAD: "dead"}
    wanted = (
        f"0x{meaning.first:04X}" if meaning.first == meaning.last else f"0x{meaning.first:04X}-0x{meaning.last:04X}"
    )
    row = next(row for row in rows(section("C-STORE responses")) if wanted in row[0])
    assert row[2].startswith(words[meaning.outcome])


def test_every_private_code_is_listed_and_no_other():
    private = {
        (code.value, code.meaning)
        for code in vars(codes).values()
        if isinstance(code, codes.Code) and code.scheme_designator == codes.PRIVATE_SCHEME
    }
    flags = {(flag.name, flag.value) for flag in Flag}
    assert {tuple(row) for row in rows(section("Private codes"))[2:]} == private | flags
    assert f"`{codes.PRIVATE_SCHEME}`" in section("Private codes")


def test_the_standard_codes_that_it_names_are_those_of_the_code():
    known = {
        (code.value, code.scheme_designator): code.meaning
        for code in vars(codes).values()
        if isinstance(code, codes.Code)
    }
    named = re.findall(r"\((\w+), (SCT|DCM|IBSI)(?:, \"([^\"]+)\")?\)", PAGE)
    assert len(named) >= 8
    for value, scheme, meaning in named:
        assert (value, scheme) in known
        assert meaning in ("", known[value, scheme])


def test_names_versions_and_limits_are_those_of_the_code():
    receive = Receive.model_fields
    for fact in (
        f"ichnode {__version__}",
        PYNETDICOM_IMPLEMENTATION_UID,
        PYNETDICOM_IMPLEMENTATION_VERSION,
        f"Manufacturer `{MANUFACTURER}`",
        f"Manufacturer's Model Name `{MODEL_NAME}`",
        RESEARCH_NOTICE,
        f"{receive['max_pdu_bytes'].default:,} bytes",
        f"| {receive['max_associations'].default} (`receive.max_associations`)",
        f"default {receive['port'].default}",
        f"ACSE {receive['acse_timeout_s'].default} s, DIMSE {receive['dimse_timeout_s'].default} s",
    ):
        assert fact in PAGE, fact
