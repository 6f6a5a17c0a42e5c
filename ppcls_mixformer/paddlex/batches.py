"""Several pictures in one request of `serve`: a route beside PaddleX's own, whose schema has room for one."""

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddlex.bounds import TOO_LARGE, log_id

AT_ONCE = 8  # pictures that the network gets at once
UNPROCESSABLE = 422


def add_route(app, route, schema, asks_for, read, room):
    """Adds `POST ROUTE/batch` to PaddleX's application.

    It takes `{"images": […]}` and what the route takes beside, and answers for each picture with its
    categories, or with its own error.

    Args:
        schema: of a request.
        asks_for: what it may have beside, `topk` or `threshold`.
        read: from the texts of pictures, and the `Room` of their request, to their numbers and arrays, or
            HTTPExceptions.
        room: makes the `Room` of a request.
    """
    from fastapi import HTTPException

    @app.post(f"{route}/batch")
    async def classify(batch: schema):
        found, images = [], {}
        async for number, picture in read(batch.images, room()):
            found.append(None)
            if not isinstance(picture, HTTPException):
                images[number] = picture
            elif picture.status_code == TOO_LARGE:
                raise HTTPException(TOO_LARGE, f"images.{number}: {picture.detail}")
            else:
                found[number] = _error(picture.status_code, picture.detail)
        if images:
            asked = {asks_for: getattr(batch, asks_for)}
            for number, one in (await answers(app.state.context.pipeline.infer, images, asked)).items():
                found[number] = one
        return {
            "logId": log_id(),
            "errorCode": 0,
            "errorMsg": "Success",
            "result": {"pictures": found},
        }


async def answers(infer, images, asked):
    """By their numbers, what is answered to each of `images`; one that the network cannot take fails alone.

    Args:
        infer: PaddleX's, from a list of images and what is `asked` for to their results.
    """
    try:
        results = await infer(list(images.values()), **asked)
    except UserError as error:
        if len(images) == 1:
            return {number: _error(UNPROCESSABLE, str(error)) for number in images}
        alone = [await answers(infer, {number: image}, asked) for number, image in images.items()]
        return {number: one for found in alone for number, one in found.items()}
    return {number: {"categories": _categories(result)} for number, result in zip(images, results)}


def _error(status, message):
    return {"errorCode": status, "errorMsg": message}


def _categories(result):
    """A result of `MixFormerPredictor` in the form of PaddleX's answers."""
    rows = zip(result["class_ids"], result["label_names"], result["scores"])
    return [{"id": number, "name": name, "score": score} for number, name, score in rows]
