# ruff: noqa: PT027 - these are written as for unittest
"""The tests of somebody's project, for Django's test runner and for pytest-django."""

import io
import os
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import LiveServerTestCase, TestCase, TransactionTestCase, override_settings
from userimages_django.models import Image, Intent, Primary
from userimages_django.service import images, name_of

from userimages import ConflictError, RejectedImageError
from userimages.processing import Fit, Recipe
from userimages.testing import make_image

from .models import Post

JPEG = make_image("JPEG", (400, 300))
PEOPLE = ("ana", "ben")


def upload(user="ana", **options):
    return images().upload(user, JPEG, **{"image_type": "gallery", **options})


class Fresh:
    """Each test begins with nothing, and does what the others do."""

    def setUp(self):
        for user in PEOPLE:
            assert not images().list(user)
        assert not list(images().storage.list())
        assert not Image.objects.count() + Intent.objects.count() + Primary.objects.count()
        assert not os.path.exists("userimages-data")

    def test_a_picture_is_uploaded_shown_and_deleted(self):
        """A picture is uploaded, shown and deleted."""
        image = upload(is_primary=True)
        shown = Image.objects.get(user="ana")
        assert (shown.id, shown.url, shown.srcset) == (image.id, image.url, image.srcset())
        assert dict(shown.variants) == dict(image.variants)
        assert shown.variant(300).url == image.variant(300).url
        assert shown._record.uploaded_at == image.uploaded_at
        assert Primary.objects.get(image=shown).user == "ana"
        assert images().primary("ana").id == image.id
        images().delete(image.id)
        assert images().delete_user("ana").left == ()

    def test_a_retry_gets_the_first_answer(self):
        """A retry gets the first answer."""
        first = upload(idempotency_key="k")
        assert upload(idempotency_key="k").id == first.id
        with self.assertRaises(ConflictError):
            images().upload("ana", make_image("PNG"), image_type="gallery", idempotency_key="k")
        assert len(images().list("ana")) == 1

    def test_a_picture_that_a_row_shows_stays(self):
        """A picture that a row shows stays."""
        image = upload()
        post = Post.objects.create(title="Hello", cover_id=image.id)
        upload("ben")
        for delete in (lambda: images().delete(image.id), lambda: images().delete_user("ana")):
            with self.assertRaises(ConflictError):
                delete()
        with images().open(image.id) as stream:
            assert stream.read(2) == b"\xff\xd8"
        post.delete()
        assert images().delete_user("ana").images == 1

    def test_a_refused_file_leaves_nothing(self):
        """A refused file leaves nothing."""
        with self.assertRaises(RejectedImageError):
            images().upload("ana", b"no picture", image_type="gallery")
        assert not images().list("ana")

    def test_the_operators_commands_run(self):
        """The operator's commands run."""
        upload()
        out = io.StringIO()
        for command in (("sweep",), ("audit",), ("rebuild",), ("check",)):
            call_command("userimages", *command, stdout=out)
        assert "0 finished" in out.getvalue()
        assert "0 missing" in out.getvalue()
        assert "0 rebuilt, 1 of the present recipe" in out.getvalue()

    def test_the_api_answers(self):
        """The API answers."""
        ana = User.objects.create_user("ana")
        self.client.force_login(ana)
        picture = io.BytesIO(JPEG)
        picture.name = "cat.jpg"
        fields = {"username": name_of(ana), "image_type": "gallery", "image": picture}
        answer = self.client.post("/api/upload_user_image/", fields)
        assert answer.status_code == 200, answer.content
        assert self.client.get(answer.json()["image"]["url"]).status_code == 200

    def test_settings_of_a_test_count(self):
        """Settings of a test count."""
        with override_settings(USERIMAGES_RECIPES={"banner": Recipe(variants={"64": Fit(64, 64)})}):
            assert upload(image_type="banner").image_type == "banner"


class InATransaction(Fresh, TestCase):
    def test_fifty_posts_need_two_queries(self):
        """Fifty posts need two queries."""
        for number in range(50):
            Post.objects.create(title=f"Post {number}", cover_id=upload().id)
        for page, queries in (("/selected/", 1), ("/prefetched/", 2)):
            with self.assertNumQueries(queries):
                text = self.client.get(page).content.decode()
            assert text.count("<img src=") == text.count('class="cover"') == 50
            assert text.count("variant=320") >= 50

    def test_a_form_stores_what_it_checked(self):
        """A form stores what it checked."""
        self.client.force_login(User.objects.create_user("ana"))
        bad = io.BytesIO(b"GIF89a no picture")
        bad.name = "cat.gif"
        refused = self.client.post("/avatar/", {"picture": bad})
        assert b"errorlist" in refused.content
        assert self.client.post("/avatar/", {"nothing": "1"}).content.count(b"This field is required.") == 1
        good = io.BytesIO(JPEG)
        good.name = "cat.jpg"
        assert self.client.post("/avatar/", {"picture": good}).status_code == 302
        page = self.client.get("/avatar/").content.decode()
        assert 'accept="image/jpeg,' in page
        assert "<img src=" in page

    def test_pictures_of_a_deleted_user_go_after_commit(self):
        """The pictures of a deleted user go after the commit."""
        ana = User.objects.create_user("ana")
        kept = upload(name_of(ana))
        gone = upload(name_of(ana))
        Post.objects.create(title="Hello", cover_id=kept.id)
        with self.assertLogs("django", "ERROR"), self.captureOnCommitCallbacks(execute=True):
            ana.delete()
            assert len(images().list(str(kept.user))) == 2
        assert [image.id for image in images().list(kept.user)] == [kept.id]
        assert gone.id != kept.id


