"""A page that signs in by name, uploads, and shows what the service lists."""

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST
from userimages_django.service import images

GUEST = "demo"


@ensure_csrf_cookie
def home(request) -> HttpResponse:
    user = request.session.setdefault("user", GUEST)
    pictures = [(image, image.img_attributes(sizes="(max-width: 700px) 100vw, 20rem")) for image in images().list(user)]
    return render(request, "home.html", {"name": user, "pictures": pictures})


@require_POST
def login(request) -> HttpResponse:
    request.session["user"] = request.POST.get("name", "").strip()[:150] or GUEST
    return redirect("/")
