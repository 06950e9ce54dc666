"""An address -> answers a second, waiting times and errors.

A process of its own (`python -m router.bench.load --url ...`) and a closed loop: each connection sends its next request
when it has the whole answer to the last. No two bodies are equal, so that no kept answer is ever right. It prints one
JSON object.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import uvloop

from router.bench.callers import CONNECTIONS, MARK, SECONDS, Caller, Plan, Result, Tally
from router.bench.upstream import CHUNKS, GAP

_GRACE = 10.0
_LONGEST_STREAMS = 60.0
_TURNS = [
    {
        "role": "system",
        "content": "You are the customer-service desk of a small shop. Answer in short, polite sentences.",
    },
    {
        "role": "user",
        "content": f"My order {MARK} was due yesterday and is not here. Where is it now, and what if it stays away?",
    },
]
BODY = json.dumps({"model": "auto", "messages": _TURNS, "temperature": 0, "max_tokens": 64})
STREAM_BODY = json.dumps(
    {"model": "auto", "messages": _TURNS, "stream": True, "stream_options": {"include_usage": True}}
)


async def run(plan: Plan, *, longest: float = _LONGEST_STREAMS) -> Result:
    """Open the connections, ask until the time is over, wait for what is still to come.

    Args:
        longest: seconds to wait for streams.

    Raises:
        ValueError: the body holds no mark.
    """
    loop = asyncio.get_running_loop()
    tally = Tally(plan)
    started = time.perf_counter()
    finished = []
    for number in range(plan.connections):
        if plan.streams:  # real streams do not tick together
            await asyncio.sleep(GAP / plan.connections if number else 0)
        try:
            _, caller = await loop.create_connection(lambda: Caller(tally), tally.host, tally.port)
        except OSError as error:
            tally.fail(f"no connection: {error}")
        else:
            finished.append(caller.finished)
    if finished:
        _, late = await asyncio.wait(finished, timeout=(longest if plan.streams else plan.seconds) + _GRACE)
        for _ in late:
            tally.fail("no whole answer in time")
    return tally.result(time.perf_counter() - started)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the flags, run, print."""
    parser = argparse.ArgumentParser(prog="router.bench.load", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", default="", help="sent as bearer token")
    parser.add_argument("--header", action="append", default=[], help="NAME:VALUE, sent with each request")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--body-file", type=Path, help=f"JSON with {MARK} in the prompt")
    parser.add_argument("--streams", type=int, default=0, help="streams of each connection, in place of --seconds")
    parser.add_argument("--longest", type=float, default=_LONGEST_STREAMS, help="seconds to wait for streams")
    parser.add_argument("--chunks", type=int, default=CHUNKS, help="chunks with text that each stream should hold")
    flags = parser.parse_args(arguments)
    body = flags.body_file.read_text(encoding="utf-8") if flags.body_file else STREAM_BODY if flags.streams else BODY
    plan = Plan(
        url=flags.url,
        body=body,
        key=flags.key,
        headers=tuple(flags.header),
        connections=flags.connections,
        seconds=flags.seconds,
        streams=flags.streams,
        chunks=flags.chunks,
    )
    sys.stdout.write(json.dumps(asdict(uvloop.run(run(plan, longest=flags.longest)))) + "\n")


if __name__ == "__main__":
    main()
