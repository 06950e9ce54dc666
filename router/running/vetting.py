"""Configuration -> what is wrong with the files that it names.

Reads what the gateway reads when it opens: weights, calibration, verifier, certificate, registry, price book; creates
and changes nothing. Faults have the key of the value to blame; `router.config.reading.placed` knows where that is.
"""

from collections.abc import Iterator

from classifier.base import Classifier, ClassifierError, WeightsError
from router.config.faults import ConfigError, Fault
from router.config.models import Config
from router.config.policies import CertifiedOptions
from router.deciding import cascade_of, gate_of, policy_of
from router.learning.registry import Registry, RegistryError
from router.ledger.prices import PriceBookError
from router.ledger.prices import load as load_prices


def faults_in(chosen: Config) -> list[Fault]:
    """Return all of them, without file and place."""
    return [*_faults_of_scoring(chosen), *_faults_of_files(chosen)]


def _faults_of_scoring(chosen: Config) -> list[Fault]:
    """Return what is wrong with what scores, and with the policy that decides by it."""
    try:
        policy_of(chosen, _scorer(chosen))
    except ConfigError as error:
        return [*error.faults]
    return []


def _scorer(chosen: Config) -> Classifier | None:
    """Return what would score: the registry's champion, or what the file names.

    Raises:
        ConfigError: it cannot be used.
    """
    options, policy, folder = chosen.classifier, chosen.policy, chosen.learning.registry
    key = "learning.registry"
    try:
        standing = None if folder is None else Registry(folder).look()
        if folder is not None and standing is not None:
            return Registry(folder).load(standing.champion)
        key = "classifier.weights"
        classifier = options.model_copy(update={"calibration": None}).build()
        if options.calibration is None:
            return classifier
        is_policys = isinstance(policy, CertifiedOptions) and policy.file == options.calibration
        key = "policy.file" if is_policys else "classifier.calibration"
        return options.build()
    except (ClassifierError, RegistryError) as error:
        raise ConfigError((Fault("", 1, 1, key, str(error)),)) from error


def _faults_of_files(chosen: Config) -> Iterator[Fault]:
    """Yield what is wrong with other files that a configuration names."""
    try:
        cascade_of(chosen)
    except WeightsError as error:
        yield Fault("", 1, 1, "policy.verifier", str(error))
    try:
        gate_of(chosen)
    except ConfigError as error:
        yield from error.faults
    try:
        load_prices(chosen.prices)
    except PriceBookError as error:
        yield Fault("", 1, 1, "prices", str(error))
