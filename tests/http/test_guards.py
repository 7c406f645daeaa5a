"""Guards that raise or are awaited, pages of other sites, and what a body is asked before it is read."""

import asyncio
import io
import json
import logging

import pytest

from userimages import AsyncImageService, ConfigurationError, ImageService
from userimages.http import Api, FilePart, Form, LengthRequiredError, Request, RequestCutOffError
from userimages.testing import make_image


class UnauthorizedError(Exception):
    """Stands for what a framework raises."""


def request(method="GET", path="user_images/ana/", *, query="", headers=None, form=Form):
    return Request(method=method, path=path, query=query, headers=headers or {}, form=form, source="source")


def upload_form():
    return Form({"username": "ana", "image_type": "gallery"}, [FilePart(io.BytesIO(make_image()), "cat.jpg")])


def unread():
    raise AssertionError


def raising(error):
    def guard(source, action, user):
        raise error

    return guard


@pytest.mark.contract("C20")
def test_a_frameworks_exception_passes_through():
    """What a guard raises on purpose reaches the framework, on routes that name a user and on those of an image."""
    images = ImageService.in_memory()
    image = images.upload("ana", make_image(), image_type="cover")
    api = Api(images, authorize=raising(UnauthorizedError()), framework_errors=(UnauthorizedError,))

    for path in ("user_images/ana/", f"user_image/{image.id}/", f"user_image/{image.id}/serve/"):
        with pytest.raises(UnauthorizedError):
            api(request(path=path))


@pytest.mark.contract("C19")
def test_a_fault_of_the_guard_is_a_logged_error(caplog):
    """A guard that fails by mistake is answered in the words of the contract, and its cause is in the log."""
    api = Api(ImageService.in_memory(), authorize=raising(KeyError("user")), framework_errors=(UnauthorizedError,))
    response = api(request())

    assert (response.status, json.loads(response.body)["error"]) == (500, "Server error")
    assert isinstance(caplog.records[-1].exc_info[1], KeyError)


@pytest.mark.contract("C20")
def test_an_async_guard_without_asyncio_is_refused():
    """A coroutine that nobody awaits would let everybody or nobody in, so it is refused where it is given."""

    async def guard(source, action, user):
        return True

    with pytest.raises(ConfigurationError, match="async"):
        Api(ImageService.in_memory(), authorize=guard)


@pytest.mark.parametrize("allowed", [True, False, 1, None])
@pytest.mark.contract("C20")
def test_an_async_guard_is_awaited(allowed):
    """With an ``AsyncImageService`` a guard may await, and only ``True`` itself lets a request through."""

    async def guard(source, action, user):
        await asyncio.sleep(0)
        return allowed

    api = Api(AsyncImageService(ImageService.in_memory()), authorize=guard)

    assert asyncio.run(api.answer(request())).status == (200 if allowed is True else 403)


@pytest.mark.contract("C20")
def test_a_plain_guard_does_not_block_the_loop():
    """A guard that is a plain function runs in a thread, because it may ask a database."""
    import threading

    seen = []

    def guard(source, action, user):
        seen.append(threading.current_thread() is threading.main_thread())
        return True

    api = Api(AsyncImageService(ImageService.in_memory()), authorize=guard)
    asyncio.run(api.answer(request()))

    assert seen == [False]


def test_forty_async_guards_wait_in_no_thread():
    """Guards that call the service themselves cannot use up the threads that they wait for."""
    images = AsyncImageService(ImageService.in_memory(), threads=1)
    together = 40

    async def main():
        arrived = asyncio.Semaphore(0)
        everybody = asyncio.Event()

        async def guard(source, action, user):
            arrived.release()
            await everybody.wait()
            return len(await images.list(user)) == 0

        api = Api(images, authorize=guard)
        answers = [asyncio.create_task(api.answer(request())) for _ in range(together)]
        for _ in range(together):
            await arrived.acquire()
        everybody.set()
        return [answer.status for answer in await asyncio.gather(*answers)]

    assert asyncio.run(main()) == [200] * together


def test_an_api_says_how_it_is_called():
    """An ``Api`` of an ``AsyncImageService`` is awaited; a call would block the loop."""
    api = Api(AsyncImageService(ImageService.in_memory()), authorize=lambda *_: True)

    with pytest.raises(ConfigurationError, match=r"api\.answer"):
        api(request())


