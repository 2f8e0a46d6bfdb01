//! The shelf: products with readable titles and categories, and a price each.

use std::collections::HashMap;
use std::path::Path;

use super::{abbreviations, required};
use crate::adapters::parquet_in;
use crate::dataset::DatasetBuilder;
use crate::error::Result;
use crate::report::IngestReport;

/// Purchases that a price is the median of.
const PRICE_SAMPLE: usize = 20;

#[derive(Default)]
pub(super) struct Product {
    pub id: i64,
    pub title: String,
    /// Department, category, type; empty for a product that the file does not describe.
    pub categories: Vec<String>,
    brand: Option<String>,
    manufacturer: Option<i64>,
    size: Option<String>,
    /// (time, row, unit price) of the earliest purchases, sorted.
    prices: Vec<(i64, u64, f32)>,
}

#[derive(Default)]
pub(super) struct Products {
    pub all: Vec<Product>,
    by_id: HashMap<i64, u32>,
    /// By product: number of its product category.
    pub category: Vec<u16>,
    categories: HashMap<String, u16>,
}

impl Products {
    pub fn index(&self, id: i64) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// A product that the log names but the product file does not is kept, without title.
    pub fn index_or_add(&mut self, id: i64) -> u32 {
        self.index(id).unwrap_or_else(|| {
            self.add(Product {
                id,
                ..Product::default()
            })
        })
    }

    pub fn n_categories(&self) -> usize {
        self.categories.len()
    }

    fn add(&mut self, product: Product) -> u32 {
        let index = self.all.len() as u32;
        let name = product.categories.get(1).cloned().unwrap_or_default();
        let next = self.categories.len() as u16;
        self.category
            .push(*self.categories.entry(name).or_insert(next));
        self.by_id.insert(product.id, index);
        self.all.push(product);
        index
    }

    /// Keeps the price if it is among the earliest.
    pub fn see_price(&mut self, product: u32, ts: i64, row: u64, price: f32) {
        let prices = &mut self.all[product as usize].prices;
        let at = prices.partition_point(|p| (p.0, p.1) < (ts, row));
        if at < PRICE_SAMPLE {
            prices.insert(at, (ts, row, price));
            prices.truncate(PRICE_SAMPLE);
        }
    }
}

impl Product {
    fn price(&self) -> Option<f32> {
        let mut prices: Vec<f32> = self.prices.iter().map(|p| p.2).collect();
        prices.sort_by(f32::total_cmp);
        let n = prices.len();
        let median = match n {
            0 => return None,
            _ if n % 2 == 1 => prices[n / 2],
            _ => (prices[n / 2 - 1] + prices[n / 2]) / 2.0,
        };
        Some((median * 100.0).round() / 100.0)
    }
}

pub(super) fn read(path: &Path, report: &mut IngestReport) -> Result<Products> {
    let columns = [
        "product_id",
        "manufacturer_id",
        "department",
        "brand",
        "product_category",
        "product_type",
        "package_size",
    ];
    let mut table = parquet_in::open(path, &columns)?;
    let mut products = Products::default();
    while let Some((before, batch)) = table.next_batch()? {
        let (id, manufacturer) = (
            table.ints(&batch, "product_id")?,
            table.ints(&batch, "manufacturer_id")?,
        );
        let text = |c| table.strings(&batch, c);
        let (department, brand, category, kind, size) = (
            text("department")?,
            text("brand")?,
            text("product_category")?,
            text("product_type")?,
            text("package_size")?,
        );
        for i in 0..batch.num_rows() {
            let row = before + i as u64 + 1;
            report.rows_read += 1;
            let Some(id) = required(id[i], "product_id", path, row, report)? else {
                continue;
            };
            if products.index(id).is_some() {
                report.bad_row(path, row, "product is described twice", &id.to_string())?;
                continue;
            }
            report.rows_kept += 1;
            let mut readable = |cell: Option<&str>| {
                cell.map(|c| readable(&report.clean(c)))
                    .filter(|c| !c.is_empty())
            };
            let department = readable(department[i]);
            let category = readable(category[i]).or_else(|| department.clone());
            let kind = readable(kind[i]).or_else(|| category.clone());
            let size = size[i]
                .map(|s| report.clean(s).to_lowercase())
                .filter(|s| !s.is_empty());
            let mut title = kind.as_deref().map(sentence_case).unwrap_or_default();
            if !title.is_empty() {
                if brand[i] == Some("Private") {
                    title.push_str(", store brand");
                }
                if let Some(size) = &size {
                    title = format!("{title}, {size}");
                }
            }
            products.add(Product {
                id,
                title,
                categories: [department, category, kind]
                    .into_iter()
                    .map(|c| c.unwrap_or_else(|| "other".into()))
                    .collect(),
                brand: brand[i].map(|b| report.clean(b).to_lowercase()),
                manufacturer: manufacturer[i],
                size,
                prices: Vec::new(),
            });
        }
    }
    Ok(products)
}

