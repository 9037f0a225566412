"""Two services over code: the demo of 2017, and one that asks a person if the model is not certain.

galclass publish apiPredictGalaxyClass --function galaxy_service:apiPredictGalaxyClass --code examples \
    --model galaxy@production --version 1.0
galclass publish sure-or-ask --function galaxy_service:sure_or_ask --code examples \
    --model galaxy@production --version 1.0
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from galclass import Scorer
from galclass.service.functions import Image


class Row(BaseModel):
    """A row of the data frame that the demo returned, with the class and its probability beside the group."""

    specobjid: str
    predClass: str
    predicted_class: str
    probability: float


class Verdict(BaseModel):
    """What to do with a galaxy."""

    answer: Literal["smooth", "ask a person"]
    smooth: float | None = None
    reason: str


def apiPredictGalaxyClass(id: str, img: Image, model: Scorer) -> list[Row]:  # noqa: N802  # the demo's name
    """Return the predicted group of an image, as the demo did."""
    (found,) = model.score([img], object_ids=[id])
    if found.error is not None:
        return []
    best = max(found.probabilities or (0.0,))
    return [
        Row(
            specobjid=id,
            predClass=found.predicted_group or "",
            predicted_class=found.predicted_class or "",
            probability=best,
        )
    ]


def sure_or_ask(img: Image, model: Scorer, at_least: Annotated[float, Field(ge=0.5, le=1)] = 0.9) -> Verdict:
    """Return "smooth" if the model is certain, else ask a person."""
    (found,) = model.score([img], object_ids=["image"])
    if found.error is not None or found.probabilities is None:
        return Verdict(answer="ask a person", reason=found.error.code if found.error else "no prediction")
    smooth = sum(found.probabilities[:3])  # Er, Ei, Ec
    if found.flags:
        return Verdict(answer="ask a person", smooth=smooth, reason="flagged: " + ", ".join(found.flags))
    if smooth < at_least:
        return Verdict(answer="ask a person", smooth=smooth, reason=f"smooth is less probable than {at_least:g}")
    return Verdict(answer="smooth", smooth=smooth, reason=f"smooth is at least as probable as {at_least:g}")
