"""Turns and mirror images: layers that follow them, networks that ignore them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from galclass.errors import TrainingError
from galclass.train.networks import Network, ResidualBody
from galclass.train.symmetry import (
    ORDER,
    FieldNorm,
    GroupConv,
    eight_views,
    folded_convolution,
    inverse_product_table,
    transform,
)


def all_views(image: np.ndarray) -> list[bytes]:
    return [transform(g, image).tobytes() for g in range(ORDER)]


def test_size_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"prepare.size_px: .*multiple of 8 from 24 up, got 50"):
        ResidualBody(50)


def test_eight_views_are_the_eight_elements() -> None:
    image = torch.arange(9.0).view(1, 1, 3, 3)
    views = {view.numpy().tobytes() for view in eight_views(image)[:, 0]}
    assert views == set(all_views(image[0, 0].numpy()))
    assert len(views) == ORDER


def test_product_table_is_that_of_the_transforms() -> None:
    square = np.arange(9).reshape(3, 3)
    table = inverse_product_table()
    for g in range(ORDER):
        for h in range(ORDER):
            assert np.array_equal(transform(g, transform(int(table[g, h]), square)), transform(h, square))


def test_fields_turn_with_the_input() -> None:
    torch.manual_seed(0)
    lift, second = GroupConv(3, 2, 4, stride=2, padding=1, lift=True), GroupConv(2, 2, 3, stride=2)
    image = torch.randn(1, 3, 14, 14)

    def fields(picture: torch.Tensor) -> torch.Tensor:
        return second(torch.relu(lift(picture))).view(2, ORDER, 3, 3)

    straight = fields(image).detach().numpy()
    table = inverse_product_table()
    for g in range(ORDER):
        turned = fields(torch.from_numpy(transform(g, image.numpy()).copy())).detach().numpy()
        expected = np.stack([transform(g, straight[:, table[g, h]]) for h in range(ORDER)], 1)
        assert np.allclose(turned, expected, atol=1e-5)


def test_folded_convolution_equals_convolution_and_norm() -> None:
    torch.manual_seed(0)
    convolution, norm = GroupConv(2, 3, 3, padding=1), FieldNorm(3)
    norm.mean.normal_()
    norm.var.uniform_(0.5, 2)
    torch.nn.init.normal_(norm.weight)
    norm.eval()
    image = torch.randn(2, 16, 7, 7)
    plain = folded_convolution(convolution, norm)
    assert torch.allclose(plain(image), norm(convolution(image)), atol=1e-5)


@pytest.mark.parametrize(("invariant", "views"), [(True, 1), (False, 8)])
def test_outputs_are_equal_for_the_eight_views(invariant: bool, views: int) -> None:
    torch.manual_seed(0)
    body: torch.nn.Module = (
        ResidualBody(24) if invariant else torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 24 * 24, 192))
    )
    network = Network(body, 192, invariant=invariant, views=views, vote_head=True, dropout=0.2)
    with torch.no_grad():
        network(torch.randn(16, 3, 24, 24))  # running statistics that differ between the elements of a field
        network.eval()
        image = torch.randn(1, 3, 24, 24)
        straight = network(image)
        for g in range(ORDER):
            turned = network(torch.from_numpy(transform(g, image.numpy()).copy()))
            assert torch.allclose(straight.logits, turned.logits, atol=1e-5)
            assert torch.allclose(straight.embedding, turned.embedding, atol=1e-5)
