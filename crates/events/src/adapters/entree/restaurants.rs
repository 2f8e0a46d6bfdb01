//! Entree's restaurants: `id <tab> name <tab> feature ids` by city, and `features.txt`, which
//! names the features. Cuisines become categories, grades and price range become attributes, the
//! rest becomes the attribute `features`.

use std::collections::HashMap;
use std::path::Path;

use crate::adapters::sink::Sink;
use crate::adapters::text::lines::Lines;
use crate::error::Result;

/// Letter of an entry point, name, file.
pub(super) const CITIES: [(char, &str, &str); 8] = [
    ('A', "Atlanta", "atlanta.txt"),
    ('B', "Boston", "boston.txt"),
    ('C', "Chicago", "chicago.txt"),
    ('D', "Los Angeles", "los_angeles.txt"),
    ('E', "New Orleans", "new_orleans.txt"),
    ('F', "New York", "new_york.txt"),
    ('G', "San Francisco", "san_francisco.txt"),
    ('H', "Washington DC", "washington_dc.txt"),
];

pub(super) struct City {
    pub name: &'static str,
    /// Number → name.
    pub restaurants: HashMap<u32, String>,
}

pub(super) fn read(sink: &mut Sink, data: &Path) -> Result<Vec<City>> {
    let features = features(sink, &data.join("features.txt"))?;
    CITIES
        .iter()
        .map(|&(letter, name, file)| {
            let features = (letter == 'C').then_some(&features);
            city(sink, name, &data.join(file), features)
        })
        .collect()
}

fn features(sink: &mut Sink, path: &Path) -> Result<HashMap<String, String>> {
    let mut lines = Lines::open(path, None)?;
    let mut features = HashMap::new();
    while let Some((line, text)) = lines.next_line(sink.report)? {
        sink.report.rows_read += 1;
        let Some((id, name)) = text.split_once('\t') else {
            sink.report
                .bad_row(path, line, "not `id <tab> feature`", text)?;
            continue;
        };
        sink.report.rows_kept += 1;
        features.insert(id.trim().to_owned(), sink.report.clean(name).into_owned());
    }
    Ok(features)
}

/// Reads a city; with features (Chicago), its restaurants become items.
fn city(
    sink: &mut Sink,
    name: &'static str,
    path: &Path,
    features: Option<&HashMap<String, String>>,
) -> Result<City> {
    let mut lines = Lines::open(path, None)?;
    let mut restaurants = HashMap::new();
    while let Some((line, text)) = lines.next_line(sink.report)? {
        sink.report.rows_read += 1;
        let mut cells = text.split('\t');
        let (id, title) = (cells.next().unwrap_or_default(), cells.next());
        let (Ok(id), Some(title)) = (id.trim().parse::<u32>(), title) else {
            sink.report
                .bad_row(path, line, "not `number <tab> name <tab> features`", text)?;
            continue;
        };
        sink.report.rows_kept += 1;
        let title = sink.report.clean(title).into_owned();
        if let Some(features) = features {
            let own = cells.next().unwrap_or_default().split_whitespace();
            let own = own.filter_map(|f| features.get(f)).map(String::as_str);
            describe(sink, id, &title, own);
        }
        restaurants.insert(id, title);
    }
    Ok(City { name, restaurants })
}

fn describe<'f>(sink: &mut Sink, id: u32, title: &str, features: impl Iterator<Item = &'f str>) {
    let index = sink.builder.item(&id.to_string());
    let item = sink.builder.item_mut(index);
    item.title = title.to_owned();
    let mut others: Vec<&str> = Vec::new();
    for feature in features {
        let grade = feature
            .rsplit_once(' ')
            .filter(|(_, of)| matches!(*of, "Food" | "Decor" | "Service"));
        if CUISINES.contains(&feature) {
            if !item.categories.iter().any(|c| c == feature) {
                item.categories.push(feature.to_owned());
            }
        } else if let Some(price) = middle_price(feature) {
            item.price = Some(price);
            item.attributes
                .insert("price range".into(), feature.to_owned());
        } else if let Some((grade, of)) = grade {
            item.attributes
                .insert(of.to_lowercase(), grade.to_lowercase());
        } else if !others.contains(&feature) {
            others.push(feature);
        }
    }
    if !others.is_empty() {
        item.attributes.insert("features".into(), others.join("; "));
    }
}

