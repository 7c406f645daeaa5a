"""The gallery on a store that takes uploads directly: which way the bytes went, and what happens without the rule."""

import pytest
from tests.direct.sites import allow

from userimages.testing import make_image

CAT = {"name": "cat.jpg", "mimeType": "image/jpeg", "buffer": make_image("JPEG", (900, 600), gps=True)}


@pytest.mark.parametrize(
    ("allowed", "way", "verb"),
    [(False, "through the application", "images.upload("), (True, "straight to the store", "images.finish_upload(")],
    ids=["without the rule", "with the rule"],
)
def test_the_panel_says_which_way_it_went(browser, gallery_on_a_store, allowed: bool, way: str, verb: str) -> None:
    """Straight to the store if its CORS policy lets the page in, else through the application."""
    from playwright.sync_api import expect

    url, storage = gallery_on_a_store
    allow(storage, url if allowed else "https://app.example.com")
    context = browser.new_context(reduced_motion="reduce")
    page, sent = context.new_page(), []
    page.set_default_timeout(15_000)
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    context.request.post(f"{url}/login", form={"name": f"ana-{allowed}"})
    page.goto(url)
    page.set_input_files("#files", [CAT])
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator(".item .status")).to_contain_text("Stored:")
    page.locator(".view").click()

    expect(page.locator("#panel-facts")).to_contain_text(way)
    code = page.locator("#panel-code").inner_text()
    compile(code, "panel", "exec")
    assert verb in code
    assert any(each.startswith(f"PUT {storage.endpoint}/{storage.bucket_name}/staging/ana-") for each in sent)
    context.close()
