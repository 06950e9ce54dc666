"""Tests of router/config/reading.py."""

import traceback
from pathlib import Path

import pytest

from backends.engines.options import LocalOptions
from backends.options import HttpOptions
from router.base import Tier
from router.config.faults import ConfigError
from router.config.models import Config
from router.config.policies import ThresholdOptions
from router.config.reading import MAX_BYTES, read_config

SECRET = "canary-5f1d9c27"  # never in any message
GOOD = """\
server: {host: 0.0.0.0, port: "${PORT:-9000}"}
backends:
  large:
    use: openai_http
    urls: ["http://${LARGE_HOST}:8000/v1", http://large-1:8000/v1]
    model: mistral-large
    price: mistral-large
    api_key: ${LARGE_KEY}
  mini: {use: local}
classifier: {use: off}
policy: {use: threshold, threshold: 0.62, default_tier: mini}
cache: {url: redis://redis:6379/0}
ledger: {use: sqlite, path: /var/lib/tandem/tandem.db}
keys:
  - {tenant: shop, key: "${SHOP_KEY}"}
  - {tenant: desk, sha256: 5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5}
"""
SAME_IN_TOML = """\
[server]
host = "0.0.0.0"
port = "${PORT:-9000}"

[backends.large]
use = "openai_http"
urls = ["http://${LARGE_HOST}:8000/v1", "http://large-1:8000/v1"]
model = "mistral-large"
price = "mistral-large"
api_key = "${LARGE_KEY}"

[backends]
mini = {use = "local"}

[classifier]
use = "off"

[policy]
use = "threshold"
threshold = 0.62
default_tier = "mini"

[cache]
url = "redis://redis:6379/0"

[ledger]
path = "/var/lib/tandem/tandem.db"

[[keys]]
tenant = "shop"
key = "${SHOP_KEY}"

[[keys]]
tenant = "desk"
sha256 = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
"""
ENV = {"LARGE_HOST": "large-0", "LARGE_KEY": SECRET, "SHOP_KEY": f"{SECRET}-of-the-shop"}


def read(tmp_path: Path, text: str, *, name: str = "tandem.yaml", env: dict[str, str] | None = None) -> Config:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return read_config(file, {} if env is None else env)


def refusal(tmp_path: Path, text: str, *, name: str = "tandem.yaml", env: dict[str, str] | None = None) -> list[str]:
    """Return the faults without the file's name."""
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text, name=name, env=env)
    prefix = f"{tmp_path / name}:"
    lines = [str(fault) for fault in refused.value.faults]
    assert all(line.startswith(prefix) for line in lines)
    assert str(refused.value) == "\n".join(lines)
    return [line.removeprefix(prefix) for line in lines]


def test_without_a_file_both_tiers_are_the_shipped_models() -> None:
    config = read_config(None, {})
    assert isinstance(config.backends.large, LocalOptions)
    assert (config.backends.large.name, config.backends.mini.model) == ("desk-large", "desk-mini")
    assert (config.server.host, config.server.port, config.keyring) == ("127.0.0.1", 8080, {})
    assert config.policy == ThresholdOptions(threshold=None, default_tier=Tier.LARGE)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "{}", "\ufeff{}"])
def test_a_file_that_says_nothing_is_the_built_in_configuration(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == read_config(None, {})


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD, env=ENV)
    large = config.backends.large
    assert isinstance(large, HttpOptions)
    assert large.urls == ("http://large-0:8000/v1", "http://large-1:8000/v1")
    assert large.api_key is not None
    assert large.api_key.get_secret_value() == SECRET
    assert config.server.port == 9000
    assert config.classifier.use == "off"
    assert list(config.keyring.values()) == ["shop", "desk"]


def test_toml_and_yaml_say_the_same(tmp_path: Path) -> None:
    from_toml = read(tmp_path, SAME_IN_TOML, name="tandem.toml", env=ENV)
    from_yaml = read(tmp_path, GOOD, env=ENV)
    assert from_toml == from_yaml
    assert from_toml.version == from_yaml.version


