//! The template sets that come with the program: `templates/<set>/` at the root of the repository.

/// A set: its name, and its files as (name inside the set, content).
pub(crate) type Set = (&'static str, &'static [(&'static str, &'static str)]);

/// The files that every set has, its events and what else it has.
macro_rules! set {
    ($set:literal, [$($event:literal),*] $(, $other:literal)*) => {
        ($set, set!(@files $set,
            "behaviour.jinja", "cohort.jinja", "fusion-again.jinja", "fusion-claims.jinja", "fusion-lines.jinja", "fusion.jinja",
            "knowledge.jinja", "profile.jinja", "raw.jinja",
            "events/default.jinja", $("events/" $event ".jinja",)*
            "statements/brand.jinja", "statements/daypart.jinja", "statements/disliked.jinja",
            "statements/favourite.jinja", "statements/household.jinja", "statements/ignored.jinja",
            "statements/price.jinja", "statements/promotion.jinja", "statements/recent.jinja",
            "statements/rising.jinja", "statements/staple.jinja", "statements/weekday.jinja",
            $($other,)*
        ))
    };
    (@files $set:literal, $($($part:literal)+,)*) => {
        &[$((
            concat!($($part),+),
            include_str!(concat!("../../../templates/", $set, "/", $($part),+)),
        ),)*]
    };
}

/// By name. A set with a `words.json` is of another language than the program's own words.
#[rustfmt::skip]
pub(crate) const SETS: &[Set] = &[
    set!("films", ["film.rate-low", "film.rate"]),
    set!("films-zh", ["film.rate-low", "film.rate"], "words.json"),
    set!("food-delivery", ["cart", "click", "favourite", "impression", "order", "search"]),
    set!("food-delivery-zh", ["cart", "click", "favourite", "impression", "order", "search"], "words.json"),
    set!("generic", []),
    set!("generic-zh", [], "words.json"),
    set!("grocery", [
        "campaign.campaign-received", "coupon.redeem", "product.exposure-display", "product.exposure-mailer",
        "product.purchase-with-coupon", "product.purchase"
    ]),
    set!("grocery-zh", [
        "campaign.campaign-received", "coupon.redeem", "product.exposure-display", "product.exposure-mailer",
        "product.purchase-with-coupon", "product.purchase"
    ], "words.json"),
    set!("restaurants", [
        "restaurant.browse", "restaurant.change-cuisine", "restaurant.cheaper", "restaurant.closer",
        "restaurant.creative", "restaurant.end", "restaurant.entry", "restaurant.livelier", "restaurant.nicer",
        "restaurant.quieter", "restaurant.traditional"
    ]),
    set!("restaurants-zh", [
        "restaurant.browse", "restaurant.change-cuisine", "restaurant.cheaper", "restaurant.closer",
        "restaurant.creative", "restaurant.end", "restaurant.entry", "restaurant.livelier", "restaurant.nicer",
        "restaurant.quieter", "restaurant.traditional"
    ], "words.json"),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::SETS;
    use crate::texts::list;

    #[test]
    fn every_file_of_the_repository_is_in_the_program() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
        let mut dirs: Vec<String> = std::fs::read_dir(&root)
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            // The texts of the tasks, which are no set.
            .filter(|name| name != "tasks")
            .collect();
        dirs.sort();
        assert_eq!(dirs, SETS.iter().map(|s| s.0).collect::<Vec<_>>());
        for (set, files) in SETS {
            let mut there = list(&root.join(set)).unwrap();
            there.retain(|name| !name.starts_with("tasks/"));
            let mut here: Vec<&str> = files.iter().map(|f| f.0).collect();
            here.sort_unstable();
            assert_eq!(there, here, "{set}");
        }
    }
}
