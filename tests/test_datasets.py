import csv
import gzip
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from helpers import mixed_table
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import datasets as toy

from trainer import Dataset, list_datasets, load_dataset, make_preprocessor
from trainer.datasets import preprocessing
from trainer.datasets.tables import read_table

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def write(tmp_path):
    def write(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


# Named sets


@pytest.mark.parametrize("name", list_datasets())
def test_each_named_set_has_two_classes_and_finite_features(name):
    data = load_dataset(name)
    assert isinstance(data, Dataset)
    assert data.name == name
    assert data.description == list_datasets()[name]
    labels, counts = np.unique(data.y, return_counts=True)
    assert len(labels) == 2
    assert data.positive in labels
    assert counts.min() > 20
    assert np.isfinite(data.X.to_numpy()).all()
    assert len(data.X) == len(data.y)
    assert str(len(data.X)) in data.description


@pytest.mark.parametrize(
    ("name", "positive", "code"),
    [("iris", "virginica", 2), ("wine", "class_0", 0), ("digits", "8", 8)],
)
def test_of_a_set_with_many_classes_one_stands_against_the_rest(name, positive, code):
    original = getattr(toy, f"load_{name}")(as_frame=True)
    data = load_dataset(name)
    assert data.positive == positive
    assert f"{positive} against the rest" in data.description
    assert_array_equal(data.y == positive, original.target == code)
    assert set(data.y) == {positive, f"not {positive}"}
    pd.testing.assert_frame_equal(data.X, original.data)


def test_positive_chooses_another_class_by_its_text():
    digits = toy.load_digits()
    for positive in (3, "3"):
        data = load_dataset("digits", positive=positive)
        assert_array_equal(data.y == "3", digits.target == 3)
    assert load_dataset("breast_cancer").positive == "malignant"
    benign = load_dataset("breast_cancer", positive="benign")
    assert benign.positive == "benign"
    assert_array_equal(benign.y == "benign", toy.load_breast_cancer().target == 1)


@pytest.mark.parametrize("name", [n for n, line in list_datasets().items() if "generated" in line])
def test_generated_sets_are_drawn_from_the_seed_in_two_features(name):
    first, again, other = (load_dataset(name, random_state=seed).X for seed in (0, 0, 1))
    assert list(first) == ["x1", "x2"]
    pd.testing.assert_frame_equal(first, again)
    assert not np.allclose(first, other)


# Tables that ship with the project


@pytest.mark.parametrize("name", ["breast_cancer", "iris", "wine"])
def test_shipped_tables_are_scikit_learns(name):
    original = getattr(toy, f"load_{name}")(as_frame=True)
    with (DATA / f"{name}.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:-1] == list(original.data)
    assert_array_equal([[float(x) for x in row[:-1]] for row in rows], original.data)
    assert_array_equal([row[-1] for row in rows], original.target_names[original.target])


def test_shipped_moons_are_scikit_learns():
    points, moon = toy.make_moons(n_samples=500, noise=0.2, random_state=0)
    table = pd.read_csv(DATA / "moons.csv")
    assert_allclose(table[["x1", "x2"]], points, rtol=1e-12)
    assert_array_equal(table["moon"], moon)


def test_shipped_lesson_has_the_lessons_numbers():
    table = pd.read_csv(DATA / "lesson.csv")
    assert list(table) == ["w", "b", "x", "y", "z", "sigma", "loss"]
    assert table.to_numpy().tolist() == [
        [0.3, 0.3, 1, 1, 0.6, 0.6456563062257954, 0.12555945331754728],
        [0.5, 0.3, 1, 1, 0.8, 0.6899744811276125, 0.0961158223520931],
    ]


def test_the_readme_of_data_tells_of_every_table():
    readme = (DATA / "README.md").read_text()
    tables = {path.name: pd.read_csv(path) for path in DATA.glob("*.csv")}
    assert len(tables) == 5
    for name, table in tables.items():
        rows, columns = table.shape
        assert f"| `{name}` | {rows} × {columns} |" in readme
        assert readme.count(f"| `{name}` |") == 2  # with its licence
    commands = re.findall(r"train.py (\S+) --target (\w+)(?: --positive (\w+))?`", readme)
    assert len(commands) == len(tables) - 1
    for path, target, positive in commands:
        data = load_dataset(DATA.parent / path, target=target, positive=positive or None)
        assert data.notes == ()


def test_a_shipped_table_gives_what_the_named_set_gives():
    for name, target in (("breast_cancer", "diagnosis"), ("moons", "moon")):
        from_file = load_dataset(DATA / f"{name}.csv", target=target)
        named = load_dataset(name)
        assert from_file.name == name
        assert from_file.positive == named.positive
        assert_array_equal(from_file.y, named.y)
        assert_allclose(from_file.X, named.X, rtol=1e-12)


# Tables as people have them

PLAIN = "age,town,ill\n20,Kyiv,no\n,Oslo,yes\n40,,no\n50,Kyiv,yes\n"
ODD = {
    "plain": PLAIN,
    "spaces after commas": PLAIN.replace(",", ", "),
    "spaces before commas": PLAIN.replace(",", " ,"),
    "question marks": PLAIN.replace("\n,", "\n?,").replace(",,", ", ? ,"),
    "words for missing": PLAIN.replace("\n,", "\nNaN,").replace(",,", ",NULL,"),
    "byte order mark": "\ufeff" + PLAIN,
    "semicolons": PLAIN.replace(",", ";"),
    "semicolons and decimal commas": PLAIN.replace(",", ";").replace("20", "20,0"),
    "tabs": PLAIN.replace(",", "\t"),
    "Windows line ends": PLAIN.replace("\n", "\r\n"),
    "blank lines": "\n\n" + PLAIN.replace("\n", "\n\n"),
    "quotes": PLAIN.replace("Kyiv", '"Kyiv"').replace("town", '"town"'),
    "a delimiter at each line's end": PLAIN.replace("\n", ",\n"),
    "no end of line at the end": PLAIN.rstrip(),
    "gzip": gzip.compress(PLAIN.encode()),
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_csv_oddities(write, content):
    data = load_dataset(write(content), target="ill")
    expected = pd.DataFrame(
        {
            "age": [20, np.nan, 40, 50],
            "town": pd.Series(["Kyiv", "Oslo", np.nan, "Kyiv"], dtype=object),
        }
    )
    pd.testing.assert_frame_equal(data.X, expected)
    assert data.y.tolist() == ["no", "yes", "no", "yes"]
    assert data.positive == "yes"
    assert data.notes == ()


@pytest.mark.parametrize(
    ("labels", "y", "positive"),
    [
        ("0,1,0,1", [0, 1, 0, 1], 1),
        ("-1,1,-1,1", [-1, 1, -1, 1], 1),
        ("True,False,True,False", [True, False, True, False], True),
        ("<=50K,>50K,<=50K,>50K", ["<=50K", ">50K", "<=50K", ">50K"], ">50K"),
    ],
)
@pytest.mark.parametrize("missing", ["", " ?"])
def test_labels_stay_as_found_and_rows_without_one_are_dropped(write, labels, y, positive, missing):
    cells = [missing, *labels.split(","), missing]
    rows = "".join(f"{row},{cell}\n" for row, cell in enumerate(cells))
    data = load_dataset(write("x,y\n" + rows), target="y")
    assert data.y.tolist() == y
    assert [type(label) for label in data.y.tolist()] == [type(label) for label in y]
    assert data.positive is positive or data.positive == positive
    assert data.X["x"].tolist() == [1, 2, 3, 4]
    assert data.notes == ('2 of 6 rows dropped: no value in the target column "y"',)


@pytest.mark.parametrize("chosen", ["0", 0, " 0"])
def test_positive_of_a_table_is_found_by_its_text(write, chosen):
    data = load_dataset(write("x,y\n1,0\n2,1\n3,0\n4,1\n"), target="y", positive=chosen)
    assert data.positive == 0
    assert data.y.tolist() == [0, 1, 0, 1]


def test_columns_of_no_use_are_dropped_with_a_note(write):
    rows = "".join(f"{i},{i % 2},,7,person {i},{i % 3 == 0},{i % 2}\n" for i in range(30))
    data = load_dataset(write(",x,empty,same,who,fit,y\n" + rows), target="y")
    assert list(data.X) == ["x", "fit"]
    assert data.X["fit"].tolist() == [float(i % 3 == 0) for i in range(30)]
    assert data.notes == (
        '1 of 7 columns dropped, no name in the header: ""',
        '1 of 7 columns dropped, no values: "empty"',
        '1 of 7 columns dropped, the same value in every row: "same"',
        '1 of 7 columns dropped, a different text in every row: "who"',
    )


def test_the_name_is_that_of_the_file(write):
    for name in ("wine.csv", "wine.CSV.gz", "wine.tsv", "wine", "wine.txt"):
        assert load_dataset(write("x,y\n1,a\n2,a\n3,b\n4,b\n", name), target="y").name == "wine"
    # A folder for results is called so: never the one above it.
    assert load_dataset(write("x,y\n1,a\n2,a\n3,b\n4,b\n", "...csv"), target="y").name == "table"


def test_parquet_gives_what_csv_gives(write, tmp_path):
    pytest.importorskip("pyarrow")
    table = pd.read_csv(write(PLAIN)).assign(
        when=pd.Timestamp("2020-01-01"),
        fit=[True, False, True, True],
        well=[True, None, False, True],
        nothing=[None] * 4,
        size=pd.Categorical(["S", "L", None, " S"]),
        count=pd.array([1, None, 3, 4], dtype="Int64"),
    )
    table.index = pd.Index([7, 7, 8, 9])
    table.to_parquet(tmp_path / "table.parquet")
    zipped = write(gzip.compress((tmp_path / "table.parquet").read_bytes()), "table.parquet.gz")
    for path in (tmp_path / "table.parquet", zipped):
        data = load_dataset(path, target="ill")
        from_csv = load_dataset(write(PLAIN), target="ill")
        pd.testing.assert_frame_equal(data.X[["age", "town"]], from_csv.X)
        assert_array_equal(data.y, from_csv.y)
        assert data.name == "table"
        assert data.X["fit"].tolist() == [1, 0, 1, 1]
        assert data.X["size"].dropna().tolist() == ["S", "L", "S"]
        assert_array_equal(data.X["count"], [1, np.nan, 3, 4])
        assert_array_equal(data.X["well"], [1, np.nan, 0, 1])
        assert data.notes == (
            '1 of 9 columns dropped, neither numbers nor text: "when"',
            '1 of 9 columns dropped, no values: "nothing"',
        )


def test_parquet_with_numbers_for_names_and_a_named_index(tmp_path):
    pytest.importorskip("pyarrow")
    table = pd.DataFrame({0: [1, 2, 3, 4], 1: [0, 1, 0, 1]}, index=pd.Index([5, 7, 7, 9], name="i"))
    table.to_parquet(tmp_path / "t.parquet")
    data = load_dataset(tmp_path / "t.parquet", target="1")
    assert data.X.to_dict("list") == {"i": [5, 7, 7, 9], "0": [1, 2, 3, 4]}


def test_parquet_without_pyarrow_says_what_to_install(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r'pip install "logistic-neuron-trainer\[parquet\]"'):
        read_table(write(b"PAR1 and so on", "table.parquet"))


# Bad input: the content of the file or the source, options, words that the one line must hold

GOOD = "x,y\n1,a\n2,b\n3,a\n4,b\n"
CLASSES = "x,y\n" + "".join(f"{i},class {i % 12:02d}\n" for i in range(48))
BAD = {
    "not there": ("no/such.csv", {}, ["no file no/such.csv", "check"]),
    "a name too long": ("x" * 300 + ".csv", {}, ["cannot be read", "too long", "check"]),
    "a set's name too long": ("x" * 300, {}, ["unknown data set", "choose from"]),
    "a folder": (str(DATA), {}, ["is a folder", "name a file"]),
    "unknown set": ("irsi", {}, ['unknown data set "irsi"', 'nearest is "iris"']),
    "target with a named set": ("iris", {"target": "species"}, ["for files", "leave it out"]),
    "positive not in a named set": ("iris", {"positive": "vrginica"}, ['nearest is "virginica"']),
    "empty": (b"", {}, ["table.csv is empty"]),
    "blank": (b" \n\n", {}, ["table.csv is empty"]),
    "empty gzip": (gzip.compress(b""), {}, ["table.csv is empty"]),
    "damaged gzip": (gzip.compress(GOOD.encode())[:-9], {}, ["damaged gzip", "again"]),
    "header only": (b"x,y\n", {}, ["no rows, only a header"]),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0", {}, ["not a table", "UTF-8", "save it as CSV"]),
    "zero bytes": (b"x,y\n\0\0,1\n", {}, ["not a table", "UTF-8"]),
    "another encoding": ("x,y\n1,é\n".encode("latin-1"), {}, ["not a table", "UTF-8"]),
    "prose": (b"Dear all\nplease find attached\n", {}, ["not a table", "no comma"]),
    "cells without a header": (b"x,y\n1,a\n2,b,c,d\n", {}, ["not a table", "line 3", "saw 4"]),
    "more cells than names": (
        b"x,y\n1,2,a\n3,4,b\n",
        {},
        ["not a table", "more cells than the header"],
    ),
    "open quote": (b'x,y\n1,a\n2,"b\n', {}, ["not a table", "EOF"]),
    "huge cell": (b'"' + b"x" * 200_000 + b'",y\n1,2', {}, ["not a table", "limit"]),
    "duplicate columns": (b"x,x,y\n1,2,a\n", {}, ['got "x" more than once', "rename"]),
    "duplicates but for spaces": (b"x, x ,y\n1,2,a\n", {}, ['got "x" more than once']),
    "infinity": (b"x,y\n1,a\ninf,b\n", {}, ["finite", 'column "x"', "row 2", "correct it"]),
    "number too large": (b"x,y\n1,a\n2,b\n1e999,b\n", {}, ["finite", 'column "x"', "row 3"]),
    "infinite target": (b"x,y\n1,0\n2,\n3,-inf\n", {}, ["finite", 'column "y"', "row 3"]),
    "no target": (
        b"x,ill,town\n1,a,u\n2,b,u\n3,a,v\n4,b,v\n",
        {"target": None},
        ["no target given", 'name it as target, one of "ill" (2 classes), "town" (2 classes)'],
    ),
    "no target, no classes": (
        b"x,z\n1,0.5\n2,0.7\n",
        {"target": None},
        ["no target given", 'name it as target, one of "x", "z"'],
    ),
    "no such target": (GOOD, {"target": "Yy"}, ['"Yy" is not in table.csv', 'nearest is "y"']),
    "target without values": (b"x,y\n1,\n2,?\n", {}, ["got no values", "another target"]),
    "one class": (b"x,y\n1,a\n2,a\n", {}, ["two classes", 'got "a" in all rows']),
    "many classes": (CLASSES, {}, ["12 classes", '"class 09", ...)', "against the rest: positive"]),
    "continuous target": (b"x,y\n1,0.5\n2,1.5\n3,2\n", {}, ["classes", "such as 0.5"]),
    "no such class": (GOOD, {"positive": "B"}, ['"B" is not in', 'nearest is "b"']),
    "no such class of many": (CLASSES, {"positive": "class13"}, ['"class13"', 'nearest is "class']),
    "one row of a class": (b"x,y\n1,a\n2,b\n3,a\n", {}, ["2 rows or more", 'got 1 of "b"']),
    "one row of the class chosen": (
        b"x,y\n1,a\n2,b\n3,c\n4,c\n",
        {"positive": "a"},
        ["2 rows or more", 'got 1 of "a"'],
    ),
    "no usable feature": (b"x,k,y\n,7,a\n,7,b\n", {}, ["no usable feature", "no values", "same"]),
    "a target alone": (b"y\na\nb\n", {}, ["no feature", "save it"]),
    "not Parquet": (b"x,y\n1,2\n", {"name": "table.parquet"}, ["not a Parquet file"]),
    "damaged Parquet": (
        b"PAR1....PAR1",
        {"name": "table.parquet"},
        ["damaged Parquet", "make it again"],
    ),
}


@pytest.mark.parametrize(("source", "options", "words"), BAD.values(), ids=BAD)
def test_bad_input_gets_one_clear_line(write, source, options, words):
    options = dict(options)
    name = options.pop("name", "table.csv")
    if "Parquet" in words[0] and "damaged" in words[0]:
        pytest.importorskip("pyarrow")
    if isinstance(source, bytes) or "\n" in source:
        source = write(source, name)
        options.setdefault("target", "y")
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are looked for below
        load_dataset(source, **options)
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message
    assert "\n" not in message
    assert len(message) < 500


def test_duplicate_columns_of_parquet(write, tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = [pa.array([1, 2]), pa.array([3, 4])]
    parquet.write_table(pa.Table.from_arrays(columns, names=["x", "x"]), tmp_path / "t.parquet")
    with pytest.raises(
        ValueError, match=r'names must differ, got "x" more than once in t\.parquet'
    ):
        load_dataset(tmp_path / "t.parquet", target="x")


def test_a_target_that_is_neither_numbers_nor_text(tmp_path):
    pytest.importorskip("pyarrow")
    table = pd.DataFrame({"x": [1, 2], "y": pd.to_datetime(["2020-01-01", "2020-01-02"])})
    table.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(
        ValueError, match="must hold numbers or text, got values of type datetime64"
    ):
        load_dataset(tmp_path / "t.parquet", target="y")


# Preprocessing


def test_preprocessing_by_hand():
    X = pd.DataFrame(
        {
            "a": [1.0, np.nan, 3.0, 8.0],
            "t": ["u", "v", np.nan, "u"],
            "b": [True, False, True, False],
        }
    )
    Z = make_preprocessor(X).fit_transform(X)
    # Column a with the median 3 is 1, 3, 3, 8: its mean is 3.75, its variance 6.6875.
    a = (np.array([1, 3, 3, 8]) - 3.75) / np.sqrt(6.6875)
    missing, u, v = [0, 0, 1, 0], [1, 0, 0, 1], [0, 1, 0, 0]
    assert_allclose(Z, np.column_stack([a, [1, -1, 1, -1], u, v, missing]), rtol=1e-15)
    assert Z.dtype == np.float64


def test_categories_first_met_at_prediction_and_columns_empty_in_training():
    X = pd.DataFrame({"a": [np.nan, np.nan], "t": ["u", "v"]})
    new = pd.DataFrame({"a": [5.0, np.nan, 1.0], "t": ["never seen", "v", np.nan]})
    Z = make_preprocessor(X).fit(X).transform(new)
    assert_allclose(Z[:, 1:], [[0, 0], [0, 1], [0, 0]])
    assert np.isfinite(Z).all()


def test_rare_categories_share_a_column():
    names = [f"c{i:03d}" for i in range(100)]
    X = pd.DataFrame({"t": names[:60] + names[:49] * 2})  # the last 11 are rare
    preprocessor = make_preprocessor(X).fit(X)
    Z = preprocessor.transform(pd.DataFrame({"t": ["c000", "c055", "c099"]}))
    assert Z.shape == (3, 50)
    assert Z.argmax(axis=1).tolist() == [0, 49, 49]
    assert_array_equal(Z.sum(axis=1), 1)


def test_text_that_would_take_too_much_memory_is_refused(monkeypatch):
    X = pd.DataFrame({"a": [1.0, 2, 3], "t": ["u", "v", np.nan]})
    monkeypatch.setattr(preprocessing, "LARGEST_MATRIX", 3 * 4)
    assert make_preprocessor(X).fit_transform(X).shape == (3, 4)
    monkeypatch.setattr(preprocessing, "LARGEST_MATRIX", 3 * 4 - 1)
    with pytest.raises(ValueError, match="got 3 rows of 4 with up to 50 for a text column"):
        make_preprocessor(X)
    many = pd.DataFrame({"t": [f"c{i}" for i in range(1000)]})
    monkeypatch.setattr(preprocessing, "LARGEST_MATRIX", 1000 * 50)
    assert make_preprocessor(many).fit_transform(many).shape == (1000, 50)


def test_numbers_alone_and_text_alone():
    numbers = pd.DataFrame({"a": [1, 3], "b": [2.0, 6.0]})
    assert make_preprocessor(numbers).fit_transform(numbers).tolist() == [[-1, -1], [1, 1]]
    text = pd.DataFrame({"t": ["u", "v"]})
    assert make_preprocessor(text).fit_transform(text).tolist() == [[1, 0], [0, 1]]


def test_a_fitted_preprocessor_survives_a_file(write):
    X = load_dataset(write(PLAIN), target="ill").X
    fitted = make_preprocessor(X).fit(X)
    again = skops.io.loads(skops.io.dumps(fitted), trusted=["numpy.dtype"])
    assert_array_equal(again.transform(X), fitted.transform(X))


# A table as people have them


def test_numbers_text_gaps_and_spaces_come_from_a_packed_file(tmp_path):
    table = mixed_table(3000)
    padded = table.fillna("?").astype(str)
    padded.columns = table.columns
    path = tmp_path / "people.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        csv.writer(file).writerow(padded.columns)
        for line in padded.itertuples(index=False):
            file.write(", ".join(line) + "\n")
    data = load_dataset(path, target="income")
    assert data.name == "people"
    assert data.notes == ()
    assert data.X.shape == (3000, 7)
    assert data.positive == ">50K"
    assert_array_equal(data.y, table["income"])
    assert data.X.isna().sum().sum() == table.isna().sum().sum() > 0
    numbers = ["age", "hours", "gain"]
    assert_array_equal(data.X[numbers], table[numbers])
    assert data.X["work"].dropna().tolist() == table["work"].dropna().tolist()
    Z = make_preprocessor(data.X).fit_transform(data.X)
    assert np.isfinite(Z).all()
    # 3 numbers; 5 schools, 5 kinds of work and "missing", 2; the 60 towns share 50 columns
    assert Z.shape == (3000, 3 + 5 + 6 + 2 + 50)
