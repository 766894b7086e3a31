"""Of several machines each is named for what it did."""

from core.kinds.environments import condensing_on, evaluating_on, stated

CPU, CUDA = {"device": "cpu", "precision": "float32"}, {"device": "cuda", "precision": "bfloat16"}


def test_one_machine_that_did_everything_is_said_once() -> None:
    result = condensing_on(None, CPU, 0)
    result = condensing_on(result, CPU, 40)
    for _ in range(3):
        result = evaluating_on(result, CPU)
    assert stated(result) == CPU


def test_images_are_of_the_machine_that_condensed_them() -> None:
    result = evaluating_on(condensing_on(None, CUDA, 0), CPU)
    assert stated(result) == {**CUDA, "evaluated_on": [CPU]}
    assert stated(evaluating_on(result, CUDA))["evaluated_on"] == [CPU, CUDA]


def test_a_run_that_was_resumed_elsewhere_names_both() -> None:
    result = condensing_on(condensing_on(None, CUDA, 0), CPU, 40)
    spans = [{"after": 0, "environment": CUDA}, {"after": 40, "environment": CPU}]
    assert stated(evaluating_on(result, CPU)) == {**CPU, "condensed_on": spans}


def test_what_was_done_again_from_before_left_nothing() -> None:
    result = condensing_on(condensing_on(None, CUDA, 0), CPU, 40)
    assert stated(condensing_on(result, CUDA, 40)) == CUDA
    assert stated(condensing_on(result, CPU, 0)) == CPU


def test_jobs_from_before_the_record() -> None:
    assert stated(None) == {}
    assert stated({"environment": CPU}) == CPU
    assert stated(evaluating_on({"environment": CUDA}, CPU)) == {**CUDA, "evaluated_on": [CPU]}
