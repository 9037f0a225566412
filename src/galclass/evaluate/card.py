"""A model card written from the run itself: training data, measured accuracy, known limits.

Takes the model's signature and the contents of `metrics.json`, returns Markdown; `card.md` is written beside the report
and registered with the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from galclass.morphology import CLASS_NAMES, GROUPS
from galclass.scoring.fitted_ids import FITTED_IDS, recorded
from galclass.scoring.signature import Signature

_SDSS_LIMITS = """\
- Trained on bright, nearby SDSS galaxies: gri composites in frames scaled to the galaxy (Galaxy Zoo 2: 424 px of
  0.02 petroR90_r each). Cutouts at a fixed angular scale are extrapolation.
"""

_SDSS_SOURCES = {"sample", "clean5", "gz2", "gz1", "artifacts", "votes", "votes_clean5", "weak", "ngc"}
"""The bundled sample, and the sources of `configs/format1.toml` and `configs/student.toml`."""

_RAW_LIMITS = """\
- Classes and groups follow from raw votes; `vote_fractions` are debiased. Debiasing needs the redshift, which an image
  does not contain: the prediction is the mean over galaxies that look alike.
"""

_CHALLENGE_LIMITS = """\
- Few galaxies have votes on bars, bulges, arms and rings; bars and bulges are also learned from Hubble types.
- Raw votes are those of the Galaxy Challenge. For the same images their smooth fraction is about 0.2 lower than the raw
  one in Galaxy Zoo 2's published table, and Galaxy Zoo 1 calls some galaxies elliptical that have features here:
  compare with its labels through a fitted mapping, as docs/measurements/votes.md does.
- The class follows the predicted mean votes: a thin smooth galaxy, which divides volunteers, may come out as edge-on.
- Galaxies of the Galaxy Challenge, NGC and IC are recognised by their ids there: in a table with other ids, some may
  have been trained on.
"""

_LIMITS = """\
- Surveys, depths and colours other than those of the sources are extrapolation. The flag `unlike_training_data` catches
  only some of it.
