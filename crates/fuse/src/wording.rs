//! A data set in the words of a template set: every name sanitised once, however often it is written,
//! and for every kind of behaviour the template that words it.

use std::sync::{Arc, OnceLock};

use hkfr_events::{Dataset, ItemIdx, KindIdx};

use crate::sanitise::sanitise;
use crate::templates::TemplateSet;

/// Characters that a name (title, category, brand, place) may have in a prompt.
const MAX_NAME: usize = 80;

/// A name as prompts have it.
pub(crate) fn name(text: &str) -> String {
    sanitise(text, MAX_NAME).0
}

pub struct Wording<'a> {
    pub ds: &'a Dataset,
    pub templates: &'a TemplateSet,
    items: Vec<OnceLock<ItemNames>>,
    places: Vec<OnceLock<Arc<str>>>,
    kinds: Vec<KindWords>,
}

pub(crate) struct ItemNames {
    pub title: Arc<str>,
    /// At the data set's category level, and one level coarser.
    pub category: Option<Arc<str>>,
    pub department: Option<Arc<str>>,
    pub brand: Option<Arc<str>>,
}

pub(crate) struct KindWords {
    pub subject: Arc<str>,
    pub action: Arc<str>,
    pub scenario: Arc<str>,
    /// Name of the template of a line.
    pub template: String,
}

impl<'a> Wording<'a> {
    pub fn new(ds: &'a Dataset, templates: &'a TemplateSet) -> Self {
        let kinds = ds.kinds.iter().map(|kind| KindWords {
            subject: name(&kind.subject).into(),
            action: name(&kind.action).into(),
            scenario: name(&kind.scenario).into(),
            template: templates.event_template(kind),
        });
        Self {
            kinds: kinds.collect(),
            items: (0..ds.n_items()).map(|_| OnceLock::new()).collect(),
            places: ds.places.iter().map(|_| OnceLock::new()).collect(),
            ds,
            templates,
        }
    }

    pub(crate) fn item(&self, item: ItemIdx) -> &ItemNames {
        self.items[item as usize].get_or_init(|| {
            let ds = self.ds;
            let about = &ds.items[item as usize];
            let shared = |text: &str| Arc::from(name(text));
            let coarser = ds.info.category_level.checked_sub(1);
            ItemNames {
                title: shared(&ds.title(item)),
                category: ds.category(item).map(shared),
                department: coarser
                    .and_then(|level| about.categories.get(level))
                    .map(|c| shared(c)),
                brand: about.attributes.get("brand").map(|b| shared(b)),
            }
        })
    }

    pub(crate) fn place(&self, place: u32) -> &Arc<str> {
        let text = &self.ds.places[place as usize];
        self.places[place as usize].get_or_init(|| name(text).into())
    }

    pub(crate) fn kind(&self, kind: KindIdx) -> &KindWords {
        &self.kinds[kind as usize]
    }
}
