"""What is read from files, what is refused, and what is said about it."""

import gzip
import io
import itertools
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from trainer import load_dataset
from trainer.datasets import files, tables
from trainer.datasets.choice import ArgumentsNeededError, choose_target, same_label
from trainer.datasets.tables import read_table, split_table
from trainer.datasets.text import nearest, quote, short_path, visible


@pytest.fixture
def write(tmp_path):
    names = (f"table{i}.csv" for i in itertools.count())

    def write(content, name=None):
        path = tmp_path / (name or next(names))
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def column(cells, mark=","):
    return f"x{mark}y\n" + "".join(f"{x}{mark}{'ab'[i % 2]}\n" for i, x in enumerate(cells))


# Cells that are no numbers in a column of numbers


@pytest.mark.parametrize(
    ("odd", "of", "becomes"),
    [(1, 19, "text"), (1, 20, "numbers"), (2, 40, "numbers"), (3, 40, "text"), (20, 40, "text")],
)
def test_at_most_one_cell_in_twenty_may_be_no_number(write, odd, of, becomes):
    cells = [*range(of - odd), *["4O"] * odd]
    data = load_dataset(write(column(cells)), target="y")
    cells_of = f"{odd} cell{'s' * (odd > 1)}"
    line = of - odd + 2
    if becomes == "numbers":
        assert data.X["x"].tolist()[: of - odd] == list(range(of - odd))
        assert data.X["x"].isna().sum() == odd
        assert data.notes == (
            f'{cells_of} of column "x" taken as missing among numbers, such as "4O" in line {line}',
        )
    else:
        assert data.X["x"].tolist() == list(map(str, cells))
        assert data.notes == (
            f'column "x" became text because of {cells_of} of {of} that are no numbers, such as '
            f'"4O" in line {line}',
        )


def test_missing_cells_do_not_count_as_filled(write):
    cells = [*range(18), *["", "?", "NA"] * 9, "4O"]  # one of 19
    assert load_dataset(write(column(cells)), target="y").X["x"].dtype == object
    cells = [*range(19), *["", "?", "NA"] * 9, "4O"]  # one of 20
    data = load_dataset(write(column(cells)), target="y")
    assert data.X["x"].count() == 19


def test_text_of_which_a_little_is_numbers_is_not_told_of(write):
    data = load_dataset(write(column(["u", "v", "7"] * 20)), target="y")
    assert data.notes == ()


def test_a_target_keeps_its_odd_label(write):
    text = "x,y\n" + "".join(f"{i % 9},{i % 2}\n" for i in range(60)) + "1,unknown\n2,unknown\n"
    data = load_dataset(write(text), target="y", positive="unknown")
    assert (data.y == "unknown").sum() == 2
    assert data.notes == ()


def test_decimal_commas_and_spaces_with_an_odd_cell(write):
    cells = [f" {i},5 " for i in range(30)] + ["-"]
    data = load_dataset(write(column(cells, ";")), target="y")
    assert data.X["x"].tolist()[:3] == [0.5, 1.5, 2.5]
    assert data.X["x"].isna().sum() == 1


@pytest.mark.parametrize(
    "before", ["", "\n\r\n", "sep=,\n", "\ufeff"], ids=["nothing", "blank", "sep", "mark"]
)
@pytest.mark.parametrize("within", ["", "\n  \n", '"a\nb",a\n'], ids=["", "blank", "newline"])
def test_the_line_is_the_one_an_editor_shows(write, before, within):
    rows = column(range(40)).splitlines(keepends=True)
    text = before + "".join(rows[:9]) + within + "".join(rows[9:]) + "4O,b\n"
    lines = text.replace("\r\n", "\n").split("\n")
    which = lines.index("4O,b") + 1
    odd = '"a b"' if "b" in within else '"4O"'
    note = load_dataset(write(text), target="y").notes[0]
    assert odd in note
    if odd == '"4O"':
        assert note.endswith(f"in line {which}")


