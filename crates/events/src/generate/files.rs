//! The directory of a synthetic log. Every file says that it is one; the config is written last, so that
//! it is there only if all else is.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::catalogue::{CATEGORIES, Catalogue};
use super::draw::Draw;
use super::funnel::{RATES, Rates, What, live};
use super::person::Person;
use super::{Counts, FoodDeliveryConfig};
use crate::atomic;
use crate::error::{Error, Result};

/// A log that is being written, one customer after another.
pub struct FoodDelivery {
    config: FoodDeliveryConfig,
    dir: PathBuf,
    catalogue: Catalogue,
    events: Growing,
    users: Growing,
    truth: Growing,
    counts: Counts,
}

#[derive(Serialize)]
struct Parameters<'a> {
    synthetic: bool,
    generator: &'static str,
    #[serde(flatten)]
    config: &'a FoodDeliveryConfig,
    rates: Rates,
}

#[derive(Serialize)]
struct Truth<'a> {
    synthetic: bool,
    #[serde(flatten)]
    person: &'a Person,
}

impl FoodDelivery {
    /// Makes `dir` and begins its files.
    ///
    /// # Errors
    /// A number that makes no log, or I/O errors.
    pub fn new(config: FoodDeliveryConfig, dir: &Path) -> Result<Self> {
        for (key, value, least, most) in [
            ("--users", config.users, 1, 9_999_999),
            ("--days", config.days, 14, 3_650),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Error::Config(format!(
                    "{key} {value}: must be from {least} to {most}"
                )));
            }
        }
        let catalogue = Catalogue::new(config.users, config.seed);
        let log = dir.join("log");
        fs_err::create_dir_all(&log)?;
        let mut counts = Counts {
            merchants: catalogue.n_merchants() as u64,
            ..Counts::default()
        };
        write_items(&catalogue, &log.join("items.csv"), &mut counts)?;
        let mut events = Growing::new(log.join("events.csv"))?;
        writeln!(
            events.out,
            "user,item,time,subject,action,scenario,query,synthetic"
        )?;
        let mut users = Growing::new(log.join("users.csv"))?;
        writeln!(users.out, "user,city,synthetic")?;
        let mut truth = Growing::new(dir.join("truth.jsonl"))?;
        let parameters = Parameters {
            synthetic: true,
            generator: "hkfr generate food-delivery",
            config: &config,
            rates: RATES,
        };
        truth.line(&parameters)?;
        Ok(Self {
            config,
            dir: dir.to_owned(),
            catalogue,
            events,
            users,
            truth,
            counts,
        })
    }

    /// What is written so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Writes the next customer; `false`: there is none.
    ///
    /// # Errors
    /// I/O errors (a full disk among them).
    pub fn next_user(&mut self) -> Result<bool> {
        let n = self.counts.users as u32;
        if n >= self.config.users {
            return Ok(false);
        }
        let person = Person::new(n, self.config.days, self.config.seed);
        let user = &person.user;
        let (out, counts) = (&mut self.events.out, &mut self.counts);
        let mut last_order = None;
        let draw = &mut Draw::of(self.config.seed, "life", u64::from(n));
        live(&person, &self.catalogue, self.config.days, draw, &mut |h| {
            let (ts, action, scenario) = (h.ts, h.action, h.scenario);
            counts.events += 1;
            if action == "order" && last_order.replace(ts) != Some(ts) {
                counts.orders += 1;
            }
            match h.what {
                What::Merchant(m) => {
                    writeln!(out, "{user},m{m},{ts},merchant,{action},{scenario},,1")
                }
                What::Dish(m, d) => {
                    writeln!(out, "{user},m{m}d{d},{ts},dish,{action},{scenario},,1")
                }
                What::Query(q) => writeln!(out, "{user},,{ts},merchant,{action},{scenario},{q},1"),
            }
        })?;
        writeln!(self.users.out, "{user},{},1", person.city)?;
        self.truth.line(&Truth {
            synthetic: true,
            person: &person,
        })?;
        self.counts.users += 1;
        Ok(true)
    }

    /// Ends the files, and writes the README and the config, whose path is returned.
    ///
    /// # Errors
    /// As [`Self::next_user`].
    pub fn finish(self) -> Result<(PathBuf, Counts)> {
        for file in [self.events, self.users, self.truth] {
            file.finish()?;
        }
        let readme = self.dir.join("README.md");
        atomic::write(&readme, readme_text(&self.config, &self.counts).as_bytes())?;
        let config = self.dir.join("food-delivery.toml");
        atomic::write(&config, config_text(&self.config).as_bytes())?;
        Ok((config, self.counts))
    }
}

