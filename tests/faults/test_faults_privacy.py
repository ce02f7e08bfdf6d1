"""Whole studies of a patient full of marks go through the node; nothing that it writes outside its store bears one."""

import logging
import sqlite3
import warnings
from contextlib import closing, contextmanager
from types import SimpleNamespace

import pytest
from pydicom import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

from tests.faults.marks import DESCRIBING, IDENTIFYING, MARKS, files_below, hits, mark, put_raw
from tests.peers.node import QUICK
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written
from tests.peers.tools import wait_until
from tests.unit.trail.schema import errors

SR = "1.2.840.10008.5.1.4.1.1.88.34"
ENDED = {"done", "rejected", "failed"}
FEW = slice(0, 12)


def _spaced(name):
    images = mark(phantom(name)[FEW])
    images[3].PixelSpacing = [1.1, 1.1]
    return images


STUDIES = {
    "good": lambda: mark(phantom("marked")),
    "not analysed by a rule": lambda: mark(phantom("rule")[FEW], ContrastBolusAgent="ULTRAVIST-QX"),
    "not analysed for what it is": lambda: _spaced("spacing"),
    "text for a decimal": lambda: put_raw(mark(phantom("ds")[FEW]), "PixelSpacing", "DS", "Zacharias\\Zacharias"),
    "text for an integer": lambda: put_raw(mark(phantom("is")[FEW]), "InstanceNumber", "IS", "Zacharias"),
    "text for a slope": lambda: put_raw(mark(phantom("slope")[FEW]), "RescaleSlope", "DS", "PID-7Q4Z2X9"),
    "a name in a binary VR": lambda: put_raw(mark(phantom("us")[FEW]), "PatientName", "US", "Zacharias"),
    "a character set that is a name": lambda: put_raw(
        mark(phantom("cs")[FEW]), "SpecificCharacterSet", "CS", "Zacharias"
    ),
    "a date that is a name": lambda: put_raw(mark(phantom("da")[FEW]), "StudyDate", "DA", "Zacharias"),
    "a size that is a name": lambda: put_raw(mark(phantom("rows")[FEW]), "Rows", "US", "Zacharias"),
}
REFUSED = {
    "a study UID that is a name": lambda: put_raw(mark(phantom("uid")[FEW]), "StudyInstanceUID", "UI", "Grünspecht"),
}

QUARANTINED = {
    "another patient in the study": lambda: mark(phantom("marked")[:2], PatientID="PID-ANOTHER"),
    "other bytes": lambda: mark(phantom("marked")[2:4], ImageComments="x"),
}
QUOTED = "an error that quotes the header"


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Folders for temporary and personal files, as every process of the module has them."""
    folders = [tmp_path_factory.mktemp("TMPDIR"), tmp_path_factory.mktemp("HOME")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folders[0]))
        patch.setenv("HOME", str(folders[1]))
        patch.setenv("XDG_CACHE_HOME", str(folders[1] / "cache"))
        yield folders


@pytest.fixture(scope="module")
def pacs():
    """Starts a PACS that takes everything, or refuses reports in words that name the patient."""
    servers = []

    def start(*, refuses=""):
        def on_store(event):
            answer = Dataset()
            answer.Status = 0x0000
            if event.request.AffectedSOPClassUID == refuses:
                answer.Status, answer.ErrorComment = 0xA900, "no patient Zacharias PID-7Q4Z2X9"
            return answer

        entity = AE(ae_title="ORTHANC")
        entity.maximum_associations = 20
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
        servers.append(server)
        return SimpleNamespace(dicom_port=server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()


@pytest.fixture(scope="module")
def went(make_node, pacs, watched, tmp_path_factory):
    """The node after all that: its folders, what its verbs said, and which jobs ended how."""
    node, folder = make_node(), tmp_path_factory.mktemp("marked")
    node.configure([pacs(), pacs(refuses=SR)], {"work": QUICK["work"] | {"attempts": 2}})
    node.config.write_text(node.config.read_text().replace("[node]\n", '[node]\nlog_level = "debug"\n', 1))
    node.bleed(PHANTOM_BLEED)
    node.start("receive", "deliver")
    node.start("work", die_at="work: an error quotes the header")
    uids = {}
    with warnings.catch_warnings(), _silent_sender():
        for name, make in {**STUDIES, **REFUSED}.items():
            paths = written(make(), folder / name)
            send(paths, node.port)
            uids[name] = study_of(paths[0])
        # Another patient's image holds what of a study has not gone out yet: let it go out first.
        wait_until(lambda: _is_through(node, uids["good"]), f"good is through; see {node.folder}")
        for name, images in QUARANTINED.items():
            send(written(images(), folder / name), node.port)
        for name in STUDIES:
            wait_until(lambda uid=uids[name]: _is_through(node, uid), f"{name} is through; see {node.folder}")
        (node.state_dir / "quote").touch()
        paths = written(mark(phantom("quoted")), folder / QUOTED)
        uids[QUOTED] = study_of(paths[0])
        send(paths, node.port)
        wait_until(lambda: _is_through(node, uids[QUOTED]), "the study that breaks is through")
    said = _verbs(node, uids["good"], folder / "text for a decimal")
    node.stop()
    jobs = {name: [job for row in node.history(uid) for job in row["jobs"]] for name, uid in uids.items()}
    return SimpleNamespace(node=node, said=said, jobs=jobs, watched=watched)


@contextmanager
def _silent_sender():
    """The modality of the tests quotes what it sends: its words are not the node's."""
    warnings.simplefilter("ignore")
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def _is_through(node, study):
    rows = node.history(study)
    jobs = [job for row in rows for job in row["jobs"]]
    deliveries = [delivery for row in rows for delivery in row["deliveries"]]
    return (
        bool(jobs)
        and all(job["state"] in ENDED for job in jobs)
        and all(delivery["state"] != "pending" or delivery["attempts"] for delivery in deliveries)
    )


