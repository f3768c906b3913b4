"""Speech becomes text: wav2vec2 and its kin spell letters, Whisper writes tokens.

Sounds are read by soundfile and brought to the rate of the base by scipy, so neither ffmpeg nor
torchaudio is needed. CTC: Graves et al., 2006, https://doi.org/10.1145/1143844.1143891
"""

import io
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import torch
from torch import Tensor, nn

from cairn.errors import MalformedError, RequestError
from cairn.formats.fetched_folders import called
from cairn.training.finetuning.bases import config_of, load_model, loaded
from cairn.training.finetuning.measures.texts import error_rates
from cairn.training.finetuning.tasks.base import Batch, Example, Materials, Objective, Roles, Task
from cairn.training.finetuning.tasks.texts import IGNORED, text_of
from cairn.training.libraries import library
from cairn.training.rows import Row

_LONGEST_WRITTEN = 225  # tokens of 30 seconds, as Whisper's own evaluation has it
_HEAD_BYTES = 8  # of a WAV: "RIFF", and how many bytes follow
_UNKNOWN_LENGTH = 0x7FFFFFFF  # bytes: what writers to a pipe say is this or more


class Speech(Task):
    """What both ways share: sounds, texts, and errors of words."""

    roles: ClassVar[Roles] = {
        "audio": ("audio", "file", "sound"),
        "text": ("text", "sentence", "transcription", "transcript"),
    }
    texts: ClassVar[Sequence[str]] = ("text",)
    objective = Objective("wer", highest=False)
    head_stays = True
    loader: ClassVar[str]

    def __init__(self, materials: Materials) -> None:
        super().__init__(materials)
        library("soundfile")
        self.processor = loaded("AutoProcessor", materials.base)
        if not hasattr(self.processor, "tokenizer"):
            raise RequestError(
                f"{called(materials.base)} has no tokenizer: take a base that has one"
            )
        self.model, self.heads = load_model(self.loader, materials.base, self.recipe.method)

    def _features(self, row: Row) -> Any:
        rate = self.processor.feature_extractor.sampling_rate
        sound = sound_of(row, self.columns["audio"], rate)
        made = self.processor.feature_extractor(sound, sampling_rate=rate, return_tensors="pt")
        return made[self.processor.feature_extractor.model_input_names[0]][0]

    def _labels(self, row: Row) -> list[int]:
        text = text_of(row, self.columns["text"])
        found: list[int] = self.processor.tokenizer(text)["input_ids"]
        return found

    def _true(self, batch: Batch, **how: Any) -> list[str]:
        tokenizer = self.processor.tokenizer
        labels = batch["labels"]
        tokens = labels.masked_fill(labels == IGNORED, tokenizer.pad_token_id)
        found: list[str] = tokenizer.batch_decode(tokens, skip_special_tokens=True, **how)
        return found

    def measure(self, answers: list[Any]) -> dict[str, float]:
        """`wer`, `cer`."""
        return error_rates(answers)


class Spelling(Speech):
    """`AutoModelForCTC`."""

    loader = "AutoModelForCTC"

    def __init__(self, materials: Materials) -> None:
        super().__init__(materials)
        self.model.config.ctc_loss_reduction = "mean"  # the sum grows with the length of texts
        self.model.config.ctc_zero_infinity = True  # a sound too short for its text
        letters = [one for one in self.processor.tokenizer.get_vocab() if len(one) == 1]
        self._is_upper = not any(one.islower() for one in letters)

    def _labels(self, row: Row) -> list[int]:
        """Letters in the case that the base knows."""
        text = text_of(row, self.columns["text"])
        text = text.upper() if self._is_upper else text
        found: list[int] = self.processor.tokenizer(text)["input_ids"]
        return found

    def example(self, row: Row) -> Example:
        """Samples of the sound, and numbers of letters."""
        return {"input_values": self._features(row), "labels": self._labels(row)}

    def collate(self, examples: list[Example]) -> Batch:
        """Both padded to the longest; bases that were trained with silence there hear silence."""
        sounds = [one["input_values"] for one in examples]
        pad = nn.utils.rnn.pad_sequence
        labels = [torch.tensor(one["labels"]) for one in examples]
        batch = {
            "input_values": pad(sounds, batch_first=True),
            "labels": pad(labels, batch_first=True, padding_value=IGNORED),
        }
        if self.processor.feature_extractor.return_attention_mask:
            masks = [torch.ones_like(sound).long() for sound in sounds]
            batch["attention_mask"] = pad(masks, batch_first=True)
        return batch

    def answers(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Iterable[Any]]:
        """The likeliest letters, repeats and blanks taken out; and the true text."""
        told = model(**batch)
        found = self.processor.tokenizer.batch_decode(told.logits.argmax(-1))
        return told.loss, zip(found, self._true(batch, group_tokens=False), strict=True)


