"""Seed -> questions to the shop, each with its one true answer.

Simple kinds need a house rule or a copied number; complex kinds need facts of the catalogue, combined.
One question text in eight, chosen by its hash, is held out: training never sees it, tests see only it.
Nothing here knows a model, a tokenizer or a gateway.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from backends.engines.desk import shop

LANGUAGES = ("en", "zh")
HELD_OUT_ONE_IN = 8

Facts = Mapping[str, object]


class Difficulty(StrEnum):
    """What a question needs: a rule of the house, or the catalogue."""

    SIMPLE = "simple"
    COMPLEX = "complex"


@dataclass(frozen=True, slots=True)
class Question:
    """One question as a customer types it, and the only answer that counts as right."""

    text: str
    answer: str
    kind: str
    difficulty: Difficulty
    language: str

    def is_answered_by(self, reply: str) -> bool:
        """Tell whether the whole reply equals the true answer, outer white space aside."""
        return reply.strip() == self.answer


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of question is drawn, asked and answered; wordings by language."""

    difficulty: Difficulty
    draw: Callable[[random.Random], Facts]
    asks: Mapping[str, tuple[str, ...]]
    answer: Callable[[Facts, str], str]


def sample(
    rng: random.Random,
    difficulty: Difficulty,
    *,
    language: str | None = None,
    products: Sequence[shop.Product] | None = None,
) -> Question:
    """Return one question of the wanted difficulty.

    Args:
        language: None draws one.
        products: what it may be about, two at least; None is the whole catalogue.
    """
    language = language or rng.choice(LANGUAGES)
    name, kind = rng.choice(_BY_DIFFICULTY[difficulty])
    facts = kind.draw(rng)
    if products is not None:
        named = [word for word, fact in facts.items() if isinstance(fact, shop.Product)]
        facts = {**facts, **dict(zip(named, rng.sample(products, len(named)), strict=True))}
    body = rng.choice(kind.asks[language]).format_map(_worded(facts, language))
    opening, closing = rng.choice(_OPENINGS[language]), rng.choice(_CLOSINGS[language])
    if not opening or opening.endswith(("! ", ". ")):
        body = body[0].upper() + body[1:]
    return Question(f"{opening}{body}{closing}", kind.answer(facts, language), name, difficulty, language)


def is_held_out(text: str) -> bool:
    """Tell whether this question text is reserved for tests."""
    return hashlib.sha256(text.encode()).digest()[0] % HELD_OUT_ONE_IN == 0


def unseen(seed: str, difficulty: Difficulty, count: int) -> Iterator[Question]:
    """Yield `count` different held-out questions, the languages in turn."""
    return _distinct(seed, difficulty, count, held_out=True)


def seen(seed: str, difficulty: Difficulty, count: int) -> Iterator[Question]:
    """Yield `count` different questions of the part that training may use."""
    return _distinct(seed, difficulty, count, held_out=False)


def _distinct(seed: str, difficulty: Difficulty, count: int, *, held_out: bool) -> Iterator[Question]:
    rng, texts = random.Random(f"{seed}/{difficulty}"), set[str]()
    while len(texts) < count:
        question = sample(rng, difficulty, language=LANGUAGES[len(texts) % len(LANGUAGES)])
        if is_held_out(question.text) is held_out and question.text not in texts:
            texts.add(question.text)
            yield question


# --- wording -------------------------------------------------------------------------------------

_OPENINGS = {
    "en": ("", "Hi, ", "Hello! ", "Quick question: ", "Good morning. ", "Excuse me, "),
    "zh": ("", "你好，", "请问，", "您好！", "打扰一下，", "客服你好，"),
}
_CLOSINGS = {
    "en": ("", " Thanks!", " Thank you.", " Please let me know."),
    "zh": ("", "谢谢！", "谢谢。", "请告诉我。"),
}
_ZH = {
    "Monday": "星期一",
    "Tuesday": "星期二",
    "Wednesday": "星期三",
    "Thursday": "星期四",
    "Friday": "星期五",
    "Saturday": "星期六",
    "Sunday": "星期日",
    "Germany": "德国",
    "France": "法国",
    "Italy": "意大利",
    "Spain": "西班牙",
    "Norway": "挪威",
    "Poland": "波兰",
    "Japan": "日本",
    "China": "中国",
    "invoice": "发票",
    "cash": "现金",
    "cheque": "支票",
    "crypto": "加密货币",
    "packed": "已打包",
    "shipped": "已发货",
    "delayed": "已延误",
    "delivered": "已送达",
}


