"""The strategies make what they promise: valid, varied, and hostile enough to be worth running."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st

from torchcross.data import EpisodeSampler
from torchcross.errors import MissingExtraError
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal
from torchcross.testing import (
    check_sampler,
    check_source,
    label_arrays,
    requests,
    samplers,
    sources,
    targets,
)

KINDS = ("binary", "multiclass", "multilabel", "ordinal")
SEEK = settings(max_examples=2000, database=None, derandomize=True, phases=[Phase.generate])


@pytest.mark.parametrize(
    ("kind", "target_type"),
    [
        ("binary", Binary),
        ("multiclass", MultiClass),
        ("multilabel", MultiLabel),
        ("ordinal", Ordinal),
    ],
)
@given(data=st.data())
def test_targets_are_of_the_kinds_asked_for(kind, target_type, data):
    target = data.draw(targets([kind], max_classes=4))
    assert type(target) is target_type
    assert target.kind == kind
    assert target.num_classes <= 4


@given(targets(missing=True), targets(missing=False))
def test_missing_says_whether_unknowns_are_declared(declaring, certain):
    assert declaring.missing
    assert not certain.missing


@given(st.data(), st.integers(0, 4))
def test_label_arrays_are_valid_and_every_class_has_what_was_promised(data, each):
    target = data.draw(targets())
    codes = target.encode(data.draw(label_arrays(target, each=each)))
    assert len(codes) > 0
    if codes.ndim == 1:
        counts = [(codes == c).sum() for c in range(target.num_classes)]
    else:
        counts = [(codes == answer).sum(axis=0).min() for answer in (0, 1)]
    assert min(counts) >= each


@given(st.data())
def test_missing_labels_are_there_when_asked_for(data):
    target = data.draw(targets(missing=True))
    assert (target.encode(data.draw(label_arrays(target, missing=True))) < 0).any()
    assert (target.encode(data.draw(label_arrays(target, missing=False))) >= 0).all()


@pytest.mark.long
@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(lambda s: len(s) == 1, id="a single sample"),
        pytest.param(lambda s: min(s.counts().values()) == 0, id="a class without samples"),
        pytest.param(
            lambda s: min(s.counts().values()) == 1 and max(s.counts().values()) > 10,
            id="a rare class",
        ),
        pytest.param(
            lambda s: (s.labels < 0).any() and s.labels.ndim == 2, id="a partly missing row"
        ),
        pytest.param(lambda s: (s.labels < 0).all(), id="nothing but missing labels"),
        pytest.param(lambda s: s.groups is not None and s.groups.max() == 0, id="one subject"),
        pytest.param(lambda s: s.groups is not None and s.groups.max() > 10, id="many subjects"),
    ],
)
def test_the_hostile_cases_occur(wanted):
    find(sources(), wanted, settings=SEEK)


@pytest.mark.slow
@given(sources())
def test_generated_sources_keep_every_contract(source):
    check_source(source)


@given(sources(groups=True), sources(groups=False))
def test_groups_are_all_or_none_when_asked_for(grouped, loose):
    assert grouped.groups is not None
    assert loose.groups is None


@pytest.mark.slow
@given(st.data())
def test_requests_without_subjects_and_exclusive_classes_are_always_possible(data):
    source = data.draw(sources(["binary", "multiclass", "ordinal"], groups=False, each=1))
    asked = data.draw(requests(source))
    check_sampler(EpisodeSampler(source, **asked), 3)


@pytest.mark.slow
@given(st.data(), st.integers(1, 3), st.integers(1, 3))
def test_what_each_promises_can_be_had_from_any_source_of_exclusive_classes(data, shots, queries):
    source = data.draw(sources(["binary", "multiclass", "ordinal"], each=shots + queries))
    query = data.draw(st.sampled_from(["balanced", "natural"]))
    check_sampler(
        EpisodeSampler(source, ways=(2, None), shots=shots, queries=queries, query=query), 3
    )


@given(st.data(), st.integers(1, 3))
def test_what_each_promises_passes_counting_for_several_labels(data, shots):
    source = data.draw(sources(["multilabel"], each=2 * shots))
    EpisodeSampler(source, shots=shots, queries=shots)


@given(st.data())
def test_samplers_take_fixed_keywords(data):
    source = data.draw(sources(each=3, groups=False))
    sampler = data.draw(samplers(source, seed=7, shots=1, queries=1, query="balanced"))
    assert (sampler.seed, sampler.request.shots, sampler.request.queries) == (7, 1, 1)


@given(st.data())
def test_requests_vary(data):
    source = data.draw(sources(each=4))
    assume(source.task.target.num_classes > 1)
    found = [data.draw(requests(source)) for _ in range(3)]
    assert all(set(request) == set(found[0]) for request in found)


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False)


HIDE_HYPOTHESIS = "import sys; sys.modules['hypothesis'] = None\n"


@pytest.mark.long
def test_the_checks_need_no_hypothesis():
    program = (
        HIDE_HYPOTHESIS
        + "import numpy as np, torchcross as tx\nfrom torchcross.testing import NumberedSource,"
        " check_sampler, check_source\nsource = NumberedSource(tx.Task('t',"
        " tx.targets.MultiClass(['a', 'b'])), np.arange(20) %"
        " 2)\ncheck_source(source)\ncheck_sampler(tx.EpisodeSampler(source, shots=1, queries=2),"
        " 3)\n"
    )
    ran = run(program)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.long
def test_a_strategy_without_hypothesis_names_the_extra():
    program = (
        HIDE_HYPOTHESIS + "import torchcross.testing as t\n"
        "from torchcross.errors import MissingExtraError\n"
        "for name in ['label_arrays', 'requests', 'samplers', 'sources', 'targets']:\n"
        "    try:\n"
        "        getattr(t, name)\n"
        "    except MissingExtraError as error:\n"
        "        assert f'torchcross.testing.{name} needs Hypothesis' in str(error), error\n"
        "        assert \"extra 'test'\" in str(error), error\n"
        "    else:\n"
        "        raise SystemExit(f'{name} came without Hypothesis')\n"
        "from torchcross.testing import sources\n"
    )
    ran = run(program)
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith(
        f"torchcross.errors.{MissingExtraError.__name__}: "
    ), ran.stderr


@pytest.mark.long
def test_hypothesis_is_imported_only_for_a_strategy():
    program = (
        "import sys, torchcross.testing as t\n"
        "assert 'hypothesis' not in sys.modules\n"
        "assert set(t.__all__) == set(dir(t))\n"
        "t.check_source, t.check_sampler, t.numbers_of\n"
        "assert 'hypothesis' not in sys.modules\n"
        "t.sources\n"
        "assert 'hypothesis' in sys.modules\n"
    )
    ran = run(program)
    assert ran.returncode == 0, ran.stderr


def test_an_unknown_name_is_an_attribute_error():
    import torchcross.testing

    with pytest.raises(AttributeError, match="no_such"):
        torchcross.testing.no_such  # noqa: B018


@given(sources(), st.integers(0, 10**6))
def test_images_say_which_sample_they_are(source, number):
    from torchcross.testing import numbers_of

    wanted = np.array([number % len(source), 0, number % len(source)])
    assert numbers_of(source.images(wanted)).tolist() == wanted.tolist()
