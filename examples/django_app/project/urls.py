from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import include, path

from . import views

urlpatterns = [
    path("", views.home),
    path("login", views.login),
    path("admin/", admin.site.urls),
    path("api/", include("userimages_django.urls")),
    path("static/<path:path>", serve, {"insecure": True}),  # the admin's own files; a web server's task elsewhere
]