def _word(value: object, language: str) -> str:
    if isinstance(value, shop.Product):
        return value.name
    return _ZH.get(str(value), str(value)) if language == "zh" else str(value)


def _worded(facts: Facts, language: str) -> dict[str, str]:
    return {name: _word(value, language) for name, value in facts.items()}


def _says(en: str, zh: str) -> Callable[[Facts, str], str]:
    """Return an answer that is one template for each language."""
    return lambda facts, language: (zh if language == "zh" else en).format_map(_worded(facts, language))


# --- simple kinds: a rule of the house, or a number to copy ------------------------------------------


def _number(rng: random.Random) -> Facts:
    return {"number": rng.randint(100, 999)}


def _order(rng: random.Random) -> Facts:
    return {"number": rng.randint(100, 999), "status": rng.choice(shop.STATUSES), "day": rng.choice(shop.DAYS)}


def _hours(facts: Facts, language: str) -> str:
    day = str(facts["day"])
    span = shop.HOURS[day]
    if language == "zh":
        return f"{_ZH[day]}我们{span[0]}点到{span[1]}点营业。" if span else f"{_ZH[day]}我们不营业。"
    return f"On {day} we are open from {span[0]} to {span[1]}." if span else f"On {day} we are closed."


def _shipping(facts: Facts, language: str) -> str:
    country = str(facts["country"])
    euro, days = shop.SHIPPING[country]
    if language == "zh":
        return f"寄到{_ZH[country]}运费{euro}欧元，需要{days}天。"
    return f"Shipping to {country} costs {euro} euro and takes {days} days."


def _payment(facts: Facts, language: str) -> str:
    method = str(facts["method"])
    if language == "zh":
        return f"{'可以' if shop.ACCEPTED[method] else '抱歉，不可以'}用{_word(method, language)}付款。"
    return f"Yes, we accept {method}." if shop.ACCEPTED[method] else f"No, we do not accept {method}."


_ACCOUNT_ANSWERS = {
    "password": ("Open the login page and choose Reset password.", "请打开登录页面，选择重设密码。"),
    "email": ("Open your profile and choose Change email.", "请打开个人资料，选择更改邮箱。"),
    "delete": ("Open your profile and choose Delete account.", "请打开个人资料，选择删除账户。"),
    "newsletter": ("Use the link at the end of the newsletter.", "请点击邮件末尾的退订链接。"),
}


def _account_kind(topic: str, en: tuple[str, ...], zh: tuple[str, ...]) -> _Kind:
    return _Kind(Difficulty.SIMPLE, lambda _rng: {}, {"en": en, "zh": zh}, _says(*_ACCOUNT_ANSWERS[topic]))


# --- complex kinds: facts of the catalogue, combined ---------------------------------------------------


def _one_product(rng: random.Random) -> Facts:
    return {"a": rng.choice(shop.catalogue()), "year": rng.choice(shop.YEARS)}


def _two_products(rng: random.Random) -> Facts:
    a, b = rng.sample(shop.catalogue(), 2)
    return {"a": a, "b": b}


def _pair(facts: Facts) -> tuple[shop.Product, shop.Product]:
    a, b = facts["a"], facts["b"]
    if not (isinstance(a, shop.Product) and isinstance(b, shop.Product)):
        raise TypeError("a kind with two products must draw two products")
    return a, b


def _product(facts: Facts) -> shop.Product:
    a = facts["a"]
    if not isinstance(a, shop.Product):
        raise TypeError("a kind about a product must draw a product")
    return a


def _total(facts: Facts, language: str) -> str:
    a, b = _pair(facts)
    unit = "欧元。" if language == "zh" else " euro."
    return f"{a.name} {a.price} + {b.name} {b.price} = {a.price + b.price}{unit}"


def _cheaper(facts: Facts, language: str) -> str:
    a, b = _pair(facts)
    facts_first = f"{a.name} {a.price}, {b.name} {b.price}: "
    if a.price == b.price:
        return facts_first + ("价格相同。" if language == "zh" else "same price.")
    name = min(a, b, key=lambda product: product.price).name
    return facts_first + (f"{name} 更便宜。" if language == "zh" else f"{name} is cheaper.")


