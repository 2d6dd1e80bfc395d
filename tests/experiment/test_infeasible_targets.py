"""A target that cannot give the episodes says which settings of the experiment would do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from tests.experiment.conftest import toy_experiment
from torchcross.data import TensorSource, toys
from torchcross.errors import InfeasibleError, SubjectLeakWarning
from torchcross.experiment.rows.target_episodes import evaluation_sampler
from torchcross.targets import MultiClass
from torchcross.task import Task


def source_of(counts, groups=None):
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), 1, 2, 2), np.float32)
    task = Task("things", MultiClass([f"class {place}" for place in range(len(counts))]), "here")
    return TensorSource(images, labels, task, groups=groups)


def reason(source, **changes):
    with pytest.raises(InfeasibleError) as caught:
        evaluation_sampler(source, experiment(**changes))
    return str(caught.value)


def experiment(**changes):
    shots = changes.pop("shots", [3])
    plain = {"evaluation.queries": 10, "evaluation.min_images": 20}
    plain |= {f"evaluation.{name}": value for name, value in changes.items()}
    return toy_experiment(shots=shots, **plain)


def test_the_settings_have_the_names_that_they_have_in_the_experiment():
    text = reason(source_of([13, 14, 18, 16]))
    assert "evaluation.min_images = 20 leaves out all 4 classes" in text
    assert "classes have 13 to 18 images: 'class 0': 13," in text
    assert "Possible: evaluation.min_images = 13, which keeps 4 of 4 classes" in text
    assert "min_samples" not in text
    assert "nested" not in text


def test_fewer_shots_are_said_to_need_the_images_of_the_most():
    text = reason(source_of([13, 14, 18, 16]), shots=[1, 3])
    assert "each of shots = [1, 3] needs the images of 3 shots" in text


def test_lower_settings_that_keep_more_classes_are_said_too():
    text = reason(source_of([9, 9, 18, 18]))
    assert "evaluation.min_images = 18, which keeps 2 of 4 classes; or" in text
    assert "; or evaluation.min_images = 9 together with evaluation.queries = 6\n" in text


def test_fewer_queries_keep_only_the_classes_that_are_large_enough():
    text = reason(source_of([9, 24, 24]), queries=30)
    assert "evaluation.queries = 21; or" in text
    assert "; or evaluation.min_images = 9 together with evaluation.queries = 6\n" in text


def test_what_helps_only_together_is_said_together():
    text = reason(source_of([9, 9, 9]))
    line, hint = text.splitlines()[-2:]
    assert line == "Possible: evaluation.min_images = 9 together with evaluation.queries = 6"
    assert hint == "(on the command line: --set evaluation.queries=N; --shots K,L)"


def test_nothing_is_promised_where_nothing_helps():
    assert "leave the target out" in reason(source_of([1, 1, 1]))


def test_subjects_that_own_everything_may_be_ignored():
    source = source_of([30, 30], groups=np.repeat([0, 1], 30))
    text = reason(source)
    assert 'evaluation.groups = "ignore"' in text
    with pytest.warns(SubjectLeakWarning):
        evaluation_sampler(source, experiment(groups="ignore"))


def test_labels_count_those_with_and_without():
    text = reason(toys.multilabel(20, size=8), min_images=0, queries=30)
    assert "evaluation.queries = " in text


@pytest.mark.slow
@max_examples(15)
@given(
    counts=st.lists(st.integers(1, 24), min_size=2, max_size=4),
    queries=st.integers(1, 12),
    least=st.integers(0, 25),
    disjoint=st.booleans(),
)
def test_each_change_alone_gives_episodes(counts, queries, least, disjoint):
    source = source_of(counts)
    asked = {"queries": queries, "min_images": least, "disjoint": disjoint}
    try:
        evaluation_sampler(source, experiment(**asked))
    except InfeasibleError as error:
        possible = str(error).rpartition("Possible: ")[2].partition("\n")[0]
    else:
        return
    for change in possible.split("; or "):
        words = change.split()
        chosen = dict(asked)
        for place, word in enumerate(words):
            if word.startswith("evaluation."):
                chosen[word.removeprefix("evaluation.")] = int(words[place + 2].strip(","))
        shots = [int(words[-1])] if change.startswith("shots") else [3]
        if chosen != asked or shots != [3]:
            evaluation_sampler(source, experiment(shots=shots, **chosen))
