//! The true answer of a task, and the item it asks about.

use hkfr_events::{Dataset, Instance, ItemIdx};
use hkfr_fuse::{Words, price_band, sanitise, time};
use rand::Rng;

use super::ItemSampler;

/// Characters that a title or a category may have.
const MAX_NAME: usize = 80;

#[derive(PartialEq)]
pub(super) struct Labelled {
    /// Title of the item that the instruction names.
    pub asked: Option<String>,
    pub output: String,
}

/// The answer as `target`, one of the instance's, has it, in the words of the template set. `None` where the data set does not know the answer (no category, no price, no other item).
pub(super) fn label(
    task: &str,
    ds: &Dataset,
    instance: &Instance,
    target: ItemIdx,
    sampler: &ItemSampler,
    words: &Words,
    rng: &mut impl Rng,
) -> Option<Labelled> {
    let clean = |text: &str| Some(sanitise(text, MAX_NAME).0).filter(|t| !t.is_empty());
    let title = |item| clean(&ds.title(item));
    let category = |item| ds.category(item).and_then(clean);
    let band = |item: ItemIdx| {
        let price = ds.items[item as usize].price;
        price.map(|p| words.say(price_band(p)).to_owned())
    };
    let answer = |output: String| {
        Some(Labelled {
            asked: None,
            output,
        })
    };
    let say = |word: &str| answer(words.say(word).to_owned());
    match task {
        "next_category" => answer(category(target)?),
        "next_item" => answer(title(target)?),
        "price_band" => answer(band(target)?),
        "time_of_day" => say(time::daypart(instance.target_ts)),
        "weekday" => say(time::weekday(instance.target_ts)),
        "scenario" => say(&clean(&instance.target_scenario)?),
        "repeat_or_new" => {
            let history = instance.history(ds);
            let seen = history
                .events()
                .iter()
                .any(|e| ds.is_target(e) && e.item == Some(target));
            say(if seen { "repeat" } else { "new" })
        }
        "basket_size" => {
            let mut targets = instance.targets.clone();
            targets.sort_unstable();
            targets.dedup();
            say(basket_size(targets.len()))
        }
        "yes_no" => {
            let yes = rng.random::<bool>();
            let item = if yes {
                target
            } else {
                sampler.draw_other(rng, |i| instance.targets.contains(&i))?
            };
            Some(Labelled {
                asked: Some(title(item)?),
                output: words.say(if yes { "yes" } else { "no" }).to_owned(),
            })
        }
        "describe_item" => {
            let item = sampler.draw(rng)?;
            let parts: Vec<String> = category(item).into_iter().chain(band(item)).collect();
            (!parts.is_empty()).then_some(())?;
            Some(Labelled {
                asked: Some(title(item)?),
                output: parts.join(words.say(", ")),
            })
        }
        "category_of_item" => {
            let item = sampler.draw(rng)?;
            Some(Labelled {
                asked: Some(title(item)?),
                output: category(item)?,
            })
        }
        _ => unreachable!("task names are checked before"),
    }
}

fn basket_size(n: usize) -> &'static str {
    match n {
        0..=1 => "1",
        2..=4 => "2 to 4",
        5..=9 => "5 to 9",
        _ => "10 or more",
    }
}
