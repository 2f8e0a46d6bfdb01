"""What products are called: one text a line, for `embed.py`.

    python benchmarks/lm/product_texts.py PRODUCTS.parquet > TEXTS.txt

The first 2,000 different names of The Complete Journey: type, category and department of a product.
"""

import sys

import pyarrow.parquet

COLUMNS = ["product_type", "product_category", "department"]
rows = pyarrow.parquet.read_table(sys.argv[1], columns=COLUMNS).to_pylist()
names = dict.fromkeys(", ".join(row[c] for c in COLUMNS if row[c]) for row in rows)
print("\n".join(list(names)[:2000]))
