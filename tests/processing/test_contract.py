"""PillowProcessor keeps the contract, and the contract notices every way to break it."""

import io
import threading

import attrs
import pytest
from PIL import Image, ImageOps

from userimages.model import ProcessedImage, Rendition
from userimages.processing import Fill, Fit, PillowProcessor, Recipe
from userimages.testing.processor_contract import ProcessorContract


class TestPillowProcessor(ProcessorContract):
    @pytest.fixture
    def processor(self):
        return PillowProcessor()


class TestPillowProcessorWithOtherRecipes(ProcessorContract):
    @pytest.fixture
    def processor(self):
        recipe = Recipe(Fit(200, 200), variants={"tiny": Fill(9, 16)}, format="webp", variant_format="jpeg")
        return PillowProcessor(recipes=dict.fromkeys(("profile", "gallery", "cover"), recipe))


_CARELESS = PillowProcessor(
    recipes=dict.fromkeys(("profile", "gallery", "cover"), Recipe(Fit(200), variants={"64": Fit(64)}))
)


def careless(data, image_type):
    """A processor that keeps the contract, in the fewest lines: what the breaks below begin with."""
    return _CARELESS(data, image_type)


def rendition(image, format="JPEG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return Rendition(file.getvalue(), *image.size, f"image/{format.lower()}")


def lets_other_errors_out(data, image_type):
    Image.open(io.BytesIO(data)).load()
    return careless(data, image_type)


def answers_an_empty_file(data, image_type):
    return careless(data or b"\xff\xd8\xff", image_type)


def lies_on_its_side(data, image_type):
    image = Image.open(io.BytesIO(data)) if data[:2] == b"\xff\xd8" else None
    made = careless(data, image_type)
    return made if image is None else attrs.evolve(made, main=rendition(image.convert("RGB")))


def stands_on_its_head(data, image_type):
    made = careless(data, image_type)
    image = Image.open(io.BytesIO(made.main.data)).convert("RGB").rotate(180)
    return attrs.evolve(made, main=rendition(image))


def keeps_the_file(data, image_type):
    made = careless(data, image_type)
    return attrs.evolve(made, main=attrs.evolve(made.main, data=made.main.data + data[-100:]))


def keeps_the_comment(data, image_type):
    made = careless(data, image_type)
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return attrs.evolve(made, main=rendition(image.convert("RGB"), exif=image.info.get("exif", b"")))


def states_another_size(data, image_type):
    made = careless(data, image_type)
    return attrs.evolve(made, main=attrs.evolve(made.main, width=max(1, made.main.width - 1)))


def states_another_type(data, image_type):
    made = careless(data, image_type)
    return attrs.evolve(made, main=attrs.evolve(made.main, mime_type="image/png"))


def has_a_type_without_extension(data, image_type):
    made = careless(data, image_type)
    image = Image.open(io.BytesIO(made.main.data)).convert("RGB")
    return attrs.evolve(made, main=rendition(image, "BMP"))


def enlarges(data, image_type):
    made = careless(data, image_type)
    image = Image.open(io.BytesIO(made.main.data)).convert("RGB").resize((64, 64))
    return attrs.evolve(made, variants={"64": rendition(image)})


def names_a_variant_with_a_slash(data, image_type):
    made = careless(data, image_type)
    return attrs.evolve(made, variants={"64/64": made.variants["64"]})


def has_a_long_placeholder(data, image_type):
    return attrs.evolve(careless(data, image_type), placeholder="x" * 65)


def has_a_placeholder_of_emoji(data, image_type):
    return attrs.evolve(careless(data, image_type), placeholder="🐈")


def knows_no_covers(data, image_type):
    if image_type == "cover":
        raise KeyError(image_type)
    return careless(data, image_type)


class SharesItsState:
    """The last picture of any thread."""

    def __init__(self):
        self.made = ProcessedImage(Rendition(b"", 1, 1, "image/jpeg"))
        self.barrier = threading.Barrier(2)

    def __call__(self, data, image_type):
        self.made = careless(data, image_type)
        try:
            self.barrier.wait(0.1)
        except threading.BrokenBarrierError:
            self.barrier.reset()
        return self.made


class HasNoLimit(PillowProcessor):
    max_bytes = 0


ORIENTED = "test_the_image_is_upright"
STRIPPED = "test_no_metadata_and_no_tail_is_stored"
FACTS = "test_the_facts_are_those_of_the_bytes"
BREAKS = [
    (lets_other_errors_out, "test_what_is_not_an_image_is_refused"),
    (lets_other_errors_out, "test_a_damaged_image_is_processed_or_refused"),
    (answers_an_empty_file, "test_an_empty_file_is_refused"),
    (lies_on_its_side, ORIENTED),
    (stands_on_its_head, ORIENTED),
    (keeps_the_file, STRIPPED),
    (keeps_the_comment, STRIPPED),
    (states_another_size, FACTS),
    (states_another_type, FACTS),
    (has_a_type_without_extension, "test_the_formats_have_an_extension"),
    (enlarges, "test_nothing_is_larger_than_its_source"),
    (names_a_variant_with_a_slash, "test_the_names_of_variants_fit_into_a_key"),
    (has_a_long_placeholder, "test_the_placeholder_is_short_ascii"),
    (has_a_placeholder_of_emoji, "test_the_placeholder_is_short_ascii"),
    (knows_no_covers, "test_a_photo_of_every_type_is_processed"),
    (SharesItsState(), "test_threads_do_not_disturb_each_other"),
    (HasNoLimit(), "test_the_limit_of_bytes_is_a_number"),
]
CHECKS = [name for name in vars(ProcessorContract) if name.startswith("test_")]


def holds(processor, name):
    """Run one check of the contract with every parameter of it."""
    check = getattr(ProcessorContract, name)
    marks = [mark for mark in getattr(check, "pytestmark", []) if mark.name == "parametrize"]
    for values in list(marks[0].args[1]) if marks else [None]:
        arguments = {marks[0].args[0]: values} if marks else {}
        try:
            check(ProcessorContract(), processor, **arguments)
        except (Exception, pytest.fail.Exception):
            return False
    return True


@pytest.mark.parametrize("name", CHECKS)
def test_the_processor_that_is_broken_below_is_good(name):
    """The processor that is broken below is good."""
    assert holds(careless, name)


@pytest.mark.parametrize(("broken", "name"), BREAKS, ids=lambda each: getattr(each, "__name__", str(each)[:20]))
def test_the_contract_notices(broken, name):
    """The contract notices."""
    assert not holds(broken, name)


def test_every_check_of_the_contract_is_seen_failing():
    """Every check of the contract is seen failing."""
    assert {name for _, name in BREAKS} == set(CHECKS)
