"""Data of every kind give the same rows, in any order, and a split that stays."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from cairn.errors import EntryNotFoundError, LimitError, MalformedError, RequestError
from cairn.training.rows import Noticed, Row, lines, open_data, split
from cairn.training.rows.base import Rows, content

ROWS = [
    {"text": 'said "so", and\nwent', "label": "good"},
    {"text": "plain", "label": "bad"},
    {"text": "größer", "label": "good"},
]


def as_csv(path: Path) -> None:
    path.write_bytes(
        b'\xef\xbb\xbftext,label\r\n"said ""so"", and\nwent",good\r\n\r\nplain,bad\n'
        + "größer,good".encode()
    )


def as_json_lines(path: Path) -> None:
    path.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS))


def as_parquet(path: Path) -> None:
    parquet.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=2)


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.csv", as_csv), ("a.jsonl", as_json_lines), ("a.parquet", as_parquet)],
)
def test_rows_are_read_one_by_one_in_any_order(name: str, write, tmp_path: Path) -> None:
    write(tmp_path / name)
    rows = open_data(tmp_path / name).rows
    assert rows.columns == ("text", "label")
    assert [rows[number] for number in (2, 0, 1)] == [ROWS[2], ROWS[0], ROWS[1]]
    assert list(rows) == ROWS and len(rows) == 3


def test_quotes_and_odd_letters_in_values_lose_no_row(tmp_path: Path) -> None:
    table = tmp_path / "a.tsv"
    odd = "a\u2028b\x85c\x0bd\x0ce\x1cf"
    quoted = '"two\nlines, ""so"" it\tis"\tneg'
    table.write_text(f'text\tlabel\n6" pizza was good\tpos\n{odd}\tpos\n{quoted}\nend\tneg\n')
    rows = list(open_data(table).rows)
    assert [one["text"] for one in rows] == [
        '6" pizza was good',
        odd,
        'two\nlines, "so" it\tis',
        "end",
    ]
    table.write_text('\ufeff"te\nxt"\tlabel\na\tb\n', "utf-8")
    assert list(open_data(table).rows) == [{"te\nxt": "a", "label": "b"}]


def test_a_row_without_a_column_of_others_says_which_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": "c"}\n')
    rows = open_data(tmp_path / "a.jsonl").rows
    assert rows[0]["label"] == "b" and rows[1]["text"] == "c"
    with pytest.raises(MalformedError, match=r"a.jsonl: row 2 has no 'label'"):
        rows[1]["label"]
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.jsonl"}\n{"label": "b"}\n')
    with pytest.raises(MalformedError, match=r"metadata.jsonl: row 1 has no 'label'"):
        open_data(tmp_path / "metadata.jsonl").rows[0]["label"]
    with pytest.raises(MalformedError, match=r"metadata.jsonl: row 2 has no 'file_name'"):
        open_data(tmp_path / "metadata.jsonl").rows[1]


def test_a_line_that_ends_within_a_row_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_bytes(b"a,b\n1,2\r3,4\n")
    with pytest.raises(MalformedError, match="row 1 has an end of line within"):
        list(open_data(tmp_path / "old.csv").rows)


def test_a_row_that_is_none_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b\n1,2\n3\n")
    with pytest.raises(MalformedError, match=r"bad.csv: row 2 has 1 values, the head 2 names"):
        list(open_data(bad).rows)
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"a": 1}\n[1]\n')
    with pytest.raises(MalformedError, match=r"bad.jsonl: row 2 is no JSON object"):
        list(open_data(bad).rows)
    bad.write_bytes(b'{"a": 1}\n{"a": "\xff"}\n')
    with pytest.raises(MalformedError, match="UTF-8"):
        list(open_data(bad).rows)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(MalformedError, match=r"bad.parquet: no Parquet"):
        open_data(tmp_path / "bad.parquet")


def test_a_record_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_RECORD_BYTES", 10)
    (tmp_path / "long.jsonl").write_text('{"a": "more than ten bytes"}')
    with pytest.raises(LimitError):
        open_data(tmp_path / "long.jsonl")


def test_a_folder_is_one_data_set_whose_test_files_are_measured_with(tmp_path: Path) -> None:
    data = tmp_path / "set" / "data"
    data.mkdir(parents=True)
    for name, text in (("train-00000", "a"), ("train-00001", "b"), ("test-00000", "c")):
        (data / f"{name}.csv").write_text(f"text\n{text}\n")
    (tmp_path / "set" / "contest.csv").write_text("text\nd\n")  # "test" inside a word is no word
    found = open_data(tmp_path / "set")
    assert [row["text"] for row in found.rows] == ["d", "a", "b"]
    assert found.measured is not None
    assert [row["text"] for row in found.measured] == ["c"]
    (data / "test-00000.csv").write_text("text\nother\n")
    assert open_data(tmp_path / "set").digest != found.digest


def test_what_is_no_data_is_said(tmp_path: Path) -> None:
    with pytest.raises(EntryNotFoundError, match="nowhere"):
        open_data(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(RequestError, match=r"a.txt is not of a kind that is read: .csv"):
        open_data(tmp_path / "a.txt")
    with pytest.raises(RequestError, match="no file to learn from"):
        open_data(tmp_path)
    (tmp_path / "empty.csv").write_text("text,label\n")
    with pytest.raises(RequestError, match=r"empty.csv has no rows"):
        open_data(tmp_path / "empty.csv")


class Counted(Rows):
    """Rows without a file."""

    name, columns = "counted", ("n",)

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, number: int) -> dict[str, int]:
        return {"n": self.numbers[number]}


def test_a_row_stays_on_its_side_wherever_it_stands() -> None:
    def held_out(numbers: list[int]) -> set[int]:
        rows = Counted(numbers)
        return {numbers[at] for at in split(rows, 0.2, seed=3).held_out}

    before = held_out(list(range(1000)))
    assert 150 < len(before) < 250
    assert held_out(list(range(1999, -1, -1))) & set(range(1000)) == before
    both = split(Counted([7, 8, 9] * 100), 0.5, seed=0)
    assert len(both.learnt) % 100 == 0  # the same row is on one side only
    assert split(Counted(list(range(50))), 0.0, seed=0).learnt == range(50)


def test_of_few_rows_each_side_has_one_whatever_the_seed() -> None:
    for seed in range(50):
        for share in (0.001, 0.1, 0.999):
            rows = [1, 1, 2, 3, 3]
            sides = split(Counted(rows), share, seed)
            assert sides.learnt and sides.held_out
            assert not {rows[at] for at in sides.learnt} & {rows[at] for at in sides.held_out}


@pytest.mark.parametrize(
    ("rows", "told"), [([], "no rows"), ([1], "1 row,"), ([1, 1], "2 rows that all say the same")]
)
def test_rows_that_cannot_be_parted_are_an_error(rows: list[int], told: str) -> None:
    with pytest.raises(RequestError, match=told):
        split(Counted(rows), 0.1, seed=0)


def picture(path: Path, content: bytes = b"picture") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_files_without_a_table_have_the_name_of_their_folder(tmp_path: Path) -> None:
    for name in ("train/cat/1.png", "train/dog/2.jpg", "test/cat/3.png"):
        picture(tmp_path / name, name.encode())
    data = open_data(tmp_path)
    assert [(row["file"].name, row["label"]) for row in data.rows] == [
        ("1.png", "cat"),
        ("2.jpg", "dog"),
    ]
    assert data.measured is not None and data.measured[0]["label"] == "cat"
    picture(tmp_path / "test/cat/3.png", b"other")
    assert open_data(tmp_path).digest != data.digest


def test_a_table_tells_of_the_files_beside_it(tmp_path: Path) -> None:
    picture(tmp_path / "sounds" / "1.wav")
    picture(tmp_path / "sounds" / "copy.wav")
    (tmp_path / "metadata.csv").write_text(
        "file_name,text\nsounds/1.wav,yes\nsounds/copy.wav,yes\n../secret.wav,no\nnone.wav,no\n"
    )
    picture(tmp_path.parent / "secret.wav")
    rows = open_data(tmp_path).rows
    assert rows.columns == ("file", "text")
    assert rows[0] == {"file": (tmp_path / "sounds" / "1.wav").resolve(), "text": "yes"}
    assert content(rows[0]) == content(rows[1]), "a copy under another name says the same"
    with pytest.raises(MalformedError, match=r"row 3 names '../secret.wav'"):
        _ = rows[2]
    with pytest.raises(EntryNotFoundError, match=r"row 4 names none.wav"):
        _ = rows[3]


def test_rows_are_noticed_as_they_are_read_and_read_once_for_it() -> None:
    class Read(Counted):
        def __getitem__(self, number: int) -> Row:
            asked.append(number)
            return {"text": ["word", " ", "", None][number % 4], "words": [["a"], []][number % 2]}

    asked: list[int] = []
    texts = Noticed(Read(list(range(8))), ["text"])
    assert len(list(texts)) == 8 and texts.count_empty() == 4
    assert asked == list(range(8))
    words = Noticed(Read(list(range(8))), ["words", "not there"])
    _ = words[3]
    asked.clear()
    assert words.count_empty() == words.count_empty() == 4
    assert asked == [0, 1, 2, 4, 5, 6, 7], "those that were not read before"
