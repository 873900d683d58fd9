"""What people write into a search field, and by which three letters it is found in an index.

Text is compared without regard to case, in every alphabet (`casefold`). White space parts words,
all of which must be found somewhere; quotation marks keep what belongs together. Nothing else has a
meaning: whatever is written is looked for as it stands.

The index knows in which messages three letters occur one after the other (*trigrams*). A word of
five letters has three of them, and a message that has them all very likely has the word; the few
that do not are sorted out by looking at the message. A handful of rare trigrams narrows a million
messages down as well as all of them would, and quicker.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from waypost.mail.encoded_words import decode_encoded_words
from waypost.spool.contract import MessageRow
from waypost.spool.search import SearchText

MAXIMUM_WORDS: Final = 20

TRIGRAMS: Final = 6
"""How many of them a query asks for. Measured: 4 leave ten times as many messages to look at, 12
take three times as long."""

SAMPLED: Final = 100
"""Texts by which trigrams are told to be common."""

LONGEST_TEXT: Final = 64 * 1024
"""Characters of one message that are indexed."""

_WORD: Final = re.compile(r'"([^"]+)"?|([^\s"]+)')

_FREQUENT: Final = "eaiotnrslcmdu.@p"
"""Letters of addresses and subjects, the most frequent first."""


def words_of(text: str) -> tuple[str, ...]:
    """The words of a search, folded; no more than MAXIMUM_WORDS."""
    found = [(quoted or plain).casefold() for quoted, plain in _WORD.findall(text)]
    return tuple(dict.fromkeys(word for word in found if word.strip()))[:MAXIMUM_WORDS]


def indexed_text(text: SearchText) -> str:
    """All that a message is found by, folded."""
    decoded = decode_encoded_words(text.subject)
    parts = [text.subject, decoded] if decoded != text.subject else [text.subject]
    whole = "\n".join([*parts, text.others])
    return whole[:LONGEST_TEXT].casefold().replace("\0", " ")


def has_words(row: MessageRow, words: Sequence[str]) -> bool:
    """Whether each word is in an address, the Subject or the Message-ID of a message."""
    if not words:
        return True
    subject = row.subject
    places = [row.reverse_path, row.message_id, subject]
    places += [recipient.address for recipient in row.recipients]
    decoded = decode_encoded_words(subject)
    if decoded != subject:
        places.append(decoded)
    folded = [place.casefold() for place in places]
    return all(any(word in place for place in folded) for word in words)


def trigrams_of(word: str) -> Iterable[str]:
    """Each three letters in a row; none of a word that is shorter."""
    return (word[at : at + 3] for at in range(len(word) - 2))


class CommonTrigrams:
    """Which trigrams are in so many messages that asking for them narrows nothing down."""

    def __init__(self) -> None:
        self._share: Mapping[str, float] = {}

    def learn(self, texts: Sequence[str]) -> None:
        """From texts as they are indexed."""
        sample = texts[-SAMPLED:]
        counted: Counter[str] = Counter()
        for text in sample:
            counted.update(set(trigrams_of(text)))
        self._share = {
            trigram: count / len(sample) for trigram, count in counted.items() if count > 1
        }

    def rarest(self, words: Iterable[str]) -> tuple[str, ...]:
        """The trigrams by which to look for words; () where there are none."""
        trigrams = dict.fromkeys(
            trigram for word in words for trigram in trigrams_of(word) if "\0" not in trigram
        )
        return tuple(sorted(trigrams, key=self._use)[:TRIGRAMS])

    def _use(self, trigram: str) -> tuple[float, int]:
        frequent = (len(_FREQUENT) - _FREQUENT.find(letter) for letter in trigram)
        return self._share.get(trigram, 0.0), sum(n for n in frequent if n <= len(_FREQUENT))


def expression(trigrams: Sequence[str]) -> str:
    """As FTS5 is asked for messages that have them all. Quoted, no sign in them has a meaning."""
    return " AND ".join('"' + trigram.replace('"', '""') + '"' for trigram in trigrams)
