import hashlib
import pickle
from pathlib import Path

import pytest
import torch

from ichnode.domain.errors import ConfigError
from ichnode.model.network import ExpansionNet
from ichnode.model.weights import Card, check_weights, load_network, read_card, save_card, save_weights


def edit_card(folder: Path, old: str, new: str) -> None:
    path = folder / "card.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_what_was_saved_is_loaded_again(tmp_path, card):
    network = ExpansionNet().to(memory_format=torch.channels_last_3d)

    written = save_weights(network, tmp_path, card)

    assert read_card(tmp_path) == written
    assert written == card.model_copy(update={"sha256": written.sha256})
    assert check_weights(tmp_path) == written.identity
    for name, tensor in load_network(tmp_path).state_dict().items():
        torch.testing.assert_close(tensor, network.state_dict()[name], rtol=0, atol=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.toml", "model.safetensors"]


def test_a_card_may_be_written_again_without_its_weights(weights):
    card = read_card(weights).model_copy(update={"eval_metrics": {"dice_median": 0.9}})

    save_card(weights, card)

    assert read_card(weights) == card
    check_weights(weights)


def test_training_weights_are_loaded_for_prediction(weights):
    assert not load_network(weights).training


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("threshold = 0.5\n", "", "threshold"),
        ("threshold = 0.5\n", "threshold = 0.5\ncolour = 1\n", "colour"),
        ("threshold = 0.5\n", 'threshold = "0.5"\n', "threshold"),
        ("threshold = 0.5\n", "threshold = 1.5\n", "threshold"),
        ('"fov224"', '"fov999"', "preset"),
        ("untrained on patients", "perhaps", "expansion"),
        ('version = "0.0.1"', 'version = "one"', "version"),
        ('name = "of-a-test"', 'name = "../escape"', "name"),
        ("min_component_ml = 0.5", "min_component_ml = -1", "min_component_ml"),
    ],
)
def test_a_wrong_card_is_refused_by_file_and_key(weights, old, new, named):
    edit_card(weights, old, new)

    with pytest.raises(ConfigError, match=named) as caught:
        read_card(weights)

    assert str(weights / "card.toml") in str(caught.value)
    assert caught.value.hint


def test_a_card_that_is_not_toml_is_refused(weights):
    (weights / "card.toml").write_text("name: yaml")

    with pytest.raises(ConfigError, match="not TOML"):
        check_weights(weights)


@pytest.mark.parametrize("name", ["card.toml", "model.safetensors"])
def test_a_missing_file_is_named(weights, name):
    (weights / name).unlink()

    with pytest.raises(ConfigError, match=name) as caught:
        check_weights(weights)

    assert caught.value.hint


def test_one_changed_bit_is_noticed(weights):
    path = weights / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    for use in (check_weights, load_network):
        with pytest.raises(ConfigError, match="sha256") as caught:
            use(weights)
        assert "restore" in caught.value.hint


def put(folder: Path, card: Card, data: bytes) -> None:
    (folder / "model.safetensors").write_bytes(data)
    save_card(folder, card.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()}))


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


def test_a_pickle_is_refused_and_not_run(tmp_path, card, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, card, pickle.dumps(Trap()))

    with pytest.raises(ConfigError, match="does not hold this network"):
        load_network(tmp_path)

    assert not Path("sprung").exists()


def test_weights_of_another_network_are_refused(tmp_path, card):
    save_weights(torch.nn.Linear(2, 2), tmp_path, card)

    with pytest.raises(ConfigError, match="does not hold this network"):
        load_network(tmp_path)


def test_the_shipped_weights_fit_their_card_and_promise_nothing_on_expansion(shipped):
    card = read_card(shipped)

    assert check_weights(shipped) == card.identity
    load_network(shipped)
    assert card.name == shipped.name
    assert card.expansion == "untrained on patients"
    assert card.eval_metrics["dice_median"] >= 0.5
    assert (shipped / "model.safetensors").stat().st_size < 16e6