@pytest.mark.parametrize(("name", "text"), [("tandem.yaml", GOOD), ("tandem.toml", SAME_IN_TOML)])
def test_the_line_ends_and_marks_of_another_system_change_nothing(tmp_path: Path, name: str, text: str) -> None:
    foreign = tmp_path / f"foreign-{name}"
    foreign.write_bytes(("\ufeff" + text.replace("\n", "\r\n")).encode())
    assert read_config(foreign, ENV) == read(tmp_path, text, name=name, env=ENV)
    foreign.write_bytes(("\ufeff" + text.replace("\n", "\r\n").replace("default_tier", "default_teir")).encode())
    with pytest.raises(ConfigError, match="default_teir") as refused:
        read_config(foreign, ENV)
    line = next(n for n, line in enumerate(text.splitlines(), start=1) if "default_tier" in line)
    assert [fault.line for fault in refused.value.faults] == [line]


def test_the_command_line_says_where_to_listen_instead_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tandem.yaml"
    file.write_text("server: {port: 9000, drain_timeout: 3}", encoding="utf-8")
    config = read_config(file, {}, host="::1", port=0)
    assert (config.server.host, config.server.port, config.server.drain_timeout) == ("::1", 0, 3.0)


def test_the_command_line_cannot_open_the_gateway_to_others_without_keys() -> None:
    with pytest.raises(ConfigError, match=r"^server\.host: needs keys"):
        read_config(None, {}, host="0.0.0.0")


