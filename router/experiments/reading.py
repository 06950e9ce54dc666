"""An experiment file -> the plan of it, or all that is wrong with it, each with file, line and column."""

import os
from collections.abc import Mapping
from pathlib import Path

from router.config.faults import ConfigError
from router.config.models import Config
from router.config.reading import faults_of, read_document
from router.experiments.overrides import NotPlanned, Plan, planned


def read_experiment(path: Path, config: Config, env: Mapping[str, str] = os.environ) -> Plan:
    """Return the plan of a file, YAML or TOML, for a gateway of this configuration.

    Raises:
        ConfigError: it cannot be used; holds all faults in the file's order.
    """
    document = read_document(path)
    try:
        return planned(document, config, env)
    except NotPlanned as error:
        raise ConfigError(faults_of(str(path), error.notes)) from None
