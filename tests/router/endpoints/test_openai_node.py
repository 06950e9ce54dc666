"""OpenAI's client for Node, unchanged but for its base URL, against router/endpoints/chat.py on a real socket.

The client is fetched once with npm and kept in pytest's cache; where there is no Node or no registry, this is skipped.
"""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.router.conftest import Served

KEY = "k" * 32


def chunk(call: dict[str, Any], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", "tool_calls": [{"index": 0, **call}]}, "finish_reason": finish}
    told = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice]}
    return f"data: {json.dumps(told)}\n\n".encode()


CALLS = (
    chunk({"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Bo'}}, None),
    chunk({"function": {"arguments": 'nn"}'}}, "tool_calls"),
    b"data: [DONE]\n\n",
)
PROGRAM = """
const { OpenAI } = require("openai");
const client = new OpenAI({ baseURL: process.argv[2], apiKey: process.argv[3], maxRetries: 0 });
const messages = [{ role: "user", content: "hello" }];
const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];
async function main() {
  const told = {};
  const { data, response } = await client.chat.completions.create({ model: "mini", messages }).withResponse();
  told.chat = [data.choices[0].message.content, data.usage.total_tokens, response.headers.get("x-tandem-tier")];
  const stream = await client.chat.completions.create({
    model: "mini", messages, stream: true, stream_options: { include_usage: true },
  });
  told.streamed = "";
  for await (const chunk of stream) {
    told.streamed += chunk.choices[0]?.delta?.content ?? "";
    told.usage = chunk.usage ?? told.usage;
  }
  const final = await client.chat.completions.stream({ model: "large", messages, tools }).finalChatCompletion();
  told.call = final.choices[0].message.tool_calls[0];
  told.finish = final.choices[0].finish_reason;
  try {
    await client.chat.completions.create({ model: "none", messages });
  } catch (error) {
    told.refused = [error.status, error.code, error.constructor.name];
  }
  console.log(JSON.stringify(told));
}
main();
"""


@pytest.fixture(scope="module")
def modules(request: pytest.FixtureRequest) -> Path:
    """Return the folder that holds the client."""
    npm, cache = shutil.which("npm"), getattr(request.config, "cache", None)
    if npm is None or shutil.which("node") is None or cache is None:
        pytest.skip("openai-node is not tried: there is no node, or no npm")
    folder = cache.mkdir("openai-node")
    found: Path = folder / "node_modules"
    if not (found / "openai").exists():
        command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--no-save", "openai"]
        try:
            installed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("openai-node is not tried: npm got no answer within 60 s")
        if installed.returncode:
            pytest.skip(f"openai-node is not tried: npm cannot install it: {installed.stderr[-200:]}")
    return found


async def test_chat_stream_tools_and_errors_of_openai_for_node(
    modules: Path, serve_house: Served, tmp_path: Path
) -> None:
    program = tmp_path / "program.cjs"
    program.write_text(PROGRAM, encoding="utf-8")
    async with serve_house(keys=[{"tenant": "acme", "key": KEY}]) as house:
        house.large.events = CALLS
        url = f"{str(house.client.base_url).rstrip('/')}/v1"
        process = await asyncio.create_subprocess_exec(
            "node",
            str(program),
            url,
            KEY,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "NODE_PATH": str(modules)},
        )
        async with asyncio.timeout(30):
            said, failed = await process.communicate()
        assert process.returncode == 0, failed.decode()
        sent: dict[str, Any] = house.large.body()
    told = json.loads(said)
    assert told["chat"] == ["hello", 14, "mini"]
    assert (told["streamed"], told["usage"]["total_tokens"]) == ("hello", 14)
    assert told["call"]["id"] == "call_1"
    assert told["call"]["function"] == {"name": "weather", "arguments": '{"town": "Bonn"}'}
    assert told["finish"] == "tool_calls"
    assert told["refused"] == [404, "model_not_found", "NotFoundError"]
    assert sent["tools"][0]["function"]["name"] == "weather"
    assert {row["tenant"] for row in house.rows()} == {"acme"}
