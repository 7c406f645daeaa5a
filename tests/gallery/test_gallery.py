"""The gallery, used as people use it: dropped on, typed at, looked at on a phone, and left in the middle."""

import base64
import re

import pytest

from userimages.testing import make_image

WIDE = make_image("JPEG", (900, 600), gps=True, comment=b"private", orientation=1)
DROP = """
([name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  return transfer;
}
"""


def expect(it):
    from playwright.sync_api import expect

    return expect(it)


class Visit:
    """One person at the gallery, in a browser of their own; notes what their page asks for and complains about."""

    def __init__(self, browser, url, user, **options):
        self.context = browser.new_context(reduced_motion="reduce", **options)
        self.url, self.user, self.requests, self.complaints = url, user, [], []
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("request", lambda request: self.requests.append(f"{request.method} {request.url}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        if user != "demo":
            self.context.request.post(f"{url}/login", form={"name": user})
        self.page.goto(url)

    @property
    def cards(self):
        return self.page.locator(".card")

    def choose(self, *files):
        """Choose files of (name, bytes), each of which ends as a card."""
        chosen = [{"name": name, "mimeType": "image/jpeg", "buffer": data} for name, data in files]
        self.page.set_input_files("#files", chosen)

    def upload(self, name="cat.jpg", data=WIDE, *, caption=""):
        before = self.cards.count()
        self.page.fill("#options [name=caption]", caption)
        self.choose((name, data))
        expect(self.cards).to_have_count(before + 1)

    def transfer(self, name, data, type="image/jpeg"):
        return self.page.evaluate_handle(DROP, [name, type, base64.b64encode(data).decode()])

    def deletions(self):
        return [request for request in self.requests if request.startswith("DELETE")]


@pytest.fixture
def visit(browser, gallery, request):
    """Return a function that begins a visit as a user of this test alone."""
    visits = []

    def begin(user=None, **options):
        name = user or re.sub(r"\W", "-", request.node.name)[:100]
        visits.append(Visit(browser, gallery, name, **options))
        return visits[-1]

    yield begin
    for each in visits:
        each.context.close()


def test_six_pictures_are_there_at_the_first_start(visit):
    """Six pictures are there at the first start."""
    guest = visit("demo")

    expect(guest.cards).to_have_count(6)
    expect(guest.page.locator(".view img.here")).to_have_count(6)
    images = guest.page.locator(".view img").evaluate_all(
        "all => all.map((it) => [it.naturalWidth, it.width / it.height, it.attributes.width.value"
        " / it.attributes.height.value, it.srcset, it.alt])"
    )
    for natural, shown, declared, srcset, alt in images:
        assert natural > 0
        assert shown == pytest.approx(declared, rel=0.02)
        assert re.fullmatch(r"(/api/user_image/\S+ \d+w(, )?)+", srcset)
        assert alt
    blurred = guest.page.locator(".view").evaluate_all("all => all.map((each) => each.style.backgroundImage)")
    assert all(each.startswith('url("data:image/png') for each in blurred)
    expect(guest.page.locator(".star[aria-pressed=true]")).to_have_count(1)
    assert guest.complaints == []


def test_the_page_asks_nobody_else_for_anything(visit, gallery):
    """The page asks nobody else for anything."""
    guest = visit("demo")
    expect(guest.page.locator(".view img.here")).to_have_count(6)
    guest.page.locator(".view").first.click()

    assert {request.split()[1].startswith((gallery, "data:", "blob:")) for request in guest.requests} == {True}


def test_a_dropped_picture_is_uploaded_and_stays(visit):
    """A picture that is dropped is uploaded, shows its progress, and stays after a reload."""
    ana = visit()
    ana.page.evaluate(
        "window.seen = []; new MutationObserver(() => seen.push(document.querySelector('#queue .status')?.textContent))"
        ".observe(document.getElementById('queue'), { subtree: true, childList: true, characterData: true })"
    )
    network = ana.context.new_cdp_session(ana.page)
    network.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 300_000},
    )
    transfer = ana.transfer("beach.jpg", WIDE)
    for event in ("dragenter", "dragover", "drop"):
        ana.page.dispatch_event("body", event, {"dataTransfer": transfer})

    expect(ana.page.locator(".item img")).to_have_attribute("src", re.compile("^blob:"))
    expect(ana.cards).to_have_count(1)
    expect(ana.page.locator(".item .status")).to_contain_text("Stored:")
    expect(ana.page.locator(".item.done progress[hidden]")).to_have_count(1)  # a bar would say that more is to come
    seen = ana.page.evaluate("seen.filter(Boolean)")
    assert any(re.search(r"\d+ %", each) for each in seen), seen
    ana.page.reload()
    expect(ana.page.locator(".view img.here")).to_have_count(1)
    assert ana.complaints == []


