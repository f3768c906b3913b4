"""What of rows and bases does not fit is said before training, and what fits is not lost."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from cairn.domain.finetuning import FineTuning, Method, TaskName
from cairn.errors import MalformedError, RequestError
from cairn.formats.fetched_folders import called
from cairn.training import steps
from cairn.training.finetuning.tasks import Materials
from cairn.training.finetuning.tasks.sentence_similarity import SentenceSimilarity
from cairn.training.finetuning.tasks.speech import Writing, sound_of
from cairn.training.finetuning.tasks.text_generation import TextGeneration
from cairn.training.libraries import library
from cairn.training.rows import open_data
from tests.training.finetuning import bases, toys
from tests.training.finetuning.work import done


def table(path: Path, *rows: str) -> Path:
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def test_held_out_rows_may_have_a_class_of_their_own(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    held = table(tmp_path / "held.csv", "text,label", "the film was good,good", "a book,rare")
    results, _ = done(bert, reviews, tmp_path / "out", eval_data=held, steps=1, method=Method.FULL)
    assert results["held_out"] == 2
    said = json.loads((tmp_path / "out" / "config.json").read_text())
    assert set(said["label2id"]) == {"bad", "good", "rare"}


def test_columns_and_labels_of_held_out_rows_are_looked_at_before_training(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    other = table(tmp_path / "other.csv", "text,stars", "the film was good,good")
    with pytest.raises(RequestError, match=r"other.csv, .* has no column 'label' as reviews.csv"):
        done(bert, reviews, tmp_path / "out", eval_data=other, steps=1)
    none = table(tmp_path / "none.csv", "text,label", "the film was good,")
    with pytest.raises(RequestError, match=r"none\.csv, row 1: 'label' is '' in a row"):
        done(bert, reviews, tmp_path / "out", eval_data=none, steps=1)


def test_values_that_are_no_classes_are_refused(bert: Path, tmp_path: Path) -> None:
    rows = [f"the film was {n},{n}" for n in range(40)]
    each = table(tmp_path / "each.csv", "text,label", *rows)
    with pytest.raises(RequestError, match="'label' has another value in every row"):
        done(bert, each, tmp_path / "out", steps=1)


def test_a_row_that_does_not_do_is_named_and_what_was_learnt_is_saved(
    bert: Path, tmp_path: Path
) -> None:
    rows = [{"tokens": ["film", f"w{n}"], "tags": ["O", "B-X"]} for n in range(40)]
    rows[30]["tags"] = ["O"]
    data = table(tmp_path / "data.jsonl", *map(json.dumps, rows))
    told = {"task": TaskName.TOKEN_CLASSIFICATION, "learning_rate": 0.01, "batch_size": 1}
    with pytest.raises(RequestError, match=r"data.jsonl, row 31: it has 2 words and 1 tags"):
        done(bert, data, tmp_path / "out", steps=80, **told)
    (saved,) = steps(tmp_path / "out/run")
    assert saved < 40, "before the row was met"


def test_a_base_of_several_labels_learns_one(bert: Path, reviews: Path, tmp_path: Path) -> None:
    import transformers

    base = tmp_path / "base"
    model = transformers.AutoModelForMaskedLM.from_pretrained(bert)
    model.config.problem_type = "multi_label_classification"
    model.save_pretrained(base)
    transformers.AutoTokenizer.from_pretrained(bert).save_pretrained(base)
    assert "multi_label" in (base / "config.json").read_text()
    done(base, reviews, tmp_path / "out", steps=1, method=Method.FULL)
    assert "single_label" in (tmp_path / "out" / "config.json").read_text()


def test_a_long_prompt_loses_its_start_and_the_text_stays(tmp_path: Path) -> None:
    data = table(tmp_path / "asked.csv", "prompt,text", f"{'the ' * 20}film was,very good")
    task = generation(bases.gpt2(tmp_path / "gpt2"), data, max_length=6)
    made = task.example({"prompt": f"{'the ' * 20}film was", "text": "very good"})
    assert task.processor.decode(made["input_ids"]) == "the film was very good [SEP]"
    assert made["labels"] == [-100] * 3 + made["input_ids"][3:]
    made = task.example({"prompt": "the", "text": "good " * 9})
    assert made["labels"] == made["input_ids"] and len(made["labels"]) == 6


def test_a_text_begins_as_the_tokenizer_begins_it(tmp_path: Path) -> None:
    base = bases.gpt2(tmp_path / "gpt2")
    tokenizer = bases.tokenizer()
    tokenizer.bos_token = "[CLS]"
    tokenizer.save_pretrained(base)
    task = generation(base, table(tmp_path / "a.csv", "text", "a film", "a book"), max_length=6)
    made = task.example({"text": "a film"})
    assert task.processor.decode(made["input_ids"]) == "[CLS] a film [SEP]"
    assert task.model.loss_type == "ForCausalLM", "else transformers warns of finding it"
    assert made["labels"] == [-100, *made["input_ids"][1:]]


def generation(base: Path, data: Path, max_length: int) -> TextGeneration:
    recipe = FineTuning(str(base), str(data), TaskName.TEXT_GENERATION, max_length=max_length)
    return TextGeneration(Materials(base, recipe, open_data(data).rows))


def test_a_base_without_words_of_its_own_is_refused(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(bert, tmp_path / "base")
    for path in base.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(RequestError, match=r"base has no tokenizer: lay tokenizer\.json and"):
        done(base, reviews, tmp_path / "out", steps=1)


def test_weights_that_are_cut_off_are_told_as_such(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(bert, tmp_path / "base")
    content = (base / "model.safetensors").read_bytes()
    (base / "model.safetensors").write_bytes(content[:-100])
    with pytest.raises(MalformedError, match=r"model.safetensors.*fetch base again"):
        done(base, reviews, tmp_path / "out", steps=1)


@pytest.mark.parametrize("is_kept_whole", [True, False])
def test_a_sound_that_is_cut_off_is_refused(is_kept_whole: bool, tmp_path: Path) -> None:
    sound = tmp_path / "a.wav"
    soundfile.write(sound, np.zeros(1600), 16_000)
    content = sound.read_bytes()
    sound.write_bytes(content if is_kept_whole else content[:-1000])
    row = {"audio": sound}
    if is_kept_whole:
        assert len(sound_of(row, "audio", 8_000)) == 800
        piped = content[:4] + b"\xff\xff\xff\xff" + content[8:]
        assert len(sound_of({"audio": piped}, "audio", 16_000)) == 1600
        return
    with pytest.raises(MalformedError, match=r"a.wav: 2,244 of 3,244 bytes: it is cut off"):
        sound_of(row, "audio", 8_000)


def similarity(base: Path, data: Path) -> SentenceSimilarity:
    recipe = FineTuning(str(base), str(data), TaskName.SENTENCE_SIMILARITY, max_length=20)
    return SentenceSimilarity(Materials(base, recipe, open_data(data).rows))


def test_vectors_are_described_for_sentence_transformers(bert: Path, tmp_path: Path) -> None:
    task, out = similarity(bert, toys.triplets(tmp_path / "a.jsonl", 4)), tmp_path / "out"
    task.save(task.model, out)
    modules = json.loads((out / "modules.json").read_text())
    assert [(one["path"], one["type"].rpartition(".")[2]) for one in modules] == [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        ("2_Normalize", "Normalize"),
    ]
    pooling = json.loads((out / "1_Pooling/config.json").read_text())
    assert pooling["word_embedding_dimension"] == 16
    assert [name for name, value in pooling.items() if value is True] == [
        "pooling_mode_mean_tokens"
    ]
    assert json.loads((out / "sentence_bert_config.json").read_text())["max_seq_length"] == 20


@pytest.mark.slow
@pytest.mark.parametrize("method", [Method.FULL, Method.LORA])
def test_sentence_transformers_gives_the_vectors_that_were_trained(
    method: Method, bert: Path, tmp_path: Path
) -> None:
    library = pytest.importorskip("sentence_transformers")
    data, out = toys.triplets(tmp_path / "a.jsonl", 40), tmp_path / "out"
    told = {"task": TaskName.SENTENCE_SIMILARITY, "method": method, "learning_rate": 0.01}
    done(bert, data, out, steps=4, **told)
    texts = ["a good film", "we was very sad and it was not a book at all"]
    found = torch.tensor(library.SentenceTransformer(str(out), device="cpu").encode(texts))
    base = similarity(bert, data)
    if method is Method.LORA:
        import peft

        base.model = peft.PeftModel.from_pretrained(base.model, out)
    else:
        base.model = type(base.model).from_pretrained(out)
    batch = base.collate([{"first": base.processor(text)} for text in texts])
    wanted = base._vectors(base.model.eval(), batch)[:, 0]
    assert torch.allclose(found, wanted, atol=1e-6)


def test_a_text_longer_than_whisper_writes_is_cut(tmp_path: Path) -> None:
    base, sound = bases.whisper(tmp_path / "whisper"), tmp_path / "a.wav"
    soundfile.write(sound, np.zeros(1600), 16_000)
    data = table(tmp_path / "metadata.csv", "file_name,text", f"a.wav,{'good ' * 200}")
    recipe = FineTuning(str(base), str(data), TaskName.SPEECH_RECOGNITION)
    rows = open_data(data).rows
    task = Writing(Materials(base, recipe, rows))
    batch = task.collate([task.example(rows[0])])
    assert batch["labels"].shape[1] == task.model.config.max_target_positions
    assert task.loss(task.model, batch).isfinite()


def test_rows_without_a_text_are_counted_before_training(bert: Path, tmp_path: Path) -> None:
    rows = [f"the film was {word},{word}" for word in ("good", "bad") * 8]
    data = table(tmp_path / "data.csv", "text,label", *rows, "  ,bad", ",good")
    said: list[str] = []
    more = {"said": said.append, "steps": 1}
    results, _ = done(bert, data, tmp_path / "out", **more)
    assert said == ["2 of 18 rows of data.csv have nothing in 'text', and are used as they are"]
    assert results["empty"] == 2 and tuple(results["classes"]) == ("bad", "good")
    assert "2 had no text" in (card := (tmp_path / "out" / "README.md").read_text())
    assert "0 `bad`, 1 `good`" in card
    held = table(tmp_path / "held.csv", "text,label", *rows)
    results, _ = done(bert, data, tmp_path / "measured", eval_data=held, **more)
    assert results["empty"] == 2 and len(said) == 2


def test_columns_are_found_by_the_names_that_the_guide_gives_them(
    bert: Path, tmp_path: Path
) -> None:
    pairs = table(tmp_path / "pairs.csv", "first,second,third", "a film,a book,the book")
    assert set(similarity(bert, pairs).columns) == {"first", "second", "third"}
    scored = table(tmp_path / "scored.csv", "first,second,score", "a film,a book,0.5")
    assert set(similarity(bert, scored).columns) == {"first", "second", "score"}


def test_what_libraries_advise_while_they_are_imported_is_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    advice = 'import logging\nlogging.getLogger("bitsandbytes.ops").warning("install more")\n'
    (tmp_path / "advising.py").write_text(advice)
    monkeypatch.syspath_prepend(tmp_path)
    library("advising")
    assert not caplog.records


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("tiny-bert", "tiny-bert"),
        (f"cache/models--org--my-base/snapshots/{'a1' * 20}", "org/my-base"),
        (f"repos/models/org--my--base/{'a1' * 20}", "org/my--base"),
        (f"some/{'a1' * 20}", "a1" * 20),
    ],
)
def test_messages_call_a_fetched_base_by_its_repo(folder: str, name: str) -> None:
    assert called(Path(folder)) == name
