"""Several pictures in one request of `serve`: a route beside PaddleX's own, whose schema has room for one."""

import uuid
from typing import List, Optional

LARGEST_BATCH = 32  # pictures; their pixels count together, as those of one
AT_ONCE = 8  # pictures that the network gets at once
TOO_LARGE = 413


def add_route(app, route, asks_for, read, pixels):
    """Adds `POST ROUTE/batch` to PaddleX's application.

    It takes `{"images": […]}` and what the route takes beside, and answers for each picture with its
    categories, or with its own error.

    Args:
        asks_for: what a request may have beside, `topk` or `threshold`.
        read: from the text of a picture, and how many pixels it may have, to an array.
        pixels: of all pictures of a request.
    """
    from fastapi import HTTPException
    from pydantic import BaseModel, Field

    class Batch(BaseModel):
        images: List[str] = Field(min_length=1, max_length=LARGEST_BATCH)
        topk: Optional[int] = Field(None, gt=0)
        threshold: Optional[float] = None

    @app.post(f"{route}/batch")
    async def classify(batch: Batch):
        left, found, images = pixels, [], {}
        for number, text in enumerate(batch.images):
            found.append(None)
            try:
                images[number] = await read(text, left)
            except HTTPException as error:
                if error.status_code == TOO_LARGE:
                    raise
                found[number] = {"errorCode": error.status_code, "errorMsg": error.detail}
            else:
                left -= images[number].shape[0] * images[number].shape[1]
        if images:
            asked = {asks_for: getattr(batch, asks_for)}
            results = await app.state.context.pipeline.infer(list(images.values()), **asked)
            for number, result in zip(images, results):
                found[number] = {"categories": _categories(result)}
        return {
            "logId": str(uuid.uuid4()),
            "errorCode": 0,
            "errorMsg": "Success",
            "result": {"pictures": found},
        }


def _categories(result):
    """A result of `MixFormerPredictor` in the form of PaddleX's answers."""
    rows = zip(result["class_ids"], result["label_names"], result["scores"])
    return [{"id": number, "name": name, "score": score} for number, name, score in rows]
