"""Tables and options such as nobody should send, made by a script.

`python tests/tortured.py FOLDER` writes the tables, to try them by hand. Every one of them, and
every option, must end in a model or in one line and the exit status 2.
"""

import gzip
import io
import json
import os
import sys
from pathlib import Path

ROWS = [(i % 7, i % 11 + 0.5, ["Kyiv", "Oslo", "Lima"][i % 3], "ab"[i % 2]) for i in range(40)]
PLAIN = "age,hours,town,y\n" + "".join(",".join(map(str, row)) + "\n" for row in ROWS)
ESCAPE = "\x1b[31mred\x1b[0m\x07"
RIGHT_TO_LEFT = "\u202egnirts"


def column(cells, name="x"):
    """A table with a good column, this one, and two classes."""
    rows = (f"{cell},{i % 5},{'ab'[i % 2]}\n" for i, cell in enumerate(cells))
    return f"{name},good,y\n" + "".join(rows)


def labels(cells, name="y"):
    """A table with two good columns and these labels."""
    rows = (f"{i % 5},{i % 3},{cell}\n" for i, cell in enumerate(cells))
    return f"u,v,{name}\n" + "".join(rows)


def named(name):
    """A table of two numbers, of which one is called so."""
    return PLAIN.replace("hours", f'"{name}"').replace("town", "nothing").replace("Kyiv", "")


def numbers_but(cell, every):
    """Numbers, with something else in every so manieth row."""
    return column([cell if i % every == every - 1 else i % 9 for i in range(60)])


