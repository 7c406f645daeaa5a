import pickle
from datetime import UTC, datetime
from uuid import UUID

import attrs
import pytest

from userimages import ImageType, Page, UserImage, Variant
from userimages.model import Variants


def image(width: int, height: int, *variants: tuple[str, int, int]) -> UserImage:
    """Make a record of these sizes, with URLs that tell them."""
    return UserImage(
        id=UUID(int=1),
        user="ana",
        image_type=ImageType.GALLERY,
        uploaded_at=datetime(2026, 1, 1, tzinfo=UTC),
        key="users/ana/images/k.jpg",
        width=width,
        height=height,
        size_bytes=1,
        mime_type="image/jpeg",
        sha256="0" * 64,
        variants={name: Variant(name, w, h, 1, "image/webp", "0" * 64, f"/{name}") for name, w, h in variants},
        url="/full",
    )


def test_srcset_lists_each_width_once_narrowest_first() -> None:
    """`srcset` lists each width once, narrowest first."""
    photo = image(1920, 1080, ("320", 320, 180), ("1280", 1280, 720), ("640", 640, 360))

    assert photo.srcset() == "/320 320w, /640 640w, /1280 1280w, /full 1920w"


def test_srcset_of_crops_leaves_out_the_uncropped() -> None:
    """`srcset` of crops leaves the uncropped image out."""
    face = image(1920, 1080, ("64", 64, 64), ("256", 256, 256))

    assert face.srcset() == "/64 64w, /256 256w"
    assert face.img_attributes(sizes="64px") == {
        "src": "/256",
        "srcset": "/64 64w, /256 256w",
        "sizes": "64px",
        "width": "256",
        "height": "256",
    }


def test_srcset_of_a_small_image_has_one_entry() -> None:
    """`srcset` of a small image has one entry."""
    assert image(100, 50, ("320", 100, 50), ("640", 100, 50)).srcset().count("100w") == 1
    assert image(100, 50).img_attributes(sizes="100vw")["src"] == "/full"


def test_sizes_that_differ_by_rounding_have_one_shape() -> None:
    """Sizes that differ by rounding have one shape."""
    assert image(1920, 1281, ("320", 320, 214), ("64", 64, 43)).srcset() == "/64 64w, /320 320w, /full 1920w"


def animation(width: int, *variants: tuple[str, int, int]) -> UserImage:
    return attrs.evolve(image(width, width, *variants), mime_type="image/webp", frames=12)


@pytest.mark.parametrize("width", [200, 320, 1280, 1920])
def test_an_animation_moves_whatever_its_size(width: int) -> None:
    """Its variants do not move, and a browser chooses by width alone: none of them may be chosen."""
    variants = [(str(each), min(each, width), min(each, width)) for each in (320, 640, 1280)]
    moving = animation(width, *variants)
    assert moving.img_attributes() == {"src": "/full", "width": str(width), "height": str(width)}
    assert moving.srcset() == f"/full {width}w"


def test_an_animation_can_be_shown_still() -> None:
    """With still=True the animation itself is not among the choices, not even at the width of a variant."""
    still = animation(640, ("320", 320, 320), ("1280", 640, 640)).img_attributes(still=True)
    assert still["src"] == "/1280"
    assert still["srcset"] == "/320 320w, /1280 640w"
    assert animation(640).img_attributes(still=True)["src"] == "/full"


def test_the_attributes_of_an_image_need_no_argument() -> None:
    """A Django template can pass none."""
    photo = image(1920, 1080, ("320", 320, 180))
    assert photo.img_attributes()["sizes"] == "100vw"
    assert photo.img_attributes(still=True) == photo.img_attributes()
    assert "alt" not in photo.img_attributes()
    shown = photo.img_attributes(sizes="50vw", alt="", loading="lazy")
    assert (shown["sizes"], shown["alt"], shown["loading"]) == ("50vw", "", "lazy")


def test_a_record_is_frozen_hashable_and_picklable() -> None:
    """A record is frozen, hashable and picklable."""
    photo = image(10, 10, ("64", 10, 10))

    assert pickle.loads(pickle.dumps(photo)) == photo
    assert hash(photo) == hash(attrs.evolve(photo))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        photo.caption = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        photo.variants["64"] = photo.variants["64"]  # type: ignore[index]


def test_variants_keep_their_order_and_are_a_copy() -> None:
    """Variants keep their order, and copy what they are made of."""
    named = {"b": Variant("b", 1, 1, 1, "image/webp", ""), "a": Variant("a", 1, 1, 1, "image/webp", "")}
    variants = Variants(named)
    named.clear()

    assert list(variants) == ["b", "a"]


def test_an_image_type_is_its_string() -> None:
    """An image type is its string."""
    assert ImageType.COVER == "cover"
    assert image(1, 1).image_type == "gallery"


def test_a_page_is_a_sequence() -> None:
    """A page is a sequence."""
    photo = image(1, 1)

    assert list(Page((photo,))[:1]) == [photo]
    assert photo in Page((photo,))
    assert not Page()
