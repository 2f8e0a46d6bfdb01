//! Merchants and their dishes: every category has merchants of every price level.

use super::draw::Draw;

/// Cuisine, category, what a dish of the middle level costs, and the dishes.
pub(super) type Category = (&'static str, &'static str, f64, [&'static str; 5]);

#[rustfmt::skip]
pub(super) const CATEGORIES: [Category; 16] = [
    ("staple food", "noodles", 4.8, ["beef noodles", "tomato and egg noodles", "dan dan noodles", "cold noodles", "wonton soup"]),
    ("staple food", "rice bowls", 5.2, ["braised pork rice", "chicken rice bowl", "beef rice bowl", "mushroom rice", "egg fried rice"]),
    ("staple food", "dumplings", 4.2, ["pork dumplings", "shrimp dumplings", "leek dumplings", "potstickers", "soup dumplings"]),
    ("staple food", "congee", 3.2, ["century egg congee", "pumpkin congee", "seafood congee", "millet congee", "dough sticks"]),
    ("hot dishes", "hotpot", 9.0, ["spicy beef hotpot", "mushroom hotpot", "tomato hotpot", "lamb hotpot", "dry pot"]),
    ("hot dishes", "barbecue", 7.0, ["lamb skewers", "grilled fish", "grilled aubergine", "chicken wings", "grilled squid"]),
    ("hot dishes", "Sichuan dishes", 6.5, ["mapo tofu", "kung pao chicken", "boiled fish", "twice-cooked pork", "dry-fried beans"]),
    ("hot dishes", "curry", 6.0, ["chicken curry", "beef curry", "vegetable curry", "cutlet curry", "green curry"]),
    ("western food", "pizza", 8.5, ["margherita", "pepperoni pizza", "seafood pizza", "mushroom pizza", "four cheeses"]),
    ("western food", "burgers", 5.5, ["beef burger", "chicken burger", "fish burger", "cheeseburger", "fries"]),
    ("western food", "fried chicken", 5.0, ["fried chicken", "spicy wings", "popcorn chicken", "chicken wrap", "drumsticks"]),
    ("western food", "salads", 5.8, ["chicken salad", "salmon salad", "tuna salad", "quinoa bowl", "avocado salad"]),
    ("japanese food", "sushi", 8.0, ["salmon sushi", "tuna roll", "eel rice", "sashimi", "miso soup"]),
    ("drinks and sweets", "bubble tea", 2.4, ["pearl milk tea", "fruit tea", "taro milk tea", "cheese tea", "lemon tea"]),
    ("drinks and sweets", "coffee", 2.8, ["latte", "americano", "cappuccino", "mocha", "cold brew"]),
    ("drinks and sweets", "desserts", 3.0, ["tiramisu", "egg tarts", "mango pudding", "cheesecake", "red bean soup"]),
];

pub(super) const LEVELS: [&str; 3] = ["low", "middle", "high"];

/// What a level costs, in multiples of the middle one.
const FACTORS: [f64; 3] = [0.6, 1.0, 1.8];

/// A merchant by its number: `(rank * levels + level) * categories + category`, so that ranks are
/// popularity within category and level.
pub(super) struct Catalogue {
    /// Merchants of each category and level.
    pub ranks: usize,
    seed: u64,
}

impl Catalogue {
    /// More users share more merchants: one more of each sort for 500 of them, 40 at most.
    pub fn new(users: u32, seed: u64) -> Self {
        let ranks = (1 + users as usize / 500).min(40);
        Self { ranks, seed }
    }

    pub fn n_merchants(&self) -> usize {
        self.ranks * LEVELS.len() * CATEGORIES.len()
    }

    /// One of a category and level.
    pub fn merchant(&self, category: usize, level: usize, draw: &mut Draw) -> usize {
        (draw.skewed(self.ranks) * LEVELS.len() + level) * CATEGORIES.len() + category
    }

    pub fn category(merchant: usize) -> usize {
        merchant % CATEGORIES.len()
    }

    pub fn level(merchant: usize) -> usize {
        merchant / CATEGORIES.len() % LEVELS.len()
    }

    pub fn merchant_title(merchant: usize) -> String {
        format!("Synthetic Kitchen {}", merchant + 1)
    }

    pub fn dish_title(merchant: usize, dish: usize) -> String {
        let name = CATEGORIES[Self::category(merchant)].3[dish];
        format!("{name} from {}", Self::merchant_title(merchant))
    }

    /// With two decimals.
    pub fn price(&self, merchant: usize, dish: usize) -> f64 {
        let mut draw = Draw::of(self.seed, "price", (merchant * 5 + dish) as u64);
        let middle = CATEGORIES[Self::category(merchant)].2 * FACTORS[Self::level(merchant)];
        (middle * (0.9 + 0.2 * draw.fraction()) * 100.0).round() / 100.0
    }
}
