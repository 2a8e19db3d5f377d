"""The table of units, as every reader hands it on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

REGIONS = ("region", "brain_area", "brain_region", "area", "acronym", "location")


def unit_table(ids: Any, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a unit: ``id``, the columns, and ``region`` where one of them tells it.

    Args:
        ids: (N,) names of the units.
        columns: (N,) values each, by name.
    """
    import pandas as pd  # noqa: PLC0415  # not needed to predict

    table = pd.DataFrame({"id": np.asarray(ids)})
    for name, values in columns.items():
        if name not in table:
            table[str(name)] = np.asarray(values)
    told = (n for n in REGIONS if n in table and table[n].dtype.kind != "f")  # an area in mm2
    region = next((name for name in told if table[name].notna().all()), None)
    if region is not None:
        table["region"] = table[region].astype(str)
    return table
