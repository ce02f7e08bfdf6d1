import shutil
import tomllib
from pathlib import Path

import pytest

# Stands in for Python: "makes" a venv by copying itself, and notes what pip was asked for.
STUB = """#!/bin/sh
case "$*" in
    "-m venv --clear "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
    "-m pip install "*) echo "$*" >>"${0%/*}/pip.log" ;;
    "-c "*) echo stub ;;
    "-m ichnode --version") [ ! -e "${0%/*}/../../../../../broken" ] ;;
esac
"""


@pytest.fixture
def checkout(tmp_path, deploy) -> Path:
    """A small copy of the checkout, so that a test can change what is to be installed."""
    folder = tmp_path / "checkout"
    shutil.copytree(deploy, folder / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "ichnode").mkdir()
    for name in ("ichnode/__init__.py", "README.md", "LICENSE"):
        (folder / name).write_text("", encoding="utf-8")
    (folder / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n', encoding="utf-8")
    (folder / "config.toml").write_text('[work]\nweights = "weights/first"\n', encoding="utf-8")
    (folder / "weights" / "first").mkdir(parents=True)
    (folder / "weights" / "first" / "card.toml").write_text("card", encoding="utf-8")
    (folder / "weights" / "train.py").write_text("", encoding="utf-8")
    return folder


@pytest.fixture
def install(tmp_path, checkout, run):
    stub = tmp_path / "stub-python"
    stub.write_text(STUB, encoding="utf-8")
    stub.chmod(0o755)

    def install() -> Path:
        done = run(["sh", checkout / "deploy" / "install.sh"], DESTDIR=str(tmp_path / "root"), PYTHON=str(stub))
        assert done.returncode == 0, done.stderr
        return tmp_path / "root"

    return install


def snapshot(root: Path) -> dict[str, tuple[int, str]]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_text(encoding="utf-8")) for path in files}


@pytest.mark.parametrize(
    "script", ["demo.sh", "ichnode.sh", "install.sh", "python.sh", "release.sh", "test.sh", "uninstall.sh"]
)
def test_every_script_is_valid_posix_shell(script, deploy, run):
    assert run(["sh", "-n", deploy / script]).stderr == ""


def test_an_installation_has_program_weights_configuration_and_units(install, checkout):
    root = install()

    assert (root / "opt/ichnode/venv/bin/python").exists()
    assert (root / "opt/ichnode/venv").readlink().parent == Path("versions")
    asked = (root / "opt/ichnode/venv/bin/pip.log").read_text("utf-8").splitlines()
    assert len(asked) == 3
    assert asked[0].endswith(f"--require-hashes --no-deps --requirement {checkout}/deploy/locked.txt")
    assert asked[1].endswith(f"--constraint {checkout}/deploy/constraints.txt torch")
    assert "--no-deps --no-build-isolation /" in asked[2]
    assert [path.name for path in (root / "opt/ichnode/weights").iterdir()] == ["first"]
    assert (root / "etc/ichnode/config.toml").stat().st_mode & 0o777 == 0o640
    assert {path.name for path in (root / "etc/systemd/system").iterdir()} == {
        "ichnode.target",
        "ichnode-receive.service",
        "ichnode-work@.service",
        "ichnode-deliver.service",
    }
    assert (root / "etc/sysusers.d/ichnode.conf").exists()
    assert (root / "etc/tmpfiles.d/ichnode.conf").exists()


def test_the_installed_configuration_names_the_installed_weights(install):
    config = tomllib.loads((install() / "etc/ichnode/config.toml").read_text(encoding="utf-8"))

    assert config["work"]["weights"] == "/opt/ichnode/weights/first"


def test_a_second_installation_changes_nothing(install):
    before = snapshot(install())

    assert snapshot(install()) == before


def test_a_changed_configuration_is_kept_and_the_new_defaults_lie_beside_it(install, checkout):
    config = install() / "etc/ichnode/config.toml"
    config.write_text("# of this hospital\n", encoding="utf-8")
    (checkout / "config.toml").write_text("# newer defaults\n", encoding="utf-8")

    install()

    assert config.read_text(encoding="utf-8") == "# of this hospital\n"
    assert config.with_name("config.toml.new").read_text(encoding="utf-8") == "# newer defaults\n"