def _verbs(node, study, poisoned):
    calls = [
        ("status",),
        ("status", "--json"),
        ("doctor",),
        ("show", study),
        ("show", "PID-7Q4Z2X9"),
        ("replay", study, "--dry-run"),
        ("replay", "--accession", IDENTIFYING["AccessionNumber"], "--dry-run", "--why"),
        ("replay", "--folder", str(poisoned), "--dry-run", "--why"),
        ("resend", "--dead"),
        ("analyse", str(poisoned), "--out", str(node.folder / "out")),
        ("rules", "test", str(poisoned)),
        ("send", str(poisoned), f"127.0.0.1:{node.port}"),
        ("audit", "verify"),
        ("audit", "show", "--last", "1000"),
    ]
    return {" ".join(call): node.ichnode(*call) for call in calls}


def test_the_studies_ended_as_they_were_meant_to(went):
    states = {name: {job["state"] for job in jobs} for name, jobs in went.jobs.items()}
    assert states["good"] == {"done"}
    assert states["not analysed by a rule"] == {"rejected"}
    assert states[QUOTED] == {"failed", "rejected"}  # and then its report says so
    assert set.union(*(states[name] for name in STUDIES)) == {"done", "rejected"}


def test_no_log_names_a_patient(went):
    logs = sorted(went.node.folder.glob("*.log"))
    assert [path.stem for path in logs] == ["deliver", "receive", "work"]
    assert all(path.stat().st_size for path in logs)
    assert [hit for path in logs for hit in hits(path.read_bytes(), path.name)] == []


def test_no_file_outside_the_store_and_the_queue_names_a_patient(went):
    state = went.node.state_dir
    store = [state / name for name in ("instances", "quarantine", "outputs")]
    queue = sorted(state.glob("queue.sqlite*"))
    written_ones = files_below([went.node.folder, *went.watched], without=[*store, *queue, went.node.folder / "out"])
    assert len(written_ones) >= 8
    assert [hit for path in written_ones for hit in hits(path.read_bytes(), str(path))] == []
    assert [path for path in written_ones for hit in hits(str(path).encode(), "")] == []
    assert any(hits(path.read_bytes(), "") for path in files_below(store))  # the search finds what is there


def test_no_temporary_file_is_left(went):
    assert files_below(went.watched[:1]) == []


def test_no_verb_names_a_patient_beyond_what_it_is_asked_for(went):
    for call, said in went.said.items():
        unasked = {keyword: value for keyword, value in MARKS.items() if value not in call}
        assert hits(said.stderr.encode(), f"stderr of {call}", unasked) == [], said.stderr
        who = {keyword: value for keyword, value in unasked.items() if keyword in IDENTIFYING}
        assert hits(said.stdout.encode(), f"stdout of {call}", who) == []
        assert "Traceback" not in said.stderr


def test_the_audit_trail_is_whole_valid_and_names_no_patient(went):
    assert went.said["audit verify"].returncode == 0, went.said["audit verify"].stdout
    messages = [line.split(b" ", 3)[3] for line in (went.node.state_dir / "audit/trail.log").read_bytes().splitlines()]
    assert [errors(message) for message in messages] == [[]] * len(messages)
    kinds = {kind for message in messages for kind in KINDS if f'csd-code="{kind}"'.encode() in message}
    assert kinds == KINDS
    assert hits(b"\n".join(messages), "trail") == []


KINDS = {"110100", "110102", "110103", "110104", "110113", "110120", "110121", "110126", "ANALYSIS", "QUARANTINED"}
# What the queue holds in clear, as docs/explanation/privacy.md tells: what a rule may ask for, and why it decided.
QUEUE = {("instances", "facts"): {"StudyDescription", "SeriesDescription", "ProtocolName", "StudyDate"}}


def test_the_queue_holds_no_more_of_a_patient_than_is_documented(went):
    found = {}
    with closing(sqlite3.connect(went.node.state_dir / "queue.sqlite")) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            cursor = db.execute(f'SELECT * FROM "{table}"')
            columns = [column for column, *_ in cursor.description]
            for row in cursor:
                for column, value in zip(columns, row, strict=True):
                    for hit in hits(str(value).encode(), ""):
                        found.setdefault((table, column), set()).add(hit.keyword)
    assert found == QUEUE
    assert set.union(*QUEUE.values()) <= set(DESCRIBING)
