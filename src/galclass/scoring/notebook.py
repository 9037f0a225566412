"""Predictions in a notebook: HTML with thumbnail, class and bars, galleries, a plot of the votes, and tables.

Everything that comes from a file or a model is escaped.
"""

from __future__ import annotations

from base64 import b64encode
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from galclass.cutouts.arrays import png_bytes
from galclass.errors import ModelError
from galclass.extras import require
from galclass.morphology import CLASS_NAMES

if TYPE_CHECKING:
    from galclass.scoring.prediction import Prediction

BARS = 5
"""Number of the most probable classes that get a bar."""
SHOWN = 60
"""Predictions shown in a gallery; it says how many more there are."""

_CARD = "display:inline-block;vertical-align:top;width:220px;margin:4px;padding:8px;border:1px solid #8886;border-radius:6px;font:13px sans-serif"  # noqa: E501
_LABEL = "display:inline-block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;vertical-align:bottom"
_LABEL_WIDTH = 11
"""Letters of a class beside its bar."""
_BAR = "display:inline-block;height:9px;background:#4a7fd4;border-radius:2px"


class Predictions(list["Prediction"]):
    """A list of predictions that a notebook shows as a gallery, and that converts to tables."""

    @overload
    def __getitem__(self, at: SupportsIndex) -> Prediction: ...
    @overload
    def __getitem__(self, at: slice) -> Predictions: ...
    def __getitem__(self, at: SupportsIndex | slice) -> Prediction | Predictions:
        found = super().__getitem__(at)
        return Predictions(found) if isinstance(found, list) else found

    def __add__(self, others: list[Any]) -> Predictions:  # type: ignore[override]  # a gallery stays one
        return Predictions([*self, *others])

    def to_arrow(self) -> Any:
        """Return a `pyarrow.Table`: the row of CSV and Parquet files for each prediction."""
        import pyarrow

        from galclass.scoring.output import parquet_schema

        rows = [one.as_row() for one in self]
        columns = dict.fromkeys(name for row in rows for name in row)
        return pyarrow.Table.from_pylist(rows, schema=parquet_schema(columns))

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`; pandas is installed by its own name."""
        return self.to_arrow().to_pandas()

    def to_astropy(self) -> Any:
        """Return an `astropy.table.Table` (extra `astro`); missing numbers are masked, missing texts are empty."""
        require("astro", what="an astropy table", modules=("astropy",))
        from astropy.table import MaskedColumn, Table

        table = Table()
        for name, column in zip((arrow := self.to_arrow()).column_names, arrow.columns, strict=True):
            values = column.to_pylist()
            missing = [value is None for value in values]
            text = isinstance(next((value for value in values if value is not None), _empty(column.type)), str)
            filled = [_empty(column.type) if value is None else value for value in values]
            table[name] = filled if text or not any(missing) else MaskedColumn(filled, mask=missing)
        return table

    def embeddings(self) -> NDArray[np.float32]:
        """Return the embeddings, float32 (n, d); NaN for faulty images."""
        width = next((len(one.embedding) for one in self if one.embedding is not None), 0)
        none = np.full(width, np.nan, np.float32)
        rows = [none if one.embedding is None else one.embedding for one in self]
        return np.stack(rows) if rows else np.zeros((0, 0), np.float32)

    def _repr_html_(self) -> str:
        cards = "".join(card(one) for one in self[:SHOWN])
        more = f"<p>and {len(self) - SHOWN:,} more</p>" if len(self) > SHOWN else ""
        return f"<div>{cards}{more}</div>"


def _empty(kind: Any) -> str | float | int:
    """Return what stands for a missing value of an arrow type."""
    from pyarrow import types

    return 0.0 if types.is_floating(kind) else 0 if types.is_integer(kind) else ""


def card(prediction: Prediction) -> str:
    """Return a prediction as HTML: thumbnail if the image is available, class, flags, and bars."""
    thumbnail = ""
    if prediction.cutout is not None:
        data = b64encode(png_bytes(prediction.cutout)).decode()
        thumbnail = f'<img alt="" width="128" style="image-rendering:pixelated" src="data:image/png;base64,{data}"><br>'
    title = f"<b>{escape(prediction.object_id)}</b><br>"
    if prediction.error is not None:
        return f'<div style="{_CARD}">{thumbnail}{title}<i>{escape(str(prediction.error))}</i></div>'
    name = str(prediction.predicted_class)
    words = f"{escape(name)} {escape(CLASS_NAMES.get(name, ''))}<br>"
    could_be = f"could be {escape(', '.join(prediction.prediction_set))}<br>" if prediction.prediction_set else ""
    flags = f"<i>{escape(', '.join(prediction.flags))}</i><br>" if prediction.flags else ""
    model = f"<small>{escape(str(prediction.model))}</small>"
    return f'<div style="{_CARD}">{thumbnail}{title}{words}{could_be}{flags}{_bars(prediction)}{model}</div>'


def _bars(prediction: Prediction) -> str:
    ranked = sorted((prediction.by_class or {}).items(), key=lambda item: -item[1])[:BARS]
    wide = max(34, 8 * min(max((len(leaf) for leaf, _ in ranked), default=0), _LABEL_WIDTH))
    return "".join(
        f'<span title="{escape(leaf)}" style="{_LABEL};width:{wide}px">{escape(leaf)}</span>'
        f'<span style="{_BAR};width:{round((144 - wide) * value)}px"></span> {value:.2f}<br>'
        for leaf, value in ranked
    )


def plot_votes(prediction: Prediction, ax: Any = None) -> Any:
    """Draw the vote fractions with their intervals; see `Prediction.plot_votes`."""
    votes = prediction.raw_vote_fractions or prediction.vote_fractions
    if not votes:
        raise ModelError("this prediction has no vote fractions", where=prediction.object_id or None)
    require("evaluate", what="a plot", modules=("matplotlib",))
    if ax is None:
        from matplotlib.figure import Figure

        figure: Any = Figure(figsize=(6, 0.22 * len(votes) + 0.8), layout="constrained")
        figure._repr_png_ = partial(_png_of, figure)  # notebooks show it without pyplot
        ax = figure.add_subplot()
    middle, low, high = np.array(list(votes.values())).T
    rows = np.arange(len(votes))
    ax.barh(rows, middle, color="#4a7fd4")
    ax.hlines(rows, low, high, color="black", linewidth=1)
    ax.set_yticks(rows, [_plain(stem) for stem in votes], fontsize=7)
    ax.set(xlim=(0, 1), xlabel="fraction of the volunteers who are asked", title=_plain(prediction.object_id))
    ax.invert_yaxis()
    return ax.figure


def _png_of(figure: Any) -> bytes:
    from io import BytesIO

    sink = BytesIO()
    figure.savefig(sink, format="png")
    return sink.getvalue()


def _plain(text: str) -> str:
    """Return a text that matplotlib does not interpret as mathematics."""
    return text.replace("$", r"\$")
