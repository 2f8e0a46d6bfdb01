"""Do other engines read the events as they are? DuckDB and pyarrow on the directory of a finished `ingest`.

    python benchmarks/engines.py OUT/NAME/ingest

Prints what they count, and fails if that is not what info.json says, a user is in two parts, or a part is not
sorted by user, time and event. Needs duckdb and pyarrow.
"""

import json
import pathlib
import sys

import duckdb
import pyarrow.dataset
import pyarrow.parquet

folder = pathlib.Path(sys.argv[1])
info = json.loads((folder / "info.json").read_text())
parts = f"{folder}/events/*.parquet"
query = duckdb.sql


def one(sql):
    return query(sql).fetchall()[0][0]


found = {
    "events": one(f"SELECT count(*) FROM '{parts}'"),
    "users": one(f"SELECT count(*) FROM '{folder}/users.parquet'"),
    "items": one(f"SELECT count(*) FROM '{folder}/items.parquet'"),
}
told = {key: info[f"n_{key}"] for key in found}
table = pyarrow.dataset.dataset(folder / "events", format="parquet")
split = one(
    f"SELECT count(*) FROM (SELECT user_id FROM read_parquet('{parts}', filename = true) "
    "GROUP BY user_id HAVING count(DISTINCT filename) > 1)"
)
unsorted = one(
    f"""SELECT count(*) FROM (
        SELECT (user_id, timestamp, event_id) AS key, lag((user_id, timestamp, event_id))
               OVER (PARTITION BY filename ORDER BY file_row_number) AS before
        FROM read_parquet('{parts}', filename = true, file_row_number = true)
    ) WHERE before >= key"""
)
first = pyarrow.parquet.ParquetFile(folder / "events" / "part-000.parquet")
sorting = [first.schema_arrow.names[c.column_index] for c in first.metadata.row_group(0).sorting_columns]
print(query(f"SELECT action, count(*) AS n, count(DISTINCT user_id) AS users FROM '{parts}' GROUP BY 1 ORDER BY 2 DESC"))
print(table.schema.to_string(show_schema_metadata=False))
print(json.dumps({"duckdb": found, "pyarrow": table.count_rows(), "info.json": told, "sorting_columns": sorting}))
good = found == told and table.count_rows() == told["events"] and split == 0 and unsorted == 0
good = good and sorting == ["user_id", "timestamp", "event_id"]
sys.exit(0 if good else f"{split} users in two parts, {unsorted} rows out of order")