- The prediction is for the galaxy at the centre of the frame; neighbours and mergers are not distinguished.
- Volunteers disagree: where a second panel would choose another class, no model can always be right.
- The accuracy on classes with a handful of examples (dominant or no bulge, stars) is hardly constrained.
"""

_OWN_CITATION = """\
Cite the sources of the images and labels.
"""

_CITATION = """\
Galaxy Zoo 1 (Lintott et al. 2008, MNRAS 389, 1179; 2011, MNRAS 410, 166), Galaxy Zoo 2 (Willett et al. 2013, MNRAS 435,
2835; Hart et al. 2016, MNRAS 461, 3663), images: Sloan Digital Sky Survey.
Hubble types and bars, if `ngc` is among the sources: OpenNGC (CC-BY-SA 4.0), EFIGI (Baillard et al. 2011,
A&A 532, A74), Hoyle et al. 2011 (MNRAS 415, 3627).
The model may be used under the licence of the package.
"""

_INVARIANT = {"residual", "residual_large"}
"""Topologies whose output is the same for the eight quarter turns and mirror images."""


def model_card(signature: Signature, sha256: str, metrics: Mapping[str, Any], split: str) -> str:
    """Write the card.

    Parameters
    ----------
    signature : Signature
        The model's.
    sha256 : str
        The ONNX file's.
    metrics : mapping
        As in `metrics.json`: tables, expected_calibration_error, volunteers.
    split : str
        The split that was measured.

    Returns
    -------
    str
        Markdown.
    """
    of_sdss = set(_sources(signature)) <= _SDSS_SOURCES
    parts = [
        "# Model card\n",
        _what(signature, sha256),
        "## Measured\n",
        f"On the {split} split{_untouched(split)}; 95 % bootstrap intervals.\n",
        _measured(metrics),
        "## Trained on\n",
        _trained(signature, sha256),
        "## Limits\n",
        _limits(signature, of_sdss),
        "## Citation and licence\n",
        _CITATION if of_sdss else _OWN_CITATION,
    ]
    return "\n".join(parts)


def _limits(signature: Signature, of_sdss: bool) -> str:
    drawn, raw = _other_surveys(signature), _RAW_LIMITS if signature.raw else ""
    challenge = _CHALLENGE_LIMITS if signature.raw and of_sdss and "votes" in _sources(signature) else ""
    return (_SDSS_LIMITS if of_sdss else "") + drawn + raw + challenge + _LIMITS


def _other_surveys(signature: Signature) -> str:
    options = signature.trained.get("config", {}).get("train", {})
    if not (share := options.get("survey_share")):
        return ""
    scale = options["survey_scale"]
    text = f"- In training, {share:.0%} of the cutouts were shown at {1 / scale:g} to {scale:g} times their scale, some"
    return (
        f"{text}\n  with another PSF, noise or stretch. This simulates other surveys: none of their images was used.\n"
    )


def _what(signature: Signature, sha256: str) -> str:
    groups = "; ".join(f"{name}: {', '.join(CLASS_NAMES[leaf] for leaf in leaves)}" for name, leaves in GROUPS.items())
    lines = [
        f"Morphology of the galaxy in a {signature.size_px} px cutout of the central "
        f"{signature.crop_fraction:.3f} of a survey frame: 13 classes in 4 groups ({groups}).",
        "",
        f"- ONNX sha256 `{sha256}`",
        f"- quarter turns and mirror images of a cutout: {_symmetry(signature)}",
        f"- calibration: {_plain(signature.calibration)}",
        f"- prediction sets: {_conformal(signature)}",
        f"- out-of-distribution flag: {_unlike(signature)}",
        "",
    ]
    return "\n".join(lines)


def _symmetry(signature: Signature) -> str:
    topology = signature.trained.get("config", {}).get("train", {}).get("topology")
    same = signature.views > 1 or topology in _INVARIANT
    text = "same prediction by construction" if same else "predictions may differ"
    return f"{text} (views in the graph: {signature.views})"


def _conformal(signature: Signature) -> str:
    sets = signature.conformal
    return "none" if sets is None else f"{sets.method}, nominal coverage {sets.coverage:.0%}"


def _unlike(signature: Signature) -> str:
    unlike = signature.unlike
    return "none" if unlike is None else f"false-alarm rate {unlike.false_alarm:.1%} in calibration"


def _plain(values: Mapping[str, Any] | None) -> str:
    return "none" if not values else ", ".join(f"{_text(key)} {_text(value)}" for key, value in values.items())


def _text(value: object) -> str:
    """Return a value as text without Markdown or HTML: names of labels, sources and files come from the user."""
    return re.sub(r"([\\`*\[\]|<>&])", r"\\\1", " ".join(str(value).split()))


def _measured(metrics: Mapping[str, Any]) -> str:
    rows = ["| labels | objects | accuracy | balanced accuracy | macro F1 | accuracy of the majority class |"]
    rows.append("|---|---|---|---|---|---|")
    for title, table in metrics["tables"].items():
        figures = " | ".join(_interval(table[key]) for key in ("accuracy", "balanced_accuracy", "macro_f1"))
        rows.append(f"| {_text(title)} | {table['count']} | {figures} | {table['majority_rate']:.3f} |")
    rows.append("")
    for title, table in metrics["tables"].items():
        errors = ", ".join(
            f"{_text(name)} {rate:.3f}" for name, rate in table["class_error"].items() if rate is not None
        )
        rows.append(f"- error by class, {_text(title)}: {errors}")
    rows += [
        f"- {_text(title)}, accuracy at natural frequencies: {_interval(figure)}"
        for title, figure in metrics.get("natural", {}).items()
    ]
    rows += _seeds(metrics.get("seeds"))
    if (error := metrics.get("expected_calibration_error")) is not None:
        count = sum(metrics["reliability"]["count"])
        objects = f"all {count} objects whose label is one of the 13 classes"
        rows.append(f"- expected calibration error, {objects}: {error:.3f}")
    rows += _trust(metrics.get("trust") or {}, metrics.get("votes"))
    rows += _raw_votes(metrics.get("raw_votes") or {})
    if (volunteers := metrics.get("volunteers")) is not None:
        leaf, group = volunteers["leaf_ceiling"], volunteers["group_ceiling"]
        rows.append(
            f"- a second panel of volunteers would agree with the first on {leaf:.3f} (class), {group:.3f} (group)"
        )
    return "\n".join([*rows, ""])


def _seeds(seeds: Mapping[str, Any] | None) -> list[str]:
    if seeds is None:
        return []
    rows = [f"- over {seeds['count']} seeds, mean and standard deviation (the table is for the one that ships):"]
    for title, (mean, deviation) in seeds["accuracy"].items():
        balanced, balanced_deviation = seeds["balanced_accuracy"][title]
        text = f"  - {_text(title)}: accuracy {mean:.3f} ± {deviation:.3f}"
        text += f", balanced {balanced:.3f} ± {balanced_deviation:.3f}"
        if (natural := seeds["natural"].get(title)) is not None:
            text += f", at natural frequencies {natural[0]:.3f} ± {natural[1]:.3f}"
        rows.append(text)
    return rows


def _trust(trust: Mapping[str, Any], votes: Mapping[str, Any] | None) -> list[str]:
    rows = [
        f"- calibration, {_text(title)}: expected error {found['expected_calibration_error']:.3f};"
        f" at least as large in {found['p_value']:.1%} of simulated perfect models (n = {found['count']})"
        for title, found in trust.get("calibration", {}).items()
    ]
    if (sets := trust.get("coverage")) is not None:
        share = sets["covered"] / sets["count"]
        rows.append(
            f"- prediction sets contain the true class for {share:.3f} of {sets['count']} objects"
            f" (nominal {sets['promised']:.0%}, {sets['low']:.3f}-{sets['high']:.3f} for samples of this size),"
            f" {sets['mean_size']:.1f} classes on average"
        )
    if (found := trust.get("artifacts")) is not None:
        rows.append(
            f"- artifacts: {found['found']:.3f} of {found['artifacts']} found with {found['false_alarms']:.1%} false"
            f" alarms among {found['galaxies']} galaxies (probability of A above {found['threshold']:.3f})"
        )
    if votes is not None:
        rows.append(
            f"- debiased smooth fraction: root mean square error {votes['smooth_rmse']:.3f};"
            f" {votes['smooth_covered']:.1%} within the 90 % interval (n = {votes['count']})"
        )
    return rows


def _raw_votes(sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = []
    for source, found in sources.items():
        text = f"- raw votes, {_text(source)} ({found['galaxies']} galaxies): first answer agrees with the volunteers'"
        text += f" for {_interval(found['first_answer'])}; 90 % intervals contain {_interval(found['covered'])} of"
        text += " the observed fractions; calibration error of the smooth fraction"
        text += f" {_interval(found['smooth_calibration_error'])}"
        if (sets := found["sets"]) is not None:
            share = sets["covered"] / sets["count"]
            text += f"; prediction sets contain a class consistent with the votes for {share:.3f}"
            text += f" (nominal {sets['promised']:.0%}, {sets['low']:.3f}-{sets['high']:.3f} for samples of"
            text += f" this size), {sets['mean_size']:.1f} classes on average"
        rows.append(f"{text}; flagged as out-of-distribution: {found['flagged']:.1%}")
    return rows


def _interval(figure: Sequence[float] | Mapping[str, float]) -> str:
    value, low, high = figure.values() if isinstance(figure, Mapping) else figure
    return f"{value:.3f} ({low:.3f}-{high:.3f})"


def _trained(signature: Signature, sha256: str) -> str:
    trained = recorded(signature.trained, sha256)
    config = trained.get("config", {})
    rows = [f"- sources: {', '.join(map(_text, _sources(signature)))}"]
    rows += [
        f"- sha256 of the {_text(name)} split's object ids: `{_text(value)}`"
        for name, value in _splits(trained).items()
    ]
    if FITTED_IDS in trained:
        rows.append(
            "- the ids of the training and validation split are recorded: `galclass evaluate --catalog` leaves them out"
        )
    options = config.get("train", {})
    epochs = options.get("num_epochs", options.get("num_iterations"))
    rows.append(
        f"- topology {_text(options.get('topology'))}, {epochs} epochs (best:"
        f" {trained.get('best_iteration')}), seed {trained.get('seed')}, galclass {trained.get('galclass_version')}"
    )
    return "\n".join([*rows, ""])


def _sources(signature: Signature) -> list[str]:
    config = signature.trained.get("config", {})
    prepare = config.get("prepare", {})
    named = [source["name"] for source in prepare.get("sources", ())]
    if named or prepare.get("images"):
        return named or [str(prepare["images"])]
    return [str(config.get("download", {}).get("source", "unknown"))]


def _untouched(split: str) -> str:
    return {"test": ", which was never trained on", "validation": ", on which the weights were chosen"}.get(split, "")


def _splits(trained: Mapping[str, Any]) -> Mapping[str, str]:
    splits: Mapping[str, str] = trained.get("split_ids_sha256", {})
    return splits
