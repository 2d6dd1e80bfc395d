"""Prompts: from templates, and from a table of one's own."""

import codecs

import pytest

from torchcross.errors import InputError, ReadError
from torchcross.targets import Binary, MultiClass, MultiLabel
from torchcross.task import Task
from torchcross.text import DEFAULT_TEMPLATES, PromptTable, class_prompts

TASK = Task("oct/disease class", MultiClass(["drusen", "edema", "normal"]), "OCT")
LABELS = Task("cxr/findings", MultiLabel(["mass", "cyst"]), "X-ray")


def table(tmp_path, text, *, mark=b""):
    path = tmp_path / "prompts.csv"
    path.write_bytes(mark + text.encode())
    return path


def test_fields_of_templates():
    prompts = class_prompts(TASK)
    assert prompts["edema"] == ("A OCT image where the disease class is edema",)
    assert list(prompts) == ["drusen", "edema", "normal"]
    assert len(DEFAULT_TEMPLATES) == 1
    wide = "{dataset_name}|{task_name}|{domain_identifier}|{class_name}"
    assert class_prompts(TASK, templates=[wide, "{class_name}"])["normal"] == (
        "oct|disease class|OCT|normal",
        "normal",
    )
    assert class_prompts(TASK, templates=[wide], dataset_name="Retinal OCT")["normal"] == (
        "Retinal OCT|disease class|OCT|normal",
    )
    alone = Task("shape", Binary(["disc", "star"]))
    assert class_prompts(alone, templates=["{dataset_name} {class_name}"])["disc"] == (
        "shape disc",
    )


def test_labels_are_set_against_nothing():
    prompts = class_prompts(LABELS, templates=["a {class_name}"])
    assert prompts == {None: ("a nothing",), "mass": ("a mass",), "cyst": ("a cyst",)}


@pytest.mark.parametrize(
    ("templates", "match"),
    [
        (["{class} of {class_name}"], "no field is called 'class'"),
        (["{class_name.__class__}"], "no field is called"),
        (["{class_name!r}"], "formats class_name"),
        (["{class_name:>9}"], "formats class_name"),
        (["{} {class_name}"], "no field is called ''"),
        (["a picture"], r"has no \{class_name\}"),
        (["{class_name"], "cannot be read"),
        ([], "give a list of texts"),
        ("{class_name}", "give a list of texts"),
    ],
)
def test_templates_that_make_no_prompts_are_refused(templates, match):
    with pytest.raises(InputError, match=match):
        class_prompts(TASK, templates=templates)


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_a_table_has_a_column_for_each_class(tmp_path, mark):
    text = "normal,drusen,edema\nhealthy,yellow spots,swelling\nfine,deposits,a cyst\n"
    made = PromptTable.read(table(tmp_path, text, mark=mark))
    assert class_prompts(TASK, table=made) == {
        "drusen": ("yellow spots", "deposits"),
        "edema": ("swelling", "a cyst"),
        "normal": ("healthy", "fine"),
    }


def test_a_last_column_is_of_no_label(tmp_path):
    made = PromptTable.read(table(tmp_path, "cyst,mass,none\na cyst,a mass,a clear image\n"))
    assert class_prompts(LABELS, table=made)[None] == ("a clear image",)
    made = PromptTable.read(table(tmp_path, "cyst,mass\na cyst,a mass\n"))
    assert class_prompts(LABELS, table=made)[None] == ("nothing",)
    for_classes = PromptTable.read(table(tmp_path, "drusen,edema,normal,none\na,b,c,d\n"))
    with pytest.raises(InputError, match="prompts for 'none', which is no class"):
        class_prompts(TASK, table=for_classes)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("drusen,edema,normel\na,b,c\n", "prompts for 'normel', which is no class of 'oct/disease"),
        ("drusen,edema\na,b\n", "no prompts for 'normal' of 'oct/disease class'"),
        ("drusen,edema,normal\n", "has no prompts"),
        ("", "has no prompts"),
        ("drusen,edema,drusen\na,b,c\n", "names a class twice"),
        ("drusen,edema,normal\na,b\n", "set of prompts 1 has 2 prompts for 3 classes"),
        ("drusen,edema,normal\na,b,\n", "set of prompts 1 has 2 prompts for 3 classes"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, text, match):
    path = table(tmp_path, text)
    with pytest.raises(InputError, match=match) as caught:
        class_prompts(TASK, table=PromptTable.read(path))
    assert str(path) in str(caught.value)


def test_files_that_are_no_table_are_refused(tmp_path):
    with pytest.raises(ReadError, match="cannot be read"):
        PromptTable.read(tmp_path / "absent.csv")
    with pytest.raises(ReadError, match="is not UTF-8"):
        PromptTable.read(table(tmp_path, "a,b\n", mark=b"\xff\xfe"))
