//! What the tables of a report hold.

use super::model::{Cell, Table};
use super::numbers::{megabytes, seconds, short, thousands};
use super::shown;
use crate::beyond::ListMetrics;
use crate::metric::MetricAt;
use crate::report::{Report, SegmentReport, SystemCost, SystemRow, TaskReport};
use crate::segments::dimension;

/// All tables of a task, the most important first.
pub(super) fn tables(report: &Report, task: &TaskReport) -> Vec<Table> {
    let Some(all) = task.segments.first() else {
        return Vec::new();
    };
    let mut tables = vec![overall(report, task, all)];
    tables.extend(systems(report, task, all));
    tables.extend(lists(report, task, all));
    for (dimension, segments) in by_dimension(task) {
        tables.push(by_segment(report, task, dimension, &segments));
    }
    tables
}

/// The table of all cases.
pub(super) fn overall(report: &Report, task: &TaskReport, segment: &SegmentReport) -> Table {
    let main = report.config.main();
    let compared = segment.is_compared();
    let mut header = vec!["system".to_owned()];
    header.extend(shown(report).iter().map(MetricAt::to_string));
    if compared {
        header.push(format!("Δ{main}"));
    }
    let row = |row: &SystemRow| {
        let mean = |at: &MetricAt| {
            let v = row.value(at.metric, at.k)?;
            let difference = row.difference(at.metric, at.k);
            Some(Cell::Mean {
                mean: v.mean,
                interval: Some(v.interval),
                best: is_best(segment, *at, v.mean),
                significant: difference.is_some_and(|d| d.is_significant()),
            })
        };
        let mut cells = vec![Cell::Name(row.system.clone())];
        cells.extend(shown(report).iter().filter_map(mean));
        if compared {
            cells.push(match row.difference(main.metric, main.k) {
                Some(d) => Cell::Difference {
                    diff: d.diff,
                    p: d.p_holm,
                    p_is_floor: d.p_is_floor,
                },
                None => Cell::Text("reference".into()),
            });
        }
        cells
    };
    Table {
        title: format!(
            "{} · {} · {} cases · {} in the catalogue",
            task.task,
            segment.segment,
            thousands(segment.n_cases),
            thousands(task.n_catalogue)
        ),
        leads: true,
        header,
        rows: segment.systems.iter().map(row).collect(),
    }
}

/// Seeds, effect sizes and costs; `None` where neither seeds nor costs are known.
pub(super) fn systems(
    report: &Report,
    task: &TaskReport,
    segment: &SegmentReport,
) -> Option<Table> {
    let seeded = segment.systems.iter().any(|row| row.n_seeds > 1);
    let costs = cost_columns(report, &task.task);
    if !seeded && costs.is_empty() {
        return None;
    }
    let at = report.config.main();
    let mut header = vec!["system".to_owned()];
    if seeded {
        header.extend(["seeds".to_owned(), format!("sd of seeds, {at}")]);
    }
    if segment.is_compared() {
        header.push(format!("d_z, {at}"));
    }
    header.extend(costs.iter().map(|c| c.0.to_owned()));
    let or_dash = |text: Option<String>| Cell::Text(text.unwrap_or("–".into()));
    let row = |row: &SystemRow| {
        let mut cells = vec![Cell::Name(row.system.clone())];
        if seeded {
            let value = row.value(at.metric, at.k);
            let sd = value.and_then(|v| v.seed_sd);
            cells.push(Cell::Text(row.n_seeds.to_string()));
            cells.push(or_dash(sd.map(|sd| format!("{sd:.4}"))));
        }
        if segment.is_compared() {
            let effect = row.difference(at.metric, at.k).and_then(|d| d.effect);
            cells.push(or_dash(effect.map(|d| short(d, 2))));
        }
        let cost = report.cost(&task.task, &row.system);
        cells.extend(costs.iter().map(|c| or_dash(cost.and_then(c.1))));
        cells
    };
    Some(Table {
        title: format!("{}: seeds, effect and cost", task.task),
        leads: false,
        header,
        rows: segment.systems.iter().map(row).collect(),
    })
}

