"""What `serve` takes of its clients: how many bytes, within which time, and how many requests at once.

uvicorn alone (0.54) waits for ever for a request that never comes, or never ends.
"""

import asyncio
import contextvars
import uuid

LARGEST_REQUEST = 16  # MiB
PATIENCE = 60  # seconds, for a request to arrive
AT_WORK = 4  # requests whose pictures are in memory, and as many more that have theirs fetched
AT_ONCE = 32  # requests; what comes beyond is answered with status 503
CONNECTIONS = 500  # idle ones included
LAST_CALL = 3  # seconds, once the service is told to end, for requests that are on their way
DRAINED = 4  # times the largest request
LATE, TOO_LARGE, UNSUPPORTED, BUSY = 408, 413, 415, 503
# What programs say of a body where nobody has told them what it is, such as curl, and axios in PaddleX's
# example; browsers, which always name their `Origin`, send these to other sites without asking first.
UNSAID = ("", "application/x-www-form-urlencoded", "text/plain")
GIVEN_ID = contextvars.ContextVar("logId", default=None)  # of the request that is being answered
TURN = contextvars.ContextVar("turn")  # its Turn


def log_id():
    """What an answer has as its `logId`: the request's own, or else a new one."""
    return plain(GIVEN_ID.get() or str(uuid.uuid4()))


def answer(status, message):
    """What PaddleX's service says instead of a result."""
    return {"logId": log_id(), "errorCode": status, "errorMsg": plain(message)}


def plain(text):
    """A text that may hold halves of characters, of JSON, as one that can be sent."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Turn:
    """The place of a request among those at work."""

    def __init__(self, places, fetching):
        """Takes no place yet; `places` and `fetching` are semaphores, for most requests and for slow ones."""
        self.places, self.fetching, self.taken = places, fetching, None

    async def take(self, places):
        """Waits for one of `places`, without the one that it has."""
        if self.taken is not places:
            self.leave()
            await places.acquire()
            self.taken = places

    def leave(self):
        """Makes room for another request."""
        if self.taken:
            self.taken.release()
        self.taken = None


async def wait_elsewhere():
    """Goes on among the requests that wait for other servers, so that the rest are not kept waiting.

    To be called before pictures are in memory.
    """
    turn = TURN.get()
    await turn.take(turn.fetching)


def patient(protocol, seconds):
    """A protocol of uvicorn that closes connections on which no request begins within `seconds`.

    A service that is to end does not wait as long for the rest of a request.
    """

    class Patient(protocol):
        deadline = None  # an asyncio.TimerHandle; it would keep a connection that is lost, with its request

        def connection_made(self, transport):
            super().connection_made(transport)
            self._await_request()

        def connection_lost(self, exc):
            self.deadline.cancel()
            super().connection_lost(exc)

        def on_response_complete(self):
            super().on_response_complete()
            self._await_request()

        def shutdown(self):
            super().shutdown()
            self.loop.call_later(LAST_CALL, self._drop_half)

        def _drop_half(self):
            """Ends the connection where a request has come in part; uvicorn waits for the answer to it."""
            if self.cycle is not None and self.cycle.more_body:
                self.transport.abort()

        def _await_request(self):
            if self.deadline:
                self.deadline.cancel()
            self.deadline = self.loop.call_later(seconds, self._hang_up, self.cycle)

        def _hang_up(self, earlier):
            """Ends the connection, with what is unsent, if nothing came after the request `earlier`."""
            if self.cycle is earlier and (earlier is None or earlier.response_complete):
                self.transport.abort()

    return Patient


class Bounded:
    """Answers requests of more than `largest` bytes with status 413, and keeps nothing of them.

    Those that are not there within `patience` seconds get 408, and 503 where AT_ONCE are there already. The
    others wait for their turn: a few KB become pictures of 75 MB.
    """

    def __init__(self, app, largest, patience):
        self.app, self.largest, self.patience = app, largest, patience
        self.places, self.fetching = asyncio.Semaphore(AT_WORK), asyncio.Semaphore(AT_WORK)
        self.open = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        refusal = self._refusal(scope["method"], dict(scope["headers"]))
        scope = _as_json(scope)
        self.open += 1
        try:
            receive = _in_time(receive, asyncio.get_running_loop().time() + self.patience)
            if refusal is None:
                await self._pass_on(scope, receive, send)
            else:
                await self._refuse(scope, receive, send, *refusal)
        finally:
            self.open -= 1

    def _refusal(self, method, headers):
        """Status and message for a request that its head tells enough of; None for others."""
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.largest:
            return TOO_LARGE, self._too_large()
        if self.open >= AT_ONCE:
            return BUSY, f"{AT_ONCE} requests are at work; try again later"
        coding = headers.get(b"content-encoding", b"identity").decode("latin-1")
        if coding.lower() != "identity":
            return UNSUPPORTED, f"Content-Encoding: {coding} is not read; send the body as it is"
        kind = headers.get(b"content-type", b"").decode("latin-1")
        plain_kind = kind.partition(";")[0].strip().lower()
        is_taken = plain_kind.endswith(("/json", "+json")) or (
            plain_kind in UNSAID and b"origin" not in headers
        )
        if method == "POST" and not is_taken:
            said = f"is {kind}" if kind else "is missing"
            return UNSUPPORTED, f"Content-Type {said}; it must be application/json"
        return None

    def _too_large(self):
        return f"the request has more than {self.largest / (1 << 20):g} MiB"

    async def _pass_on(self, scope, receive, send):
        received, turn = 0, Turn(self.places, self.fetching)
        TURN.set(turn)

        async def counted():
            nonlocal received
            if turn.taken:
                return await receive()
            try:
                event = await receive()
            except asyncio.TimeoutError:
                message = f"the request has not arrived within {self.patience:g} seconds"
                raise _http_error(LATE, message, {"Connection": "close"}) from None
            received += len(event.get("body", b""))
            if received > self.largest:
                raise _http_error(TOO_LARGE, self._too_large())
            if event["type"] == "http.request" and not event.get("more_body", False):
                await turn.take(self.places)
            return event

        try:
            await self.app(scope, counted, send)
        finally:
            turn.leave()

    async def _refuse(self, scope, receive, send, status, message):
        """Answers once a request that is not much too large is there: not all clients read before."""
        from fastapi.responses import JSONResponse

        received, more = 0, True
        try:
            while more and received < DRAINED * self.largest:
                event = await receive()
                received, more = received + len(event.get("body", b"")), event.get("more_body", False)
        except asyncio.TimeoutError:
            pass
        await JSONResponse(answer(status, message), status)(scope, receive, send)


def _as_json(scope):
    """A request that FastAPI (0.165) reads: to it, what is not called JSON is text, and HEAD is unknown."""
    others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    method = "GET" if scope["method"] == "HEAD" else scope["method"]  # uvicorn sends no body for HEAD
    return {**scope, "method": method, "headers": [*others, (b"content-type", b"application/json")]}


def _http_error(status, message, headers=None):
    """The exception that FastAPI makes an answer of."""
    from fastapi import HTTPException

    return HTTPException(status, message, headers)


def _in_time(receive, end):
    """`receive`, which raises asyncio.TimeoutError where a request is not there by the time `end`."""
    is_there = False

    async def receive_in_time():
        nonlocal is_there
        if is_there:
            return await receive()
        event = await asyncio.wait_for(receive(), end - asyncio.get_running_loop().time())
        is_there = not event.get("more_body", False)
        return event

    return receive_in_time
