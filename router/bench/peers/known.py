"""The gateways that Tandem is measured against: where they come from, and how they are started.

Each is installed in an environment of its own. All of them only pass requests on to one server; what Tandem does
beside that, they leave out.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from router.bench.peers.base import CannotInstall, Peer, Started

_NGINX = """
daemon off; worker_processes 1; pid {place}/pid; error_log {place}/errors;
events {{ worker_connections 8192; }}
http {{
    access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    upstream model {{ server {host}; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port}; keepalive_requests 1000000000; keepalive_timeout 1h;
        proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
        location / {{ proxy_pass http://model; }}
    }}
}}
"""


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True)
    except OSError as error:
        raise CannotInstall(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        raise CannotInstall(f"{' '.join(command[:4])} failed: {done.stderr.strip()[-300:]}")


def _from_pypi(*packages: str) -> Callable[[Path], None]:
    def install(folder: Path) -> None:
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(folder / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages)

    return install


def _from_npm(package: str) -> Callable[[Path], None]:
    def install(folder: Path) -> None:
        _run("npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder), package)

    return install


def _on_path(program: str) -> Callable[[Path], None]:
    def install(_folder: Path) -> None:
        if shutil.which(program) is None:
            raise CannotInstall(f"{program} is not on PATH: install it with the system's packages")

    return install


def _nginx(_folder: Path, place: Path, port: int, upstream: str) -> Started:
    text = _NGINX.format(place=place, port=port, host=upstream.removeprefix("http://"))
    (place / "nginx.conf").write_text(text, encoding="utf-8")
    return Started(("nginx", "-c", str(place / "nginx.conf")))


def _rust_router(program: str) -> Callable[[Path, Path, int, str], Started]:
    def start(folder: Path, _place: Path, port: int, upstream: str) -> Started:
        flags = (
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--policy",
            "round_robin",
            "--prometheus-port",
            str(port + 1),
        )
        return Started((str(folder / "bin" / program), "--worker-urls", upstream, *flags))

    return start


def _sglang(folder: Path, place: Path, port: int, upstream: str) -> Started:
    """Start it as its own documentation does, by the module: the program of that name wants other words."""
    rest = _rust_router("sglang-router")(folder, place, port, upstream).command[1:]
    return Started((str(folder / "bin/python"), "-m", "sglang_router.launch_router", *rest))


def _litellm(folder: Path, place: Path, port: int, upstream: str) -> Started:
    model = {"model": "openai/bench", "api_base": f"{upstream}/v1", "api_key": "none"}
    config = place / "litellm.yaml"
    config.write_text(json.dumps({"model_list": [{"model_name": "auto", "litellm_params": model}]}), encoding="utf-8")
    command = (str(folder / "bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port))
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # it asks for no key here, as its peers
        "PATH": f"{folder}/bin:{os.environ.get('PATH', '')}",
    }
    return Started((*command, "--telemetry", "False"), environment)


def _portkey(folder: Path, _place: Path, port: int, upstream: str) -> Started:
    script = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    headers = ("x-portkey-provider:openai", f"x-portkey-custom-host:{upstream}/v1", "authorization:Bearer none")
    trusted = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    return Started(("node", str(script), f"--port={port}", "--headless"), trusted, headers)


PEERS = (
    Peer("nginx", "", 7.0, _on_path("nginx"), _nginx),
    Peer("vllm-router", "0.1.17", 1.3, _from_pypi("vllm-router==0.1.17"), _rust_router("vllm-router")),
    Peer("sglang-router", "0.3.2", 1.05, _from_pypi("sglang-router==0.3.2"), _sglang),
    Peer("portkey", "1.15.2", 1 / 12, _from_npm("@portkey-ai/gateway@1.15.2"), _portkey, streams=False),
    Peer("litellm", "1.106.2", 1 / 80, _from_pypi("litellm[proxy]==1.106.2"), _litellm, streams=False),
)
"""All of them, with the share of each one's CPU a request that ours may be."""