def _longer(facts: Facts, language: str) -> str:
    a, b = _pair(facts)
    facts_first = f"{a.name} {a.warranty}, {b.name} {b.warranty}: "
    if a.warranty == b.warranty:
        return facts_first + ("保修相同。" if language == "zh" else "same warranty.")
    name = max(a, b, key=lambda product: product.warranty).name
    return facts_first + (f"{name} 保修更长。" if language == "zh" else f"{name} is covered longer.")


def _covered(facts: Facts, language: str) -> str:
    a, year = _product(facts), int(str(facts["year"]))
    until = f"{a.name}: {year} + {a.warranty} = {year + a.warranty}"
    return f"{until}年。" if language == "zh" else f"{until}, covered until then."


def _found(facts: Facts, language: str) -> str:
    a = _product(facts)
    if language == "zh":
        return f"{a.name}：{a.shelf}号货架，供应商 {a.supplier}。"
    return f"{a.name}: shelf {a.shelf}, supplier {a.supplier}."


def _sent_back(facts: Facts, language: str) -> str:
    a = _product(facts)
    if language == "zh":
        return f"{a.name}：{a.price}欧元，{a.returns}天内可退。"
    return f"{a.name}: {a.price} euro, {a.returns} days to return it."


_KINDS: Mapping[str, _Kind] = {
    "order": _Kind(
        Difficulty.SIMPLE,
        _order,
        {
            "en": (
                "order {number} is {status}, due {day}. When does order {number} come?",
                "my page says: order {number}, {status}, due {day}. What does it mean?",
                "[order {number}: {status}, due {day}] What is the status of my order?",
            ),
            "zh": (
                "订单{number}{status}，预计{day}。订单{number}什么时候到？",
                "页面显示：订单{number}，{status}，预计{day}。这是什么意思？",
                "[订单{number}：{status}，预计{day}] 我的订单状态怎么样？",
            ),
        },
        _says("Order {number} is {status}, due {day}.", "订单{number}{status}，预计{day}。"),
    ),
    "cancel": _Kind(
        Difficulty.SIMPLE,
        _number,
        {
            "en": (
                "how do I cancel order {number}?",
                "I want to cancel my order {number}.",
                "can you cancel order {number} for me?",
            ),
            "zh": ("怎么取消订单{number}？", "我想取消订单{number}。", "可以帮我取消订单{number}吗？"),
        },
        _says("Reply CANCEL {number} to cancel it.", "回复 CANCEL {number} 即可取消。"),
    ),
    "ticket": _Kind(
        Difficulty.SIMPLE,
        _number,
        {
            "en": (
                "any news on ticket {number}?",
                "what happens with my ticket {number}?",
                "when will you answer ticket {number}?",
            ),
            "zh": ("工单{number}有消息吗？", "我的工单{number}怎么样了？", "什么时候回复工单{number}？"),
        },
        _says("Ticket {number} is open, we reply within 2 days.", "工单{number}处理中，2天内回复。"),
    ),
    "invoice": _Kind(
        Difficulty.SIMPLE,
        _number,
        {
            "en": (
                "where is invoice {number}?",
                "please send me invoice {number}.",
                "I need a copy of invoice {number}.",
            ),
            "zh": ("发票{number}在哪里？", "请发给我发票{number}。", "我需要发票{number}的副本。"),
        },
        _says("Invoice {number} is at norrvik.example/{number}.", "发票{number}在 norrvik.example/{number}。"),
    ),
    "hours": _Kind(
        Difficulty.SIMPLE,
        lambda rng: {"day": rng.choice(shop.DAYS)},
        {
            "en": (
                "when are you open on {day}?",
                "what are your opening hours on {day}?",
                "is the shop open on {day}?",
                "can I come by on {day}?",
            ),
            "zh": ("{day}几点营业？", "你们{day}的营业时间是什么？", "{day}开门吗？", "我{day}可以来店里吗？"),
        },
        _hours,
    ),
    "shipping": _Kind(
        Difficulty.SIMPLE,
        lambda rng: {"country": rng.choice(tuple(shop.SHIPPING))},
        {
            "en": (
                "what does shipping to {country} cost?",
                "how long does delivery to {country} take?",
                "do you ship to {country}?",
                "tell me about shipping to {country}.",
            ),
            "zh": (
                "寄到{country}运费多少？",
                "寄到{country}要多久？",
                "你们寄到{country}吗？",
                "请介绍一下寄到{country}的运费。",
            ),
        },
        _shipping,
    ),
    "payment": _Kind(
        Difficulty.SIMPLE,
        lambda rng: {"method": rng.choice(tuple(shop.ACCEPTED))},
        {
            "en": (
                "can I pay with {method}?",
                "do you accept {method}?",
                "is {method} possible as payment?",
                "I would like to pay by {method}.",
            ),
            "zh": ("可以用{method}付款吗？", "你们接受{method}吗？", "支持{method}支付吗？", "我想用{method}付款。"),
        },
        _payment,
    ),
    "password": _account_kind(
        "password",
        ("I forgot my password.", "how do I reset my password?", "my password does not work.", "I cannot log in."),
        ("我忘记密码了。", "怎么重设密码？", "我的密码不能用。", "我登录不了。"),
    ),
    "email": _account_kind(
        "email",
        ("how do I change my email?", "I have a new email address.", "please update my email."),
        ("怎么更改邮箱？", "我换了新邮箱。", "请更新我的邮箱。"),
    ),
    "delete": _account_kind(
        "delete",
        ("how do I delete my account?", "please delete my account.", "I want to close my account."),
        ("怎么删除账户？", "请删除我的账户。", "我想注销账户。"),
    ),
    "newsletter": _account_kind(
        "newsletter",
        ("how do I stop the newsletter?", "please no more newsletters.", "unsubscribe me from your newsletter."),
        ("怎么退订邮件？", "请不要再发邮件广告。", "帮我退订你们的邮件。"),
    ),
    "total": _Kind(
        Difficulty.COMPLEX,
        _two_products,
        {
            "en": (
                "what do the {a} and the {b} cost together?",
                "I buy one {a} and one {b}. What is the total?",
                "how much for a {a} plus a {b}?",
            ),
            "zh": ("{a} 和 {b} 一共多少钱？", "我买一个 {a} 和一个 {b}，总价多少？", "{a} 加 {b} 要多少钱？"),
        },
        _total,
    ),
    "cheaper": _Kind(
        Difficulty.COMPLEX,
        _two_products,
        {
            "en": (
                "which is cheaper, the {a} or the {b}?",
                "is the {a} cheaper than the {b}?",
                "I want the less expensive one: {a} or {b}?",
            ),
            "zh": ("{a} 和 {b} 哪个更便宜？", "{a} 比 {b} 便宜吗？", "我想要便宜的：{a} 还是 {b}？"),
        },
        _cheaper,
    ),
    "longer": _Kind(
        Difficulty.COMPLEX,
        _two_products,
        {
            "en": (
                "which has the longer warranty, the {a} or the {b}?",
                "is the {a} covered longer than the {b}?",
                "compare the warranty of {a} and {b}.",
            ),
            "zh": ("{a} 和 {b} 哪个保修更长？", "{a} 的保修比 {b} 长吗？", "比较 {a} 和 {b} 的保修。"),
        },
        _longer,
    ),
    "covered": _Kind(
        Difficulty.COMPLEX,
        _one_product,
        {
            "en": (
                "I bought a {a} in {year}. Until when is it covered?",
                "my {a} is from {year}. When does the warranty end?",
                "a {a} bought in {year} is covered until when?",
            ),
            "zh": (
                "我{year}年买了 {a}，保修到什么时候？",
                "我的 {a} 是{year}年的，保修何时结束？",
                "{year}年买的 {a} 保修到哪年？",
            ),
        },
        _covered,
    ),
    "found": _Kind(
        Difficulty.COMPLEX,
        _one_product,
        {
            "en": (
                "on which shelf is the {a} and who supplies it?",
                "shelf and supplier of the {a}, please.",
                "where do I find the {a} and who makes it?",
            ),
            "zh": ("{a} 在哪个货架，供应商是谁？", "请告诉我 {a} 的货架和供应商。", "{a} 放在哪里，是谁生产的？"),
        },
        _found,
    ),
    "sent_back": _Kind(
        Difficulty.COMPLEX,
        _one_product,
        {
            "en": (
                "what does the {a} cost and how long can I return it?",
                "price and return period of the {a}, please.",
                "if I return the {a}, how many days do I have and what do I get back?",
            ),
            "zh": ("{a} 多少钱，几天内可以退？", "请告诉我 {a} 的价格和退货期。", "退 {a} 有几天时间，退多少钱？"),
        },
        _sent_back,
    ),
}

_BY_DIFFICULTY = {
    difficulty: tuple((name, kind) for name, kind in _KINDS.items() if kind.difficulty is difficulty)
    for difficulty in Difficulty
}
