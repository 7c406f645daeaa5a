"""The scripts of docs/how-to/direct-upload.md in Chromium, with our own route and with a store of another origin."""

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.direct.sites import allow, bucket_of, serve

CAT = os.urandom(200_000)
BLOCKS = re.findall(
    r"```js\n(.*?)```", (Path(__file__).parents[2] / "docs/how-to/direct-upload.md").read_text(), re.DOTALL
)
SCRIPT, *RECIPES = BLOCKS
SLOW = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000}


def choose(page, data=CAT):
    page.set_input_files("input", {"name": "cat.jpg", "mimeType": "image/jpeg", "buffer": data})


def stored(site, id):
    with site.images.open(id) as stream:
        return stream.read()


def test_one_script_uploads_to_every_store(page, site) -> None:
    """With progress; and where the store takes the file, the application sees no byte of it before finish."""
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", SLOW)
    page.add_script_tag(content=SCRIPT)
    choose(page)
    page.evaluate("window.seen = []")
    image = page.evaluate("upload(document.querySelector('input').files[0], (share) => seen.push(share))")
    seen = page.evaluate("seen")

    assert stored(site, image["id"]) == CAT
    assert seen == sorted(seen)
    assert (len(seen) > 1, seen[-1]) == (True, 1)
    arrived = {path: body for path, body in site.wire.bodies if body}
    put = [path for path in arrived if path.startswith("PUT")]
    if hasattr(site.images.storage, "sign_put"):
        assert not put
        assert sum(map(len, arrived.values())) < 500
    else:
        assert [arrived[path] for path in put] == [CAT]


def test_the_application_reads_nothing_before_finish(page, site) -> None:
    """Neither from the browser nor from the store: what it is asked for before finish is one short form."""
    opened = []
    original, before = site.images.storage.open, len(site.wire.bodies)
    page.add_script_tag(content=SCRIPT)
    choose(page)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(site.images.storage), "open", lambda self, *a, **k: opened.append(a) or original(*a, **k))
        page.evaluate("file = document.querySelector('input').files[0]; begin(file).then((it) => ticket = it)")
        page.evaluate("put(ticket, file, () => 0)")
        arrived = site.wire.bodies[before:]
        assert opened == []
        page.evaluate("finish(ticket.id)")
        assert len(opened) == 1

    if hasattr(site.images.storage, "sign_put"):
        ((path, body),) = [each for each in arrived if each[1]]
        assert (path, len(body) < 200) == ("POST /api/begin_upload/", True)


def test_what_is_staged_is_nobodys_to_see(page, site) -> None:
    """After the PUT the bytes are there, and no URL of the application or of the store shows them."""
    page.add_script_tag(content=SCRIPT)
    choose(page)
    page.evaluate("file = document.querySelector('input').files[0]; begin(file).then((it) => ticket = it)")
    page.evaluate("put(ticket, file, () => 0)")
    id, url = page.evaluate("[ticket.id, ticket.url]")
    (staged,) = [found.key for found in site.images.storage.list("staging/ana/") if found.key.endswith(id)]
    bare = urlsplit(url)._replace(query="").geturl()
    tries = [url, bare, f"{site.url}/api/user_image/{id}/serve/", f"{site.url}/{staged}", f"{site.url}/api/{staged}"]
    answers = [page.context.request.get(each) for each in tries]

    assert site.images.storage.url(staged) is None
    assert [answer.status for answer in answers if answer.status not in (403, 404, 405)] == []
    assert [answer for answer in answers if CAT[:50] in answer.body()] == []


def test_the_rule_of_another_page_lets_nothing_in(browser, s3_server) -> None:
    """The store is another origin than the page, so the policy that ``check --origin`` prints decides."""
    for site in serve(bucket_of(s3_server)):
        allow(site.images.storage, "https://app.example.com")
        page = browser.new_page()
        page.goto(site.url)
        page.add_script_tag(content=SCRIPT)
        choose(page)
        told = page.evaluate("upload(document.querySelector('input').files[0], () => 0).catch((it) => it.message)")
        page.close()
        assert told == "The file could not be sent. Try again."
        assert [*site.images.storage.list()] == []


@pytest.mark.parametrize("site", ["memory", "seaweedfs"], indirect=True, scope="module")
@pytest.mark.parametrize(("package", "recipe"), [*zip(["uppy6", "uppy5", "filepond"], RECIPES, strict=True)])
def test_the_recipe_uploads(page, site, packages, package: str, recipe: str) -> None:
    """That of the documentation, letter by letter, with the package from the npm registry."""
    page.add_script_tag(content=SCRIPT)
    page.add_script_tag(content=packages[package].decode())
    page.add_script_tag(content=recipe)
    before = {each.id for each in site.images.list("ana")}
    data = os.urandom(20_000)
    if package == "filepond":
        page.set_input_files("input[type=file]", {"name": "cat.jpg", "mimeType": "image/jpeg", "buffer": data})
        page.wait_for_selector("[data-filepond-item-state=processing-complete]")
    else:
        choose(page, data)
        with page.expect_response("**/upload_user_image/"):
            page.evaluate(
                "const [data] = document.querySelector('input').files;"
                "uppy.addFile({ name: data.name, type: data.type, data });"
                "void uppy.upload()"
            )
    (image,) = [each for each in site.images.list("ana") if each.id not in before]
    assert hashlib.sha256(stored(site, image.id)).digest() == hashlib.sha256(data).digest()
