"""Tags and metadata of messages that came over the API, for the events of these messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from waypost.control.event_log_documents import Labels
from waypost.control.submissions import Notes

NotesOf = Callable[[Sequence[int]], Awaitable[Mapping[int, Notes]]]

AT_ONCE = 500


class SubmittedLabels:
    """Implements Labelled over what submissions have left."""

    def __init__(self, notes: NotesOf) -> None:
        self._notes = notes

    async def labels(self, messages: Collection[int]) -> Mapping[int, Labels]:
        """See Labelled."""
        found: dict[int, Labels] = {}
        wanted = sorted(messages)
        for start in range(0, len(wanted), AT_ONCE):
            notes = await self._notes(wanted[start : start + AT_ONCE])
            found |= {one: Labels(note.tags, note.metadata) for one, note in notes.items()}
        return found
