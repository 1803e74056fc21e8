import importlib
import inspect
import warnings
from pathlib import Path
from typing import Any

import pytest

from registry.checks import trusted_modules
from registry.formats.trust import Trust, Use, listed, problem_of

# Not installed where the tests run; tried by hand with lightgbm 4.7 and xgboost 3.2, as pickle, joblib and skops.
NOT_HERE = {"lightgbm", "xgboost"}
# What must never be on the list, whatever else it does: it reads, writes, runs text, or calls what it is given.
FORBIDDEN = {
    "load",
    "loads",
    "loadtxt",
    "save",
    "open",
    "exec",
    "eval",
    "compile",
    "getattr",
    "reduce",
    "system",
    "run",
}


def found(module: str, name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # modules that have moved
        return getattr(importlib.import_module(module), name)


def test_it_lists_every_estimator_of_the_installed_scikit_learn() -> None:
    import sklearn.experimental.enable_halving_search_cv  # noqa: F401 - makes them known
    from sklearn.utils import all_estimators

    missing = [
        f"{cls.__module__}: {cls.__qualname__}"
        for _, cls in all_estimators()
        if (cls.__module__, cls.__qualname__) not in listed()
    ]

    assert missing == [], "enter them into registry/formats/allowlist.py"


def test_it_lists_only_what_exists() -> None:
    gone = []
    for module, name in listed():
        if module.partition(".")[0] in NOT_HERE:
            continue
        try:
            found(module, name)
        except (ImportError, AttributeError):
            gone.append(f"{module}.{name}")

    assert gone == []


def test_it_lists_classes_where_objects_are_made() -> None:
    others = [
        f"{module}.{name}"
        for (module, name), use in listed().items()
        if use is Use.INSTANTIATED
        and module.partition(".")[0] not in NOT_HERE
        and not inspect.isclass(found(module, name))
    ]

    assert others == []


def test_it_lists_no_module_and_nothing_that_reads_or_runs() -> None:
    assert not [key for key in listed() if key[0].partition(".")[0] not in NOT_HERE and inspect.ismodule(found(*key))]
    assert not {name for _, name in listed()} & FORBIDDEN


@pytest.mark.parametrize(
    "entry",
    ["os", "subprocess", "builtins", "builtins:getattr", "os:system", "importlib.util", "__main__", "numpy",
     "sklearn.utils", "pandas", "scipy.stats", "joblib", "pickle", "django", "mlserve", "registry.formats.loading",
     "a b", "", "a..b", "our:", "our:na me", "our:*", "*", "our.*"],
)  # fmt: skip
def test_it_trusts_no_entry_that_lets_in_everything(entry: str) -> None:
    assert problem_of(entry)
    assert Trust.of([entry]) == Trust()


@pytest.mark.parametrize("entry", ["our", "our.features", "our.features:Cleaner", "sklearn.utils.extmath:softmax"])
def test_it_takes_modules_of_ones_own_and_exact_names(entry: str) -> None:
    assert problem_of(entry) == ""
    assert Trust.of([entry]) != Trust()


def test_it_trusts_what_lies_below_a_module_and_nothing_beside_it() -> None:
    trust = Trust.of(["our.features", "other:Cleaner"])

    assert trust.use_of("our.features.text", "Cleaner.Inner") is Use.CALLED
    assert trust.use_of("other", "Cleaner") is Use.CALLED
    assert trust.use_of("our.features2", "Cleaner") is None
    assert trust.use_of("our", "Cleaner") is None
    assert trust.use_of("other", "os") is None
    assert trust.use_of("our.features", "Cleaner.__init__.__globals__") is None


def test_it_gives_each_name_no_more_than_its_use() -> None:
    trust = Trust()

    assert trust.allows("sklearn.pipeline", "Pipeline", Use.INSTANTIATED)
    assert not trust.allows("sklearn.pipeline", "Pipeline", Use.CALLED)
    assert not trust.allows("numpy", "log1p", Use.CALLED)
    assert not trust.allows("os", "system", Use.MENTIONED)


def test_it_stops_the_start_for_an_entry_that_trusts_nothing(settings: Any) -> None:
    settings.MLSERVE_TRUSTED_MODULES = ["our.features", "os", "sklearn"]

    problems = trusted_modules()

    assert [problem.id for problem in problems] == ["registry.E001", "registry.E001"]
    assert "'os' belongs to Python itself" in problems[0].msg
    assert "sklearn:Name" in problems[1].msg


def test_it_reads_the_list_without_the_libraries(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from registry.formats.trust import listed; import registry.formats.loading; listed(); "
        "print({'numpy', 'sklearn', 'joblib', 'skops', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "set()"
