"""config.toml: what is wrong is named with its line, its key and what is allowed there."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from ichnode.config.file import load_config
from ichnode.domain.errors import ConfigError
from ichnode.domain.outputs import ObjectKind
from ichnode.domain.profile import USUAL, ScForm, SegForm

RIGHT = """\
[receive]
port = 104
[[receive.peer]]
ae_title = "CT1"
network = "10.1.2.0/24"
[[destination]]
name = "pacs"
host = "pacs.example.org"
port = 104
ae_title = "PACS"
[[rule]]
name = "mine"
why = "from {calling_ae}"
calling_ae = ["ER*"]
[[rule]]
name = "thin"
why = "only {thickness_mm} mm"
thickness_max_mm = 2
"""  # 18 lines


@pytest.fixture
def load(tmp_path):
    def read(text):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return load_config(path)

    return read


@pytest.fixture
def complaints(load, tmp_path):
    """What is said of a text, a line for each key, without the file's name."""

    def of(text):
        with pytest.raises(ConfigError) as error:
            load(text)
        assert "docs/reference/configuration.md" in error.value.hint
        return [line.removeprefix(f"{tmp_path / 'config.toml'}:") for line in str(error.value).splitlines()]

    return of


def test_what_is_not_said_has_its_default(load):
    config = load(RIGHT)
    assert config.receive.port == 104
    assert config.receive.peer[0].network == ip_network("10.1.2.0/24")
    assert config.node.ae_title == "ICHNODE"
    assert config.destination[0].objects == (ObjectKind.SEG, ObjectKind.SR, ObjectKind.SC)
    assert config.profiles == (USUAL,)
    assert config.rule is not None
    assert [rule.name for rule in config.rule] == ["mine", "thin"]
    assert load(RIGHT[: RIGHT.index("[[rule]]")]).rule is None


def test_results_are_made_in_the_forms_of_all_destinations(load):
    other = "[[destination]]\nname = 'vna'\nhost = 'h'\nport = 1\nae_title = 'A'\n"
    config = load(RIGHT + other + "seg = 'labelmap'\nsc = 'multi-frame'\nobjects = ['SEG', 'SR', 'KOS']\n")
    usual, modern = config.profiles
    assert usual == USUAL
    assert (modern.seg, modern.sc, modern.name) == (
        SegForm.LABELMAP,
        ScForm.MULTI_FRAME,
        "labelmap/comprehensive-3d/multi-frame",
    )
    assert modern.kinds == {ObjectKind.SEG, ObjectKind.SR, ObjectKind.KOS}


def test_destinations_of_one_form_share_a_profile_with_all_their_kinds(load):
    other = "[[destination]]\nname = 'ris'\nhost = 'h'\nport = 1\nae_title = 'A'\nobjects = ['SR', 'PDF']\n"
    (profile,) = load(RIGHT + other).profiles
    assert (profile.name, profile.kinds) == ("default", {*ObjectKind} - {ObjectKind.KOS})


def test_what_a_destination_is_given_may_come_back_unless_nothing_but_ct_is_wanted(load):
    other = "[[destination]]\nname = 'vna'\nhost = 'h'\nport = 1\nae_title = 'A'\nobjects = ['SR', 'PDF']\n"
    config = load(RIGHT + other + "sr = 'enhanced'\n")
    stated = config.receive.accept_also
    assert config.accepted_also == (*stated, "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.88.22")
    assert load((RIGHT + other).replace("port = 104", "port = 104\naccept_also = []", 1)).accepted_also == ()


def test_folders_are_relative_to_the_file_not_to_the_caller(load, tmp_path):
    config = load(RIGHT + '[node]\nstate_dir = "state"\n[work]\nweights = "/opt/weights"\n')
    assert config.node.state_dir == tmp_path / "state"
    assert config.work.weights == Path("/opt/weights")


def test_the_loaded_value_cannot_be_changed(load):
    with pytest.raises(ValueError, match="frozen"):
        load(RIGHT).receive.port = 1


