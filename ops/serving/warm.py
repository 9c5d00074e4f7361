"""What every worker needs and is slow to import. Imported once, in the process that workers are forked from.

Polars is left out: it keeps threads, which do not survive a fork.
"""

from __future__ import annotations

import bentoml
import pandas
import sklearn.pipeline
import skops.io
import uvicorn

LOADED = (bentoml.service, bentoml.api, pandas.DataFrame, skops.io.loads, sklearn.pipeline.Pipeline, uvicorn.Server)
"""Named, because BentoML imports its parts only when they are asked for."""