def test_a_picture_that_is_pasted_is_uploaded(visit):
    """A picture that is pasted is uploaded."""
    ana = visit()
    transfer = ana.transfer("image.png", make_image("PNG", (60, 40)), "image/png")
    ana.page.evaluate_handle(
        "(clipboardData) => dispatchEvent(new ClipboardEvent('paste', { clipboardData }))", transfer
    )

    expect(ana.cards).to_have_count(1)


def test_the_panel_says_what_became_of_a_file(visit):
    """Several files are uploaded, and the panel says what became of one."""
    ana = visit()
    ana.page.fill("#options [name=caption]", 'Ana & "Ben" <3')
    ana.choose(("one.jpg", WIDE), ("two.jpg", make_image("JPEG", (300, 600))))
    expect(ana.cards).to_have_count(2)
    ana.page.reload()
    ana.page.locator(".card", has=ana.page.locator("img[width='900']")).locator(".view").click()

    panel = ana.page.locator("#panel")
    expect(panel.get_by_role("heading", name='Ana & "Ben" <3')).to_be_visible()
    expect(panel.locator("#panel-facts")).to_contain_text("JPEG, 900 \u00d7 600")
    expect(panel.locator("#panel-facts")).to_contain_text("GPS")
    expect(panel.locator("#panel-facts")).to_contain_text("a comment")
    expect(panel.locator("#panel-scale")).to_contain_text("kB")
    expect(panel.locator("#panel-sizes tr")).to_have_count(4)
    code = panel.locator("#panel-code").inner_text()
    compile(code, "panel", "exec")
    assert 'caption="Ana & \\"Ben\\" <3"' in code
    assert 'open("one.jpg", "rb")' in code


def test_a_profile_picture_is_cropped_by_keyboard(visit):
    """A profile picture is cropped to a square with the keyboard alone."""
    ana = visit()
    ana.page.check("[value=profile]", force=True)
    ana.choose(("me.jpg", WIDE))
    expect(ana.page.locator("#crop")).to_be_visible()
    ana.page.focus("#crop-size")
    for _ in range(20):
        ana.page.keyboard.press("ArrowLeft")
    ana.page.focus("#crop-x")
    ana.page.keyboard.press("Home")
    ana.page.focus("#crop-use")
    ana.page.keyboard.press("Enter")

    expect(ana.cards).to_have_count(1)
    ana.page.locator(".view").click()
    expect(ana.page.locator("#panel-facts")).to_contain_text("480 \u00d7 480")
    expect(ana.page.locator("#panel-facts")).to_contain_text("cropped to a square")


def test_a_crop_is_dragged_kept_whole_or_left_out(visit):
    """A profile picture can be dragged, kept whole or left out."""
    ana = visit()
    ana.page.check("[value=profile]", force=True)
    ana.choose(("me.jpg", WIDE))
    box = ana.page.locator("#crop-box")
    expect(box).to_be_visible()
    before = box.bounding_box()
    ana.page.mouse.move(before["x"] + 50, before["y"] + 50)
    ana.page.mouse.down()
    ana.page.mouse.move(before["x"] + 90, before["y"] + 50, steps=4)
    ana.page.mouse.up()
    assert box.bounding_box()["x"] > before["x"] + 20
    ana.page.keyboard.press("Escape")
    expect(ana.page.locator("#crop")).to_be_hidden()
    expect(ana.cards).to_have_count(0)
    ana.choose(("me.jpg", WIDE))
    ana.page.click("#crop-whole")
    expect(ana.cards).to_have_count(1)