/// Fills the items that the events named. A product without any event is no item.
pub(super) fn describe(builder: &mut DatasetBuilder, products: &Products) {
    for product in &products.all {
        let id = product.id.to_string();
        if !builder.has_item(&id) {
            continue;
        }
        let index = builder.item(&id);
        let item = builder.item_mut(index);
        item.title.clone_from(&product.title);
        item.categories.clone_from(&product.categories);
        item.price = product.price();
        let brand = product
            .brand
            .as_deref()
            .map(|b| if b == "private" { "store brand" } else { b });
        for (key, value) in [
            ("brand", brand.map(str::to_owned)),
            ("manufacturer", product.manufacturer.map(|m| m.to_string())),
            ("size", product.size.clone()),
        ] {
            if let Some(value) = value {
                item.attributes.insert(key.into(), value);
            }
        }
    }
}

/// `CANDY BARS (SINGLES)(INCLUDING` → `candy bars (singles)`: lower case, the till's
/// abbreviations written out, what was cut off in the middle of a bracket removed.
fn readable(label: &str) -> String {
    let mut text = label.to_lowercase();
    while text.matches('(').count() > text.matches(')').count()
        && let Some(open) = text.rfind('(')
    {
        text.truncate(open);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_alphanumeric() || c == '\'' {
            word.push(c);
            continue;
        }
        out.push_str(abbreviations::written_out(&word));
        word.clear();
        match c {
            // Spaced, so that a word-level tokenizer sees two words.
            '/' | '&' => {
                out.push(' ');
                out.push(if c == '/' { '/' } else { '&' });
                out.push(' ');
            }
            ':' => out.push_str(": "),
            '(' => out.push_str(" ("),
            c => out.push(c),
        }
    }
    let spaced = out.split_whitespace().collect::<Vec<_>>().join(" ");
    spaced
        .replace(" / ", "/")
        .trim_matches(|c: char| !c.is_alphanumeric() && c != ')')
        .to_owned()
}

fn sentence_case(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_readable() {
        for (label, expected) in [
            ("CANDY BARS (SINGLES)(INCLUDING", "candy bars (singles)"),
            ("FRZN ICE", "frozen ice"),
            ("BREAD:ITALIAN/FRENCH", "bread: italian/french"),
            (
                "BLENDED JUICE&COMBINATIONS (OV",
                "blended juice & combinations",
            ),
            ("FRUIT - SHELF STABLE", "fruit - shelf stable"),
            ("MEAT-PCKGD", "meat-packaged"),
            ("***", ""),
            ("", ""),
        ] {
            assert_eq!(readable(label), expected, "{label}");
        }
        assert_eq!(sentence_case("apple sauce"), "Apple sauce");
    }

    #[test]
    fn a_price_is_the_median_of_the_earliest_twenty() {
        let mut products = Products::default();
        let p = products.index_or_add(1);
        for ts in (0..40).rev() {
            products.see_price(
                p,
                ts,
                ts as u64,
                if ts < 20 { 1.0 + (ts % 2) as f32 } else { 99.0 },
            );
        }
        assert_eq!(products.all[0].price(), Some(1.5));
    }
}