LARGE = "backends: {large: {use: openai_http, urls: [http://a/v1], model: m, price: p"
BAD = {
    # not a file that can be read at all
    "open list": ("keys: [", "1:8: not YAML: "),
    "tab": ("server:\n\tport: 1", "2:1: not YAML: found character"),
    "bad indent": ("server:\n  port: 1\n host: a", "3:2: not YAML: "),
    "control character": ("server: {}\nkeys: \x07", "2:7: not YAML: a control character"),
    "text only": ("server", "1:1: not a mapping"),
    "a list": ("- server", "1:1: not a mapping"),
    "two documents": ("server: {}\n---\nserver: {}", "2:1: a second document"),
    "mapping as a key": ("? {a: b}\n: c", "1:3: a key is no plain word"),
    "unknown alias": ("server: *elsewhere", "1:9: an alias without an anchor"),
    "anchor that holds itself": ("server: &a {host: *a}", "1:19: an alias without an anchor"),
    "python object": ("server: !!python/object/apply:os.system [ls]", "1:9: server: tags are not read"),
    "own tag": ("server: {host: !env HOST}", "1:16: server.host: tags are not read"),
    "too deep": ("server: " + "[" * 40 + "]" * 40, "1:41: nested deeper than 32"),
    # keys
    "unknown section": ("sever: {}", "1:1: sever: unknown key; did you mean `server`?"),
    "unknown section far from all": ("zzz: 1", "1:1: zzz: unknown key; known are server, backends"),
    "unknown key": ("server: {prot: 1}", "1:10: server.prot: unknown key; did you mean `port`?"),
    "unknown key of a kind": (f"{LARGE}, ulrs: []}}}}", "1:79: backends.large.ulrs: unknown key; did you mean `urls`?"),
    "unknown key of a local model": (
        "backends: {mini: {use: local, thread: 2}}",
        "1:31: backends.mini.thread: unknown key; did you mean `threads`?",
    ),
    "unknown key in a list": (
        "keys:\n  - {tenant: a, sha: b}",
        "2:17: keys[0].sha: unknown key; did you mean `sha256`?",
    ),
    "key twice": ("server: {}\ncache: {}\nserver: {}", "3:1: server: `server` is given twice; first in line 1"),
    "inner key twice": ("server:\n  port: 1\n  port: 2", "3:3: server.port: `port` is given twice; first in line 2"),
    "merge key": ("server: {<<: {port: 1}}", "1:10: server: unknown key"),
    "number as a key": ("server: {80: a}", "1:10: server: unknown key"),
    "key of another case": ("server: {Port: 1}", "1:10: server.Port: unknown key; did you mean `port`?"),
    "neither key nor digest": ("keys:\n  - {tenant: a}", "2:5: keys[0]: must have either sha256 or key"),
    # server
    "empty section": ("server:\n", "1:8: server: must be a mapping"),
    "port is a word": ("server: {port: http}", "1:16: server.port: must be a whole number"),
    "port is half": ("server: {port: 80.5}", "1:16: server.port: must be a whole number"),
    "port is true": ("server: {port: true}", "1:16: server.port: must be a number"),
    "port too high": ("server: {port: 65536}", "1:16: server.port: must be less than or equal to 65535"),
    "port below zero": ("server: {port: -1}", "1:16: server.port: must be greater than or equal to 0"),
    "endless timeout": ("server: {request_timeout: .inf}", "1:27: server.request_timeout: must be"),
    "no timeout": ("server: {drain_timeout: 0}", "1:25: server.drain_timeout: must be greater than 0"),
    "host is a list": ("server: {host: [a]}", "1:16: server.host: must be text"),
    "open host without keys": ("server:\n  host: 0.0.0.0", "2:9: server.host: needs keys"),
    "name of a host without keys": ("server: {host: tandem.example}", "1:16: server.host: needs keys"),
    # backends
    "unknown kind": (
        "backends: {large: {use: openai_htpp}}",
        "1:25: backends.large.use: must be one of openai_http, local; did you mean openai_http?",
    ),
    "kind left out": ("backends:\n  large:\n    model: m", "2:3: backends.large.use: is missing"),
    "nothing but a kind": ("backends: {large: {use: openai_http}}", "1:12: backends.large.model: is missing"),
    "no list of urls": (
        "backends: {large: {use: openai_http, urls: http://a, model: m, price: p}}",
        "1:44: backends.large.urls: must be a list",
    ),
    "no url at all": (
        "backends: {large: {use: openai_http, urls: [], model: m, price: p}}",
        "1:44: backends.large.urls: ",
    ),
    "url without a scheme": (
        "backends: {large: {use: openai_http, urls: [http://a/v1, a:8000], model: m, price: p}}",
        "1:58: backends.large.urls[1]: url has the scheme",
    ),
    "outside kind that is not there": (
        "backends: {large: {use: 'no_such_package.kinds:Options'}}",
        "1:25: backends.large.use: cannot be imported (ModuleNotFoundError)",
    ),
    "outside kind that is none": (
        "backends: {large: {use: 'pathlib:Path'}}",
        "1:25: backends.large.use: must be a pydantic model",
    ),
    "third tier": ("backends: {medium: {use: local}}", "1:12: backends.medium: unknown key"),
    # classifier, policy, cache, ledger, prices
    "unknown classifier": (
        "classifier: {use: linaer}",
        "1:19: classifier.use: must be one of linear, rules, encoder, off; did",
    ),
    "unknown policy": (
        "policy: {use: treshold}",
        "1:15: policy.use: must be one of threshold, cascade, certified, explicit; did you mean",
    ),
    "a policy of experiments": (
        "policy: {use: experiment}",
        (
            "1:9: policy: must not be experiment: experiments stand beside any policy, which answers whoever takes no "
            "part; leave the policy as it is, and begin one with ./tandem experiment start FILE"
        ),
    ),
    "threshold over one": ("policy: {use: threshold, threshold: 62}", "1:37: policy.threshold: must be less than or"),
    "threshold that is no number": ("policy: {use: threshold, threshold: .nan}", "1:37: policy.threshold: must be"),
    "unknown tier": (
        "policy: {use: explicit, tier: larg}",
        "1:31: policy.tier: must be one of large, mini; did you mean",
    ),
    "explicit without a tier": ("policy: {use: explicit}", "1:1: policy.tier: is missing"),
    "cache without a scheme": ("cache: {url: redis}", "1:14: cache.url: "),
    "unknown ledger": ("ledger: {use: mysql}", "1:15: ledger.use: must be"),
    "prices in the wrong file": ("prices: {mini: 0.1}", "1:9: prices: must be the path of a file"),
    # keys of tenants
    "tenant with a blank": ("keys: [{tenant: a b, sha256: c}]", "1:17: keys[0].tenant: must match pattern"),
    "digest that is none": ("keys: [{tenant: a, sha256: abc}]", "1:28: keys[0].sha256: must match pattern"),
    "short key": ("keys: [{tenant: a, key: short}]", "1:25: keys[0].key: must be 16 or more"),
    "same key twice": (
        "keys:\n  - {tenant: a, key: 0123456789abcdefx}\n  - {tenant: b, key: 0123456789abcdefx}",
        "3:5: keys[1]: is the same key as keys[0]",
    ),
    # the environment
    "missing variable": ("server: {host: '${TANDEM_HOST}'}", "1:16: server.host: the environment has no TANDEM_HOST"),
    "open reference": ("server: {host: '${TANDEM_HOST'}", "1:16: server.host: a ${ that begins no reference"),
    "reference without a name": ("server: {host: '${}'}", "1:16: server.host: a ${ that begins no reference"),
}


