"""The settings of a job, in words."""

import re

from api.web.rendering import _environment
from tests.support.pages import text_of


def test_lists_are_told_by_their_names_wherever_they_are() -> None:
    networks = [{"name": "convnet", "width": 8}, {"name": "lenet", "width": None}]
    spec = {
        "epochs": 5, "ipc": None, "architectures": networks, "baselines": [],
        "evaluation": {"baselines": ["random", "whole"], "cross_architecture": networks},
    }  # fmt: skip
    said = str(_environment.get_template("parts.html").module.settings(spec))  # type: ignore[attr-defined]
    found = [
        (text_of(name), text_of(value)) for name, value in re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", said)
    ]
    assert found == [
        ("epochs", "5"),
        ("architectures", "convnet, lenet"),
        ("baselines", "none"),
        ("evaluation · baselines", "random, whole"),
        ("evaluation · cross architecture", "convnet, lenet"),
    ]