class OfAClass(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.image = upload()

    def check(self):
        with images().open(self.image.id) as stream:
            assert stream.read() == images().open(self.image.id).read()
        images().delete(self.image.id)
        upload("ben")
        assert not images().list("ana")

    def test_it_is_there_for_each(self):
        """It is there for each."""
        self.check()

    def test_it_is_there_for_the_other(self):
        """It is there for the other."""
        self.check()


class InATransactionAgain(Fresh, TestCase):
    pass


class Committed(Fresh, TransactionTestCase):
    def test_the_pictures_of_a_deleted_user_go(self):
        """The pictures of a deleted user go."""
        ana = User.objects.create_user("ana")
        image = upload(name_of(ana))
        with transaction.atomic():
            ana.delete()
            assert images().list(image.user)
        assert not images().list(image.user)


class CommittedAgain(Fresh, TransactionTestCase):
    pass


class Served(LiveServerTestCase):
    def test_four_clients_at_once(self):
        """Four clients at once."""
        url = self.live_server_url

        def page(_):
            with urllib.request.urlopen(f"{url}/selected/") as answer:
                return answer.read().count(b"<img src=")

        for _ in range(3):
            Post.objects.create(title="Hello", cover_id=upload().id)
        # In memory, the threads of Django's server share a connection, and Django says that two must not query at once.
        with ThreadPoolExecutor(4 if connection.vendor == "postgresql" else 1) as pool:
            assert list(pool.map(page, range(12))) == [3] * 12

    def test_nothing_was_left(self):
        """Nothing was left."""
        assert not images().list("ana")
        assert not list(images().storage.list())


class Admin(TestCase):
    LIST = "/admin/userimages_django/image/"

    def setUp(self):
        self.client.force_login(User.objects.create_superuser("root"))

    def messages(self, answer):
        return [(each.level_tag, str(each)) for each in answer.context["messages"]]

    def test_a_refused_deletion_shows_one_message(self):
        """A refused deletion shows one message."""
        with connection.cursor() as cursor:  # a table that Django does not know
            kind = "uuid" if connection.vendor == "postgresql" else "char(32)"
            cursor.execute(f"CREATE TABLE pins (image {kind} REFERENCES userimages_images (id))")
        kept, gone = upload(), upload()
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO pins VALUES (%s)", [kept.id.hex])
        one = self.client.post(f"{self.LIST}{kept.id}/delete/", {"post": "yes"}, follow=True)
        both = {"action": "delete_selected", "_selected_action": [str(kept.id), str(gone.id)], "post": "yes"}
        many = self.client.post(self.LIST, both, follow=True)
        for answer, words in ((one, "still refers"), (many, "1 of 2 were not deleted.")):
            ((level, text),) = self.messages(answer)
            assert level == "error"
            assert words in text
        assert [image.id for image in images().list("ana")] == [kept.id]

    def test_images_are_listed_captioned_and_made_primary(self):
        """Images are listed, captioned and made primary."""
        image = upload()
        assert f'<img src="{image.variant(100).url}' in self.client.get(self.LIST).content.decode()
        change = f"{self.LIST}{image.id}/change/"
        assert self.client.get(change).status_code == 200
        changed = self.client.post(change, {"caption": "Sea"}, follow=True)
        assert [level for level, _ in self.messages(changed)] == ["success"]
        self.client.post(self.LIST, {"action": "make_primary", "_selected_action": [str(image.id)]})
        assert images().primary("ana").caption == "Sea"
        post = Post.objects.create(title="Hello", cover_id=image.id)
        assert b"protected" in self.client.post(f"{self.LIST}{image.id}/delete/", {"post": "yes"}).content
        post.delete()
        deleted = self.client.post(f"{self.LIST}{image.id}/delete/", {"post": "yes"}, follow=True)
        assert [level for level, _ in self.messages(deleted)] == ["success"]

    def test_a_user_whose_picture_is_shown_can_be_deleted(self):
        """A user whose picture another shows can be deleted."""
        ana = User.objects.create_user("ana")
        image = upload(name_of(ana))
        Post.objects.create(title="Hello", cover_id=image.id)
        with self.assertLogs("django", "ERROR"), self.captureOnCommitCallbacks(execute=True):
            answer = self.client.post(f"/admin/auth/user/{ana.pk}/delete/", {"post": "yes"}, follow=True)
        assert [level for level, _ in self.messages(answer)] == ["success"]


class Checks(TestCase):
    def test_the_project_is_well(self):
        """The project is well."""
        call_command("check", fail_level="WARNING")
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)

    def test_the_data_of_development_is_not_touched(self):
        """The data of development is not touched."""
        assert not Path("userimages-data").exists()
