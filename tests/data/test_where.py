import re

import numpy as np
import pandas as pd
import pytest
from conftest import refuses

from neuroblend.data.where import rows_where

TABLE = pd.DataFrame(
    {
        "quality": ["good", "mua", "good", "noise"],
        "depth": [100.0, 250.0, np.nan, 900.0],
        "is_fs": [True, False, False, True],
        "spike width": [1, 2, 3, 4],
        "area": ["M1", "", "n/a", "PMd"],
        "sorted": [True, None, np.nan, False],
    }
)


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("quality == 'good'", [0, 2]),
        ("quality != 'good' and depth < 500", [1]),
        ("quality in ('mua', 'noise') or is_fs", [0, 1, 3]),
        ("quality not in ['mua']", [0, 2, 3]),
        ("not (is_fs or depth == None)", [1]),
        ("100 <= depth < 900", [0, 1]),
        ("depth > -1", [0, 1, 3]),
        ("depth != None", [0, 1, 3]),
        ("`spike width` > 2", [2, 3]),
        ("is_fs == True", [0, 3]),
        (" depth >= 2.5e2 ", [1, 3]),
        ("depth != 100", [1, 3]),
        ("not depth == 100", [1, 3]),
        ("not depth < 200", [1, 3]),
        ("depth not in (100, 250)", [3]),
        ("depth not in (100, None)", [1, 3]),
        ("depth in (100, None)", [0, 2]),
        ("depth != 100 or quality == 'good'", [0, 1, 2, 3]),
        ("not (depth == 100 and is_fs)", [1, 2, 3]),
        ("area != 'M1'", [3]),
        ("not area == 'M1'", [3]),
        ("area == None", [1, 2]),
        ("area == ''", [1]),
        ("sorted", [0]),
        ("not sorted", [3]),
    ],
)
def test_rows_for_which_an_expression_holds(expression, rows) -> None:
    assert np.flatnonzero(rows_where(TABLE, expression, "units").keep).tolist() == rows


@pytest.mark.parametrize(
    ("expression", "note"),
    [
        ("quality == 'good'", "2 of 4 units, where quality == 'good'."),
        ("depth != 100", "2 of 4 units, where depth != 100; 1 without a value of depth to tell by"),
        ("area != 'M1' and depth > 0", "1 of 4 .*; 2 without a value of area or depth to tell by"),
    ],
)
def test_rows_without_a_value_satisfy_no_comparison_and_are_counted(expression, note) -> None:
    """As SQL has it: unknown is neither true nor false, and ``not`` leaves it unknown."""
    assert re.match(note, rows_where(TABLE, expression, "units").note)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("quality = 'good'", "cannot be read; wanted such as"),
        ("", "cannot be read"),
        ("quality == good", "no column 'good': .*text stands in quotes, 'good'"),
        ("qualty == 'good'", "did you mean 'quality'"),
        ("quality < 3", "found text compared with numbers"),
        ("depth", "column 'depth' is no truth value"),
        ("quality == 'goood'", r"none of 4 units; quality: good \(2\), mua \(1\), noise \(1\)"),
        (
            "depth > 5000",
            r"none of 4 units; depth: 100.0 \(1\), 250.0 \(1\), 900.0 \(1\), none in 1",
        ),
        ("__import__('os').system('true')", "found __import__.*, wanted comparisons"),
        ("depth.__class__ == 1", "found depth.__class__, wanted comparisons"),
        ("[d for d in depth] == 1", "wanted comparisons"),
        ("depth + 1 > 2", r"found depth \+ 1, wanted comparisons"),
        ("quality in 'good'", "wanted a column 'in' a list"),
        ("quality is 'good'", "wanted ==, !="),
    ],
)
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_other_expressions_are_refused(expression, message) -> None:
    refuses(message, rows_where, TABLE, expression, "units")


def test_text_where_none_is_and_expressions_without_end() -> None:
    table = pd.DataFrame({"good": [True, False]})
    refuses(
        "'True' in quotes is text, and good is not", rows_where, table, "good == 'True'", "units"
    )
    refuses("too deep|cannot be read", rows_where, table, "not " * 3000 + "good", "units")
