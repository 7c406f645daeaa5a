from django import forms
from django.db import transaction
from django.shortcuts import redirect, render
from userimages_django.forms import UserImageField
from userimages_django.service import images, name_of

from .models import Post


def authorize(request, action, user):
    return request.user.is_authenticated and name_of(request.user) == user


def selected(request):
    return render(request, "posts.html", {"posts": Post.objects.select_related("cover")})


def prefetched(request):
    return render(request, "posts.html", {"posts": Post.objects.prefetch_related("cover")})


class AvatarForm(forms.Form):
    picture = UserImageField(image_type="profile")


@transaction.non_atomic_requests
def avatar(request):
    form = AvatarForm(request.POST or None, request.FILES or None, initial={"picture": present(request)})
    if form.is_valid():
        form.cleaned_data["picture"].store(request.user, is_primary=True, replace=True)
        return redirect("/avatar/")
    return render(request, "posts.html", {"form": form})


def present(request):
    return images().primary(name_of(request.user))
