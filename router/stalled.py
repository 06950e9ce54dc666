"""Messages -> whether an agent does not get on.

An agent who makes the call that it has made before, or whose tools fail one after the other, costs more on the small
model than one step of the large one. Looks at the end of the conversation alone; costs nothing where no tool has
just answered. Knows no tool.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from classifier.base import Turn

RECENT: Final = 4  # messages from the end in which a tool must have answered; an agent who is done is not stalled
TURNS: Final = 8  # of the assistant, that are compared
MESSAGES: Final = 64  # that are looked at, whoever wrote them
REPEATS: Final = 2  # of one call, whatever came of them; one is enough where the same came of it
ERRORS: Final = 2  # answers of tools in a row
LONGEST_ARGUMENTS: Final = 20_000  # characters; longer ones are compared as they were written
END: Final = 200  # characters from each end of a tool's answer, where it says that it failed

_TOOLS: Final = ("tool", "function")
_NUMBERS_OF_FAILURE: Final = ("exit_code", "exitCode", "returncode", "return_code")
_WORDS_OF_FAILURE: Final = ("error", "failed", "failure", "fail", "exception", "timeout")

# One of these stands in every text that the expression below finds; most answers hold none, and are done with.
_STEMS: Final = tuple(
    "error exception fail fatal panic traceback time exit code found such denied fault http status".split()
    + "错误 錯誤 异常 異常 失败 失敗 报错 超时 找不到 无法 無法 没有权限 权限不足 拒绝访问 不存在".split()
)

# An error is told at the beginning of a line, or by what programs say and nothing else does. A text that merely
# speaks of errors, or says that there are none, is no error.
_FAILURE: Final = re.compile(
    r"""
    ^ [\W_]{0,8} (?! no \b | 0 \b ) (?: \w{1,20} \s ){0,3} [\w.]{0,60}
        (?: error | exception | failure ) (?: \s \w{1,20} )? \s? [:\]\-!]
    | ^ [\W_]{0,8} (?: error | fatal | failed | failure | panic | exception | traceback | timeout | timed \s out ) \b
        (?! \s* (?: handling | rates? | counts? | logs? | 0 | none | free ) \b )
    | \b (?: an \s (?: error | exception ) \s occurred | (?: request | operation | connection ) \s timed \s out )
    | \b [1-9] \d{0,5} \s (?: failed | errors? ) \b
    | traceback \s \(most
    | exit(?:ed)? \s (?: with \s )? (?: code | status ) [\s:=]{1,3} -? [1-9]
    | exit_?(?: code | status ) ["\s:=]{1,4} -? [1-9]
    | return(?:ed)? [\s_]? code [\s:=]{1,3} -? [1-9]
    | command \s not \s found
    | no \s such \s (?: file | table | column | tool )
    | permission \s denied
    | segmentation \s fault
    | \b http/? [\d.]{0,3} \s [45] \d\d \b
    | \b status (?: \s code )? [\s:=]{1,3} [45] \d\d \b
    | ^ [^\w\n]{0,4} (?! [没無无未零不] ) [\u4e00-\u9fff]{0,6}
        (?: 错误 | 異常 | 异常 | 失败 | 失敗 | 报错 | 超时 | 錯誤 ) (?! 率 | 处理 )
    | ^ [^\w\n]{0,4} (?: 找不到 | 无法 | 無法 | 没有权限 | 权限不足 | 拒绝访问 | 命令不存在 | 文件不存在 )
    """,
    re.MULTILINE | re.VERBOSE,
)


class Message(Protocol):
    """A message as its caller sent it: what it calls, in today's form or in the older one; None where it calls none."""

    tool_calls: Any
    function_call: Any


def is_stalled(turns: Sequence[Turn], messages: Sequence[Message]) -> bool:
    """Tell whether the last call is one that was made before, or the last tools all failed; never raises.

    Args:
        turns: the conversation, oldest first.
        messages: the same, for what they call.
    """
    for turn in turns[-RECENT:]:
        if turn.role in _TOOLS:
            break
    else:
        return False
    turns, messages = turns[-MESSAGES:], messages[-MESSAGES:]
    return _has_failed(turns) or _goes_in_circles(turns, messages)


def _has_failed(turns: Sequence[Turn]) -> bool:
    answers = [turn.text for turn in turns if turn.role in _TOOLS][-ERRORS:]
    return len(answers) == ERRORS and all(map(looks_like_an_error, reversed(answers)))


def looks_like_an_error(answer: str) -> bool:
    """Tell whether a tool's answer says that it could not do what it was asked."""
    text = answer.strip()
    if text[:1] == "{" and text[-1:] == "}" and len(text) <= LONGEST_ARGUMENTS:
        try:
            document = msgspec.json.decode(text)
        except (ValueError, RecursionError):
            pass
        else:
            return _is_failed(document)
    if len(text) > 2 * END:
        text = f"{text[:END]}\n{text[-END:]}"
    lower = text.lower()
    return any(stem in lower for stem in _STEMS) and _FAILURE.search(lower) is not None


def _is_failed(document: Mapping[str, object]) -> bool:
    """Tell whether a JSON object says so: an error that is not empty, a number of failure, a success that is none."""
    if any(document.get(name) for name in ("error", "errors", "exception", "isError", "is_error", "错误")):
        return True
    if any(document.get(name) is False for name in ("success", "ok", "succeeded")):
        return True
    if any(document.get(name) not in (None, 0, "0", "") for name in _NUMBERS_OF_FAILURE):
        return True
    return str(document.get("status", "")).lower() in _WORDS_OF_FAILURE


def _goes_in_circles(turns: Sequence[Turn], messages: Sequence[Message]) -> bool:
    """Tell whether a call of the last calling turn was made before: with the same result once, or else twice."""
    made = _made(turns, messages)
    for call, result in made[-1] if made else ():
        earlier = [before for turn in made[:-1] for name, before in turn if name == call]
        if len(earlier) >= REPEATS or result in earlier:
            return True
    return False


def _made(turns: Sequence[Turn], messages: Sequence[Message]) -> list[list[tuple[str, str | None]]]:
    """Return for each of the last calling turns its calls, each with the answer that it got; None where none came."""
    made: list[list[tuple[str, str | None]]] = []
    for at in range(len(turns) - 1, -1, -1):
        calls = messages[at].tool_calls or messages[at].function_call
        if calls and turns[at].role == "assistant":
            answers = _answers_after(turns, at)
            names = _names_of(calls)
            made.append([(name, answers[i] if i < len(answers) else None) for i, name in enumerate(names)])
            if len(made) == TURNS:
                break
    return made[::-1]


def _answers_after(turns: Sequence[Turn], at: int) -> list[str]:
    """Return what tools answered to one turn, in their order, which is that of its calls."""
    answers: list[str] = []
    for turn in turns[at + 1 :]:
        if turn.role not in _TOOLS:
            break
        answers.append(turn.text)
    return answers


def _names_of(calls: object) -> list[str]:
    """Return one text for each call, equal for calls that ask the same; calls of no known shape are left out."""
    names = []
    for call in calls if isinstance(calls, list) else [calls]:
        function = call.get("function", call) if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            names.append(f"{function['name']} {_canonical(function.get('arguments'))}")
    return names


def _canonical(arguments: object) -> str:
    """Return arguments in one spelling, whatever the order of their names and the blanks between."""
    try:
        if isinstance(arguments, str) and len(arguments) <= LONGEST_ARGUMENTS:
            arguments = msgspec.json.decode(arguments)
        return msgspec.json.encode(arguments, order="deterministic").decode()
    except (ValueError, RecursionError):  # no JSON, or nested beyond reading: told apart by their letters
        return " ".join(str(arguments).split())
