"""`TraceWriter`: steps as they are recorded → a trace on disk, shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.step import MaskedToken, PromptRows, Step
from attnviz_video.core.tokens import Token
from attnviz_video.core.trace import TraceHeader
from attnviz_video.errors import AttnVizError, TraceError
from attnviz_video.files import crc32, write_atomic
from attnviz_video.tracefile import format as fmt
from attnviz_video.tracefile.announced import announces_the_same, check_answer_tokens, check_final_header, check_prompt
from attnviz_video.tracefile.growing import Tables
from attnviz_video.tracefile.lock import FolderLock
from attnviz_video.tracefile.manifest import crc_text, save_manifest
from attnviz_video.tracefile.place import lock_of, partial_of, prepare_folder, remove_own_files, take_name
from attnviz_video.tracefile.shards import PackedStep, encode_prompt_rows, encode_shard, pack_step
from attnviz_video.tracefile.tables import encode_scalars, encode_steps, encode_tokens


class TraceWriter:
    """Writes one trace; holds at most one shard of rows in memory.

    It works in `<folder>.partial`, which is a readable trace of status "running" from the beginning and stays where it
    is when the run fails or is killed; `complete` gives it the name `folder`, replacing the trace that had it.
    As a context manager it marks the trace as failed when the block is left before `complete`.
    """

    def __init__(self, folder: Path, lock: FolderLock, layout: TokenLayout, manifest: fmt.Manifest) -> None:
        """Start the tables of an empty trace; `create` is the way to get a writer.

        Raises:
            DiskFullError, EnvironmentFault: they cannot be written.
        """
        self.folder = folder
        #: Where the trace lies until it is complete.
        self.workplace = partial_of(folder)
        self._lock = lock
        self._layout = layout
        self._manifest = manifest
        self._tables = Tables(self.workplace)
        self._pending: list[PackedStep] = []
        self._token_ids: list[int] = []
        self._closed = False

    @classmethod
    def create(
        cls,
        folder: Path,
        header: TraceHeader,
        layout: TokenLayout,
        prompt_tokens: Sequence[Token],
        images: Sequence[bytes],
        *,
        overwrite: bool = False,
    ) -> TraceWriter:
        """Start the trace `folder`; `images` are PNG files, one per image of the layout.

        Raises:
            UsageError: another run writes it, or `folder` holds what this program did not write (see `prepare_folder`).
            TraceError: the parts contradict each other, or the header holds what JSON cannot keep.
            DiskFullError, EnvironmentFault: the place cannot be written; nothing is left behind.
        """
        check_prompt(prompt_tokens, layout, images)
        folder = folder.resolve()
        lock = FolderLock(lock_of(folder))
        try:
            prepare_folder(folder, overwrite=overwrite)
            try:
                writer = cls(folder, lock, layout, _first_manifest(header, layout))
                writer._start(prompt_tokens, images)
            except BaseException:
                remove_own_files(partial_of(folder))
                raise
        except BaseException:
            lock.release()
            raise
        return writer

    def _start(self, prompt_tokens: Sequence[Token], images: Sequence[bytes]) -> None:
        """Write images, prompt and the first manifest."""
        entries = tuple(self._write(fmt.image_name(number), data) for number, data in enumerate(images))
        self._tables.tokens.append(encode_tokens(prompt_tokens, self._layout))
        self._save(replace(self._manifest, images=entries))

    @property
    def n_steps(self) -> int:
        """Steps added so far."""
        return len(self._token_ids)

    def add(self, step: Step) -> None:
        """Take the next step; every 8 to 16 recorded steps a shard is written.

        Raises:
            TraceError: it is not the next step, or not of the announced layers, heads and keys.
            DiskFullError, EnvironmentFault: the shard cannot be written; what was finished before stays readable, and
                what was added is tried again with the next step.
        """
        self._check_open()
        if step.info.index != self.n_steps:
            raise TraceError(f"step {step.info.index} was added where step {self.n_steps} is next")
        self._pending.append(pack_step(step, self._manifest.header, self._layout.n_prompt, len(self._layout.images)))
        self._token_ids.append(step.info.token_id)
        if self._shard_is_due():
            self._flush()

    def add_prompt_rows(self, rows: PromptRows) -> None:
        """Write the rows of the prompt's own queries of one layer.

        Raises:
            TraceError: the header announces none, or others.
            DiskFullError, EnvironmentFault: they cannot be written.
        """
        self._check_open()
        header, parts = self._manifest.header, self._manifest.prompt_rows
        if header.query_rows != "all":
            raise TraceError('prompt rows were added to a trace whose header says query_rows "answer"')
        if any(part.layer == rows.layer for part in parts):
            raise TraceError(f"the prompt rows of layer {rows.layer} were added twice")
        entry = self._write(fmt.prompt_name(rows.layer), encode_prompt_rows(rows, header, self._layout.n_prompt))
        self._save(replace(self._manifest, prompt_rows=(*parts, fmt.PromptEntry(entry, rows.layer))))

    def keep_masked(self, masked: Sequence[MaskedToken]) -> None:
        """Keep what an encoder would put in place of the mask tokens of its text.

        Raises:
            TraceError: the trace is no encoding, or the positions are none of its text.
            DiskFullError, EnvironmentFault: the manifest cannot be written.
        """
        self._check_open()
        manifest = replace(self._manifest, masked=tuple(masked))
        fmt.check_manifest(manifest, str(self.folder))
        self._save(manifest)

    def complete(self, answer_tokens: Sequence[Token], header: TraceHeader) -> Path:
        """Write the rest, give the trace its final name and return it; `header` holds the final start point.

        Raises:
            TraceError: the answer's tokens are not those of the steps, or the header announces other rows than before.
            DiskFullError, EnvironmentFault: it cannot be written; the former trace of that name is untouched.
        """
        self._check_open()
        if len(answer_tokens) != self.n_steps:
            raise TraceError(f"{len(answer_tokens)} answer tokens for {self.n_steps} steps")
        check_final_header(header, self._manifest)
        self._flush()
        with self._tables.all_or_nothing():
            self._keep_answer(answer_tokens)
            self._save(replace(self._manifest, status="complete", header=header))
        take_name(self.folder)
        self._close()
        return self.folder

    def fail(self, reason: str, answer_tokens: Sequence[Token] = (), header: TraceHeader | None = None) -> None:
        """Keep what is finished, marked as failed for `reason`; a full disk is not reported: an error came first.

        `header` holds the start point and what else became known; one that announces other rows is left aside.
        """
        if not self._closed and self.workplace.is_dir():
            with suppress(AttnVizError):
                self._flush()
            if self._manifest.status == "running":
                with suppress(AttnVizError):
                    self._keep_answer(answer_tokens[: self._manifest.n_steps])
            with suppress(AttnVizError):
                self._save(replace(self._manifest, status="failed", reason=" ".join(reason.split())[:500]))
            if header is not None and announces_the_same(header, self._manifest.header):
                with suppress(AttnVizError):
                    self._save(replace(self._manifest, header=header))
        self._close()

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.fail("the recording ended before it was complete")
        else:
            self.fail(f"{type(error).__name__}: {error}")

    def _shard_is_due(self) -> bool:
        recorded = sum(step.info.recorded for step in self._pending)
        heavy = sum(step.n_bytes for step in self._pending) >= fmt.SHARD_BYTES
        return (
            recorded >= fmt.STEPS_PER_SHARD
            or (recorded >= fmt.FEWEST_STEPS_PER_SHARD and heavy)
            or len(self._pending) >= fmt.LIGHT_STEPS_PER_SHARD
        )

    def _flush(self) -> None:
        """Write the pending steps: shard, then tables, then the manifest that makes them count."""
        if not self._pending:
            return
        infos = [step.info for step in self._pending]
        shards = self._manifest.shards
        entry = self._write(fmt.shard_name(len(shards)), encode_shard(self._pending))
        shard = fmt.ShardEntry(entry, infos[0].index, infos[-1].index + 1)
        with self._tables.all_or_nothing():
            self._tables.steps.append(encode_steps(infos))
            self._tables.scalars.append(encode_scalars(infos, self._manifest.header))
            self._save(replace(self._manifest, n_steps=shard.stop_step, shards=(*shards, shard)))
        self._pending.clear()

    def _keep_answer(self, tokens: Sequence[Token]) -> None:
        """Append the tokens of the first steps of an answer."""
        check_answer_tokens(tokens, self._token_ids[: len(tokens)], self._layout.n_prompt)
        self._tables.tokens.append(encode_tokens(tokens, self._layout))

    def _write(self, name: str, data: bytes) -> fmt.FileEntry:
        write_atomic(self.workplace / name, data)
        return fmt.FileEntry(name, len(data), crc_text(crc32(data)))

    def _save(self, manifest: fmt.Manifest) -> None:
        tables = self._tables
        manifest = replace(manifest, tokens=tables.tokens.entry, steps=tables.steps.entry, scalars=tables.scalars.entry)
        save_manifest(self.workplace, manifest)
        self._manifest = manifest

    def _close(self) -> None:
        self._pending.clear()
        self._closed = True
        self._lock.release()

    def _check_open(self) -> None:
        if self._closed:
            raise TraceError(f"the trace {self.folder} is closed: nothing can be added to it")


def _first_manifest(header: TraceHeader, layout: TokenLayout) -> fmt.Manifest:
    """A trace without steps."""
    nothing = fmt.FileEntry("", 0, crc_text(0))
    part = fmt.LayoutPart(layout.n_prompt, layout.images, layout.grids, layout.guessed)
    return fmt.Manifest("running", "", 0, header, part, nothing, nothing, nothing, (), (), ())