def test_one_key_of_a_report_series_leaves_the_other_as_it_is(load):
    naming = load(RIGHT + "[report.sr]\nnumber = 77\n").report.sr
    assert (naming.number, naming.description) == (77, "ICHNODE ICH report (RESEARCH)")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[recieve]\na = 1\n", "19: recieve: unknown key; allowed here are node, receive, series, rule, work,"),
        ("[work]\n\ndevices = 1\n", "21: work.devices: unknown key; allowed here are weights, device, threads,"),
        ("[work]\ndevice = 'gpu'\n", "20: work.device: should be 'auto', 'cuda', 'cpu' or 'torch-cpu', not 'gpu'"),
        ("[work]\nattempts = 0\n", "20: work.attempts: should be greater than or equal to 1, not 0"),
        ("[work]\nattempts = 'three'\n", "20: work.attempts: should be a valid integer, "),
        ("[series]\nquiet_s = 0\n", "20: series.quiet_s: should be greater than 0, not 0"),
        ("[series]\nquiet_s = []\n", "20: series.quiet_s: should be a valid number, not []"),
        ("[series]\ncount_from = 'pcas'\n", "20: series.count_from: no [[pacs]] is called 'pcas'; there are none"),
        (
            "[[destination]]\nname = 'a'\nhost = 'h'\nport = 1\nae_title = 'A'\nconfirm_from = 'b'\n",
            "24: destination#2.confirm_from: no [[pacs]] is called 'b'; there are none",
        ),
        ("[schedule]\nreconcile_at = '25:00'\n", "20: schedule.reconcile_at: String should match pattern"),
        ("[node]\nae_title = 'A TITLE THAT IS TOO LONG'\n", "20: node.ae_title: String should have at most 16"),
        ("[node]\nserial = 'Müller'\n", "20: node.serial: String should match pattern"),
        ("[report.seg]\nnumber = 0\n", "20: report.seg.number: should be greater than or equal to 1, not 0"),
        ("[report.seg]\ndescription = 'ICH'\n", "20: report.seg.description: must say RESEARCH, which 'ICH' does not"),
        ("[report]\nseg = 5\n", "20: report.seg: should be a table, not 5"),
        ("[destinations]\n", "19: destinations: unknown key"),
        (
            "[[rule]]\nname = 'x'\nwhy = 'y'\nkernel = '('\n",
            "22: rule#3.kernel: is not a regular expression: ",
        ),
        (
            "[[rule]]\nname = 'x'\nwhy = 'y'\nslices = 3\n",
            "22: rule#3.slices: unknown key; allowed here are name,",
        ),
        ("[[rule]]\nname = 'x'\nwhy = '{y}'\n", "21: rule#3.why: Rule 'x': why has an unknown field: 'y'. Fields: id,"),
        ("[[rule]]\nname = 'x'\n", "19: rule#3.why: is missing and has no default"),
        (
            "[[rule]]\nname = 'x'\nwhy = 'y'\nmodality = 'CT'\n",
            "22: rule#3.modality: should be a list, not 'CT'",
        ),
        (
            "[[destination]]\nname = 'pacs'\nhost = 'h'\nport = 1\nae_title = 'A'\n",
            "20: destination#2.name: two [[destination]] are called 'pacs'",
        ),
        (
            "[[destination]]\nname = 'b'\nhost = 'h'\nport = 99999\nae_title = 'A'\n",
            "22: destination#2.port: should be less than or equal to 65535, not 99999",
        ),
        (
            "[[destination]]\nname = 'b'\nhost = 'h'\nport = 1\nae_title = 'A'\nobjects = ['SEG', 'GSPS']\n",
            "24: destination#2.objects#2: should be 'SEG', 'SR', 'SC', 'KOS' or 'PDF', not 'GSPS'",
        ),
        ("[[destination]]\nname = 'b'\nhost = 'h'\nport = 1\n", "19: destination#2.ae_title: is missing"),
        (
            "[[pacs]]\nname = 'b'\nhost = 'h'\nport = 1\nae_title = 'A'\nretrieve = 'push'\n",
            "24: pacs#1.retrieve: should be 'get' or 'move', not 'push'",
        ),
    ],
)
def test_a_wrong_key_is_named_with_its_line_and_what_is_allowed(complaints, text, said):
    (line,) = complaints(RIGHT + text)
    assert line.startswith(said)


@pytest.mark.parametrize(
    ("was", "instead", "said"),
    [
        ("port = 104\n", "port = 'x'\n", "2: receive.port: should be a valid integer"),
        (
            '"10.1.2.0/24"',
            '"10.1.2.3/24"',
            "5: receive.peer#1.network: names an address within a network: write 10.1.2.0/24, not 10.1.2.3/24",
        ),
        (
            "[[receive.peer]]",
            "[receive.peer]",
            "3: receive.peer: there may be several: write [[receive.peer]], a table each, not [receive.peer]",
        ),
        ("[[destination]]", "[destination]", "6: destination: there may be several: write [[destination]], a table"),
        ('"10.1.2.0/24"', '"anywhere"', "5: receive.peer#1.network: is no address or network in CIDR notation: 'anyw"),
        ('network = "10.1.2.0/24"\n', "", "3: receive.peer#1.network: is missing and has no default"),
        ("port = 104\n", 'port = 104\naccept_also = ["1.2", "CT"]\n', "3: receive.accept_also#2: String should match"),
    ],
)
def test_so_it_is_in_the_tables_above(complaints, was, instead, said):
    (line,) = complaints(RIGHT.replace(was, instead, 1))
    assert line.startswith(said)


def test_who_may_send_must_be_written_out(complaints):
    assert complaints("[receive]\nport = 104\n") == ["1: receive.peer: is missing and has no default"]
    assert complaints("") == ["1: receive: is missing and has no default"]


def test_several_wrong_keys_are_named_at_once_from_the_top(complaints):
    text = RIGHT.replace("port = 104\n", "prot = 104\n") + "[work]\nattempts = 0\n[node]\nlog_level = 'loud'\n"
    assert [line.split(": ")[:2] for line in complaints(text)] == [
        ["2", "receive.prot"],
        ["6", "destination#1.port"],
        ["9", "destination#1.prot"],
        ["20", "work.attempts"],
        ["22", "node.log_level"],
    ]


def test_keys_with_dots_have_a_line_too(complaints):
    assert complaints("work.attempts = 0\n" + RIGHT) == [
        "1: work.attempts: should be greater than or equal to 1, not 0",
    ]


def test_what_is_no_toml_is_said_with_its_line(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[receive]\nport = \n")
    with pytest.raises(ConfigError, match=r"is not valid TOML: .*line 2"):
        load_config(path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_said(tmp_path, content):
    path = tmp_path / "config.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="Cannot read the configuration") as error:
        load_config(path)
    assert "--config" in error.value.hint


def test_an_onset_in_an_attribute_that_does_not_exist_is_refused_with_the_one_that_was_meant(load):
    with pytest.raises(ConfigError, match=r":20: .*StudyComment'; is it StudyComments\?"):
        load(RIGHT + '[[onset]]\nattribute = "StudyComment"\npattern = "(?P<hours>[0-9]+) h"\n')
