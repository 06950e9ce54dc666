"""Usage as providers told it, prices, and what it cost: each of a public report in which somebody got it wrong.

Prices are those of the report, or of the model at that time, in USD per million tokens. Where a report tells of one
side of a price alone, the other one is left out of the usage.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

CONTRADICTION: Final = "contradictory"
UNPRICED: Final = "unpriced"
NOT_TOLD: Final = "not told"


@dataclass(frozen=True, slots=True)
class Case:
    """One answer and its cost.

    Attributes:
        source: the report, as "repository#number".
        usage: the answer's `usage`, as it came.
        prices: by bucket.
        usd: exact; or `CONTRADICTION`, `UNPRICED`, `NOT_TOLD`.
        variants: prices by (service tier, length of a prompt beyond which they hold).
    """

    what: str
    source: str
    usage: Mapping[str, Any] | None
    prices: Mapping[str, str]
    usd: str
    model: str = "a-model"
    service_tier: str | None = None
    variants: Mapping[tuple[str, int], Mapping[str, str]] = field(default_factory=dict)


def _price(fresh_input: str, output: str, **others: str) -> dict[str, str]:
    return {"fresh_input": fresh_input, "output": output, **others}


def _chat(prompt: int, completion: int, *, cached: int | None = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401  (any JSON)
    details = {} if cached is None else {"prompt_tokens_details": {"cached_tokens": cached}}
    return (
        {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion} | details | more
    )


def _reasoning(tokens: int) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": tokens}}


_GLM: Final = _price("1.4", "4.4", cached_input="0.26")
_OPUS: Final = _price("5", "25", cached_input="0.5", cache_write="6.25", cache_write_1h="10")
_FLASH: Final = _price("1.5", "9")
_FLASH_FLEX: Final = {("flex", 0): _price("0.75", "4.5")}
_THINKING: Final = _price("0.3", "2.5")

CASES: Final = (
    Case(
        "cached tokens stand within the prompt and are paid once",
        "BerriAI/litellm#14849",
        _chat(262_960, 1_744, cached=257_955, **_reasoning(0)),
        _price("1.25", "10", cached_input="0.625"),
        "0.184918125",
        model="gemini-2.5-pro",
    ),
    Case(
        "cached tokens are taken out of the input",
        "earendil-works/pi#2148",
        _chat(20_212, 931, cached=16_298),
        _price("0.50", "3", cached_input="0.05"),
        "0.0055649",
    ),
    Case("cached input alone", "BerriAI/litellm#26016", _chat(44_341, 0, cached=41_518), _GLM, "0.01474688"),
    Case(
        "all of a prompt but one token is cached",
        "BerriAI/litellm#31714",
        _chat(27_147, 351, cached=27_146),
        _GLM,
        "0.00860376",
    ),
    Case(
        "cached tokens that cost thirty million times as much as fresh ones",
        "BerriAI/litellm#14874",
        _chat(2_739, 5, cached=2_634),
        _price("0.0001", "0.00001", cached_input="3000"),
        "7.90200001055",
    ),
    Case(
        "a Response's cached and written tokens",
        "BerriAI/litellm#35127",
        {
            "input_tokens": 172_000,
            "output_tokens": 0,
            "total_tokens": 172_000,
            "input_tokens_details": {"cached_tokens": 155_000, "cache_write_tokens": 3_000},
        },
        _OPUS,
        "0.16625",
    ),
    Case(
        "a streamed Message's cached tokens",
        "BerriAI/litellm#11789",
        {"input_tokens": 4, "cache_read_input_tokens": 2_455, "cache_creation_input_tokens": 0, "output_tokens": 23},
        _price("0.8", "4", cached_input="0.08", cache_write="1"),
        "0.0002916",
    ),
    Case(
        "a prompt that is half cached",
        "BerriAI/litellm#15945",
        _chat(9_126, 3_197, cached=4_864),
        _price("1.25", "10", cached_input="0.125"),
        "0.0379055",
    ),
    Case(
        "a stream of a gateway's gateway",
        "BerriAI/litellm#39088",
        {**_chat(9_520, 16), "prompt_tokens_details": {"cached_tokens": 9_519, "audio_tokens": 0, "video_tokens": 0}},
        _GLM,
        "0.00254674",
    ),
    Case(
        "Gemini's own thoughts stand beside its candidates",
        "langfuse/langfuse#12531",
        {"promptTokenCount": 324, "candidatesTokenCount": 1_364, "thoughtsTokenCount": 495, "totalTokenCount": 2_183},
        _price("2", "12"),
        "0.022956",
    ),
    Case(
        "Gemini's thoughts in the total alone",
        "mozilla-ai/any-llm#1290",
        {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623},
        _THINKING,
        "0.0015135",
        model="gemini-2.5-flash",
    ),
    Case(
        "thoughts beside a completion of nothing",
        "router-for-me/CLIProxyAPI#5733",
        {"prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 81, **_reasoning(60)},
        _THINKING,
        "0.0001563",
        model="some-alias",
    ),
    Case(
        "a Message's cache for minutes and for an hour",
        "earendil-works/pi#5738",
        {
            "input_tokens": 0,
            "output_tokens": 0,
            "cache_creation_input_tokens": 1_000_000,
            "cache_creation": {"ephemeral_5m_input_tokens": 600_000, "ephemeral_1h_input_tokens": 400_000},
        },
        _OPUS,
        "7.75",
    ),
    Case(
        "a cache whose time is not told is one for minutes",
        "earendil-works/pi#5738",
        {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 1_000_000},
        _OPUS,
        "6.25",
    ),
    Case(
        "a cache for an hour alone",
        "can1357/oh-my-pi#6876",
        {
            "input_tokens": 0,
            "output_tokens": 0,
            "cache_creation_input_tokens": 344_139,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 344_139},
        },
        _OPUS,
        "3.44139",
    ),
    Case(
        "two tokens of input and a cache that was written",
        "chattymin/PokeTokenBar#237",
        {"input_tokens": 2, "output_tokens": 319, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 66_396},
        _OPUS,
        "0.42296",
    ),
    Case(
        "a chat completion's cache for an hour, streamed",
        "BerriAI/litellm#31724",
        {
            **_chat(4_818, 47),
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "text_tokens": 15,
                "cache_creation_tokens": 4_803,
                "cache_creation_token_details": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 4_803},
            },
        },
        _price("3", "15", cached_input="0.3", cache_write="3.75", cache_write_1h="6"),
        "0.029568",
    ),
    Case(
        "sound that is spoken is dearer than text that is written",
        "BerriAI/litellm#19771",
        {**_chat(17, 592), "completion_tokens_details": {"text_tokens": 110, "audio_tokens": 482}},
        _price("2.5", "10", audio_output="80"),
        "0.0397025",
    ),
    Case(
        "a completion is not its reasoning alone",
        "BerriAI/litellm#18599",
        _chat(17, 482, cached=0, **_reasoning(448)),
        _price("0.05", "0.4", cached_input="0.005"),
        "0.00019365",
        service_tier="default",
    ),
    Case(
        "the flex tier, reasoning and all",
        "BerriAI/litellm#38424",
        _chat(7, 203, **_reasoning(198)),
        _FLASH,
        "0.00091875",
        service_tier="flex",
        variants=_FLASH_FLEX,
    ),
    Case(
        "a Message of the flex tier",
        "BerriAI/litellm#38424",
        {"input_tokens": 7, "output_tokens": 303},
        _FLASH,
        "0.00136875",
        service_tier="flex",
        variants=_FLASH_FLEX,
    ),
    Case(
        "the same one of the usual tier",
        "BerriAI/litellm#38424",
        {"input_tokens": 7, "output_tokens": 303},
        _FLASH,
        "0.0027375",
        service_tier="standard",
        variants=_FLASH_FLEX,
    ),
    Case(
        "a tier that the dated model's price lacks is unpriced, not usual",
        "BerriAI/litellm#22086",
        _chat(1_000, 100),
        _price("1.1", "4.4"),
        UNPRICED,
        service_tier="flex",
    ),
    Case(
        "a long conversation that is nearly all cached",
        "maximhq/bifrost#904",
        _chat(51_232 + 1_188_096, 12_909, cached=1_188_096),
        _price("1.25", "10", cached_input="0.125"),
        "0.341642",
    ),
    Case(
        "cache reads out of an input that includes them",
        "RooCodeInc/Roo-Code#5145",
        _chat(40_600, 1_900, cached=12_400),
        _price("2", "8", cached_input="0.5"),
        "0.0778",
    ),
    Case(
        "hits and misses by DeepSeek's own names",
        "mnfst/llm-gateway#2051",
        _chat(36_100, 1_200, prompt_cache_hit_tokens=21_600, prompt_cache_miss_tokens=14_500),
        _price("0.435", "0.87", cached_input="0.003625"),
        "0.0074298",
    ),
    Case(
        "a cache that was missed altogether",
        "BerriAI/litellm#5017",
        _chat(11, 40, prompt_cache_hit_tokens=0, prompt_cache_miss_tokens=11),
        _price("0.14", "0.28", cached_input="0.014"),
        "0.00001274",
    ),
    Case(
        "cached tokens beside the prompt's details, as Kimi tells them",
        "earendil-works/pi#8075",
        _chat(19, 13, cached_tokens=12),
        _price("0.95", "4", cached_input="0.16"),
        "0.00006057",
    ),
    Case(
        "nothing but input and output",
        "bespokelabsai/curator#159",
        _chat(79, 622),
        _price("2.50", "10.00"),
        "0.0064175",
    ),
    Case(
        "cached tokens of a seller who sells none cheaper are fresh ones",
        "anomalyco/opencode#17154",
        _chat(564_382, 0, cached=564_382),
        _price("0.5", "2.8"),
        "0.282191",
    ),
    Case(
        "a long prompt's price holds for all of it",
        "BerriAI/litellm#30135",
        {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 585_659},
        _OPUS,
        "7.3207375",
        variants={("", 200_000): _price("10", "37.5", cached_input="1", cache_write="12.5")},
    ),
    Case(
        "a long prompt is not paid for in slices",
        "BerriAI/litellm#36679",
        _chat(300_000, 0),
        _price("0.05", "0.4"),
        "0.075",
        variants={("", 256_000): _price("0.25", "2")},
    ),
    Case(
        "more reasoning than completion",
        "langfuse/langfuse#14987",
        _chat(50, 102, **_reasoning(109)),
        _price("1", "2"),
        CONTRADICTION,
    ),
    Case("a stream that tells no usage", "BerriAI/litellm#37923", None, _price("1", "2"), NOT_TOLD),
    Case("a server that does not count", "BerriAI/litellm#37923", _chat(0, 0), _price("1", "2"), NOT_TOLD),
)
