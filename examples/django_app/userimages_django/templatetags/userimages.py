"""``{% load userimages %}{% userimage post.cover sizes="(max-width: 600px) 100vw, 600px" alt=post.title %}``."""

from django import template
from django.utils.html import format_html, format_html_join

register = template.Library()


@register.simple_tag
def userimage(image, *, sizes="100vw", still=False, **attributes):
    """Return the ``<img>`` of an image of the service or of a foreign key, or nothing if there is no image.

    Other attributes are added: ``class="round"``, ``loading="eager"``, ``data_id="7"`` for ``data-id``. The ``alt`` is
    the caption unless another is given. With *still* an animation does not move.
    """
    if not image:
        return ""
    given = {name.replace("_", "-"): value for name, value in attributes.items()}
    standard = {"alt": image.caption, "loading": "lazy", "decoding": "async"}
    every = {**image.img_attributes(sizes=sizes, still=still), **standard, **given}
    return format_html("<img {}>", format_html_join(" ", '{}="{}"', every.items()))