fn write_items(catalogue: &Catalogue, path: &Path, counts: &mut Counts) -> Result<()> {
    let mut items = Growing::new(path.to_owned())?;
    writeln!(items.out, "item,title,cuisine,category,price,synthetic")?;
    for m in 0..catalogue.n_merchants() {
        let (cuisine, category, _, dishes) = CATEGORIES[Catalogue::category(m)];
        let title = Catalogue::merchant_title(m);
        writeln!(items.out, "m{m},{title},{cuisine},{category},,1")?;
        for d in 0..dishes.len() {
            let (title, price) = (Catalogue::dish_title(m, d), catalogue.price(m, d));
            writeln!(
                items.out,
                "m{m}d{d},{title},{cuisine},{category},{price:.2},1"
            )?;
            counts.dishes += 1;
        }
    }
    items.finish()
}

/// A file under a temporary name, which takes its own when it is whole.
struct Growing {
    path: PathBuf,
    out: BufWriter<fs_err::File>,
}

impl Growing {
    fn new(path: PathBuf) -> Result<Self> {
        let file = fs_err::File::create(atomic::temporary(&path))?;
        let out = BufWriter::with_capacity(1 << 18, file);
        Ok(Self { path, out })
    }

    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.out, value).map_err(std::io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    fn finish(self) -> Result<()> {
        let file = self.out.into_inner().map_err(|e| e.into_error())?;
        file.sync_all()?;
        Ok(fs_err::rename(atomic::temporary(&self.path), &self.path)?)
    }
}

/// The command that writes the same again.
fn command(config: &FoodDeliveryConfig) -> String {
    let FoodDeliveryConfig { users, days, seed } = config;
    format!("hkfr generate food-delivery --users {users} --days {days} --seed {seed}")
}

fn readme_text(config: &FoodDeliveryConfig, counts: &Counts) -> String {
    let Counts {
        users,
        merchants,
        dishes,
        events,
        orders,
    } = counts;
    format!(
        "# Synthetic food-delivery log\n\n\
         Made by `{}`. It describes no person, merchant or dish: names are made up, and every row bears a\n\
         column `synthetic`. Numbers measured on it say whether a program finds what is there, and nothing\n\
         about people.\n\n\
         | file | what |\n|---|---|\n\
         | `food-delivery.toml` | `hkfr run food-delivery.toml` reads the log as it is |\n\
         | `log/events.csv` | {events} events, {orders} orders, a customer after another, times in local seconds |\n\
         | `log/items.csv` | {merchants} merchants and {dishes} dishes with category and price |\n\
         | `log/users.csv` | {users} customers |\n\
         | `truth.jsonl` | first the parameters, then each customer's favourite categories, drift, price level, meals, \
         rhythm, scenarios, repeats |\n",
        command(config)
    )
}

fn config_text(config: &FoodDeliveryConfig) -> String {
    let horizon = (config.days / 6).clamp(3, 14);
    // A small log has few customers to hold out, and few who order the same.
    let buyers = if config.users < 200 { 1 } else { 3 };
    let simulated = (config.users / 20).clamp(1, 15);
    let command = command(config);
    format!(
        r#"# A synthetic food-delivery log, made by `{command}`; truth.jsonl says what is in it.
# Every key and its default: `hkfr config --defaults`.
name = "synthetic-food-delivery"

[data]
adapter = "mapping"
path = "log"

[data.options]
name = "synthetic food-delivery"
licence = "Synthetic, made by {command}: describes no person, merchant or dish. CC0."
target_actions = ["order"]
strengths = {{ order = 1.0, cart = 0.6, favourite = 0.5, click = 0.3, search = 0.2, impression = 0.05 }}
category_level = 1
item_noun = "dish"
user_noun = "customer"

[[data.options.events]]
path = "events.csv"
user = "user"
# A search has a query and no item.
item = "item"
time = "time"
subject_column = "subject"
action_column = "action"
scenario_column = "scenario"
text = "query"

[data.options.items]
path = "items.csv"
id = "item"
title = "title"
categories = ["cuisine", "category"]
price = "price"

[data.options.users]
path = "users.csv"
id = "user"
attributes = ["city"]

[split]
kind = "global-temporal"
horizon_days = {horizon}
min_item_buyers = {buyers}
# What minutes allow on two cores.
max_cases = 160
max_train_instances = 180
instances_per_user = 1
simulated_cold_start = [1, 5]
simulated_users = {simulated}

[fusion]
# "food-delivery-zh" words the same in Chinese.
templates = "food-delivery"

[instructions]
# Two tasks rank and are asked of everyone; of the others each customer answers three.
other_tasks_per_instance = 3

[recommend]
# People order the same again.
repeats = "allow"
"#
    )
}