def test_an_upgrade_switches_to_a_new_version_and_keeps_the_old_one(install, checkout):
    venv = install() / "opt/ichnode/venv"
    old = venv.resolve()
    (checkout / "ichnode" / "__init__.py").write_text("changed = True\n", encoding="utf-8")

    install()

    assert venv.resolve() != old
    assert (old / "bin/python").exists()


def test_a_version_that_does_not_run_is_not_put_to_use(install, checkout, tmp_path):
    venv = install() / "opt/ichnode/venv"
    old = venv.resolve()
    (checkout / "ichnode" / "__init__.py").write_text("changed = True\n", encoding="utf-8")
    (tmp_path / "root" / "broken").touch()

    with pytest.raises(AssertionError, match="the one in use stays"):
        install()

    assert venv.resolve() == old


def test_changed_weights_replace_the_old_ones_which_are_kept(install, checkout):
    weights = install() / "opt/ichnode/weights"
    (checkout / "weights" / "first" / "card.toml").write_text("another card", encoding="utf-8")

    install()

    assert (weights / "first" / "card.toml").read_text(encoding="utf-8") == "another card"
    assert len(list(weights.glob("first.*"))) == 1


def test_a_removal_takes_program_units_and_the_weights_that_ship(install, checkout, run):
    root = install()

    run(["sh", checkout / "deploy" / "uninstall.sh"], DESTDIR=str(root))

    assert [path for path in root.rglob("*") if path.is_file()] == [root / "etc/ichnode/config.toml"]


@pytest.mark.parametrize(
    ("who", "said"), [("root", "runuser -u ichnode --"), ("anna", "sudo -u ichnode --"), ("ichnode", "")]
)
def test_the_command_runs_the_program_as_the_services_user_with_the_installed_configuration(
    install, tmp_path, run, who, said
):
    command = install() / "usr/local/bin/ichnode"
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for name, does in {
        "id": f"echo {who}",
        "runuser": 'echo runuser "$@"',
        "sudo": 'echo sudo "$@"',
        "env": 'echo "$@"',
    }.items():
        (stubs / name).write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
        (stubs / name).chmod(0o755)

    done = run([command, "show", "a b"], PATH=f"{stubs}:/bin", ICHNODE_CONFIG="")

    program = "ICHNODE_CONFIG=/etc/ichnode/config.toml /opt/ichnode/venv/bin/ichnode show a b"
    assert done.stdout.split() == [*said.split(), *(["env"] if said else []), *program.split()]


def test_a_command_of_another_is_neither_overwritten_nor_removed(install, checkout, tmp_path, run):
    command = tmp_path / "root/usr/local/bin/ichnode"
    command.parent.mkdir(parents=True)
    command.write_text("another's", encoding="utf-8")

    root = install()
    run(["sh", checkout / "deploy" / "uninstall.sh"], DESTDIR=str(root))

    assert command.read_text(encoding="utf-8") == "another's"


def test_a_removal_leaves_what_is_a_sites_own(install, checkout, run):
    root = install()
    own = [root / "opt/ichnode/weights/ours/card.toml", root / "etc/systemd/system/ichnode-work@.service.d/gpu.conf"]
    own += [root / "var/lib/ichnode/queue.sqlite", root / "etc/ichnode/config.toml"]
    for path in own:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("ours", encoding="utf-8")

    done = run(["sh", checkout / "deploy" / "uninstall.sh"], DESTDIR=str(root))

    assert sorted(path for path in root.rglob("*") if path.is_file()) == sorted(own)
    assert all(str(path.parent) in done.stderr for path in own)


def test_a_missing_python_is_said_in_one_sentence(checkout, tmp_path, run):
    done = run(["sh", checkout / "deploy" / "demo.sh"], PYTHON="/nonexistent", ICHNODE_DEMO_DIR=str(tmp_path / "demo"))

    assert done.returncode == 1
    assert done.stderr == "PYTHON=/nonexistent is no Python >= 3.11 with venv and ensurepip.\n"
