//! Tables of items and users that join a log.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::config::{ItemsMapping, UsersMapping};
use super::number;
use crate::adapters::ids::{ROUNDED, by_rules, is_rounded};
use crate::adapters::join::{self, Indexed, Join};
use crate::adapters::sink::Target;
use crate::adapters::table::{self, Columns, LIST_MARK, Rows, Use};
use crate::error::Result;
use crate::report::IngestReport;

pub(super) fn items(target: &mut impl Target, path: &Path, mapping: &ItemsMapping) -> Result<()> {
    let mut join = Indexed::new(target.names().item_names());
    let mut described = HashSet::new();
    for file in table::files(path)? {
        let mut columns = Columns::default();
        let id_at = columns.add_as(&mapping.id, Use::Id);
        let title_at = columns.add_if(&mapping.title);
        let price_at = columns.add_if(&mapping.price);
        let categories = mapping.categories.iter();
        let category_at: Vec<usize> = categories.map(|c| columns.add_as(c, Use::List)).collect();
        let attribute_at: Vec<usize> = mapping.attributes.iter().map(|a| columns.add(a)).collect();
        let mut rows = Rows::open(&file, &mapping.file, &columns, target.report())?;
        while let Some((line, row)) = rows.next_row(target.report())? {
            let at = (file.path.as_path(), line);
            let report = target.report();
            let Some(id) = row[id_at].as_deref() else {
                report.bad_row(at.0, at.1, "id is empty", "")?;
                continue;
            };
            if is_rounded(id) {
                report.bad_row(at.0, at.1, ROUNDED, id)?;
                continue;
            }
            let id = by_rules(id, &mapping.ids);
            if !described.insert(id.clone().into_owned()) {
                report.bad_row(at.0, at.1, "id is described twice", &id)?;
                continue;
            }
            let cell = |at: Option<usize>| at.and_then(|i| row[i].as_deref());
            let price = number(report, at, "price", cell(price_at))?;
            report.rows_kept += 1;
            let title = cell(title_at).map_or_else(String::new, |t| report.clean(t).into_owned());
            let mut categories = Vec::new();
            for cell in category_at.iter().filter_map(|&i| row[i].as_deref()) {
                add_categories(report, cell, &mapping.separator, &mut categories);
            }
            let attributes = attributes(report, &mapping.attributes, &attribute_at, row);
            let index = target.names().item(&id);
            join.see(&id, index);
            let item = target.names().item_mut(index);
            item.title = title;
            item.categories = categories;
            item.price = price;
            item.attributes = attributes;
        }
    }
    join.finish(
        target.report(),
        path,
        "items",
        &join::ITEMS,
        mapping.few_match,
    )
}

/// A list holds a category in each of its values, a text one, or several with `separator` between them.
fn add_categories(
    report: &mut IngestReport,
    cell: &str,
    separator: &str,
    categories: &mut Vec<String>,
) {
    let is_list = cell.contains(LIST_MARK);
    for value in cell.split(LIST_MARK) {
        let value = report.clean(value);
        let parts: Vec<&str> = match separator {
            "" => vec![&value],
            _ if is_list => vec![&value],
            separator => value.split(separator).collect(),
        };
        let parts = parts.into_iter().map(str::trim);
        categories.extend(parts.filter(|c| !c.is_empty()).map(str::to_owned));
    }
}

pub(super) fn users(target: &mut impl Target, path: &Path, mapping: &UsersMapping) -> Result<()> {
    let mut join = Join::new(target.some_users());
    for file in table::files(path)? {
        let mut columns = Columns::default();
        let id_at = columns.add_as(&mapping.id, Use::Id);
        let attribute_at: Vec<usize> = mapping.attributes.iter().map(|a| columns.add(a)).collect();
        let mut rows = Rows::open(&file, &mapping.file, &columns, target.report())?;
        while let Some((line, row)) = rows.next_row(target.report())? {
            let Some(id) = row[id_at].as_deref() else {
                target
                    .report()
                    .bad_row(&file.path, line, "id is empty", "")?;
                continue;
            };
            if is_rounded(id) {
                target.report().bad_row(&file.path, line, ROUNDED, id)?;
                continue;
            }
            let id = by_rules(id, &mapping.ids);
            join.see(&id);
            let attributes = attributes(target.report(), &mapping.attributes, &attribute_at, row);
            target.profile((&file.path, line), &id, attributes)?;
        }
    }
    target.users_are_from(path);
    join.judge(path, "users", &join::USERS, mapping.few_match)
}

fn attributes(
    report: &mut IngestReport,
    names: &[String],
    at: &[usize],
    row: &[Option<String>],
) -> BTreeMap<String, String> {
    names
        .iter()
        .zip(at)
        .filter_map(|(name, &i)| {
            Some((name.clone(), report.clean(row[i].as_deref()?).into_owned()))
        })
        .collect()
}
