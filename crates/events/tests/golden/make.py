"""Small logs as pyarrow, pandas, polars, DuckDB and Spark write them, in every type that holds an id, a time or a number.

    pip install pyarrow pandas polars duckdb pyspark zstandard     # Spark needs a JDK
    python crates/events/tests/golden/make.py

Each file holds one random log of 16 events. `logs/expected.json` says, file by file, how it is to be read and what is in
it: user, item, seconds, value and text of each event, in the order of the log. `tests/it/golden.rs` reads them back. Made
once, with the versions that stand in the file; a new version of a program may write other bytes with the same meaning.
"""

import decimal
import json
import pathlib
import random
import shutil
import sys
import uuid

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).resolve().parent / "logs"
RNG = random.Random(7)
N = 16
DAY = 86_400 * 10**9
EXPECTED = {}

# One log: (nanoseconds since 1970, value, text). Times are within days of each other, some within one second.
TIMES = sorted(1_600_000_000_000_000_000 + RNG.randrange(3 * 86_400) * 10**9 + RNG.randrange(10**9) for _ in range(N - 4))
TIMES = sorted(TIMES + [TIMES[0] + d for d in (1_000, 1_000_000, 2_000_000, 3)])
VALUES = [round(RNG.uniform(0, 99), 2) if RNG.random() < 0.8 else None for _ in range(N)]
TEXTS = [RNG.choice(["red shoes", "Käse, \"alt\"", "面包", "a|b", None, "#1; best"]) for _ in range(N)]
# `item` repeats, `user` has a few ids; integers in the range of the type that holds them.
USERS = [RNG.randrange(5) for _ in range(N)]
ITEMS = [RNG.randrange(7) for _ in range(N)]
SHUFFLED = list(range(N))
RNG.shuffle(SHUFFLED)


def ids(kind):
    """Five ids of a kind, and how they are called."""
    if kind.startswith(("int", "uint")):
        bits = int(kind.lstrip("uint"))
        low, high = (0, 2**bits - 1) if kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        xs = [low, high, high - 1, 17, 5]
        return xs, [str(x) for x in xs]
    if kind == "float":
        return [1000.0, 1001.0, 2.0, 3.0, 9_007_199_254_740_991.0], ["1000", "1001", "2", "3", "9007199254740991"]
    if kind == "decimal":
        xs = ["12345678901234567890123456789012345678", "1", "20", "300", "-4"]
        return [decimal.Decimal(x) for x in xs], xs
    if kind == "decimal2":
        return [decimal.Decimal(x) for x in ["1000.00", "7.50", "20.00", "300.25", "4.00"]], ["1000", "7.5", "20", "300.25", "4"]
    if kind == "text":
        xs = ["ann", "007", "Zoë", "a b", "x:1"]
        return xs, xs
    if kind == "bytes":
        xs = [b"ann", b"\x00\xff", b"007", "Zoë".encode(), b"\xfe"]
        return xs, ["ann", "00ff", "007", "Zoë", "fe"]
    if kind == "fixed":
        xs = [bytes([i, 200, 3, 4]) for i in range(4)] + [b"abc\0"]
        return xs, [x.hex() for x in xs[:4]] + ["abc"]
    if kind == "uuid":
        xs = [uuid.UUID(int=RNG.getrandbits(128), version=4) for _ in range(5)]
        return xs, [str(x) for x in xs]
    raise ValueError(kind)