TEXTS = {
    # no table at all
    "empty": "",
    "blank": " \n\t\n \n",
    "byte order mark": "\ufeff",
    "byte order mark and newline": "\ufeff\n",
    "byte order mark twice": "\ufeff\ufeff" + PLAIN,
    "sep alone": "sep=;",
    "sep and newline": "sep=;\n",
    "sep and blank lines": "sep=;\r\n\r\n\r\n",
    "sep of another delimiter": "sep=|\n" + PLAIN,
    "sep and a good table": "sep=,\n" + PLAIN,
    "header alone": "x,y\n",
    "header without end": "x,y",
    "header of spaces": "  \n" + PLAIN,
    "header of delimiters": ",,,\n1,2,3,a\n4,5,6,b\n",
    "delimiters alone": ",,,\n,,,\n,,,\n",
    "one cell": "x",
    "one column": "y\na\nb\na\nb\n",
    "prose": "Dear all,\nplease find the table attached, and reply\nby Friday\n",
    "HTML": "<!doctype html>\n<html><body><p>404, not found</p></body></html>\n",
    "JSON": json.dumps([{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]),
    "JSON lines": '{"x": 1, "y": "a"}\n{"x": 2, "y": "b"}\n',
    "libsvm": "1 1:0.5 3:2\n-1 2:0.1\n1 1:0.7\n",
    "a merge conflict": PLAIN.replace("1,", "<<<<<<< HEAD\n1,", 1),
    # rows and quotes
    "one row": "x,y\n1,a\n",
    "two rows": "x,y\n1,a\n2,b\n",
    "two rows of a class": "x,y\n1,a\n2,a\n3,b\n4,b\n",
    "short rows": "x,z,y\n1\n2\n3,4,a\n1,2,b\n3,3,b\n1,1,a\n",
    "long rows": "x,y\n1,a,2,3\n1,b\n",
    "a row too long in the middle": PLAIN + "1,2,Kyiv,a,9\n",
    "delimiter at every end": PLAIN.replace("\n", ",\n"),
    "quote left open": PLAIN + '1,"2,Kyiv,a\n',
    "quote in a cell": PLAIN.replace("Kyiv", 'Ky"iv'),
    "quotes doubled": PLAIN.replace("Kyiv", '"Ky""iv"'),
    "quotes around all": '"age";"y"\n"1";"a"\n"2";"b"\n"3";"a"\n"4";"b"\n"1";"a"\n"2";"b"\n',
    "quotes alone": '"\n"\n"\n',
    "newlines in cells": PLAIN.replace("Kyiv", '"Ky\niv"'),
    "carriage returns": PLAIN.replace("\n", "\r"),
    "all kinds of line ends": PLAIN.replace("a\n", "a\r\n").replace("Oslo,b\n", "Oslo,b\r"),
    "form feeds": PLAIN.replace("\n", "\f\n"),
    "line separators": PLAIN.replace("Kyiv", "Ky\u2028iv"),
    "blank lines": PLAIN.replace("\n", "\n\n  \n"),
    "semicolons and commas": PLAIN.replace(",", ";").replace(".5", ",5"),
    "tabs": PLAIN.replace(",", "\t"),
    "bars": PLAIN.replace(",", "|"),
    "spaces for delimiters": PLAIN.replace(",", " "),
    # names
    "names of nothing": PLAIN.replace("age", "").replace("hours", ""),
    "a name twice": PLAIN.replace("hours", "age"),
    "names that differ by case": PLAIN.replace("hours", "AGE"),
    "target twice": PLAIN.replace("hours", "y"),
    "control characters in a name": named(ESCAPE),
    "a newline in a name": named("ho\nurs"),
    "a tab in a name": named("ho\turs"),
    "dollars in a name": named("cost_$_per_$unit"),
    "mathematics in a name": named(r"$\frac{1}{$"),
    "TeX in a name": named(r"\input{/etc/passwd}_%#&"),
    "markup in a name": named("[red]hours[/blue]"),
    "right to left": named(RIGHT_TO_LEFT),
    "other scripts in names": named("年齢 العمر 🦉"),
    "a name of 10 000 characters": named("h" * 10_000),
    "names like those of encoded text": "town,town_Kyiv,y\n" + "Kyiv,1,a\nOslo,2,b\n" * 9,
    "numbers for names": "0,1,y\n" + "1,2,a\n3,4,b\n" * 9,
    "names of Python": "self,__class__,y\n" + "1,2,a\n3,4,b\n" * 9,
    "names of pandas": "index,level_0,y\n" + "1,2,a\n3,4,b\n" * 9,
    "500 columns": ",".join(f"c{i}" for i in range(500))
    + ",y\n"
    + "".join(
        ",".join(str((r * i) % 13) for i in range(500)) + f",{'ab'[r % 2]}\n" for r in range(9)
    ),
    "a header of 200 kB": "h" * 200_000 + "," + PLAIN.replace("\n", ",1\n"),
    # numbers
    "500 digits": column(["1" * 500, *range(30)]),
    "500 digits, negative": column(["-" + "1" * 500, *range(30)]),
    "5000 digits": column(["1" * 5000, *range(30)]),
    "5000 digits in every row": column(["1" * 5000 + str(i) for i in range(30)]),
    "25 digits": column([10**25 + i for i in range(30)]),
    "19 digits": column([2**63 + i for i in range(30)]),
    "largest float": column([1.7e308, *range(30)]),
    "larger than any float": column(["1e999", *range(30)]),
    "denormals": column([f"{i}e-320" for i in range(30)]),
    "infinities": column(["inf", "-inf", *range(30)]),
    "infinity spelt out": column(["Infinity", "-Infinity", *range(30)]),
    "NaN in all spellings": column(["NaN", "nan", "NAN", "-nan", "#N/A", "<NA>", *range(30)]),
    "NaN alone": column(["NaN"] * 30),
    "scales far apart": column([f"1e{3 * i}" for i in range(30)]),
    "squares that overflow": column([f"{i}e99" for i in range(1, 31)]),
    "nearly equal numbers": column([1e15 + i % 2 for i in range(30)]),
    "hexadecimal": column([hex(i) for i in range(30)]),
    "underscores": column([f"1_00{i}" for i in range(30)]),
    "digits of another script": column(["٣", "٤"] * 15),
    "full-width digits": column(["１", "２"] * 15),
    "fractions": column(["½", "1/2"] * 15),
    "complex numbers": column([f"{i}+2j" for i in range(30)]),
    "percent": column([f"{i}%" for i in range(30)]),
    "money": column([f'"$1,{i:03}.50"' for i in range(30)]),
    "decimal commas among points": column([f'"{i},5"' if i % 2 else f"{i}.5" for i in range(30)]),
    "plus signs": column([f"+{i}" for i in range(30)]),
    "leading zeros": column([f"00{i % 7}" for i in range(30)]),
    "minus zero": column(["-0", "0", "-0.0"] * 10),
    "a typing error": numbers_but("4O", 60),
    "a dash in twenty": numbers_but("-", 20),
    "a word in six": numbers_but("unknown", 6),
    "control characters among numbers": numbers_but(ESCAPE, 60),
    "half text": numbers_but("text", 2),
    "numbers in quotes": column([f'" {i} "' for i in range(30)]),
    "formulas": column(["=1+1", "@SUM(A1)", "#REF!"] * 10),
    # text and other things
    "dates": column([f"2020-01-{i % 28 + 1:02}" for i in range(60)]),
    "times": column([f"{i % 24}:00:00" for i in range(60)]),
    "True and False": column(["True", "False", "true"] * 10),
    "true and 1": column(["True", "1", "0"] * 10),
    "a different text in every row": column([f"name {i}" for i in range(30)]),
    "4000 categories": column([f"c{i}" for i in range(4000)] * 2),
    "51 categories": column([f"c{i}" for i in range(51)] * 4),
    "a category of 200 kB": column(["long" * 50_000, "short", "other"] * 10),
    "a cell of 2 MB": column(["x" * 2_000_000, *range(30)]),
    "controls in every cell": column([ESCAPE, "\x00"[:0] + "\x01", "\x7f\x9b"] * 10),
    "nothing but missing": "x,z,y\n,?,a\nNA,null,b\n,,a\n,?,b\n",
    "one value in every row": column([7] * 30).replace(",good,", ",x2,"),
    "a column of each kind of nothing": "a,b,c,y\n" + ",7,name {i},a\n,7,other {i},b\n" * 15,
    # labels
    "labels of one class": labels(["a"] * 30),
    "labels of three classes": labels(["a", "b", "c"] * 10),
    "labels of 12 classes": labels([f"class {i % 12}" for i in range(60)]),
    "a label once": labels(["a"] * 30 + ["b"]),
    "labels twice": labels(["a"] * 30 + ["b"] * 2),
    "no label": labels([""] * 30),
    "few labels": labels(["", "", "", "a", "b"] * 10),
    "labels of None and null": labels(["None", "null"] * 15),
    "labels of NA and N/A": labels(["N/A", "a"] * 15),
    "labels True and False": labels(["True", "False"] * 15),
    "labels 0.0 and 1.0": labels(["0.0", "1.0"] * 15),
    "labels 01 and 1": labels(["01", "1", "2"] * 10),
    "labels of halves": labels(["0.5", "1.5"] * 15),
    "labels continuous": labels([i / 7 for i in range(30)]),
    "labels of many integers": labels(range(60)),
    "labels of 25 digits": labels([10**25, 10**25 + 1] * 15),
    "labels of 500 digits": labels(["1" * 500, "2" * 500] * 15),
    "labels infinite": labels(["inf", "1", "0"] * 10),
    "labels of both kinds": labels(["1", "one"] * 15),
    "labels with spaces": labels([" a ", "a", "b"] * 10),
    "labels of dates": labels(["2020-01-01", "2020-01-02"] * 15),
    "labels of 100 kB": labels(["a" * 100_000, "b"] * 15),
    "labels with control characters": labels([ESCAPE, "b"] * 15),
    "labels with newlines": labels(['"a\nb"', "b"] * 15),
    "labels with dollars": labels(["$a$", "$b_$"] * 15),
    "labels of mathematics": labels([r"$\foo{$", "b"] * 15),
    "labels with markup": labels(["[bold]", "[/nothing]"] * 15),
    "labels right to left": labels([RIGHT_TO_LEFT, "b"] * 15),
    "labels of other scripts": labels(["🦉", "日本語"] * 15),
    "labels that say not": labels(["a", "not a"] * 15),
    "labels that are minus": labels(["-1", "1"] * 15),
    # separable, opposite, equal: hard on the training
    "separated": "x,y\n" + "".join(f"{i},{'ab'[i > 20]}\n" for i in range(40)),
    "equal rows, opposite labels": "x,y\n" + "1,a\n1,b\n2,a\n2,b\n" * 9,
    "a column twice": "u,v,y\n" + "".join(f"{i % 9},{i % 9},{'ab'[i % 2]}\n" for i in range(40)),
    "a target as a feature": "u,y2,y\n" + "1,a,a\n2,b,b\n" * 15,
    "one number 1e99": column([1e99, *[0] * 30]),
}

BYTES = {
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "UTF-32": PLAIN.encode("utf-32"),
    "Latin-1": PLAIN.replace("Oslo", "Osló").encode("latin-1"),
    "bad UTF-8 late": PLAIN.encode() * 400 + b"1,2,\xff,a\n",
    "surrogates": PLAIN.encode().replace(b"Oslo", b"\xed\xa0\x80"),
    "overlong": PLAIN.encode().replace(b"Oslo", b"\xc0\xaf"),
    "cut in a character": PLAIN.encode() + "1,2,Osló".encode()[:-1],
    "zero bytes": bytes(1000),
    "a zero byte": PLAIN.encode() + b"\0",
    "every byte": bytes(range(256)) * 40,
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "ZIP, as of a spreadsheet": b"PK\x03\x04" + bytes(100),
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin\x94.",
    "npy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'shape': (3,), }\n",
    "gzip": gzip.compress(PLAIN.encode()),
    "gzip cut": gzip.compress(PLAIN.encode())[:-9],
    "gzip cut early": gzip.compress(PLAIN.encode())[:12],
    "gzip magic alone": b"\x1f\x8b",
    "gzip of nothing": gzip.compress(b""),
    "gzip of blanks": gzip.compress(b" \n"),
    "gzip with another checksum": gzip.compress(PLAIN.encode())[:-8] + b"12345678",
    "gzip and garbage": gzip.compress(PLAIN.encode()) + b"garbage",
    "gzip and zeros": gzip.compress(PLAIN.encode()) + bytes(100),
    "gzip in two members": gzip.compress(PLAIN[:99].encode()) + gzip.compress(PLAIN[99:].encode()),
    "gzip in gzip": gzip.compress(gzip.compress(PLAIN.encode())),
    "Parquet magic alone": b"PAR1",
    "Parquet magic twice": b"PAR1PAR1",
    "Parquet of nonsense": b"PAR1" + bytes(range(256)) + b"\x10\x00\x00\x00PAR1",
}


def parquets():
    """Parquet files by name; none where pyarrow is missing."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        return {}

    def file(table, **how):
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, **how)
        return buffer.getvalue()

    def table(**columns):
        y = pa.array(["a", "b"] * 20)
        return pa.table({"good": [i % 5 for i in range(40)], **columns, "y": y})

    x = pa.array([i % 9 + 0.5 for i in range(40)])
    whole = file(table(x=x))
    text = ["Kyiv", "Oslo"] * 20
    offsets = pa.array(range(41), pa.int32()).buffers()[1]
    bad = pa.Array.from_buffers(pa.string(), 40, [None, offsets, pa.py_buffer(b"\xff" * 40)])
    codes = pa.array([0, 1] * 20, pa.int8())
    lying = {
        "index_columns": [],
        "column_indexes": [],
        "columns": [
            {
                "name": "x",
                "field_name": "x",
                "pandas_type": "categorical",
                "numpy_type": "int8",
                "metadata": {"num_categories": 1, "ordered": False},
            }
        ],
    }
    index = {"index_columns": ["gone"], "columns": [], "column_indexes": []}
    found = {
        "good": whole,
        "gzipped": gzip.compress(whole),
        "cut": whole[: len(whole) // 2],
        "cut by a byte": whole[:-1],
        "no rows": file(table(x=x).slice(0, 0)),
        "no columns": file(pa.table({})),
        "one column": file(pa.table({"y": text})),
        "names twice": file(pa.Table.from_arrays([x, x, pa.array(text)], ["x", "x", "y"])),
        "names that differ by spaces": file(pa.table({"x": x, " x": x, "y": text})),
        "a name of nothing": file(table(**{"": x})),
        "control characters in a name": file(table(**{ESCAPE: x, "\n": x})),
        "an index level": file(table(__index_level_0__=x)),
        "text that is not UTF-8": file(table(x=bad)),
        "a target that is not UTF-8": file(pa.table({"x": x, "y": bad})),
        "names that pandas noted and are not there": file(
            table(x=x).replace_schema_metadata({"pandas": json.dumps(index)})
        ),
        "nonsense that pandas noted": file(table(x=x).replace_schema_metadata({"pandas": "{"})),
        "a category that pandas noted and is none": file(
            table(x=x).replace_schema_metadata({"pandas": json.dumps(lying)})
        ),
        "categories": file(table(x=pa.DictionaryArray.from_arrays(codes, pa.array(["u", "v"])))),
        "categories of numbers": file(table(x=pa.DictionaryArray.from_arrays(codes, x[:2]))),
        "categories in a target": file(
            pa.table({"x": x, "y": pa.DictionaryArray.from_arrays(codes, pa.array(["u", "v"]))})
        ),
        "lists": file(table(x=pa.array([[1, 2]] * 40))),
        "structs": file(table(x=pa.array([{"u": 1}] * 40))),
        "a target of lists": file(pa.table({"x": x, "y": pa.array([[1], [2]] * 20)})),
        "a target of dates": file(pa.table({"x": x, "y": pa.array([1, 2] * 20, pa.date32())})),
        "dates out of range": file(table(x=pa.array([2**31 - 1] * 40, pa.date32()))),
        "times out of range": file(table(x=pa.array([2**62] * 40, pa.timestamp("ms")))),
        "times and durations": file(
            table(x=pa.array(range(40), pa.time64("ns")), z=pa.array(range(40), pa.duration("s")))
        ),
        "bytes": file(table(x=pa.array([b"\xff\x00"] * 40))),
        "decimals": file(table(x=pa.array(range(40)).cast(pa.decimal128(38, 10)))),
        "large decimals": file(table(x=pa.array([10**75] * 40, pa.decimal256(76, 0)))),
        "halves of floats": file(table(x=x.cast(pa.float16()))),
        "booleans and null": file(table(x=pa.array([True, False, None, True] * 10))),
        "nulls alone": file(table(x=pa.nulls(40))),
        "NaN and null": file(table(x=pa.array([1.5, None, float("nan"), 2] * 10))),
        "infinity": file(table(x=pa.array([float("inf"), 1.0] * 20))),
        "64 bits without sign": file(table(x=pa.array([2**64 - 1, 1] * 20, pa.uint64()))),
        "large text": file(table(x=pa.array(text, pa.large_string()))),
        "views of text": file(table(x=pa.array(text).cast(pa.string_view()))),
        "numbers in text": file(table(x=pa.array([str(i) for i in range(40)]))),
        "a long word in every row": file(table(x=pa.array(["word" * 100_000, "other"] * 20))),
        "40 row groups": file(table(x=x), row_group_size=1),
        "110 million cells": file(pa.table({f"n{i}": pa.nulls(11 * 10**6) for i in range(10)})),
    }
    for place in range(8, len(whole), len(whole) // 20):
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        found[f"byte {place} flipped"] = bytes(flipped)
    return found


KINDS = {
    "text": lambda: {what: text.encode() for what, text in TEXTS.items()},
    "bytes": lambda: BYTES,
    "Parquet": parquets,
}


def write_tables(folder, kind):
    """Write all tables of a kind into a folder; what each is, and its path."""
    ending = "parquet" if kind == "Parquet" else "csv"
    paths = {}
    for number, (what, content) in enumerate(KINDS[kind]().items()):
        paths[what] = folder / f"{kind}-{number:03}.{ending}"
        paths[what].write_bytes(content)
    return paths


# Names of files and folders for a good table.
NAMES = {
    "of control characters": ESCAPE + ".csv",
    "with a newline": "ta\nble.csv",
    "with dollars": "cost_$_per_$unit.csv",
    "with markup": "[red]table[bold].csv",
    "that is no UTF-8": os.fsdecode(b"\xff\xfe.csv"),
    "of another script": "表🦉.csv",
    "right to left": RIGHT_TO_LEFT + ".csv",
    "of 255 bytes": "n" * 251 + ".csv",
    "of an ending": ".csv",
    "of dots": "....csv",
    "of spaces": "  .csv",
    "of many endings": "table.csv.gz.csv",
    "like an option": "-table.csv",
    "without an ending": "plain",
}


def write_places(folder):
    """Make a good table under odd names, and things that are no file; what, and its path."""
    paths = {}
    for what, name in NAMES.items():
        path = folder / name
        path.write_text(PLAIN)
        paths[f"a name {what}"] = path
    os.mkfifo(folder / "pipe.csv")
    (folder / "loop.csv").symlink_to("loop.csv")
    (folder / "dangling.csv").symlink_to("gone.csv")
    (folder / "link.csv").symlink_to("plain")
    (folder / "folder.csv").mkdir()
    for name in ("pipe", "loop", "dangling", "link", "folder"):
        paths[f"a {name}"] = folder / f"{name}.csv"
    for name in ("zero", "urandom", "null", "full", "stdin", "tty"):
        paths[f"the device {name}"] = Path("/dev") / name
    paths["a path of 5000 characters"] = folder / ("n" * 5000 + ".csv")
    paths["a deep path of 5000 characters"] = folder / ("folder/" * 700 + "table.csv")
    paths["memory"] = Path("/proc/self/mem")
    return paths


ODD_NUMBERS = (
    "", " ", "-", "--", "-0", "0", "0.0", "1", "+1", "-1", "1.0", "1.5", "1e3", "1e400", "-1e400",
    "1e-320", "1e-400", "1e-9999999999999999999999", "nan", "inf", "-inf", "9" * 26, "1" * 500,
    "1" * 5000, "1_000", "0x10", "1,5", "1 000", "٣", "½", "１", "True", "None", "1\n", ESCAPE,
    "1e", "e1", ".", "auto",
)  # fmt: skip
GOOD_NUMBERS = ("0.0", "+1", "1.0", "1.5", "-0")
NUMERIC = (
    "--alpha", "--tol", "--learning-rate", "--epochs", "--batch-size", "--test-size", "--seed",
)  # fmt: skip
ODD_TEXTS = (
    "", " ", "-", "\n", ESCAPE, "$x$", RIGHT_TO_LEFT, "x" * 5000, os.fsdecode(b"\xff"), "None",
)  # fmt: skip


def options(table):
    """Command lines with odd options, for a good table."""
    for name in NUMERIC:
        base = ["iris"]
        if name in ("--learning-rate", "--batch-size"):
            base += ["--optimizer", "adam", "--epochs", "9"]
        # Of those that are taken, and train, one will do.
        tried = (v for v in ODD_NUMBERS if name == "--alpha" or v not in GOOD_NUMBERS)
        yield from ([*base, f"{name}={value}"] for value in tried)
    for name in ("--target", "--positive", "--optimizer"):
        yield from ([str(table), "--target", "y", f"{name}={value}"] for value in ODD_TEXTS)
    yield from ([value] for value in ODD_TEXTS)
    yield from ([f"--{value}"] for value in ODD_TEXTS)
    yield from (
        ["iris", "wine"],
        ["iris", "--target"],
        ["iris", "--output"],
        ["--", "--list"],
        ["iris", "--seed", "1", "--seed", "2"],
        ["iris", "--epochs", "5", "--max-iter", "6"],
        ["IRIS"],
        ["iris "],
        ["http://localhost/table.csv"],
        ["~/table.csv"],
        ["."],
        ["/"],
        ["iris", "--test-size", "0.999"],
        ["iris", "--test-size", "1e-9"],
        ["iris", "--alpha", "1e300"],
        ["iris", "--alpha", "1e100"],
        ["iris", "--alpha", "1e-300"],
        ["iris", "--tol", "1e300"],
        ["iris", "--optimizer", "adam", "--learning-rate", "1e300"],
        ["iris", "--optimizer", "adam", "--learning-rate", "1e-300"],
        ["iris", "--optimizer", "momentum", "--batch-size", "2147483647"],
        ["iris", "--optimizer", "adam", "--batch-size", "1", "--early-stopping"],
        ["iris", "--output", "/proc/nothing"],
        ["iris", "--output", "/dev/null"],
        ["iris", "--output", ""],
        ["iris", "--output", "x" * 300],
        ["iris", "--output", ESCAPE],
        ["iris", "--output", "out\nput"],
        ["iris", "--output", os.fsdecode(b"\xff")],
    )


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        for what, path in write_tables(place, kind).items():
            print(f"{path.name}  {what}")