# Limits, devices, bombs


def test_a_bomb_is_not_held_in_memory(write, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_FILE", 2**22)
    bomb = gzip.compress(b"x,y\n" + b"1,2\n" * 2**24)
    path = write(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="too large: a table may have 4194304 bytes, unzip"):
            read_table(path)
        assert tracemalloc.get_traced_memory()[1] < 3 * 2**22
    finally:
        tracemalloc.stop()
    plain = write(b"x,y\n" + b"1,2\n" * 2**20)
    with pytest.raises(ValueError, match="too large"):
        read_table(plain)


def test_a_table_up_to_the_limit_is_read(write, monkeypatch):
    content = column(range(30)).encode()
    monkeypatch.setattr(files, "LARGEST_FILE", len(content))
    monkeypatch.setattr(tables, "LARGEST_TABLE", 31 * 2)  # the header's line counts
    for path in (write(content), write(gzip.compress(content))):
        assert len(read_table(path)[0]) == 30
    monkeypatch.setattr(tables, "LARGEST_TABLE", 31 * 2 - 1)
    with pytest.raises(ValueError, match=r"too large.* got 62 cells; train on a part"):
        read_table(write(content))
    monkeypatch.setattr(files, "LARGEST_FILE", len(content) - 1)
    with pytest.raises(ValueError, match="too large"):
        read_table(write(gzip.compress(content)))


def test_rows_shorter_than_a_long_header_are_counted_as_wide(write):
    text = ",".join(f"c{i}" for i in range(20_000)) + "\n" + "1\n" * 10_000
    with pytest.raises(ValueError, match=r"too large: .* 100000000 cells .* got 200020000"):
        read_table(write(text))


def test_many_columns_are_read(write):
    header = ",".join(f"column_{i}" for i in range(20_000))  # more than csv takes for a cell
    rows = [",".join([str(r)] * 20_000) for r in range(4)]
    assert read_table(write("\n".join([header, *rows])))[0].shape == (4, 20_000)


def test_parquet_says_its_size_before_it_is_read(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    n = 20_000_000
    bomb = pa.table({name: pa.nulls(n) for name in "abcdef"})
    parquet.write_table(bomb, tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 1_000_000
    before = pa.total_allocated_bytes()
    with pytest.raises(ValueError, match=r"too large.* got 120000000 cells"):
        read_table(tmp_path / "bomb.parquet")
    assert pa.total_allocated_bytes() - before < 10_000_000


def test_a_long_word_in_every_row_of_parquet_is_held_once(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    word, n = "w" * 1_000_000, 3000
    columns = {
        "x": pa.DictionaryArray.from_arrays(pa.array([0, 1] * n, pa.int32()), [word, "short"]),
        "y": pa.array(["a", "b"] * n),
    }
    # Written without Arrow's schema, the column is one of plain strings.
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet", store_schema=False)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (2 * 2**30,) * 2)\n"
        "from trainer import load_dataset\n"
        "print(load_dataset(sys.argv[1], target='y').X.shape)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "t.parquet")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.stdout == f"({2 * n}, 1)\n", run.stderr


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/urandom", "/dev/null", "/dev/stdin", "pipe"])
def test_devices_and_pipes_are_not_opened(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    if path == "/dev/stdin" and os.path.isfile("/dev/stdin"):
        pytest.skip("standard input is a file")
    with pytest.raises(ValueError, match=f"{path} is a device or a pipe; write the table to a"):
        load_dataset(path if "/" in path else f"./{path}", target="y")


def test_a_long_label_does_not_widen_all(write):
    text = "x,y\n" + "1,b\n" * 50 + f"2,{'a' * 101}\n"
    with pytest.raises(ValueError, match="at most 100 characters, got a text of 101"):
        load_dataset(write(text), target="y")
    text = "x,y\n" + "1,b\n" * 50 + f"2,{'a' * 100}\n" * 2
    assert load_dataset(write(text), target="y").positive == "b"


@pytest.mark.parametrize(("cell", "shown"), [("1" * 500, "inf"), ("-" + "1" * 400, "-inf")])
def test_integers_beyond_any_float(write, cell, shown):
    with pytest.raises(ValueError, match=f'finite .* got {shown} in row 1 of column "x"'):
        load_dataset(write(column([cell, 1, 2, 3])), target="y")
    # Ones that a float holds are numbers, though NumPy has no integer for them.
    data = load_dataset(write(column([10**30 * i for i in range(4)])), target="y")
    assert data.X["x"].tolist() == [0, 1e30, 2e30, 3e30]


def test_integers_and_decimals_of_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table(
        {
            "x": pa.array([2**64 - 1, 1, None, 3], pa.uint64()),
            "d": pa.array([1, 2, 3, None]).cast(pa.decimal128(38, 2)),
            "y": ["a", "b"] * 2,
        }
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    X = load_dataset(tmp_path / "t.parquet", target="y").X
    assert X.dtypes.tolist() == [np.float64, np.float64]
    np.testing.assert_array_equal(X, [[2.0**64, 1], [1, 2], [np.nan, 3], [3, np.nan]])


def test_what_pandas_noted_in_parquet_need_not_be_true(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table({"x": [1, 2, 3, 4], "y": ["a", "b"] * 2})
    note = '{"index_columns": ["gone"], "columns": [], "column_indexes": []}'
    parquet.write_table(table.replace_schema_metadata({"pandas": note}), tmp_path / "t.parquet")
    assert list(load_dataset(tmp_path / "t.parquet", target="y").X) == ["x"]


def test_text_is_stripped_as_pandas_strips_it():
    cells = [" a", "a ", None, "?", " ? ", "b", "", "a", np.nan]
    stripped = tables._strip(pd.Series(cells, name="x"), tables.MISSING)
    expected = pd.Series(["a", "a", np.nan, np.nan, np.nan, "b", np.nan, "a", np.nan], name="x")
    pd.testing.assert_series_equal(stripped, expected.astype(object))


# The target that was not given


def frame(**columns):
    n = 8
    numbers = {"size": np.arange(n) / 7, "count": np.arange(n)}
    return pd.DataFrame(
        {**numbers, **{name: values * (n // 2) for name, values in columns.items()}}
    )


@pytest.mark.parametrize(
    ("columns", "target"),
    [
        ({"ill": ["no", "yes"]}, "ill"),
        ({"moon": [0, 1]}, "moon"),
        ({"fit": [True, False]}, "fit"),
        ({"ill": ["no", "yes"], "Class": [0, 1], "town": ["u", "v"]}, "Class"),
        ({"town": ["u", "v"], "label": ["a", "b"]}, "label"),
    ],
)
def test_the_plain_choice_is_taken_and_said(columns, target):
    chosen, why = choose_target(frame(**columns), None, "t.csv")
    assert chosen == target
    assert why.startswith(f'no target given: column "{target}" is taken, ')


@pytest.mark.parametrize(
    ("columns", "words", "arguments"),
    [
        ({}, ["no column of classes", '"size", "count"'], []),
        ({"a": ["u", "v"], "b": [0, 1]}, ['"a" (2 classes), "b" (2 classes)'], ["--target", "b"]),
        ({"y": ["u", "v"], "Y": [0, 1]}, ['"y" (2 classes), "Y" (2 classes)'], ["--target", "Y"]),
        (
            {"b": [0, 1], "town": ["u", "v"], "size": [0.5, 0.7]},
            ['"size" (2 classes), "b" (2 classes), "town" (2 classes)'],
            ["--target", "town"],
        ),
    ],
)
def test_without_a_plain_choice_the_candidates_are_named(columns, words, arguments):
    with pytest.raises(ArgumentsNeededError) as caught:
        choose_target(frame(**columns), None, "t.csv")
    assert all(word in str(caught.value) for word in words)
    assert caught.value.arguments == arguments


def test_of_many_classes_the_class_must_be_said(write):
    text = "size,kind\n" + "".join(f"{i / 7},{'uvw'[i % 3]}\n" for i in range(30))
    with pytest.raises(ArgumentsNeededError, match="one column of more than two classes") as caught:
        load_dataset(write(text))
    assert caught.value.arguments == ["--target", "kind", "--positive", "w"]
    data = load_dataset(write(text), positive="u")
    assert data.positive == "u"
    assert data.notes == ('no target given: column "kind" is taken, which holds "u"',)
    with pytest.raises(ArgumentsNeededError, match='no column of classes that holds "x"'):
        load_dataset(write(text), positive="x")


def test_a_column_of_classes_each_once_is_not_chosen(write):
    with pytest.raises(ArgumentsNeededError):
        load_dataset(write("x,z\n1,a\n2,b\n"))


def test_labels_that_read_as_missing_stay_labels_in_the_target_chosen(write):
    text = "x,y\n" + "".join(f"{i / 7},{('null', 'a', 'b')[i % 3]}\n" for i in range(30))
    with pytest.raises(ValueError, match=r'holds 3 classes \("a", "b", "null"\)'):
        load_dataset(write(text))


def test_labels_are_found_by_text_then_by_value():
    assert same_label("1", [0, 1]) == [1]
    assert same_label("01", ["1", "01"]) == [1]
    assert same_label("1.0", ["1", "01"]) == [0, 1]
    assert same_label("true", [False, True]) == [1]
    assert same_label("x", [0, 1]) == []


# Messages


def test_names_in_messages_are_short_and_print():
    assert quote("a\tb\nc") == '"a b c"'
    assert quote("\x1b[31m\x07\u202e") == r'"\x1b[31m\x07\u202e"'
    assert len(quote("x" * 10**6)) == 62
    assert visible("\udcff é 🦉") == r"\udcff é 🦉"
    assert short_path("a/b.csv") == "a/b.csv"
    assert short_path("folder/" * 99 + "t.csv").endswith("folder/t.csv")


def test_nearest_takes_no_minute_among_many_names():
    names = [f"column {i}" * 50 for i in range(100_000)]
    assert nearest("colum 1", names).startswith("there are 100000 others, such as ")
    assert nearest("AGE ", ["age", "page"]) == 'the nearest is "age"'


def test_notes_that_explain_come_with_the_error(write):
    cells = [*range(40), *["p", "q", "r"]]
    with pytest.raises(ValueError, match=r'became text because of 3 cells .* \(|"p" in line 42'):
        load_dataset(write(column(cells)), target="y")


def test_features_and_labels_keep_the_order_of_rows_where_some_have_no_label():
    table = pd.DataFrame(
        {"x": [1.0, 2, 3, 4], "t": ["u", " v", "?", "u"], "y": ["a", None, "b", "?"]}
    )
    X, labels, _ = split_table(table, "y", "t.csv")
    assert X["x"].tolist() == [1, 3]
    assert labels.tolist() == ["a", "b"]


def test_reading_needs_no_pandas_to_refuse(write):
    cases = [write(""), write("x,x,y\n1,2,3\n"), write("x,y\n1,\xff".encode("latin-1")), "gone.csv"]
    code = (
        "import sys; from trainer import load_dataset\n"
        "for path in sys.argv[1:]:\n"
        "    try: load_dataset(path, target='z')\n"
        "    except ValueError: pass\n"
        "    else: raise AssertionError\n"
        "print([m for m in ('numpy', 'pandas', 'sklearn') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, *map(str, [*cases, write(column(range(9)))])]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_the_content_is_what_the_file_holds(tmp_path):
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb") as file:
        file.write(b"x" * 3_000_000)
    for name, stored in (("plain", b"x" * 3_000_000), ("zipped", content.getvalue())):
        (tmp_path / name).write_bytes(stored)
        assert files.read_content(tmp_path / name) == b"x" * 3_000_000