pub(crate) type CostColumn = (&'static str, fn(&SystemCost) -> Option<String>);

/// The costs that are known of some system for a task.
pub(crate) fn cost_columns(report: &Report, task: &str) -> Vec<CostColumn> {
    let mut columns: Vec<CostColumn> = vec![
        ("fit", |c| c.fit_seconds.map(seconds)),
        ("score", |c| c.score_seconds.map(seconds)),
        ("peak memory", |c| c.peak_mb.map(megabytes)),
    ];
    let of_task = || report.costs.iter().filter(|c| c.task == task);
    columns.retain(|c| of_task().any(|cost| c.1(cost).is_some()));
    columns
}

/// What the lists are like at the deepest cut-off; `None` where nothing of it is known.
fn lists(report: &Report, task: &TaskReport, segment: &SegmentReport) -> Option<Table> {
    let k = *report.config.ks.last()?;
    let columns = list_columns(segment, k);
    if columns.is_empty() {
        return None;
    }
    let mut header = vec!["system".to_owned()];
    header.extend(columns.iter().map(|c| c.0.to_owned()));
    let row = |row: &SystemRow| {
        let list = row.lists_at(k)?;
        let cells = columns.iter().map(|c| c.1(list).unwrap_or("–".into()));
        let name = Cell::Name(row.system.clone());
        Some(std::iter::once(name).chain(cells.map(Cell::Text)).collect())
    };
    Some(Table {
        title: format!("{}: lists at {k}", task.task),
        leads: false,
        header,
        rows: segment.systems.iter().filter_map(row).collect(),
    })
}

pub(crate) type ListColumn = (&'static str, fn(&ListMetrics) -> Option<String>);

/// The figures of lists that are known of some system.
pub(crate) fn list_columns(segment: &SegmentReport, k: usize) -> Vec<ListColumn> {
    let mut columns: Vec<ListColumn> = vec![
        ("coverage", |l| Some(format!("{:.4}", l.coverage?))),
        ("Gini", |l| Some(format!("{:.4}", l.gini?))),
        ("invalid", |l| Some(format!("{:.4}", l.invalid?))),
        ("novelty (bits)", |l| Some(format!("{:.2}", l.novelty?))),
        ("ARP", |l| Some(format!("{:.1}", l.arp?))),
        ("popularity lift", |l| {
            Some(format!("{:+.2}", l.popularity_lift?).replace('-', "−"))
        }),
    ];
    let lists: Vec<&ListMetrics> = segment
        .systems
        .iter()
        .filter_map(|row| row.lists_at(k))
        .collect();
    columns.retain(|c| lists.iter().any(|l| c.1(l).is_some()));
    columns
}

/// The segments of each dimension after that of all cases; none where there is only that.
fn by_dimension(task: &TaskReport) -> Vec<(&str, Vec<&SegmentReport>)> {
    let Some((all, others)) = task.segments.split_first() else {
        return Vec::new();
    };
    let mut groups: Vec<(&str, Vec<&SegmentReport>)> = Vec::new();
    for segment in others {
        let of = dimension(&segment.segment);
        match groups.iter_mut().find(|g| g.0 == of) {
            Some(group) => group.1.push(segment),
            None => groups.push((of, vec![all, segment])),
        }
    }
    groups
}

/// System × segment.
fn by_segment(
    report: &Report,
    task: &TaskReport,
    dimension: &str,
    segments: &[&SegmentReport],
) -> Table {
    let at = report.config.main();
    let by = if dimension.is_empty() {
        "segment"
    } else {
        dimension
    };
    let label = |s: &&SegmentReport| {
        let prefix = format!("{dimension}: ");
        let name = s.segment.strip_prefix(&prefix).unwrap_or(&s.segment);
        format!("{name} ({})", thousands(s.n_cases))
    };
    let row = |row: &SystemRow| {
        let cell = |s: &&SegmentReport| {
            let value = s.system(&row.system).and_then(|r| r.value(at.metric, at.k));
            match value {
                Some(v) => Cell::Mean {
                    mean: v.mean,
                    interval: None,
                    best: is_best(s, at, v.mean),
                    significant: false,
                },
                None => Cell::Text("–".into()),
            }
        };
        let name = Cell::Name(row.system.clone());
        std::iter::once(name)
            .chain(segments.iter().map(cell))
            .collect()
    };
    let first = "system".to_owned();
    Table {
        title: format!("{}: {at} by {by} (cases)", task.task),
        leads: false,
        header: std::iter::once(first)
            .chain(segments.iter().map(label))
            .collect(),
        rows: segments[0].systems.iter().map(row).collect(),
    }
}

pub(crate) fn is_best(segment: &SegmentReport, at: MetricAt, mean: f64) -> bool {
    // Shown to four digits, so equal to four digits is equally best.
    segment
        .best(at)
        .is_some_and(|best| format!("{best:.4}") == format!("{mean:.4}"))
}