@pytest.mark.parametrize(("text", "fault"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_refused_with_line_column_and_path(tmp_path: Path, text: str, fault: str) -> None:
    assert any(line.startswith(fault) for line in refusal(tmp_path, text)), refusal(tmp_path, text)


BAD_TOML = {
    "syntax": ("[server]\nport = \n", "2:8: not TOML: invalid value"),
    "key twice": ("[server]\nport = 1\nport = 2\n", "3:9: a key or table is given twice"),
    "table twice": ("[server]\n[server]\n", "2:8: a key or table is given twice"),
    "unknown key": ("[server]\n  prot = 1", "2:3: server.prot: unknown key; did you mean `port`?"),
    "unknown key in braces": (
        'backends.mini = {use = "local", thread = 2}',
        "1:33: backends.mini.thread: unknown key; did you mean `threads`?",
    ),
    "value of a row": (
        "# keys\n[[keys]]\ntenant = 'a'\nkey = 'short'\n[[keys]]\ntenant = 'b'\nkey = 'short'",
        "7:7: keys[1].key: must be 16 or more",
    ),
    "place in a list": (
        "[backends.large]\nuse = 'openai_http'\nmodel = 'm'\nprice = 'p'\nurls = [\n  'http://a', # ok\n  'b:8000',\n]",
        "7:3: backends.large.urls[1]: url has the scheme",
    ),
    "too deep": ("server = " + "[" * 40 + "]" * 40, "1:42: nested deeper than 32"),
    "far too deep": ("server = " + "[" * 9_000 + "]" * 9_000, "1:1: nested deeper than 32"),
}


@pytest.mark.parametrize(("text", "fault"), BAD_TOML.values(), ids=BAD_TOML.keys())
def test_a_bad_toml_file_is_refused_with_line_column_and_path(tmp_path: Path, text: str, fault: str) -> None:
    lines = refusal(tmp_path, text, name="tandem.toml")
    assert any(line.startswith(fault) for line in lines), lines


def test_all_faults_come_at_once_and_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "server: {port: x, hots: y}\ncache: {tll: 1}\npolicy: {use: no}\nserver: {}\nprices: ${BOOK}\nzzz: 1\n"
    lines = refusal(tmp_path, text)
    assert [line.partition(": ")[0] for line in lines] == ["1:16", "1:19", "2:9", "3:15", "4:1", "5:9", "6:1"]
    assert lines == refusal(tmp_path, text)


def test_a_value_that_could_not_be_filled_in_is_one_fault_only(tmp_path: Path) -> None:
    (line,) = refusal(tmp_path, 'keys: [{tenant: a, key: "${SHOP_KEY}"}]')
    assert line == "1:25: keys[0].key: the environment has no SHOP_KEY; set it, or write ${SHOP_KEY:-default}"


LEAKS = {
    "a key that is too short": "keys: [{tenant: a, key: sk-9}]",
    "a wrong choice": "policy: {use: ${S}}",
    "a wrong tier": "policy: {use: explicit, tier: ${S}}",
    "a number that is none": "server: {port: ${S}}",
    "a url that is none": "backends: {large: {use: openai_http, urls: ['${S}'], model: m, price: p}}",
    "the scheme of a url": "backends: {large: {use: openai_http, urls: ['${S}:b'], model: m, price: p}}",
    "a password in a url": "backends: {large: {use: openai_http, urls: ['http://u:${S}@h/v1'], model: m, price: p}}",
    "a local model's name": "backends: {large: {use: local, name: '${S}'}}",
    "a cache url": "cache: {url: 'redi://:${S}@redis'}",
    "a cache url's port": "cache: {url: 'redis://redis:${S}'}",
    "a kind from outside": "backends: {large: {use: '${S}:Options'}}",
    "a value in a key's place": f"keys: [{{tenant: a, {SECRET}}}]",
    "a value that looks like an alias": f"keys: [{{tenant: a, key: *{SECRET}}}]",
    "a value that looks like a tag": f"keys: [{{tenant: a, key: !{SECRET}!x y}}]",
    "a value that is not closed": f'keys: [{{tenant: a, key: "{SECRET}',
    "a value that begins no plain text": f"keys: [{{tenant: a, key: @{SECRET}}}]",
    "a value on a line that cannot be read": f"cache: {{secret: {SECRET}: x: y\n  z",
    "the same in the file itself": f"cache: {{url: 'redi://:{SECRET}@redis'}}",
    "a neighbour of a missing variable": f"cache: {{url: 'redis://:{SECRET}@${{HOST}}'}}",
    "a value given twice": f"keys: [{{tenant: a, key: {SECRET}-long, key: {SECRET}-long}}]",
}


@pytest.mark.parametrize("text", LEAKS.values(), ids=LEAKS.keys())
@pytest.mark.parametrize("secret", [SECRET, "Canary_5f1d9c27"])
def test_no_message_shows_a_secret(tmp_path: Path, text: str, secret: str) -> None:
    file = tmp_path / "tandem.yaml"
    file.write_text(text.replace(SECRET, secret), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        read_config(file, {"S": secret})
    assert "5f1d9c27" not in str(refused.value).lower()
    assert "5f1d9c27" not in "".join(traceback.format_exception(refused.value)).lower()
    assert "sk-9" not in str(refused.value)


def test_a_secret_in_toml_is_not_shown_either(tmp_path: Path) -> None:
    for text in (f'[cache]\nurl = "{SECRET}', f"[cache]\nsecret = {SECRET}", f'[cache]\nsecret = "{SECRET}" x'):
        assert SECRET not in "".join(refusal(tmp_path, text, name="tandem.toml"))


def test_a_configuration_does_not_show_its_secrets_when_printed(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD, env=ENV)
    assert SECRET not in repr(config)
    assert SECRET not in config.model_dump_json()


def test_aliases_may_be_used_but_not_to_multiply(tmp_path: Path) -> None:
    text = "backends: {large: &it {use: local, name: desk-mini}, mini: *it}"
    config = read(tmp_path, text)
    assert config.backends.large == config.backends.mini
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12))
    (line,) = refusal(tmp_path, f"l0: &l0 [x]\n{levels}")
    assert "more than 10000 values" in line


def test_a_fault_inside_an_alias_is_placed_where_it_is_used(tmp_path: Path) -> None:
    text = "server: &s {port: 1}\ncache: *s"
    assert refusal(tmp_path, text)[0].startswith("2:8: cache.port: unknown key")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tandem.json", b"{}", "1:1: an unknown kind of file"),
        ("tandem", b"{}", "1:1: an unknown kind of file"),
        ("latin.yaml", "server: {}\nprices: \xe4".encode("latin-1"), "2:9: not UTF-8"),
        ("utf16.yaml", "server: {}".encode("utf-16"), "1:1: not UTF-8"),
        ("long.yaml", b"#" * (MAX_BYTES + 1), f"1:1: cannot be read: it is over {MAX_BYTES} bytes"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_config(file, {})
    assert str(refused.value).startswith(f"{file}:{message}")


def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: no such file"):
        read_config(tmp_path / "none.yaml", {})
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        read_config(folder, {})


def test_what_yaml_once_read_as_false_is_a_word(tmp_path: Path) -> None:
    assert read(tmp_path, "classifier: {use: off}").classifier.use == "off"