@pytest.mark.parametrize(
    "asked",
    [
        request("PUT", "upload_user_image/", form=unread),
        request("POST", "upload_user_image/", form=unread, headers={"Sec-Fetch-Site": "cross-site"}),
        request(
            "POST", "upload_user_image/", form=unread, headers={"Origin": "https://a.example", "Host": "b.example"}
        ),
        request("POST", "upload_user_image/", form=unread, headers={"Content-Length": str(11 * 2**20)}),
        request("POST", "upload_user_image/", form=unread, headers={"Content-Length": "9" * 5000}),
        request("POST", "upload_user_image/more/", form=unread),
        request("POST", "user_image/019e0000-0000-7000-8000-000000000000/update/", form=unread),
        request("GET", "user_images/ana/", form=unread),
    ],
)
@pytest.mark.contract("C13")
def test_a_body_is_read_after_all_else_is_checked(asked):
    """Method, route, origin, length and image are checked first; ``unread`` would make it a 500."""
    plain = Api(ImageService.in_memory(), authorize=lambda *_: True)
    awaited = Api(AsyncImageService(ImageService.in_memory()), authorize=lambda *_: True)

    assert plain(asked).status in (200, 403, 404, 405, 413)
    assert plain(asked) == asyncio.run(awaited.answer(asked))


@pytest.mark.contract("C34")
def test_the_guard_is_asked_before_an_update_is_read():
    """Who may not change a caption costs no body."""
    images = ImageService.in_memory()
    image = images.upload("ana", make_image(), image_type="cover", caption="Sea")
    api = Api(images, authorize=lambda source, action, user: action != "update")

    assert api(request("POST", f"user_image/{image.id}/update/", form=unread)).status == 404
    assert images.get(image.id).caption == "Sea"


@pytest.mark.parametrize(
    ("error", "status", "code", "level"),
    [
        (RequestCutOffError(), 400, "request_cut_off", logging.INFO),
        (LengthRequiredError(), 411, "length_required", None),
    ],
)
@pytest.mark.contract("C19")
def test_what_a_client_did_is_no_fault_of_ours(error, status, code, level, caplog):
    """A client that goes away is a line of INFO and no error, and a body without a length is not even that."""
    caplog.set_level(logging.INFO, "userimages")

    def form():
        raise error

    response = Api(ImageService.in_memory(), authorize=lambda *_: True)(
        request("POST", "upload_user_image/", form=form)
    )

    assert (response.status, json.loads(response.body)["code"]) == (status, code)
    assert [record.levelno for record in caplog.records] == ([level] if level else [])


# Other sites


def served(**options):
    images = ImageService.in_memory()
    image = images.upload("ana", make_image(), image_type="cover")
    api = Api(images, authorize=lambda *_: True, **options)

    def ask(origin, **headers):
        return api(request(path=f"user_image/{image.id}/serve/", headers={"Origin": origin, **headers}))

    return ask


@pytest.mark.parametrize(
    ("options", "policy"),
    [
        ({}, "same-site"),
        ({"trusted_origins": None}, "same-site"),
        ({"trusted_origins": ["https://app.example.net"]}, "cross-origin"),
        ({"resource_policy": "same-origin"}, "same-origin"),
        ({"resource_policy": "same-site", "trusted_origins": ["https://app.example.net"]}, "same-site"),
    ],
)
@pytest.mark.contract("C17")
def test_a_trusted_site_may_show_what_it_uploads(options, policy):
    """A site that may change things may show images too, unless the application says otherwise."""
    assert served(**options)("").headers["Cross-Origin-Resource-Policy"] == policy


@pytest.mark.contract("C17")
def test_scripts_of_canvas_origins_read_pixels():
    """The listed origins alone may read pixels, and a cache keeps their answers apart, 304s too."""
    ask = served(canvas_origins=["https://editor.example"])
    allowed = ask("https://editor.example")
    again = ask("https://editor.example", **{"If-None-Match": "*"})

    for response in (allowed, again):
        assert response.headers["Access-Control-Allow-Origin"] == "https://editor.example"
        assert response.headers["Access-Control-Allow-Credentials"] == "true"
        assert response.headers["Vary"] == "Origin"
    for origin in ("https://evil.example", "null", "", "https://editor.example.evil.example"):
        assert "Access-Control-Allow-Origin" not in ask(origin).headers
        assert ask(origin).headers["Vary"] == "Origin"
    assert "Vary" not in served()("https://editor.example").headers


@pytest.mark.parametrize(
    "options",
    [
        {"resource_policy": "everybody"},
        {"trusted_origins": "https://app.example.net"},
        {"trusted_origins": ["app.example.net"]},
        {"trusted_origins": ["https://app.example.net/"]},
        {"trusted_origins": ["*"]},
        {"canvas_origins": "https://app.example.net"},
        {"canvas_origins": ["https://App.example.net"]},
    ],
)
def test_what_is_no_origin_is_refused(options):
    """An origin that no browser would send is found where it is given, and so is a string in place of a list."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Api(ImageService.in_memory(), authorize=lambda *_: True, **options)
