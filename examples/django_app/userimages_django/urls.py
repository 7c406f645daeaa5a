"""``path("api/", include("userimages_django.urls"))``."""

from django.urls import re_path

from userimages.http import ROOTS

from .views import answer

app_name = "userimages"
urlpatterns = [re_path(rf"^(?P<path>(?:{'|'.join(ROOTS)})/(?s:.*))$", answer, name="api")]
