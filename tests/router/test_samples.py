"""What verification reads of a reply, and what it takes out: router/samples.py."""

import pytest

from backends.base import Broken
from classifier.base import Sample
from router.samples import Listener, sample_of, without_logprobs
from tests.router.scripted import COMPLETION
from tests.router.verifying import words


def test_a_whole_answer_is_one_sample() -> None:
    assert sample_of(COMPLETION) == Sample("hello", None, "stop")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"choices":[{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}]}',
            Sample("no", None, "stop"),
        ),
        (b'{"choices":[{"message":{"content":null}}]}', Sample("")),
        (b'{"choices":[{}]}', Sample("")),
        (b'{"choices":[{"text":" there","logprobs":null,"finish_reason":"length"}]}', Sample(" there", None, "length")),
        (b'{"choices":[{"message":{"content":"a"},"logprobs":{"content":null}}]}', Sample("a")),
        (b'{"choices":[{"message":{"content":"a"},"logprobs":{"tokens":["a"]}}]}', Sample("a")),
        (b'{"choices":[{"message":{"content":"a"},"logprobs":{"content":[{"logprob":"x"}]}}]}', Sample("a")),
        (b'{"choices":[{"message":{"content":"a"},"logprobs":7}]}', Sample("a")),
        (b'{"choices":[{"message":{"content":"a"},"logprobs":{"content":[{"logprob":-1}]}}]}', Sample("a", (-1.0,))),
    ],
)
def test_what_is_missing_or_unknown_says_nothing(body: bytes, expected: Sample) -> None:
    assert sample_of(body) == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[{"message":"a"}]}', b"\xff"])
def test_what_is_no_completion_is_broken(body: bytes) -> None:
    with pytest.raises(Broken, match=r"completion|choice"):
        sample_of(body)


def test_a_stream_is_heard_event_by_event() -> None:
    listener = Listener()
    for event in words(3, logprob=-0.5):
        listener.hear(event)
    assert listener.sample == Sample("w0 w1 w2 ", (-0.5,) * 3, "stop")
    assert listener.tokens == 3


def test_a_stream_of_a_text_is_heard_like_one_of_a_message() -> None:
    listener = Listener()
    listener.hear(b'data: {"choices":[{"index":0,"text":" the"}]}\n\ndata: {"choices":[{"index":0,"text":"re"}]}\n\n')
    listener.hear(b'data: {"choices":[{"index":0,"text":"","finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
    assert (listener.sample, listener.tokens) == (Sample(" there", None, "stop"), 2)


def test_reasoning_counts_as_tokens_and_is_no_text() -> None:
    listener = Listener()
    listener.hear(b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n')
    assert listener.tokens == 0
    listener.hear(
        b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\r\n\r\ndata:{"choices":[{"delta":null}]}\n\n'
    )
    listener.hear(b": a comment\n\ndata: [DONE]\n\ndata: {]\n\nevent: x\ndata: [1]\n\n")
    assert (listener.sample.text, listener.tokens) == ("", 1)


TOLD = (
    b'"logprobs":{"content":[{"token":"}","bytes":[125],"logprob":-1,"top_logprobs":[{"token":"\\"","logprob":-2}]}]}'
)


@pytest.mark.parametrize(
    ("told", "left"),
    [
        (b'{"a":1,%b,"b":2}', b'{"a":1,"b":2}'),
        (b'{"a":1 , %b , "b":2}', b'{"a":1  , "b":2}'),
        (b'{%b,"b":2}', b'{"b":2}'),
        (b'{%b , "b":2}', b'{ "b":2}'),
        (b'{"b":2,%b}', b'{"b":2}'),
        (b"{%b}", b"{}"),
        (b'data: {"c":[{"t":"\xc3\xa9\xe4\xb8\xad",%b}]}\n\ndata: {"c":[{%b,"x":1}]}\r\n\r\n',
         b'data: {"c":[{"t":"\xc3\xa9\xe4\xb8\xad"}]}\n\ndata: {"c":[{"x":1}]}\r\n\r\n'),
    ],
)  # fmt: skip
def test_log_probabilities_are_cut_out_and_every_other_byte_stays(told: bytes, left: bytes) -> None:
    assert without_logprobs(told.replace(b"%b", TOLD)) == left


def test_one_inside_another_goes_with_it() -> None:
    assert without_logprobs(b'{"logprobs":{"logprobs":[1],"a":2},"b":3}') == b'{"b":3}'


def test_null_is_cut_out_as_well() -> None:
    assert without_logprobs(b'{"logprobs" : null,"a":1}') == b'{"a":1}'


@pytest.mark.parametrize(
    "data",
    [
        COMPLETION,
        b'{"content":"say \\"logprobs\\": {\\"a\\":1} now"}',
        b'{"content":"logprobs","x":1}',
        b'{"x\\"logprobs":{"a":1}}',
        b'{"logprobs":{"content":[{"tok',
        b'{"logprobs":' + b"[" * 100_000,
    ],
    ids=["none", "text", "a value", "another name", "half a document", "deep"],
)
def test_whatever_is_no_such_member_stays(data: bytes) -> None:
    assert without_logprobs(data) == data