/// The middle of a price range in dollars, so that price bands can be told apart; the data give
/// the range only. The open ends are taken as 10 and 60.
fn middle_price(feature: &str) -> Option<f32> {
    Some(match feature {
        "below $15" => 10.0,
        "$15-$30" => 22.5,
        "$30-$50" => 40.0,
        "over $50" => 60.0,
        _ => return None,
    })
}

/// Features that name a cuisine or a kind of kitchen; `features.txt` does not tell them apart.
const CUISINES: &[&str] = &[
    "Afghanistan",
    "African",
    "American (Contemporary)",
    "American (New)",
    "American (Regional)",
    "American (Traditional)",
    "American",
    "Argentinean",
    "Armenian",
    "Asian",
    "Austrian",
    "Bakeries",
    "Bar-B-Q",
    "Belgian",
    "Brasserie",
    "Brazilian",
    "Burmese",
    "Burritos",
    "Cafe/Espresso Bars",
    "Cafe/Garden Dining",
    "Cafeterias",
    "Cajun",
    "Californian",
    "Cambodian",
    "Canadian",
    "Caribbean",
    "Caviar",
    "Chinese",
    "Coffee Houses",
    "Coffee Shops",
    "Coffee and Dessert",
    "Coffeehouses",
    "Continental",
    "Creole",
    "Cuban",
    "Czech",
    "Deli",
    "Dim Sum",
    "Diners",
    "Down-Home",
    "Down-Home Creole",
    "Eastern European",
    "Eclectic",
    "Egyptian",
    "English",
    "Ethiopian",
    "Fast Food",
    "Filipino",
    "Fondue",
    "Fountain and Ice Cream",
    "Franco-Russian",
    "Frankfurters",
    "French (New)",
    "French",
    "French Bistro",
    "French Classic",
    "French Contemporary",
    "French Nouvelle",
    "French-Japanese",
    "Game",
    "German",
    "Greek",
    "Grills",
    "Guatemalan",
    "Hamburgers & Beer",
    "Hamburgers",
    "Haute Creole",
    "Haute New Orleans",
    "Health Food",
    "Hot Dogs",
    "Hungarian",
    "Indian",
    "Indonesian",
    "International",
    "Irish",
    "Italian (North & South)",
    "Italian (North",
    "Italian (Northern)",
    "Italian (Southern)",
    "Italian",
    "Italian Nuova Cucina",
    "Jamaican",
    "Japanese",
    "Jewish",
    "Korean",
    "Kosher",
    "Latin",
    "Lebanese",
    "Lithuanian",
    "Malaysian",
    "Mediterranean",
    "Mexican",
    "Middle Eastern",
    "Moroccan",
    "Nicaraguan",
    "Noodle Houses",
    "Noodle Shops",
    "Omelettes",
    "Other Quick Food",
    "Oyster Bars",
    "Pacific New Wave",
    "Pacific Rim",
    "Pancakes",
    "Pastries",
    "Pastry Shops",
    "Persian",
    "Peruvian",
    "Pizza",
    "Pizzerias",
    "Po' Boys",
    "Polish",
    "Polynesian",
    "Portuguese",
    "Puerto Rican",
    "Romanian",
    "Roumanian",
    "Russian",
    "Salvadoran",
    "Scandinavian",
    "Scottish",
    "Seafood",
    "Soul Food",
    "Soulfood",
    "South American",
    "Southeast Asian",
    "Southern",
    "Southwestern",
    "Spanish",
    "Steakhouses",
    "Sushi",
    "Swiss",
    "Swiss-French",
    "Tacos",
    "Tapas",
    "Tex Mex",
    "Tex-Mex",
    "Thai",
    "Tibetan",
    "Tunisian",
    "Turkish",
    "Ukrainian",
    "Ukranian",
    "Vegetarian",
    "Venezuelan",
    "Vietnamese",
    "Yogurt Bar",
    "Yugoslavian",
];
