//! Answers that come from one of the things that are chosen next, and those about the catalogue.

use hkfr_events::ItemIdx;
use rand::Rng;

use super::{Ask, Labelled, answer, clean};

pub(super) fn label(
    task: &str,
    ask: &Ask,
    target: ItemIdx,
    rng: &mut impl Rng,
) -> Option<Labelled> {
    let ds = ask.next.dataset();
    let about = &ds.items[target as usize];
    let repeats = || ask.next.chosen_before().any(|i| i == target);
    match task {
        "next_category" => ask.category(target).map(answer),
        "next_item" => ask.title(target).map(answer),
        // Where categories are ranked by their coarsest level, this would ask the same.
        "next_department" if ds.info.category_level > 0 && about.categories.len() > 1 => {
            clean(&about.categories[0]).map(answer)
        }
        "next_department" => None,
        "next_brand" => about
            .attributes
            .get("brand")
            .and_then(|b| clean(b))
            .map(answer),
        "price_band" => ask.price_band(target).map(answer),
        "repeat_or_new" => Some(ask.say(if repeats() { "repeat" } else { "new" })),
        "repeat_item" => ask.title(target).filter(|_| repeats()).map(answer),
        "describe_item" => {
            let item = ask.sampler.draw(rng)?;
            let parts: Vec<String> = ask
                .category(item)
                .into_iter()
                .chain(ask.price_band(item))
                .collect();
            (!parts.is_empty()).then_some(Labelled {
                names: vec![ask.title(item)?],
                output: parts.join(ask.words.say(", ")),
            })
        }
        "category_of_item" => {
            let item = ask.sampler.draw(rng)?;
            Some(Labelled {
                names: vec![ask.title(item)?],
                output: ask.category(item)?,
            })
        }
        _ => unreachable!("{task} is not of this group"),
    }
}
