"""The models of somebody's project: posts with a cover."""

from django.db import models


class Post(models.Model):
    title = models.CharField(max_length=100)
    cover = models.ForeignKey("userimages_django.Image", models.PROTECT, null=True, blank=True, related_name="posts")
