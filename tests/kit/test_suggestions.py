"""What an error says of a name that nothing has."""

from torchcross._kit.suggestions import suggest, unknown_name


def test_the_nearest_name_comes_first_and_all_are_listed():
    assert (
        unknown_name("algorithm", "mamml", ["anil", "maml"])
        == "no algorithm is called 'mamml'; did you mean 'maml'? There are 'anil', 'maml'"
    )


def test_without_a_near_name_there_is_the_list_alone():
    assert suggest("zzz", {"left eye": 1, "right eye": 2}) == "there are 'left eye', 'right eye'"
    assert suggest("zzz", []) == "there are none"


def test_a_long_list_is_cut_and_counted():
    text = suggest("zzz", [f"name{number}" for number in range(30)])
    assert text.endswith("'name19', ... (30 in all)")


def test_what_is_no_text_is_shown_as_it_is():
    assert unknown_name("backbone", ["conv4"], ["conv4"]).startswith(
        "no backbone is called ['conv4']"
    )


def test_a_name_that_has_its_use_already_is_listed_and_not_meant():
    names = ["synthetic 1", "synthetic 2", "other"]
    listed = "'synthetic 1', 'synthetic 2', 'other'"
    assert (
        suggest("synthetic 3", names, names[:1])
        == f"did you mean 'synthetic 2'? There are {listed}"
    )
    assert suggest("synthetic 3", names, names[:2]) == f"there are {listed}"
