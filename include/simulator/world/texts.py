"""Texts that careless code stumbles over, used as ids and names by agents with `hostile_ids`.

All are valid JSON and valid UTF-8 without NUL, so a right reader must keep every one of them to the letter.
"""

from __future__ import annotations

import unicodedata

HOSTILE: tuple[str, ...] = (
    "a'; drop table staging.lucko_bets; --",
    "<script>alert(1)</script>",
    "line one\nline two\r\n\tindented",
    "../../etc/passwd",
    "x" * 200,
    "=cmd|' /C calc'!A0",
    "玩家一号",
    "لاعب رقم ١",
    "🎲👩‍👩‍👧🇻🇳",
    'O\'Brien "the" \\ `tick`',
    "100% %s %(agent)s %d %%",
    "{0} {agent} ${HOME} $(id) {{ ds }}",
    "a,b;c\td|e",
    "user001 ",
    " user001",
    "USER001",
    unicodedata.normalize("NFC", "José"),
    unicodedata.normalize("NFD", "José"),
    "NULL",
    "\\N",
    "\\.",
    "null",
    "NaN",
    "0",
    "-1",
    "1e5",
    "00012",
    "true",
    "+1 (2)",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\u202egnp.exe",
    "zero\u200bwidth\u00a0space\ufeff",
    "a/b\\c:d*e?f<g>h|i",
    "'; select pg_sleep(10); --",
    "&lt;b&gt; &amp; &#39;",
    "javascript:alert(1)",
    "\u0085next\u2028line\u2029paragraph",
    "\x1b[31mred\x1b[0m\x07",
)

_EVERY = 8


def name(n: int, usual: str, *, most: int = 255) -> str:
    """The text of the n-th user or game: every second is hostile while these last, cut to `most` characters.

    No two are equal: what the cutting makes equal is left out.
    """
    texts = tuple(dict.fromkeys(text[:most] for text in HOSTILE))
    return texts[n // 2] if n % 2 and n // 2 < len(texts) else usual


def marked(plain: str) -> str:
    """One `plain` id (hex or decimal) in eight with a hostile text before it, the others as they are.

    What was unique stays so, and the end of an id still tells what it told; at most 255 characters result.
    """
    chance = int(plain[-6:], 16)
    if chance % _EVERY:
        return plain
    return HOSTILE[chance // _EVERY % len(HOSTILE)] + plain