def rows(users="text", unit=1, day=False, values=VALUES, texts=TEXTS):
    """What a reader must see, in the order of time; times that are equal in `unit` (nanoseconds) in that of the file."""
    names = ids(users)[1] if isinstance(users, str) else users
    kept = [t // unit for t in TIMES]
    seconds = [t // 10**9 // 86_400 * 86_400 if day else t // 10**9 for t in TIMES]
    return [
        [names[USERS[i]], f"i{ITEMS[i]}", seconds[i], values[i], texts[i]]
        for i in sorted(SHUFFLED, key=lambda i: kept[i])
    ]


def expect(file, events, **options):
    EXPECTED[file] = {"options": options, "events": events}


def shuffled(column):
    return [column[i] for i in SHUFFLED]


def table(users=None, times=None, values=None, texts=None):
    """Columns of pyarrow arrays, rows in no order."""
    return pa.table({
        "user": users if users is not None else pa.array(shuffled([ids("text")[0][u] for u in USERS])),
        "item": pa.array(shuffled([f"i{i}" for i in ITEMS])),
        "at": times if times is not None else pa.array(shuffled(TIMES), pa.timestamp("ns")),
        "value": values if values is not None else pa.array(shuffled(VALUES), pa.float64()),
        "text": texts if texts is not None else pa.array(shuffled(TEXTS)),
    })


def of_users(xs, kind):
    return pa.array(shuffled([xs[u] for u in USERS]), kind)


def by_pyarrow():
    for kind in ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]:
        file = f"pyarrow-user-{kind}.parquet"
        pq.write_table(table(of_users(ids(kind)[0], getattr(pa, kind)())), HERE / file)
        expect(file, rows(kind))
    for name, kind, of in [
        ("float64", "float", pa.float64()),
        ("decimal128", "decimal", pa.decimal128(38, 0)),
        ("decimal256", "decimal", pa.decimal256(50, 0)),
        ("decimal-scale", "decimal2", pa.decimal128(10, 2)),
        ("large-string", "text", pa.large_string()),
        ("string-view", "text", pa.string_view()),
        ("binary", "bytes", pa.binary()),
        ("large-binary", "bytes", pa.large_binary()),
        ("fixed-binary", "fixed", pa.binary(4)),
    ]:
        file = f"pyarrow-user-{name}.parquet"
        pq.write_table(table(of_users(ids(kind)[0], of)), HERE / file)
        expect(file, rows(kind))
    for index in ["int8", "int64"]:
        file = f"pyarrow-user-dictionary-{index}.parquet"
        users = of_users(ids("text")[0], pa.string()).dictionary_encode()
        users = users.cast(pa.dictionary(getattr(pa, index)(), pa.string()))
        pq.write_table(table(users), HERE / file)
        expect(file, rows("text"))
    for unit, ns in [("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1)]:
        for zone in [None, "UTC", "Europe/Berlin"]:
            file = f"pyarrow-at-{unit}-{(zone or 'naive').split('/')[-1].lower()}.parquet"
            times = pa.array(shuffled([t // ns for t in TIMES]), pa.timestamp(unit, zone))
            pq.write_table(table(times=times), HERE / file)
            expect(file, rows(unit=ns))
    days = [t // 10**9 // 86_400 for t in TIMES]
    midnight = [d * 86_400 for d in days]
    for name, of, values in [("date32", pa.date32(), days), ("date64", pa.date64(), [m * 1_000 for m in midnight])]:
        file = f"pyarrow-at-{name}.parquet"
        pq.write_table(table(times=pa.array(shuffled(values), of)), HERE / file)
        expect(file, rows(unit=DAY, day=True))
    for name, ns, of, option in [
        ("int64-ms", 10**6, pa.int64(), "millis"),
        ("int64-us", 10**3, pa.int64(), "micros"),
        ("int64-ns", 1, pa.int64(), "nanos"),
    ]:
        file = f"pyarrow-at-{name}.parquet"
        pq.write_table(table(times=pa.array(shuffled([t // ns for t in TIMES]), of)), HERE / file)
        expect(file, rows(unit=ns), time_format=option)
    file = "pyarrow-at-decimal.parquet"
    exact = [decimal.Decimal(t).scaleb(-9) for t in TIMES]
    pq.write_table(table(times=pa.array(shuffled(exact), pa.decimal128(28, 9))), HERE / file)
    expect(file, rows())
    file = "pyarrow-at-int96.parquet"
    pq.write_table(table(), HERE / file, use_deprecated_int96_timestamps=True)
    expect(file, rows())
    for name, of in [("float32", pa.float32()), ("decimal", pa.decimal128(10, 2)), ("text", pa.string())]:
        file = f"pyarrow-value-{name}.parquet"
        values = [None if v is None else decimal.Decimal(str(v)) for v in VALUES]
        values = [v if name == "decimal" else None if v is None else str(v) if name == "text" else float(v) for v in values]
        pq.write_table(table(values=pa.array(shuffled(values), of)), HERE / file)
        expect(file, rows())
    for codec in ["none", "gzip", "zstd", "lz4"]:
        file = f"pyarrow-codec-{codec}.parquet"
        pq.write_table(table(), HERE / file, compression=codec, data_page_version="2.0")
        expect(file, rows())
    file = "pyarrow-nested.parquet"
    meta = pa.array(
        shuffled([{"who": {"id": ids("text")[0][u]}} for u in USERS]),
        pa.struct([("who", pa.struct([("id", pa.string())]))]),
    )
    nested = table().drop_columns(["user"]).append_column("meta", meta)
    pq.write_table(nested, HERE / file)
    expect(file, rows(), user="meta.who.id")
    file = "pyarrow-text-list.parquet"
    lists = [None if t is None else [t, None, "", "x"] for t in TEXTS]
    pq.write_table(table(texts=pa.array(shuffled(lists), pa.large_list(pa.string()))), HERE / file)
    expect(file, rows(texts=[None if t is None else f"{t}|x" for t in TEXTS]))


def frame():
    return pd.DataFrame({
        "user": pd.Categorical(shuffled([ids("text")[0][u] for u in USERS])),
        "item": shuffled([f"i{i}" for i in ITEMS]),
        "at": pd.to_datetime(shuffled(TIMES)),
        "value": pd.array(shuffled(VALUES), dtype="Float64"),
        "text": shuffled(TEXTS),
    })


def by_pandas():
    frame().to_parquet(HERE / "pandas.parquet")
    expect("pandas.parquet", rows())
    zoned = frame().assign(at=lambda f: f["at"].dt.tz_localize("UTC").dt.tz_convert("America/New_York"))
    zoned.to_parquet(HERE / "pandas-zone.parquet", index=False)
    expect("pandas-zone.parquet", rows())
    gaps = frame().assign(user=shuffled([ids("float")[0][u] for u in USERS]))
    gaps.to_parquet(HERE / "pandas-float-user.parquet")
    expect("pandas-float-user.parquet", rows("float"))
    frame().to_csv(HERE / "pandas.csv.gz", index=False)
    expect("pandas.csv.gz", rows(), time_format="iso")
    frame().to_csv(HERE / "pandas-index.csv", sep=";", decimal=".")
    expect("pandas-index.csv", rows(), time_format="iso")
    frame().to_csv(HERE / "pandas-utf16.csv", index=False, encoding="utf-16", sep="\t")
    expect("pandas-utf16.csv", rows(), time_format="iso", delimiter="tab", quote='"')
    no_header = frame().assign(text=[None if t == "面包" else t for t in shuffled(TEXTS)])
    no_header.to_csv(HERE / "pandas-latin1.dat", index=False, header=False, encoding="latin-1", sep="|")
    latin = ["Zoë" if t == "Zoë" else t for t in ids("text")[1]]
    expect(
        "pandas-latin1.dat",
        rows(latin, texts=[None if t == "面包" else t for t in TEXTS]),
        time_format="iso", format="csv", delimiter="|", encoding="latin-1",
        columns=["user", "item", "at", "value", "text"],
    )
    gbk = frame().assign(user=frame()["user"].astype(str).str.replace("ë", "e"), text=[None if t is None else t.replace("ä", "a") for t in shuffled(TEXTS)])
    gbk.to_csv(HERE / "pandas-gbk.csv.bz2", index=False, encoding="gbk")
    expect(
        "pandas-gbk.csv.bz2",
        rows([u.replace("ë", "e") for u in ids("text")[1]], texts=[None if t is None else t.replace("ä", "a") for t in TEXTS]),
        time_format="iso", encoding="gbk",
    )
    frame().to_json(HERE / "pandas.jsonl.zst", orient="records", lines=True, date_unit="ns")
    expect("pandas.jsonl.zst", rows(), time_format="nanos")
    frame().to_json(HERE / "pandas-iso.json.zip", orient="records", lines=True, date_format="iso", date_unit="ns")
    expect("pandas-iso.json.zip", rows(), time_format="iso")


def by_polars():
    f = pl.DataFrame({
        "user": shuffled([ids("uint64")[0][u] for u in USERS]),
        "item": shuffled([f"i{i}" for i in ITEMS]),
        "at": shuffled(TIMES),
        "value": shuffled(VALUES),
        "text": shuffled(TEXTS),
    }, schema_overrides={"user": pl.UInt64}).with_columns(pl.from_epoch("at", time_unit="ns"))
    f.write_parquet(HERE / "polars.parquet")
    expect("polars.parquet", rows("uint64"))
    g = f.with_columns(
        user=pl.Series(shuffled([ids("text")[0][u] for u in USERS]), dtype=pl.Enum(ids("text")[0])),
        item=pl.col("item").cast(pl.Categorical),
        at=pl.col("at").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
        value=pl.col("value").cast(pl.Decimal(10, 2)),
    )
    g.write_parquet(HERE / "polars-enum.parquet")
    expect("polars-enum.parquet", rows(unit=1_000))
    f.write_csv(HERE / "polars.csv")
    expect("polars.csv", rows("uint64"), time_format="iso")
    f.write_ndjson(HERE / "polars.ndjson")
    expect("polars.ndjson", rows("uint64"), time_format="iso")


def by_duckdb():
    names = ids("uuid")[1]
    con = duckdb.connect()
    con.register("base", table())
    con.register("kinds", table(of_users(names, pa.string())))
    con.sql("set timezone = 'UTC'")

    def write(query, file, how):
        con.sql(f"copy ({query}) to '{HERE / file}' ({how})")

    write("select \"user\", item, \"at\"::timestamp_ns as \"at\", value::decimal(8,2) as value, text from base", "duckdb.parquet", "format parquet")
    expect("duckdb.parquet", rows())
    write("select \"user\"::uuid as \"user\", item, \"at\"::timestamptz as \"at\", value, text from kinds", "duckdb-uuid.parquet", "format parquet, compression zstd")
    expect("duckdb-uuid.parquet", rows(names, unit=1_000))
    write("select {'id': \"user\"} as who, item, \"at\"::timestamp as \"at\", value, text from base", "duckdb-struct.parquet", "format parquet")
    expect("duckdb-struct.parquet", rows(unit=1_000), user="who.id")
    write("select encode(\"user\") as \"user\", item, \"at\"::timestamp_ms as \"at\", value, text from base", "duckdb-blob.parquet", "format parquet")
    expect("duckdb-blob.parquet", rows(unit=1_000_000))
    write("select \"user\", item, \"at\", value, text from base", "duckdb.csv.zst", "header, delimiter '|', compression zstd")
    expect("duckdb.csv.zst", rows(), time_format="iso", delimiter="|")
    write("select \"user\", item, \"at\", value, text from base", "duckdb.json.gz", "format json, compression gzip")
    expect("duckdb.json.gz", rows(), time_format="iso")


def by_spark():
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    spark = (
        SparkSession.builder.master("local[1]").config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1").getOrCreate()
    )
    micros = [t // 1_000 for t in TIMES]
    data = shuffled([
        (ids("text")[0][USERS[i]], f"i{ITEMS[i]}", micros[i], VALUES[i], TEXTS[i]) for i in range(N)
    ])
    base = spark.createDataFrame(data, "user string, item string, us long, value double, text string")
    base = base.withColumn("at", F.timestamp_micros("us")).drop("us").coalesce(1)

    def one(frame, file, how, **options):
        folder = HERE / "tmp"
        writer = frame.write.mode("overwrite")
        for key, value in options.items():
            writer = writer.option(key, value)
        getattr(writer, how)(str(folder))
        (part,) = [p for p in folder.iterdir() if p.name.startswith("part-")]
        shutil.move(part, HERE / file)
        shutil.rmtree(folder)

    one(base.withColumn("value", F.col("value").cast("decimal(10,2)")), "spark.parquet", "parquet")
    expect("spark.parquet", rows(unit=1_000))
    spark.conf.set("spark.sql.parquet.outputTimestampType", "INT96")
    one(base, "spark-int96.parquet", "parquet", compression="gzip")
    expect("spark-int96.parquet", rows(unit=1_000))
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    ntz = base.withColumn("at", F.col("at").cast("timestamp_ntz")).withColumn("user", F.col("user").cast("binary"))
    one(ntz.withColumn("who", F.struct("user")).drop("user"), "spark-ntz.parquet", "parquet", compression="zstd")
    expect("spark-ntz.parquet", rows(unit=1_000), user="who.user")
    one(base, "spark.csv.gz", "csv", header=True, compression="gzip", timestampFormat="yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX")
    expect("spark.csv.gz", rows(unit=1_000), time_format="iso", escape="\\")
    one(base, "spark.json", "json", timestampFormat="yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'")
    expect("spark.json", rows(unit=1_000), time_format="iso")
    folder = HERE / "spark-by-user"
    text = base.withColumn("user", F.when(F.col("user") == "a b", "a:b").otherwise(F.col("user")))
    text.write.mode("overwrite").partitionBy("user").parquet(str(folder))
    for junk in list(folder.rglob("*.crc")):
        junk.unlink()
    for i, part in enumerate(sorted(folder.rglob("part-*"))):
        part.rename(part.with_name(f"part-{i}.snappy.parquet"))
    names = [u if u != "a b" else "a:b" for u in ids("text")[1]]
    expect("spark-by-user", rows(names, unit=1_000))
    spark.stop()


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    for by in [by_pyarrow, by_pandas, by_polars, by_duckdb, by_spark]:
        by()
    import pyspark

    versions = {m.__name__: m.__version__ for m in [pa, pd, pl, duckdb, pyspark]}
    versions["python"] = sys.version.split()[0]
    lines = [f" {json.dumps(file)}: {json.dumps(of, ensure_ascii=False)}" for file, of in EXPECTED.items()]
    files = ",\n".join(lines)
    out = f'{{"versions": {json.dumps(versions)},\n"files": {{\n{files}\n}}}}\n'
    (HERE / "expected.json").write_text(out)
    print(len(EXPECTED), "files")


main()