def test_one_click_makes_a_picture_primary(visit):
    """One click makes a picture primary, and it stays so."""
    ana = visit()
    ana.upload("one.jpg", caption="one")
    ana.upload("two.jpg", make_image("JPEG", (300, 300)), caption="two")
    for name in ("one", "two"):
        ana.page.get_by_role("button", name=f"Primary: {name}").click()
        pressed = ana.page.locator(".star[aria-pressed=true]")
        expect(pressed).to_have_count(1)
        expect(pressed).to_have_attribute("aria-label", f"Primary: {name}")
    ana.page.reload()
    expect(ana.page.locator(".star[aria-pressed=true]")).to_have_attribute("aria-label", "Primary: two")
    expect(ana.page.locator("#avatar img")).to_have_count(1)


def test_the_box_makes_the_first_of_a_drop_primary(visit):
    """ "Make it the primary picture" counts for one picture of one drop, and is not ticked any more afterwards."""
    ana = visit()
    ana.upload("old.jpg", caption="old")
    ana.page.check("#options [name=is_primary]")
    ana.page.fill("#options [name=caption]", "new")
    ana.choose(("one.jpg", make_image("JPEG", (300, 200))), ("two.jpg", make_image("JPEG", (200, 300))))

    expect(ana.cards).to_have_count(3)
    pressed = ana.page.locator(".star[aria-pressed=true]")
    expect(pressed).to_have_attribute("aria-label", "Primary: new")
    expect(pressed).to_have_count(1)
    expect(ana.page.locator("#options [name=is_primary]")).not_to_be_checked()
    ana.page.reload()
    expect(pressed).to_have_attribute("aria-label", "Primary: new")
    assert ana.page.locator(".card:has(.star[aria-pressed=true]) img").get_attribute("width") == "300"


def test_a_second_click_on_the_star_is_answered(visit):
    """Who clicks the star of the primary picture sees why nothing changes."""
    ana = visit()
    ana.upload(caption="cat")
    star = ana.page.get_by_role("button", name="Primary: cat")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    star.click()

    expect(ana.page.locator(".toast")).to_contain_text("primary picture already")


def test_a_caption_is_changed_in_the_panel(visit):
    """The new caption is seen in the panel, on the card and after a reload, and too long a one says so."""
    ana = visit()
    ana.upload(caption="one of four")
    ana.page.locator(".view").click()
    field = ana.page.locator("#panel-caption [name=caption]")
    expect(field).to_have_value("one of four")
    field.fill("<i>Sea</i> & 'sky'")
    ana.page.locator("#panel-caption button").click()

    expect(ana.page.locator("#panel-saved")).to_have_text("Saved.")
    expect(ana.page.locator("#panel-title")).to_have_text("Sea & 'sky'")
    ana.page.evaluate("document.querySelector('#panel-caption [name=caption]').maxLength = 2000")
    field.fill("x" * 1001)
    field.press("Enter")
    expect(ana.page.locator("#panel-saved")).to_contain_text("at most 1000")
    ana.page.keyboard.press("Escape")
    assert focused(ana.page) == "view"
    expect(ana.page.locator(".caption span")).to_have_text("Sea & 'sky'")
    expect(ana.page.get_by_role("button", name="Delete: Sea & 'sky'")).to_have_count(1)
    ana.page.reload()
    expect(ana.page.locator(".caption span")).to_have_text("Sea & 'sky'")


def test_refusals_are_dismissed_together(visit):
    """Two refusals or more can go with one click."""
    ana = visit()
    ana.page.click("summary:has-text('See what is refused')")
    for count, name in enumerate(("An empty file", "A web page named .jpg"), 1):
        ana.page.get_by_role("button", name=name).click()
        expect(ana.page.locator(".item.bad")).to_have_count(count)
        assert ana.page.locator("#dismiss-all").is_visible() is (count == 2)
    ana.page.click("#dismiss-all")

    expect(ana.page.locator(".item")).to_have_count(0)
    expect(ana.page.locator("#queue-section")).to_be_hidden()


