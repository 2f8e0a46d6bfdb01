//! Answers about something that the instruction names: it comes next, or it does not.

use hkfr_events::ItemIdx;
use rand::Rng;

use super::{Ask, Labelled};

/// What does not come next is drawn by popularity, and never has a name that comes next: two products may
/// be called alike.
pub(super) fn label(
    task: &str,
    ask: &Ask,
    target: ItemIdx,
    rng: &mut impl Rng,
) -> Option<Labelled> {
    let name = |item: ItemIdx| match task {
        "category_yes_no" => ask.category(item),
        _ => ask.title(item),
    };
    let come: Vec<Option<String>> = ask.next.items().into_iter().map(name).collect();
    let other = |rng: &mut _| {
        let is_wrong = |item: ItemIdx| {
            let name = name(item);
            name.is_none() || come.contains(&name)
        };
        ask.sampler.draw_other(rng, is_wrong).and_then(name)
    };
    let first = rng.random::<bool>();
    match task {
        "yes_no" | "category_yes_no" => {
            let named = if first { name(target) } else { other(rng) }?;
            Some(ask.yes_or_no(first, vec![named]))
        }
        "which_of_two" => {
            let output = name(target)?;
            let mut names = vec![output.clone(), other(rng)?];
            if !first {
                names.reverse();
            }
            Some(Labelled { names, output })
        }
        _ => unreachable!("{task} is not of this group"),
    }
}
