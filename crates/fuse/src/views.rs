//! Visits, lines and items as templates see them: looked up when a template asks, since it asks for few of
//! them, and a map of all would be built for every line.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use crate::facts::time;

pub(crate) fn shared(name: &Arc<str>) -> Value {
    Value::from(Arc::clone(name))
}

/// An [`Object`] whose names are all known: `$names`, in alphabetical order, as a map would list them.
macro_rules! named {
    ($view:ty, $names:expr) => {
        impl Object for $view {
            fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
                self.named(key.as_str()?)
            }

            fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
                self.named(key)
            }

            fn enumerate(self: &Arc<Self>) -> Enumerator {
                Enumerator::Str($names)
            }
        }
    };
}
pub(crate) use named;

/// What `behaviour.jinja` is given and, without facts, `raw.jinja`.
#[derive(Debug)]
pub(crate) struct BehaviourView {
    pub profile_text: Value,
    pub facts: Option<Value>,
    pub recent: Value,
}

named!(BehaviourView, &["facts", "profile_text", "recent"]);

impl BehaviourView {
    fn named(&self, name: &str) -> Option<Value> {
        match name {
            "profile_text" => Some(self.profile_text.clone()),
            "facts" => self.facts.clone(),
            "recent" => Some(self.recent.clone()),
            _ => None,
        }
    }
}

/// What happened at one time.
#[derive(Debug)]
pub(crate) struct VisitView {
    pub ts: i64,
    pub as_of: i64,
    pub place: Option<Arc<str>>,
    /// Texts.
    pub lines: Value,
}

named!(
    VisitView,
    &["days_ago", "daypart", "lines", "place", "weekday"]
);

impl VisitView {
    fn named(&self, name: &str) -> Option<Value> {
        Some(match name {
            "lines" => self.lines.clone(),
            "place" => self.place.as_ref().map(shared).into(),
            name => return when(name, self.ts, self.as_of),
        })
    }
}

fn when(name: &str, ts: i64, as_of: i64) -> Option<Value> {
    Some(match name {
        "days_ago" => time::days_between(ts, as_of).into(),
        "weekday" => time::weekday(ts).into(),
        "daypart" => time::daypart(ts).into(),
        _ => return None,
    })
}

/// What of one kind happened at one time.
#[derive(Debug)]
pub(crate) struct LineView {
    pub ts: i64,
    pub as_of: i64,
    pub subject: Arc<str>,
    pub action: Arc<str>,
    pub scenario: Arc<str>,
    pub place: Option<Arc<str>>,
    pub items: Value,
    /// Items that are not listed.
    pub more: usize,
    pub texts: Value,
}

named!(
    LineView,
    &[
        "action", "days_ago", "daypart", "items", "more", "place", "scenario", "subject", "texts",
        "weekday",
    ]
);

impl LineView {
    fn named(&self, name: &str) -> Option<Value> {
        Some(match name {
            "items" => self.items.clone(),
            "more" => self.more.into(),
            "texts" => self.texts.clone(),
            "subject" => shared(&self.subject),
            "action" => shared(&self.action),
            "scenario" => shared(&self.scenario),
            "place" => self.place.as_ref().map(shared).into(),
            name => return when(name, self.ts, self.as_of),
        })
    }
}

#[derive(Debug)]
pub(crate) struct ItemView {
    pub title: Arc<str>,
    /// The title, where there is none.
    pub category: Arc<str>,
    pub value: Option<f32>,
}

named!(ItemView, &["category", "title", "value"]);

impl ItemView {
    fn named(&self, name: &str) -> Option<Value> {
        Some(match name {
            "title" => shared(&self.title),
            "category" => shared(&self.category),
            "value" => self.value.into(),
            _ => return None,
        })
    }
}
