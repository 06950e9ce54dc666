"""The words of a turn -> whether it only agrees, and so asks for what was said before it.

"Yes, do it" is as hard as what it agrees to, whatever its own words look like. Knows English and Chinese; in any
other language a short turn is weighed as `classifier.window` weighs it.
"""

import re
from typing import Final

LONGEST: Final = 60
"""Characters; whoever writes more says something of their own."""

# Agreeing by itself, also when thanks go with it.
_STRONG: Final = frozenset(
    "yes yeah yep yup y sure do go continue proceed confirm confirmed agreed agree commit apply run execute "
    "是的 是 继续 就这样 可以 行 没问题 对的 对 嗯 开始 同意 确认 执行 提交 照做 去做".split()
)
# Agreeing by itself; with thanks it ends a conversation.
_WEAK: Final = frozenset("ok okay k good great fine perfect right correct exactly cool 好的 好".split())
_THANKS: Final = frozenset("thanks thank 谢谢 多谢 感谢".split())
_FILLING: Final = frozenset(
    "it that this so please the then now and just let's lets sounds looks all of them both with you your make ahead "
    "on way same as said proposed suggested plan be my guest i would like to "
    "吧 了 啊 呀 那 那就 就 请 的 你说 您说 你的 您的 做 办 来 这样 这么 也 都 我 要 需要 "
    "一下 下去 按 按照 照 方案 计划".split()
)
_KNOWN: Final = _STRONG | _WEAK | _THANKS | _FILLING
_CHINESE: Final = sorted((word for word in _KNOWN if not word.isascii()), key=len, reverse=True)
_WORD: Final = re.compile(rf"[a-z']+|{'|'.join(_CHINESE)}|[^\W_]")  # any other character is a word of its own


def is_agreement(text: str) -> bool:
    """Tell whether the text agrees to what was said before, and says nothing else."""
    if len(text) > LONGEST or "?" in text or "？" in text:
        return False
    words = _WORD.findall(text.lower().replace("’", "'"))
    if not _KNOWN.issuperset(words):
        return False
    return not _STRONG.isdisjoint(words) or (not _WEAK.isdisjoint(words) and _THANKS.isdisjoint(words))
