"""Jobs -> events, all running answers in one forward.

One thread of its own computes: it takes in jobs, computes their prompts in pieces that are short enough for the others
not to stand still, and then one token of every running answer at once. An answer that ends makes room for the next at
the next step. Rows of running answers come first in the cache, without a gap, so that they are read as they lie.

transformers' own scheduler was not taken: it drops repetition penalties and seeds, gives no logprobs beside the chosen
token, never tells of a cancelled request, and lets no KV in or out.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

import torch

from backends.engines.base import EngineError, Load, NotReady
from backends.engines.torch_engine.answers import Answer, Event, Failed, Job
from backends.engines.torch_engine.base import (
    Adapters,
    Drafter,
    Loaded,
    OutOfMemory,
    Prefixes,
    PrefixKv,
    first_line,
)
from backends.engines.torch_engine.forwards import Forwards
from backends.engines.torch_engine.lanes import Lane, Pace
from backends.engines.torch_engine.sampling import Chosen, NoNumber, choose

Deliver = Callable[[list[tuple[Job, Event]]], None]


class Batcher:
    """What computes; every public method may be called from any thread.

    Args:
        places: answers that are computed at the same time.
        max_wait: seconds that the first job of a batch waits for others, where nothing runs.
        deliver: called on the compute thread with what happened in one step.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        places: int,
        max_wait: float,
        deliver: Deliver,
        adapters: Adapters | None = None,
        prefixes: Prefixes | None = None,
        drafter: Drafter | None = None,
    ) -> None:
        self._loaded, self._places, self._max_wait, self._deliver = loaded, places, max_wait, deliver
        self._adapters, self._prefixes, self._drafter = adapters, prefixes, drafter
        self._forwards = Forwards(loaded)
        self._changed = threading.Condition()
        self._inbox: list[Job] = []
        self._closing = False
        self._broken: NotReady | None = None
        self._waiting: deque[tuple[Answer, PrefixKv | None]] = deque()
        self._siblings: dict[Job, list[Answer]] = {}
        self._lanes: dict[str, Lane] = {}
        self._told: list[tuple[Job, Event]] = []
        self._pace = Pace()
        self._prompt_tokens = self._cached_tokens = self._drafted = self._accepted = 0
        self._steps = self._stepped = self._failures = 0
        self._thread = threading.Thread(target=self._run, name="torch-engine", daemon=True)

    def start(self) -> None:
        """Begin to compute what is submitted."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Have a job computed; what happens is delivered.

        Raises:
            NotReady: the accelerator has failed, or the engine is ending.
        """
        with self._changed:
            if self._broken is not None:
                raise self._broken
            if self._closing:
                raise NotReady("the engine is ending: ask another one")
            self._inbox.append(job)
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Free a job's places at the next step; nothing more is delivered of it then."""
        job.cancelled = True
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        """End what is under way; returns when nothing is computed any more."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def is_healthy(self) -> bool:
        """Tell whether it computes: its thread lives, and the accelerator has not failed."""
        return self._broken is None and not self._closing and self._thread.is_alive()

    def load(self) -> Load:
        """Return what it is busy with."""
        lanes = list(self._lanes.values())
        running = sum(len(lane) for lane in lanes)
        held = sum(answer.computed for lane in lanes for answer in (*lane.running, *lane.filling))
        return Load(
            running=running,
            waiting=len(self._waiting) + len(self._inbox),
            kv_used=held / (self._places * self._loaded.context),
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            drafted_tokens=self._drafted,
            accepted_tokens=self._accepted,
        )

    def gauges(self) -> dict[str, float]:
        """Return figures of batching: how full the forwards are, and what they made."""
        return {
            "forwards_total": float(self._forwards.count),
            "decode_steps_total": float(self._steps),
            "batch_occupancy": self._stepped / (self._steps * self._places) if self._steps else 0.0,
            "kv_bytes": float(sum(lane.cache.bytes_held() for lane in list(self._lanes.values()))),
            "prefill_piece_tokens": float(self._pace.piece),
            "failed_steps_total": float(self._failures),
            "flash_attention": float(self._forwards.flash),
        }

    def _run(self) -> None:
        with torch.inference_mode():
            while self._take_in():
                self._step()
                if self._told:
                    told, self._told = self._told, []
                    self._deliver(told)
        self._give_up(NotReady("the engine is ending: ask another one"))

    def _take_in(self) -> bool:
        """Wait until there is something to do; return False when all is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._inbox or self._closing or self._is_busy())
            if self._max_wait > 0 and not self._is_busy():
                self._changed.wait_for(
                    lambda: self._closing or sum(job.choices for job in self._inbox) >= self._places,
                    timeout=self._max_wait,
                )
            jobs, self._inbox = self._inbox, []
            if self._closing:
                self._inbox = jobs
                return False
        for job in jobs:
            first, *others = (
                Answer(job, choice, tokenizer=self._loaded.tokenizer, ends=self._loaded.ends)
                for choice in range(job.choices)
            )
            self._waiting.append((first, job.prefix))
            if others:
                self._siblings[job] = others
        return True

    def _is_busy(self) -> bool:
        return bool(self._waiting) or any(len(lane) for lane in self._lanes.values())

    def _step(self) -> None:
        self._drop_cancelled()
        self._admit()
        for adapter, lane in list(self._lanes.items()):
            for work in (self._fill, self._grow):
                try:
                    if self._adapters is None:
                        work(lane)
                    else:
                        with self._adapters.applied(adapter):
                            work(lane)
                # Whatever a model, an adapter or a driver raises ends some jobs, never the thread that serves all.
                except Exception as error:  # noqa: BLE001 - see above
                    self._fail(lane, error, filling=work == self._fill)

    def _drop_cancelled(self) -> None:
        for lane in self._lanes.values():
            for answer in [one for one in (*lane.running, *lane.filling) if one.job.cancelled]:
                lane.remove(answer)
        if any(answer.job.cancelled for answer, _ in self._waiting):
            self._waiting = deque((answer, prefix) for answer, prefix in self._waiting if not answer.job.cancelled)
        for job in [job for job in self._siblings if job.cancelled]:
            del self._siblings[job]
        for adapter in [adapter for adapter, lane in self._lanes.items() if adapter and not len(lane)]:
            del self._lanes[adapter]

    def _admit(self) -> None:
        free = self._places - sum(len(lane) for lane in self._lanes.values())
        while free > 0 and self._waiting:
            answer, prefix = self._waiting.popleft()
            adapter = answer.job.adapter
            if adapter not in self._lanes:
                self._lanes[adapter] = Lane(self._forwards.cache())
            lane = self._lanes[adapter]
            lane.admit(answer)
            free -= 1
            if prefix is not None:
                self._use(lane, answer, prefix)

    def _use(self, lane: Lane, answer: Answer, prefix: PrefixKv) -> None:
        """Begin behind a prefix that was found; where that cannot be, the prompt is computed instead."""
        shape = self._loaded.kv_heads, self._loaded.head_dim
        fits = len(prefix.layers) == len(self._loaded.windows) and 0 < prefix.tokens < answer.prompt
        if not fits or any((part.shape[0], part.shape[2]) != shape for layer in prefix.layers for part in layer):
            self._failures += 1
            return
        try:
            lane.cache.put(answer.row, prefix.layers, stop=prefix.tokens)
        except (torch.OutOfMemoryError, RuntimeError):
            self._failures += 1
            return
        answer.computed = prefix.tokens
        if answer.choice == 0:
            answer.job.cached = prefix.tokens
            self._cached_tokens += prefix.tokens

    def _fill(self, lane: Lane) -> None:
        """Compute a piece of the first prompts; those that are complete get their first token, others queue up again.

        So a short prompt never waits for the whole of a long one.
        """
        if not lane.filling:
            return
        budget, new, chosen = self._pace.piece, 0, list[Answer]()
        for answer in lane.filling:
            need = min(len(answer.uncomputed), budget)
            if chosen and (len(chosen) + 1) * max(new, need) > budget:
                break
            chosen.append(answer)
            new = max(new, need)
        chosen.sort(key=lambda answer: answer.row)
        pieces = [answer.uncomputed[:new] for answer in chosen]
        began = time.perf_counter()
        logits = self._forwards.compute(
            lane.cache,
            [answer.row for answer in chosen],
            pieces,
            starts=[answer.computed for answer in chosen],
            keep=[len(piece) - 1 for piece in pieces],
        )
        complete = [at for at, answer in enumerate(chosen) if answer.computed + len(pieces[at]) == len(answer.ids)]
        first = self._choose(lane, logits[complete], [chosen[at] for at in complete]) if complete else []
        seconds = time.perf_counter() - began
        for answer, piece in zip(chosen, pieces, strict=True):
            answer.computed += len(piece)
            answer.seconds += seconds
        self._pace.learn(len(chosen) * new, seconds)
        rest = [answer for answer in lane.filling if answer in chosen and answer.uncomputed]
        lane.filling = [answer for answer in lane.filling if answer not in rest] + rest
        for answer, token in first:
            self._begin(lane, answer, token)

    def _begin(self, lane: Lane, answer: Answer, token: Chosen) -> None:
        """Let an answer run whose prompt has been computed, and its siblings begin with the same KV."""
        job = answer.job
        if answer.choice == 0:
            self._prompt_tokens += answer.prompt
            self._keep(lane, answer, computed=answer.prompt - job.cached, seconds=answer.seconds)
            siblings = self._siblings.pop(job, ())
            if siblings:
                whole = answer.prompt - 1
                layers = tuple((keys.clone(), values.clone()) for keys, values in lane.cache.read(answer.row, 0, whole))
                shared = PrefixKv(whole, layers) if whole else None
                self._waiting.extendleft((sibling, shared) for sibling in reversed(siblings))
        lane.promote(answer)
        self._take(lane, answer, token)

    def _keep(self, lane: Lane, answer: Answer, *, computed: int, seconds: float) -> None:
        if self._prefixes is not None:
            self._prefixes.keep(
                answer.ids[: answer.computed],
                adapter=answer.job.adapter,
                salt=answer.job.salt,
                export=lambda start, stop: lane.cache.read(answer.row, start, stop),
                computed=computed,
                seconds=seconds,
            )

    def _grow(self, lane: Lane) -> None:
        """Compute one token of every running answer, or several of one where a draft model proposes them."""
        running = list(lane.running)
        if not running:
            return
        self._steps += 1
        self._stepped += len(running)
        if self._drafter is not None and len(running) == 1 and not self._is_shared(lane):
            self._draft(lane, running[0], self._drafter)
            return
        logits = self._forwards.compute(
            lane.cache,
            [answer.row for answer in running],
            [answer.ids[-1:] for answer in running],
            starts=[answer.computed for answer in running],
            keep=[0] * len(running),
        )
        for answer in running:  # before any of them ends and rows are moved
            answer.computed += 1
        for answer, token in self._choose(lane, logits, running):
            self._take(lane, answer, token)

    def _choose(self, lane: Lane, logits: torch.Tensor, answers: list[Answer]) -> list[tuple[Answer, Chosen]]:
        """Return a token for each answer; those whose logits are no numbers are given up, alone."""
        try:
            return list(zip(answers, choose(logits, [answer.chooser for answer in answers]), strict=True))
        except NoNumber as error:
            for row in error.rows:
                lane.cache.wipe(answers[row].row)
                self._fail_job(answers[row].job, self._told_as(error))
            kept = [at for at, answer in enumerate(answers) if not answer.job.cancelled]
            return self._choose(lane, logits[kept], [answers[at] for at in kept]) if kept else []

    def _is_shared(self, lane: Lane) -> bool:
        return bool(lane.filling or self._waiting) or any(len(one) for one in self._lanes.values() if one is not lane)

    def _draft(self, lane: Lane, answer: Answer, drafter: Drafter) -> None:
        began = time.perf_counter()
        room = min(answer.left, self._loaded.context - len(answer.ids)) - 1
        proposed = list(drafter.propose(answer.ids, at_most=room)) if room > 0 else []
        logits = self._forwards.compute(
            lane.cache, [answer.row], [[answer.ids[-1], *proposed]], starts=[answer.computed], keep=None
        )[0]
        likeliest = logits.argmax(dim=-1).tolist() if answer.chooser.sampling.plain else None
        accepted = 0
        for at in range(len(proposed) + 1):
            if likeliest is not None and at > 0:  # choosing the first looks whether there are numbers at all
                token = Chosen(likeliest[at])
            elif chosen := self._choose(lane, logits[at : at + 1], [answer]):
                token = chosen[0][1]
            else:
                return
            answer.computed += 1
            self._take(lane, answer, token)
            if answer.finish or at == len(proposed) or token.token != proposed[at]:
                break
            accepted += 1
        self._drafted += len(proposed)
        self._accepted += accepted
        drafter.settle(proposed=len(proposed), accepted=accepted, seconds=time.perf_counter() - began)

    def _take(self, lane: Lane, answer: Answer, token: Chosen) -> None:
        grown = answer.take(token)
        if grown is not None:
            self._told.append((answer.job, grown))
        if answer.finish:
            answer.job.open -= 1
            self._keep(lane, answer, computed=0, seconds=0.0)
            lane.remove(answer)

    def _fail(self, lane: Lane, error: Exception, *, filling: bool) -> None:
        """End as few jobs as may help: where memory ran out the last, at any other fault all of them."""
        self._failures += 1
        told = self._told_as(error)
        concerned = list(lane.filling if filling else lane.running)
        if isinstance(told, OutOfMemory) and concerned:
            concerned = concerned[-1:]
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        for job in {id(answer.job): answer.job for answer in concerned}.values():
            self._fail_job(job, told)
        if isinstance(error, torch.AcceleratorError):
            self._broken = NotReady(f"the accelerator has failed: {first_line(error)}; start the engine again")
            self._give_up(self._broken)

    def _fail_job(self, job: Job, error: EngineError) -> None:
        self._told.append((job, Failed(error)))
        job.cancelled = True
        self._drop_cancelled()

    def _told_as(self, error: Exception) -> EngineError:
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error):
            text = f"no memory is left for this request on {self._loaded.device}: ask for less, or later"
            return OutOfMemory(text)
        return EngineError(f"the model could not compute this: {type(error).__name__}: {first_line(error)}")

    def _give_up(self, error: EngineError) -> None:
        """End every job that there is."""
        with self._changed:
            jobs, self._inbox = self._inbox, []
        answers = [answer for lane in self._lanes.values() for answer in (*lane.running, *lane.filling)]
        answers += [answer for answer, _ in self._waiting]
        known = {id(answer.job): answer.job for answer in answers} | {id(job): job for job in jobs}
        self._lanes.clear()
        self._waiting.clear()
        self._siblings.clear()
        self._deliver([(job, Failed(error)) for job in known.values() if not job.cancelled])
