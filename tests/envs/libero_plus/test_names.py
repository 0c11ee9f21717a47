"""What names say. The numbers that all names of the distribution add up to are in test_catalog."""

import pytest

from envs.libero_plus.names import View, variation

BASE = "pick_up_the_black_bowl_on_the_stove_and_place_it_on_the_plate"


@pytest.mark.parametrize(
    ("suffix", "category"),
    [
        ("_view_315_15_100_0_0_initstate_0", "camera"),
        ("_view_0_0_137_0_0_initstate_0", "camera"),
        ("_view_0_0_100_350_2_initstate_0", "camera"),
        ("_view_0_0_100_0_0_initstate_417", "robot"),
        ("_view_0_0_100_0_0_initstate_0_noise_26", "noise"),
        ("_language_12_view_0_0_100_0_0_initstate_0", "language"),
        ("_level3_sample1", "layout"),
        ("_moved_level5_sample14", "layout"),
        ("_add_30", "objects"),
        ("_table_5", "background"),
        ("_tb_12", "background"),
        ("_light_50", "light"),
    ],
)
def test_the_suffix_says_the_category(suffix, category):
    varied = variation(BASE + suffix)
    assert (varied.base, varied.category) == (BASE, category)


def test_parameters():
    assert variation(f"{BASE}_view_315_15_137_350_2_initstate_0").view == View(315, 15, 1.37, 350, 2)
    assert variation(f"{BASE}_view_0_0_100_0_0_initstate_417").robot == 417
    assert variation(f"{BASE}_view_0_0_100_0_0_initstate_0_noise_26").noise == 26
    assert variation(f"{BASE}_language_12_view_0_0_100_0_0_initstate_0").language == 12


@pytest.mark.parametrize(
    "suffix", ["", "_view_0_0_100_0_0_initstate_0", "_view_5_0_100_0_0_initstate_3", "_add_", "_light_3_noise_2"]
)
def test_other_names_are_refused(suffix):
    with pytest.raises(ValueError, match="is not the name of a task of LIBERO-plus"):
        variation(BASE + suffix)