class Writing(Speech):
    """`AutoModelForSpeechSeq2Seq`."""

    loader = "AutoModelForSpeechSeq2Seq"

    def example(self, row: Row) -> Example:
        """Features of the sound, and tokens without the first, which the model puts there.

        A text is cut where the model's own end: Whisper writes 448 tokens for 30 seconds.
        """
        tokens = self._labels(row)
        if tokens and tokens[0] == self.model.config.decoder_start_token_id:
            tokens = tokens[1:]
        longest = getattr(self.model.config, "max_target_positions", None)
        return {"input_features": self._features(row), "labels": tokens[:longest]}

    def collate(self, examples: list[Example]) -> Batch:
        """Features are of one length; texts are padded to the longest."""
        labels = [torch.tensor(one["labels"]) for one in examples]
        return {
            "input_features": torch.stack([one["input_features"] for one in examples]),
            "labels": nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=IGNORED),
        }

    def answers(self, model: Any, batch: Batch) -> tuple[Tensor, Iterable[Any]]:
        """The text written greedily, and the true one."""
        loss = model(**batch).loss
        longest = min(_LONGEST_WRITTEN, batch["labels"].shape[1] + 8)
        written = model.generate(
            input_features=batch["input_features"],
            max_new_tokens=longest,
            do_sample=False,
            num_beams=1,
        )
        found = self.processor.tokenizer.batch_decode(written, skip_special_tokens=True)
        return loss, zip(found, self._true(batch), strict=True)


def speech(materials: Materials) -> Speech:
    """The way of the base, by its configuration."""
    named = config_of(materials.base).get("architectures") or []
    writes = any(str(one).endswith("ForConditionalGeneration") for one in named)
    return Writing(materials) if writes else Spelling(materials)


def sound_of(row: Row, column: str, rate: int) -> Any:
    """The sound in a column, of one channel, at `rate` samples a second: float32 from -1 to 1.

    Raises:
        MalformedError: it is none.
    """
    soundfile = library("soundfile")
    value = row[column]
    if isinstance(value, dict):
        value = value.get("bytes")
    name = value.name if isinstance(value, Path) else column
    try:
        place = value.open("rb") if isinstance(value, Path) else io.BytesIO(value)
        with place:
            _check_whole(place, name)
            sound, its_rate = soundfile.read(place, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, TypeError, OSError) as error:
        raise MalformedError(f"no sound: {error}", source=name) from None
    mono = sound.mean(axis=1)
    if its_rate == rate:
        return mono
    common = math.gcd(rate, its_rate)
    signal = library("scipy.signal")
    return signal.resample_poly(mono, rate // common, its_rate // common).astype("float32")


def _check_whole(file: BinaryIO, name: str) -> None:
    """Refuse a WAV that is cut off, of which libsndfile reads what there is.

    Its head says how long it is; programs that write to a pipe say the most there can be, or 0.
    """
    head = file.read(_HEAD_BYTES)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    said = int.from_bytes(head[4:], "little") + _HEAD_BYTES
    if head[:4] == b"RIFF" and size < said < _UNKNOWN_LENGTH:
        raise MalformedError(f"{size:,} of {said:,} bytes: it is cut off", source=name)
