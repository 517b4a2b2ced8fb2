"""Colours that can be told apart, on a light and on a dark page."""

from itertools import combinations

import numpy as np
import pytest

from perturbook import palette

PAGE = {"light": "#ffffff", "dark": "#121212"}  # backgrounds of the book's theme
SIGHT = {  # Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)


def linear(colour):
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    low, high = sorted(float(linear(colour) @ XYZ[1]) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb):
    x, y, z = np.cbrt(np.clip(XYZ @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883], 0.0089, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_contrast_of_black_and_white_is_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("page", PAGE)
@pytest.mark.parametrize("colour", palette.CATEGORY[:5])
def test_the_first_five_colours_stand_out_from_the_page(colour, page):
    assert contrast(colour, PAGE[page]) >= 3


@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_colours_differ_for_every_common_kind_of_sight(sight):
    seen = [lab(np.array(SIGHT[sight]) @ linear(colour)) for colour in palette.CATEGORY]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 12  # about 2 is just noticeable


def test_the_theme_leaves_text_axes_and_background_to_the_page():
    def keys(node):
        for key, value in node.items() if isinstance(node, dict) else ():
            yield key
            yield from keys(value)

    assert not [
        key for key in keys(palette.theme()) if key.endswith("Color") or key in ("background", "fill")
    ]


def test_every_role_has_a_colour_of_the_palette():
    assert set(palette.ROLE.values()) <= set(palette.CATEGORY)
