import torch

from ichnode.model.network import PARAMETERS, ExpansionNet


def test_the_network_has_the_published_number_of_parameters():
    with torch.device("meta"):
        network = ExpansionNet()

    assert sum(p.numel() for p in network.parameters()) == PARAMETERS == 3_802_578
    assert not list(network.buffers())


def test_each_voxel_gets_a_logit_and_each_volume_one_more():
    segmentation, expansion = ExpansionNet()(torch.zeros(2, 1, 16, 32, 24))

    assert segmentation.shape == (2, 1, 16, 32, 24)
    assert expansion.shape == (2,)


@torch.inference_mode()
def test_a_volume_gets_the_same_answer_alone_as_in_a_batch():
    torch.manual_seed(0)
    network = ExpansionNet().eval()
    volumes = torch.randn(2, 1, 8, 16, 16)

    together, growth = network(volumes)
    alone, growth_alone = network(volumes[1:])

    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(growth[1:], growth_alone, atol=1e-5, rtol=1e-4)
