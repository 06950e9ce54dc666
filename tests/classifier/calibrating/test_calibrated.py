"""Tests classifier/calibrating/calibrated.py, and the calibration in classifier/options.py."""

import json
from pathlib import Path

import pytest

from classifier.base import Prompt, Turn, WeightsError
from classifier.calibrating.calibrated import Calibrated, Level, Overlay, digest_of, dump, lay, load
from classifier.calibrating.maps import Calibration, Isotonic, Platt, logit_of
from classifier.options import SHIPPED_WEIGHTS, ClassifierOptions
from classifier.rules import RulesClassifier

LEVEL = Level(
    loss=0.02, confidence=0.9, logit=-0.5, share_mini=0.4, risk=0.012, bound=0.0198, activity=0.05, pairs=1_200
)
ASKED = (Turn("user", "Compare both lamps and explain which one is cheaper, and why?"),)


def overlay(**more: object) -> Overlay:
    parts: dict[str, object] = {
        "source": "rules@1",
        "weights": "",
        "calibration": Calibration(Platt(0.5, 1.0), {"shop": Platt(1.0, 2.0)}),
        "count": "net",
        "levels": (LEVEL,),
        "fitted_on": {"rows": 1_200, "kind": "platt"},
    }
    return Overlay(**{**parts, **more})  # type: ignore[arg-type]  # parts are named


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "calibration.json"
    path.write_text(dump(overlay()), encoding="utf-8")
    return path


def test_what_was_written_is_read_again(file: Path, tmp_path: Path) -> None:
    assert load(file) == overlay()
    steps = Calibration(Isotonic((-1.0, 1.0), (-0.3, 0.4), (-0.5, 0.1), (0.0, 0.6)))
    (tmp_path / "steps.json").write_text(dump(overlay(calibration=steps)))
    assert load(tmp_path / "steps.json").calibration == steps
    assert dump(load(file)) == file.read_text(encoding="utf-8")
    assert load(file).digest == overlay().digest


def test_scores_pass_through_the_calibration_of_their_tenant() -> None:
    inner = RulesClassifier()
    found = Calibrated(inner, overlay(), weights="")
    logit = logit_of(inner.score(Prompt(ASKED)).value)
    score = found.score(Prompt(ASKED))
    assert logit_of(score.value) == pytest.approx(0.5 * logit + 1.0)
    assert logit_of(found.score(Prompt(ASKED, tenant="shop")).value) == pytest.approx(0.5 * logit + 3.0)
    assert score.source == overlay().scorer == f"rules@1+{overlay().digest[:8]}"
    assert found.threshold == pytest.approx(Platt(1.0, 0.0).probability(1.0))
    assert found.explain(Prompt(ASKED), top=2) == inner.explain(Prompt(ASKED), top=2)
    low, high = found.interval(Prompt(ASKED))
    assert low <= score.value <= high


def test_a_threshold_means_the_same_for_every_tenant() -> None:
    found = overlay()
    for tenant in ("", "shop", "nobody"):
        threshold = found.threshold(LEVEL, tenant)
        assert found.calibration.probability(LEVEL.logit, tenant) >= threshold
        assert found.calibration.probability(LEVEL.logit - 1e-6, tenant) < threshold


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda said: said.update(format="tandem-calibration-0"), "tandem-calibration-0"),
        (lambda said: said["levels"][0].update(logit=-0.6), "checksum"),
        (lambda said: said.update(count="lost"), "checksum"),
        (lambda said: said.update(count="gross"), "gross"),
        (lambda said: said.pop("count"), "count"),
        (lambda said: said["calibration"]["tenants"].update(other=said["calibration"]["tenants"]["shop"]), "checksum"),
        (lambda said: said.update(source="rules@2"), "checksum"),
        (lambda said: said["calibration"]["pooled"].update(slope=-1.0), "must rise"),
        (lambda said: said["calibration"]["pooled"].update(slope=None), "slope"),
        (lambda said: said["calibration"]["pooled"].update(kind="magic"), "magic"),
        (lambda said: said.pop("levels"), "levels"),
        (lambda said: said.pop("sha256"), "sha256"),
    ],
)
def test_a_damaged_file_is_refused_and_named(file: Path, change: object, words: str) -> None:
    said = json.loads(file.read_text())
    change(said)  # type: ignore[operator]  # each is a function
    file.write_text(json.dumps(said))
    with pytest.raises(WeightsError, match=words) as found:
        load(file)
    assert str(file) in str(found.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"format": NaN}'])
def test_what_is_no_calibration_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        load(file)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no\.json: .*tandem calibrate"):
        load(tmp_path / "no.json")


def test_a_file_without_an_end_is_not_read_to_it() -> None:
    with pytest.raises(WeightsError, match="/dev/zero: the calibration cannot be read: it is a device"):
        load(Path("/dev/zero"))


@pytest.mark.parametrize("other", [{"source": "rules@0"}, {"weights": "ab" * 32}])
def test_a_calibration_of_other_weights_is_refused(tmp_path: Path, other: dict[str, str]) -> None:
    path = tmp_path / "other.json"
    path.write_text(dump(overlay(**other)))
    with pytest.raises(WeightsError, match=r"other\.json: the calibration belongs to") as found:
        lay(path, RulesClassifier(), weights="")
    assert "rules@1" in str(found.value)


def test_the_options_lay_it_over_the_weights_that_it_names(file: Path, tmp_path: Path) -> None:
    found = ClassifierOptions(use="rules", calibration=file).build()
    assert isinstance(found, Calibrated)
    shipped = ClassifierOptions().build()
    assert shipped is not None
    of_shipped = overlay(source=shipped.score(Prompt(())).source, weights=digest_of(SHIPPED_WEIGHTS))
    (tmp_path / "shipped.json").write_text(dump(of_shipped))
    scored = ClassifierOptions(calibration=tmp_path / "shipped.json").build()
    assert scored is not None
    assert scored.score(Prompt(ASKED)).source == of_shipped.scorer
    with pytest.raises(WeightsError, match="belongs to"):
        ClassifierOptions(calibration=file).build()
    assert ClassifierOptions(use="off", calibration=file).build() is None


def test_the_digest_of_weights_changes_with_any_byte_or_name(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    (folder / "below").mkdir(parents=True)
    (folder / "a").write_text("1")
    (folder / "below" / "b").write_text("2")
    digests = [digest_of(folder), digest_of(folder / "a")]
    (folder / "below" / "b").write_text("3")
    digests.append(digest_of(folder))
    (folder / "below" / "b").rename(folder / "below" / "c")
    digests.append(digest_of(folder))
    assert len(set(digests)) == 4
    assert digests[-1] == digest_of(folder)
    with pytest.raises(WeightsError, match="none"):
        digest_of(tmp_path / "none")
