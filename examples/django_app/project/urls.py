from django.contrib import admin
from django.urls import include, path

from . import views

urlpatterns = [
    path("", views.home),
    path("login", views.login),
    path("admin/", admin.site.urls),
    path("api/", include("userimages_django.urls")),
]
