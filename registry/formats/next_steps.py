"""What to do instead of a function or class that mlserve loads from no file, by its name. Pure.

Each step is one that a test takes.
"""

from collections.abc import Mapping

NAMED_FUNCTION = (
    "Write it as a function (def) in a module that is installed where mlserve runs, name that module in "
    "MLSERVE_TRUSTED_MODULES, train again and upload."
)
_FOR_TEXTS = (
    r"Vectorizers need no function for texts: token_pattern=r'\S+' does what tokenizer=str.split does, lowercase=True "
    "(the default) what preprocessor=str.lower does, and token_pattern=r'…' what tokenizer=re.compile(r'…').findall "
    f"does. Otherwise: {NAMED_FUNCTION}"
)
_MEMORY = (
    "It is a cache of the training, which no prediction needs: pipeline.set_params(memory=None), the same for each "
    "step that has a memory, and save again."
)
_DISTRIBUTION = (
    "Distributions are needed by the search only: search.set_params(param_distributions={}) and save again, or save "
    "search.best_estimator_."
)
_TIME_ZONE = (
    "Time zones are read from files. Convert the times to UTC (column.dt.tz_convert('UTC')), train again and upload."
)
_FILL = "SimpleImputer(strategy='constant', fill_value=…) fills gaps without a function. Otherwise: " + NAMED_FUNCTION
_ENCODE = (
    "It makes its columns of the rows that it gets, so a single row would get others than the training: use "
    "OneHotEncoder(handle_unknown='ignore'), train again and upload."
)
_AS_JOBLIB = "skops cannot read it back itself: save with joblib.dump(pipeline, 'model.joblib')."
_PLAIN_ARRAY = "Give plain arrays or a DataFrame (pd.DataFrame.from_records(…)) instead, train again and upload."
_STRINGS = "Give the texts as objects (array.astype(object)), train again and upload."

_PATH = "Give paths as text (str(path)), train again and upload."
_LOGGER = "Keep loggers in modules instead of estimators, train again and upload."
_PLAIN_FUNCTIONS = ("all", "any", "chr", "divmod", "hash", "max", "min", "ord", "pow", "repr", "sorted", "sum")

# A name or the beginning of one, up to a dot; the longest that fits counts.
_STEPS: Mapping[str, str] = {
    "builtins.str": _FOR_TEXTS,
    "builtins.method_descriptor": _FOR_TEXTS,
    "re": _FOR_TEXTS,
    "operator": NAMED_FUNCTION,
    "operator.itemgetter": (
        "A ColumnTransformer selects columns by name: ColumnTransformer([('text', TfidfVectorizer(), 'column')])."
    ),
    "operator.attrgetter": "Give the attribute's name as text, as importance_getter='coef_'. Otherwise: "
    + NAMED_FUNCTION,
    "_operator": NAMED_FUNCTION,
    **{f"builtins.{name}": NAMED_FUNCTION for name in _PLAIN_FUNCTIONS},
    "math": "NumPy has it for whole columns, as np.log1p or np.sqrt. Otherwise: " + NAMED_FUNCTION,
    "functools.partial": "FunctionTransformer takes arguments by name: kw_args={…}. Otherwise: " + NAMED_FUNCTION,
    "pathlib.PosixPath": _PATH,
    "pathlib.PurePosixPath": _PATH,
    "pathlib.WindowsPath": _PATH,
    "logging.Logger": _LOGGER,
    "logging.getLogger": _LOGGER,
    "zoneinfo": _TIME_ZONE,
    "pytz": _TIME_ZONE,
    "dateutil.tz": _TIME_ZONE,
    "numpy.vectorize": f"Is it of a distribution that a search tried? {_DISTRIBUTION} Otherwise: {NAMED_FUNCTION}",
    "numpy.frompyfunc": NAMED_FUNCTION,
    "numpy.apply_along_axis": NAMED_FUNCTION,
    "numpy.record": _PLAIN_ARRAY,
    "numpy.rec": _PLAIN_ARRAY,
    "numpy.char": _STRINGS,
    "numpy.memmap": "Save with joblib.dump, which writes it as an array.",
    "numpy.matrix": "Save with joblib.dump, or give np.asarray(matrix).",
    "numpy.dtypes.StringDType": _STRINGS,
    "numpy._core._internal._convert_to_stringdtype_kwargs": _STRINGS,
    "pandas.get_dummies": _ENCODE,
    "pandas.core.reshape.encoding.get_dummies": _ENCODE,
    "pandas.core.generic": NAMED_FUNCTION,
    "pandas.core.generic.NDFrame.fillna": _FILL,
    "pandas.core.generic.fillna": _FILL,
    "pandas.DataFrame": NAMED_FUNCTION,
    "pandas.Series": NAMED_FUNCTION,
    "pandas.core.frame": NAMED_FUNCTION,
    "pandas.core.series": NAMED_FUNCTION,
    "pandas.core.strings": NAMED_FUNCTION,
    "pandas.api.typing": _AS_JOBLIB,
    "pandas.Timestamp": _AS_JOBLIB,
    "pandas.Timedelta": _AS_JOBLIB,
    "scipy.stats": _DISTRIBUTION,
    "joblib.memory": _MEMORY,
    "joblib._store_backends": _MEMORY,
    "joblib.logger": _MEMORY,
}


def step_for(name: str) -> str:
    """The next step for `module.name`; '' where none is known."""
    while name:
        if name in _STEPS:
            return _STEPS[name]
        name = name.rpartition(".")[0]
    return ""
