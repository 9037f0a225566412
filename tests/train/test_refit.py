"""Votes that were counted otherwise have a head of their own; heads are fitted again to a body that stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from train.drawn_galaxies import quick
from train.drawn_votes import OPTIONS, outputs, write_votes

from galclass.catalog.votes import STEMS
from galclass.config import TrainConfig
from galclass.morphology import QUESTIONS
from galclass.train import train
from galclass.train.dataset import open_training_data
from galclass.train.likelihood import vote_targets, votes_log_likelihood
from galclass.train.networks import Network, log_classes
from galclass.train.raw_votes import SHARED_QUESTIONS, OtherVotes
from galclass.train.refit import RefitOptions, refit_heads
from galclass.train.trainer import Trainer

OTHER = OPTIONS | {"other_votes_sources": ("votes", "survey")}
EXPORTED = ("body", "raw", "votes", "classes")


def test_other_votes_and_labels_are_read_from_the_head_of_their_own(tmp_path: Path) -> None:
    write_votes(tmp_path)
    data = open_training_data(tmp_path / "prepared")
    targets, reading = vote_targets(data, TrainConfig(**OTHER))  # type: ignore[arg-type]
    plain, other = outputs(len(data.label)), outputs(len(data.label), seed=1)
    assert other.raw is not None
    both = plain._replace(other=other.raw)
    as_other = other._replace(logits=log_classes(other.raw))
    found, of_plain, of_other = (votes_log_likelihood(one, targets, reading, 1.0) for one in (both, plain, as_other))
    assert targets.other.any()
    assert not targets.other.all()
    torch.testing.assert_close(found[~targets.other], of_plain[~targets.other])
    only = targets.other & (targets.largest < 0)  # what is largest is an event over the votes of the rest
    assert {data.source[row] for row in torch.nonzero(only)[:, 0]} == {"votes"}
    torch.testing.assert_close(found[only], of_other[only])
    assert (found - of_plain).abs()[targets.other].min() > 1e-3


def test_the_difference_of_other_votes_teaches_the_raw_head_nothing_but_shared_questions() -> None:
    head, raw = OtherVotes(4), torch.randn(3, len(STEMS) + len(QUESTIONS), requires_grad=True)
    given = head(torch.randn(3, 4), raw)
    torch.testing.assert_close(given, raw)  # there is none before training
    given.sum().backward()
    assert raw.grad is not None
    shared = [name in SHARED_QUESTIONS for name in QUESTIONS]
    answers = [one for one, question in zip(shared, QUESTIONS.values(), strict=True) for _ in question.answers]
    assert (raw.grad != 0).all(0).tolist() == [*answers, *shared]


def test_mixed_precision_leaves_heads_and_likelihood_in_float32(tmp_path: Path) -> None:
    write_votes(tmp_path)
    config = quick(tmp_path, **OTHER, validation_views=1, mixed_precision=True)
    trainer = Trainer(open_training_data(tmp_path / "prepared"), config.train, seed=1)
    pixels = torch.randn(4, 3, 16, 16)
    plain = trainer.network.eval()(pixels)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = trainer.network(pixels)
    found = [one for one in mixed if one is not None]
    assert {one.dtype for one in found} == {torch.float32}
    assert not torch.equal(mixed.embedding, plain.embedding)  # the body was in bfloat16
    torch.testing.assert_close(mixed.raw, plain.raw, rtol=0.1, atol=0.05)
    train(replace(config, train=replace(config.train, num_epochs=1)), progress=False)


def spoiled(workspace: Path, **options: object) -> Trainer:
    """A trainer whose heads say nothing."""
    config = quick(workspace, **OTHER | options, validation_views=1)
    trainer = Trainer(open_training_data(workspace / "prepared"), config.train, seed=1)
    assert trainer.network.raw is not None
    torch.nn.init.zeros_(trainer.network.raw.linear.weight)
    return trainer


def test_heads_are_fitted_and_the_body_stays(tmp_path: Path) -> None:
    write_votes(tmp_path, 96)
    trainer = spoiled(tmp_path)
    before = {name: value.clone() for name, value in trainer.network.body.state_dict().items()}
    options = RefitOptions(epochs=20, learning_rate=0.02, mini_batch_size=16)
    found = refit_heads(trainer, options)
    assert found["validation_first_question"] >= 0.9
    for name, value in trainer.best.body.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    again = spoiled(tmp_path)
    assert refit_heads(again, options) == found


def test_a_fit_of_no_steps_says_what_was_said_before(tmp_path: Path) -> None:
    write_votes(tmp_path)
    trainer = spoiled(tmp_path, dropout=0.0)
    assert trainer.network.raw is not None
    torch.nn.init.normal_(trainer.network.raw.linear.weight)
    pixels = torch.rand(4, 3, trainer.data.size_px, trainer.data.size_px)
    before = _said(trainer.network.eval(), pixels)
    refit_heads(trainer, replace(RefitOptions(), epochs=1, learning_rate=1e-12))
    after = _said(trainer.best.eval(), pixels)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def _said(network: Network, pixels: torch.Tensor) -> list[torch.Tensor]:
    given = network(pixels)
    assert given.votes is not None
    assert given.raw is not None
    assert given.other is not None
    return [given.logits, given.votes, given.raw, given.other]


def test_no_exported_model_has_the_other_head(tmp_path: Path) -> None:
    from galclass.train.export import ExportModule

    write_votes(tmp_path)
    trainer = spoiled(tmp_path)
    module = ExportModule(trainer.network, trainer.scale, 1.0, (1.0,) * len(QUESTIONS))
    assert {name.partition(".")[0] for name, _ in module.named_parameters()} <= set(EXPORTED)
    with pytest.raises(AttributeError):
        _ = module.other