def test_a_picture_in_its_own_tab_looks_as_usual(visit):
    """The browser's own page around a picture has its styles: no complaint, the usual dark ground, in the middle."""
    ana = visit()
    ana.upload(data=make_image("JPEG", (300, 200)))
    ana.page.goto(ana.url + ana.page.locator(".view img").get_attribute("src").partition("?")[0])

    shown = ana.page.locator("img")
    assert shown.evaluate("each => each.naturalWidth") == 300
    assert ana.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 14, 14)"
    box, size = shown.bounding_box(), ana.page.viewport_size
    assert box["x"] + box["width"] / 2 == pytest.approx(size["width"] / 2, abs=2)
    assert ana.complaints == []


def test_a_deletion_waits_and_can_be_undone(visit):
    """A deletion waits, can be undone, and is sent once its notice goes."""
    ana = visit()
    ana.upload(caption="cat")
    ana.page.get_by_role("button", name="Delete: cat").click()
    expect(ana.cards).to_have_count(0)
    ana.page.get_by_role("button", name="Undo").click()
    expect(ana.cards).to_have_count(1)
    assert ana.deletions() == []

    ana.page.get_by_role("button", name="Delete: cat").click()
    with ana.page.expect_response(lambda response: response.request.method == "DELETE") as answer:
        ana.page.locator(".toast").get_by_role("button", name="Dismiss").click()
    assert answer.value.json()["message"] == "Image deleted successfully"
    ana.page.reload()
    expect(ana.page.locator("#empty")).to_be_visible()


def test_leaving_the_page_finishes_a_deletion(visit):
    """Leaving the page finishes a deletion that waits."""
    ana = visit()
    ana.upload(caption="cat")
    ana.page.get_by_role("button", name="Delete: cat").click()
    expect(ana.cards).to_have_count(0)
    assert ana.deletions() == []
    ana.page.goto("about:blank")
    ana.page.goto(ana.url)

    expect(ana.page.locator("#empty")).to_be_visible()


@pytest.mark.parametrize(
    ("button", "words", "code"),
    [
        ("A web page named .jpg", "Unsupported file format", "415 unsupported_format"),
        ("An empty file", "empty", "400 empty_image"),
        ("A 2.5-gigapixel bomb", "50", "400 too_many_pixels"),
        ("11 megabytes", "File size exceeds 10MB limit", "413 file_too_large"),
    ],
)
def test_a_bad_file_shows_the_error_that_a_user_gets(visit, button, words, code):
    """A bad file shows the error that a user gets."""
    ana = visit()
    ana.page.click("summary:has-text('See what is refused')")
    ana.page.get_by_role("button", name=button).click()

    status = ana.page.locator(".item.bad .status")
    expect(status).to_contain_text(words)
    expect(status.locator("code")).to_have_text(code)
    expect(ana.cards).to_have_count(0)


def test_two_browsers_are_two_users(visit):
    """Two browsers are two users who cannot touch each other's pictures."""
    ana, ben = visit("ana-of-two"), visit("ben-of-two")
    ana.upload(caption="mine")
    id = ana.cards.get_attribute("data-id")
    ben.page.reload()
    expect(ben.page.locator("#empty")).to_be_visible()
    theirs = ben.context.request

    assert theirs.get(f"{ana.url}/api/user_images/ana-of-two/").status == 403
    assert theirs.get(f"{ana.url}/api/user_image/{id}/serve/").status == 404
    assert theirs.delete(f"{ana.url}/api/user_image/{id}/delete/").status == 404
    assert theirs.post(f"{ana.url}/api/user_image/{id}/set_primary/").status == 404
    assert ana.context.request.get(f"{ana.url}/api/user_image/{id}/serve/").status == 200


def test_signing_in_by_name_changes_the_user(visit):
    """Signing in by name changes the user."""
    ana = visit("demo")
    ana.page.locator(".who summary").click()
    ana.page.fill("#name", "Zoë <b>")
    ana.page.get_by_role("button", name="Sign in").click()

    expect(ana.page.get_by_role("heading", level=1)).to_have_text("Pictures of Zoë <b>")


