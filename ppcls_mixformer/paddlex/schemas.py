"""What requests of `serve` may hold: PaddleX's keys and no others, and each of its own type.

PaddleX's own schemas (3.7.2) pass over what they do not know, such as `topK`, and take `true` for 1. `logId`,
which all of its services give back with an error and some with a result, is in all answers here.
"""

from typing import List, Optional

from ppcls_mixformer.hosting.advice import did_you_mean
from ppcls_mixformer.paddlex.bounds import GIVEN_ID

LARGEST_BATCH = 32  # pictures; their pixels count together, as those of one
SHOWN = 40  # letters of a key that there is not


def build(independent):
    """`(single, batch)`: the models of a request for one picture, PaddleX's, and for several.

    Args:
        independent: whether labels are, which have a `threshold` instead of `topk`.
    """
    from pydantic import BaseModel, ConfigDict, Field, model_validator
    from pydantic_core import PydanticCustomError

    class Request(BaseModel):
        model_config = ConfigDict(strict=True)
        logId: Optional[str] = None

        @model_validator(mode="before")
        @classmethod
        def _check_keys(cls, values):
            """Names the first unknown key; `extra="forbid"` would write an error for each of a million."""
            known = sorted(cls.model_fields)
            if not isinstance(values, dict):
                return values
            if isinstance(values.get("logId"), str):
                GIVEN_ID.set(values["logId"])
            for key in values:
                if key not in known:
                    shown = key[:SHOWN]
                    said = {"key": shown, "near": did_you_mean(shown, known)}
                    raise PydanticCustomError("key", "there is no key {key}{near}", said)
            return values

    class ForTopK(Request):
        topk: Optional[int] = Field(None, gt=0)

    class ForThreshold(Request):
        threshold: Optional[float] = Field(None, allow_inf_nan=False)

    asked = ForThreshold if independent else ForTopK

    class Single(asked):
        image: str
        visualize: Optional[bool] = None

    class Batch(asked):
        images: List[str] = Field(min_length=1, max_length=LARGEST_BATCH)

    return Single, Batch
