//! A data set in the words of a template set: every name sanitised once, however often it is written,
//! and for every kind of behaviour the template that words it.

use std::sync::{Arc, OnceLock};

use hkfr_events::{Dataset, ItemIdx, KindIdx};

use crate::gateway::ChatRequest;
use crate::pseudonym::Pseudonyms;
use crate::sanitise::name;
use crate::templates::TemplateSet;

pub struct Wording<'a> {
    pub ds: &'a Dataset,
    pub templates: &'a TemplateSet,
    items: Vec<OnceLock<ItemNames>>,
    places: Vec<OnceLock<Arc<str>>>,
    kinds: Vec<KindWords>,
    /// Set in the words that leave: what they name is disguised.
    disguise: Option<&'a Pseudonyms<'a>>,
    /// The words that leave, where they are others.
    outward: Option<Box<Self>>,
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
            disguise: None,
            outward: None,
        }
    }

    /// The same, and towards a service pseudonyms.
    pub fn with_pseudonyms(
        ds: &'a Dataset,
        templates: &'a TemplateSet,
        pseudonyms: &'a Pseudonyms<'a>,
    ) -> Self {
        let outward = Self {
            disguise: Some(pseudonyms),
            ..Self::new(ds, templates)
        };
        Self {
            outward: Some(Box::new(outward)),
            ..Self::new(ds, templates)
        }
    }

    /// The words that a service may read.
    pub(crate) fn outward(&self) -> &Self {
        self.outward.as_deref().unwrap_or(self)
    }

    /// The last thing that is done to a request before it leaves.
    pub(crate) fn guard(&self, request: &mut ChatRequest, user_id: &str) {
        if let Some(pseudonyms) = self.outward().disguise {
            pseudonyms.guard(request, user_id);
        }
    }

    /// The first thing that is done to what a service wrote.
    pub(crate) fn restore(&self, text: &str) -> String {
        match self.outward().disguise {
            Some(pseudonyms) => pseudonyms.restore(text),
            None => text.to_owned(),
        }
    }

    /// What a user or a catalogue wrote, as prompts have it.
    pub(crate) fn text(&self, text: &str) -> String {
        match self.disguise {
            Some(pseudonyms) => pseudonyms.disguise(&name(text)),
            None => name(text),
        }
    }

    pub(crate) fn item(&self, item: ItemIdx) -> &ItemNames {
        self.items[item as usize].get_or_init(|| {
            let ds = self.ds;
            let about = &ds.items[item as usize];
            let shared = |text: &str| Arc::from(self.text(text));
            let coarser = ds.info.category_level.checked_sub(1);
            ItemNames {
                title: match self.disguise {
                    Some(pseudonyms) => pseudonyms.item(item).into(),
                    None => shared(&ds.title(item)),
                },
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
        self.places[place as usize].get_or_init(|| match self.disguise {
            Some(pseudonyms) => pseudonyms.place(place).into(),
            None => name(text).into(),
        })
    }

    pub(crate) fn kind(&self, kind: KindIdx) -> &KindWords {
        &self.kinds[kind as usize]
    }
}
