"""The page about Django, followed literally: each of its blocks is a part of a new project, whose tests pass."""

import re
from pathlib import Path
from textwrap import indent

import pytest
from tests.adapters.strangers import new_environment, run
from tests.parts import needs

DOCS = Path(__file__).parents[2] / "docs/how-to"

URLS = """
from django.urls import include, path
from shop import views

urlpatterns = [
    {api},
    path("avatar/", views.avatar, name="avatar"),
    path("posts/", views.posts),
    path("people/<int:pk>/", views.person),
]
"""
VIEWS = """
from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from shop.models import Post
from userimages_django.service import images, name_of
{form}

def posts(request):
    return render(request, "posts.html", {{"posts": Post.objects.select_related("cover")}})

def person(request, pk):
    return HttpResponse(images().primary(str(pk)).url)
"""
TESTS = """
from types import SimpleNamespace

from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import CharField
from django.db.models.functions import Cast
from django.test import TestCase
from shop.models import Post
from userimages import ConflictError
from userimages.testing import make_image
from userimages_django.models import Image
from userimages_django.service import images, name_of

{shown}

class PageTest(TestCase):
    def setUp(self):
        self.user = User.objects.create_user("ana")
        self.client.force_login(self.user)
        self.file = SimpleUploadedFile("cat.jpg", make_image("JPEG", (800, 600)), "image/jpeg")

    def test_service(self):
        request = SimpleNamespace(user=self.user, FILES={{"picture": self.file}})
{service}
        self.assertEqual(images().primary(str(self.user.pk)).id, image.id)
        self.assertEqual(self.client.get(image.url).status_code, 200)
        self.client.logout()
        self.assertEqual(self.client.get(image.url).status_code, 404)

    def test_form(self):
        answer = self.client.post("/avatar/", {{"picture": self.file}})
        self.assertRedirects(answer, "/avatar/")
        self.assertContains(self.client.get("/avatar/"), images().primary(name_of(self.user)).id)
        bad = SimpleUploadedFile("cat.jpg", b"no image", "image/jpeg")
        self.assertContains(self.client.post("/avatar/", {{"picture": bad}}), "JPEG, PNG, GIF, WebP")

    def test_posts(self):
        for n in range(50):
            cover = images().upload("1", make_image("PNG", (40, 30), seed=n), image_type="gallery")
            Post.objects.create(cover_id=cover.id, title=f"Post {{n}}")
        with self.assertNumQueries(1):
            page = self.client.get("/posts/").content.decode()
        self.assertEqual(page.count("<img "), 50)
        self.assertIn('alt="Post 7"', page)

    def test_foreign_keys(self):
        image_id = images().upload("1", make_image(), image_type="cover").id
        post = Post.objects.create(cover_id=image_id, title="x")
        with self.assertRaises(ConflictError):
            images().delete(image_id)
{refused}
        self.assertEqual(len(images().list("1")), 0)

    def test_left(self):
        images().upload(name_of(self.user), make_image(), image_type="cover")
        images().upload("12345", make_image(), image_type="cover")
{left}
        self.assertEqual(list(Image.objects.values_list("user", flat=True)), [name_of(self.user)])
"""


def block(text):
    """Return the one block of the page that has *text* in it."""
    blocks = re.findall(r"```(?:python)?\n(.*?)```", (DOCS / "django.md").read_text(), re.DOTALL)
    (found,) = [each for each in blocks if text in each]
    return found


@pytest.fixture
def project(tmp_path, tmp_path_factory):
    needs("django")
    bin = new_environment(tmp_path_factory.mktemp("page"))
    run([bin / "python", "-m", "django", "startproject", "project", "."], tmp_path)
    run([bin / "userimages", "adapter", "django", "."], tmp_path)
    run([bin / "python", "-m", "django", "startapp", "shop"], tmp_path)
    with (tmp_path / "project/settings.py").open("a") as file:
        file.write(block("INSTALLED_APPS +=") + 'INSTALLED_APPS += ["shop"]\n')
    post = "from django.db import models\n\n" + block("class Post") + "    title = models.CharField(max_length=99)\n"
    files = {
        "project/guard.py": block("def authorize"),
        "project/urls.py": URLS.format(api=block('path("api/"').strip()),
        "shop/models.py": post,
        "shop/views.py": VIEWS.format(form=block("class AvatarForm")),
        "shop/templates/posts.html": block("{% load userimages %}"),
        "shop/templates/avatar.html": "{{ form }}",
        "shop/tests.py": TESTS.format(
            shown=block("class AvatarTest"),
            service=indent(block('request.FILES["picture"], image_type'), " " * 8),
            refused=indent(block("post.cover = None"), " " * 8),
            left=indent(block("known = "), " " * 8),
        ),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def manage(*arguments):
        done = run([bin / "python", "manage.py", *arguments], tmp_path)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done.stdout + done.stderr

    return manage


def test_the_page_about_django_is_right(project):
    """The blocks are put where the page says. Then the commands of the page work, and so do tests of each block."""
    project("makemigrations", "shop")
    project("migrate")
    assert "no issues" in project("check")
    assert "OK" in project("test", "--shuffle")
    assert "0 finished" in project("userimages", "sweep")
    for name in ("check", "sweep", "audit", "rebuild", "adopt", "copy"):
        assert name in project("userimages", "-h")