def test_everything_is_done_with_the_keyboard_alone(visit):
    """Everything is done with the keyboard alone."""
    ana = visit()
    with ana.page.expect_file_chooser() as chooser:
        press_tab_until(ana.page, "files")
        ana.page.keyboard.press("Enter")
    chooser.value.set_files([{"name": "cat.jpg", "mimeType": "image/jpeg", "buffer": WIDE}])
    expect(ana.cards).to_have_count(1)

    press_tab_until(ana.page, "view")
    ana.page.keyboard.press("Enter")
    expect(ana.page.locator("#panel")).to_be_visible()
    ana.page.keyboard.press("Escape")
    expect(ana.page.locator("#panel")).to_be_hidden()
    assert focused(ana.page) == "view"
    ana.page.keyboard.press("Tab")
    ana.page.keyboard.press("Space")
    expect(ana.page.locator(".star[aria-pressed=true]")).to_have_count(1)
    ana.page.keyboard.press("Tab")
    ana.page.keyboard.press("Enter")
    expect(ana.cards).to_have_count(0)
    ana.page.keyboard.press("Enter")  # the focus is on Undo
    expect(ana.cards).to_have_count(1)
    assert focused(ana.page) == "view"
    expect(ana.page.locator("#said")).to_have_text("It is back.")


def focused(page):
    return page.evaluate("document.activeElement.id || document.activeElement.className")


def press_tab_until(page, name):
    for _ in range(40):
        page.keyboard.press("Tab")
        if focused(page) == name:
            assert page.evaluate("document.activeElement.matches(':focus-visible')")
            return
    raise AssertionError(name)


@pytest.mark.parametrize("width", [320, 390])
def test_nothing_is_cut_off_on_a_phone(visit, width):
    """Nothing is cut off on a phone."""
    guest = visit("demo", viewport={"width": width, "height": 800}, has_touch=True, is_mobile=True)
    expect(guest.cards).to_have_count(6)

    assert guest.page.evaluate("document.documentElement.scrollWidth") == width
    assert float(guest.page.locator(".bin").first.evaluate("each => getComputedStyle(each).opacity")) == 1
    expect(guest.page.locator(".drop-hint")).to_be_hidden()
    guest.page.click("summary:has-text('See what is refused')")
    guest.page.get_by_role("button", name="A web page named .jpg").click()
    words, button = (guest.page.locator(f".item.bad {part}").bounding_box() for part in (".words", ".buttons"))
    assert words["x"] + words["width"] <= button["x"]
    assert words["y"] <= button["y"] + button["height"] / 2 <= words["y"] + words["height"]
    guest.page.locator(".view").first.click()
    panel = guest.page.locator("#panel")
    expect(panel).to_be_visible()
    assert panel.evaluate("each => each.scrollWidth <= each.clientWidth")


def test_the_theme_is_the_systems_until_it_is_switched(visit):
    """The theme is the system's until it is switched."""
    guest = visit("demo", color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = guest.page.evaluate(paper)
    guest.page.get_by_role("button", name="Switch between light and dark").click()
    light = guest.page.evaluate(paper)
    guest.page.reload()

    assert dark != light
    assert guest.page.evaluate(paper) == light


def violations(page, axe):
    page.evaluate(axe)
    found = page.evaluate("axe.run().then((result) => result.violations)")
    return [(each["id"], each["help"], [node["html"] for node in each["nodes"]]) for each in found]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_no_violation(visit, axe, scheme, width):
    """Axe finds no violation on the page, the panel, the crop or the refusals."""
    guest = visit(color_scheme=scheme, viewport={"width": width, "height": 800})
    guest.upload(caption="cat")
    guest.page.click("summary:has-text('See what is refused')")
    guest.page.get_by_role("button", name="An empty file").click()
    expect(guest.page.locator(".item.bad")).to_have_count(1)
    assert violations(guest.page, axe) == []

    guest.page.locator(".view").click()
    assert violations(guest.page, axe) == []
    guest.page.keyboard.press("Escape")
    guest.page.check("[value=profile]", force=True)
    guest.choose(("me.jpg", WIDE))
    expect(guest.page.locator("#crop")).to_be_visible()
    assert violations(guest.page, axe) == []
    guest.page.keyboard.press("Escape")
    guest.page.get_by_role("button", name="Delete: cat").click()
    expect(guest.page.locator(".toast")).to_be_visible()
    guest.page.locator(".who summary").click()
    assert violations(guest.page, axe) == []
