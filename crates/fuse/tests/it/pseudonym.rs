//! What leaves towards a service names nobody: looked at on the wire, in batch lines and on cassettes.

use std::sync::{Arc, Mutex};

use hkfr_events::{AsOf, Dataset, DatasetBuilder, Event};
use hkfr_fuse::claims::{ClaimsConfig, Verdict, Vocabulary};
use hkfr_fuse::{
    Answered, Answers, Cassette, CassetteMode, ChatAnswer, ChatRequest, ChatService, FactsConfig,
    Fusion, Gateway, GatewayConfig, HttpService, ItemNames, LimitsConfig, PseudonymKey, Pseudonyms,
    Recorded, SystemClock, TemplateSet, Wording, write_batch_line,
};
use proptest::prelude::*;
use serde_json::json;

use crate::fixture::{DAY, info, words};
use crate::server::{Server, good, say};

const USER: &str = "Ann-Marked-1970";
const FRIEND: &str = "friend@marked";
const ITEM: &str = "sku_MARKED_31";
const UNTITLED: &str = "0012345";
const PLACE: &str = "Marked Street 4711";
const E_MAIL: &str = "ann@marked.example";
const TELEPHONE: &str = "+44 20 7946 0958";
const CARD: &str = "4111 1111 1111 1111";

/// Every field that a prompt is made of holds all that must not leave.
fn marked() -> Dataset {
    let secrets = [
        USER.to_owned(),
        FRIEND.to_owned(),
        ITEM.to_lowercase(),
        format!("({UNTITLED})"),
        format!("\"{PLACE}\""),
        E_MAIL.to_owned(),
        TELEPHONE.to_owned(),
        CARD.to_owned(),
    ];
    let mut b = DatasetBuilder::new(info());
    let part = |n: usize| format!("{} and {}", secrets[n % 8], secrets[(n + 3) % 8]);
    for (n, id) in [ITEM, UNTITLED, "m"].into_iter().enumerate() {
        let i = b.item(id);
        let item = b.item_mut(i);
        if id != UNTITLED {
            item.title = format!("Cola {}", part(n));
        }
        item.categories = vec![format!("grocery {}", part(n + 1)), "soft drinks".into()];
        item.price = Some(4.0);
        item.attributes.insert("brand".into(), part(n + 2));
    }
    let (user, place) = (b.user(USER), b.place(PLACE));
    b.user(FRIEND);
    for n in 0..14 {
        let event = Event {
            user,
            item: Some(b.item([ITEM, UNTITLED, "m"][n % 3])),
            kind: b.kind("product", "purchase", "store visit"),
            ts: (4 + n as i64) * DAY,
            value: Some(1.0),
            place: Some(place),
            text: Some(part(n).into()),
            row: 0,
        };
        b.push(event);
    }
    let attributes = &mut b.profile_mut(user).attributes;
    for n in 0..14 {
        attributes.insert(format!("field {n} {}", part(n)), part(n + 1));
    }
    b.build()
}

fn leaks(sent: &str) -> Vec<&'static str> {
    let sent = sent.to_lowercase();
    let secrets = [
        USER, FRIEND, ITEM, UNTITLED, PLACE, E_MAIL, TELEPHONE, CARD, "ann@", "marked", "4711",
        "7946", "4111",
    ];
    let leaks = |s: &&str| sent.contains(&s.to_lowercase());
    secrets.into_iter().filter(leaks).collect()
}

/// A set that writes all that it is given.
fn templates(dir: &std::path::Path) -> TemplateSet {
    let events = dir.join("events");
    std::fs::create_dir_all(&events).unwrap();
    std::fs::write(
        events.join("default.jinja"),
        "{{ action }} {{ subject }} {{ scenario }} at {{ place }}: {{ items | map(attribute=\"title\") | join(\", \") }} ({{ items | map(attribute=\"category\") | join(\", \") }}) {{ texts | join(\", \") }}",
    )
    .unwrap();
    std::fs::write(
        dir.join("behaviour.jinja"),
        "{{ profile_text }}\n{% for list in [facts.items, facts.brands, facts.departments, facts.categories, facts.places] %}{% for c in list %}{{ c.name }}; {% endfor %}{% endfor %}\n{% for visit in recent %}{{ visit.place }} {{ visit.lines | join(\"; \") }}\n{% endfor %}",
    )
    .unwrap();
    TemplateSet::load("generic", Some(dir)).unwrap()
}

fn key() -> PseudonymKey {
    PseudonymKey::new(*b"a key of thirty-two bytes, no less").unwrap()
}

fn check(item_names: ItemNames) {
    let dir = tempfile::tempdir().unwrap();
    let ds = marked();
    let templates = templates(&dir.path().join("templates"));
    let pseudonyms = Pseudonyms::new(&ds, key(), item_names);
    let config = FactsConfig::default();
    let history = ds.history(0, AsOf::new(30 * DAY));
    let fusion = |wording| Fusion {
        wording,
        facts: &config,
        budget_tokens: 4000,
        knowledge_tokens: 400,
        count: &words,
    };

    // Without pseudonyms the same text holds the ids: the marks are where they can be seen.
    let open = Wording::new(&ds, &templates);
    let claims = ClaimsConfig::default();
    let plain = fusion(&open).request(&history, &claims, 0).unwrap();
    let plain = plain.messages[0].content.clone();
    for id in [USER, FRIEND, UNTITLED, PLACE] {
        assert!(leaks(&plain).contains(&id), "{id} is not in {plain}");
    }
    assert!(
        !leaks(&plain).contains(&CARD) && !leaks(&plain).contains(&"7946"),
        "{plain}"
    );

    let wording = Wording::with_pseudonyms(&ds, &templates, &pseudonyms);
    let fusion = fusion(&wording);
    let sent: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&sent);
    // It answers with whatever pseudonyms it was told.
    let server = Server::start(move |asked| {
        log.lock().unwrap().push(asked.body.to_string());
        let words = asked
            .prompt
            .split(|c: char| !c.is_alphanumeric() && c != '-');
        let told = |kind: &str| {
            let words = words.clone();
            words
                .into_iter()
                .find(|w| w.starts_with(kind))
                .unwrap_or("nothing")
                .to_owned()
        };
        let (item, place, user) = (told("item-"), told("place-"), told("user-"));
        let data = asked.prompt.lines().last().unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let columns = data["columns"].as_array().unwrap();
        let column = columns.iter().position(|c| c == "item").unwrap();
        let rows = data["events"].as_array().unwrap();
        let row = rows.iter().find(|r| r[column].to_string().contains(&item));
        let row = row.expect("the item is in a row");
        let text = format!("They buy {item} at {place}, says {user}.");
        let claims = [("item", &row[column]), ("category", &"soft drinks".into())];
        let claims =
            claims.map(|(kind, value)| json!({"kind": kind, "value": value, "events": [row[0]]}));
        say(
            200,
            good("m", &json!({"claims": claims, "text": text}).to_string()),
        )
    });
    let tape = dir.path().join("cassette.jsonl");
    let http: Box<dyn ChatService> = Box::new(HttpService::new(&server.url, None, "m").unwrap());
    let recorded = Cassette::open(&tape, CassetteMode::Record).unwrap();
    let service: Box<dyn ChatService> = Box::new(Recorded::record(recorded, http));
    let store = dir.path().join("answers.sqlite");
    let gateway = Gateway::new(
        GatewayConfig::default(),
        vec![(service, LimitsConfig::default())],
        Answers::open(&store).unwrap(),
        Arc::new(SystemClock::default()),
        Arc::default(),
    )
    .unwrap();
    let vocabulary = Vocabulary::new(&ds);
    let mut ask = |request: &ChatRequest| Ok(Some(gateway.ask(request)?));
    let examined = fusion.examine(&history, None, &claims, &vocabulary, 0, &mut ask);
    let examined = examined.unwrap().unwrap();
    drop(gateway);

    let mut batch = Vec::new();
    write_batch_line(
        &mut batch,
        &fusion.request(&history, &claims, 0).unwrap(),
        "m",
    )
    .unwrap();
    let batch = String::from_utf8(batch).unwrap();
    let sent = sent.lock().unwrap().clone();
    assert_eq!(sent.len(), 1);
    let cassette = std::fs::read_to_string(&tape).unwrap();
    let stored = String::from_utf8_lossy(&std::fs::read(&store).unwrap()).into_owned();
    for out in [&sent[0], &batch, &cassette, &stored] {
        assert_eq!(leaks(out), Vec::<&str>::new(), "{out}");
    }
    for pseudonym in ["user-", "item-", "place-"] {
        assert!(sent[0].contains(pseudonym), "{}", sent[0]);
    }
    assert!(sent[0].contains("[e-mail]") && sent[0].contains("[telephone]"));
    assert!(sent[0].contains("[card]"), "{}", sent[0]);
    assert!(sent[0].contains("(soft drinks, 4.00)"), "{}", sent[0]);
    assert_eq!(sent[0].contains("Cola"), item_names == ItemNames::Titles);

    // What came back has the names again; a user stays a pseudonym.
    let said = &examined.said;
    assert!(said.contains(PLACE) && said.contains("user-"), "{said}");
    assert!(!said.contains("item-"), "{said}");
    for (claim, verdict) in &examined.claims {
        assert!(
            matches!(verdict, Verdict::Supported(_)),
            "{claim:?}: {verdict:?}"
        );
    }
    // It is found by whom it is about.
    let answers = Answers::open(&store).unwrap();
    let subject = key().user(USER);
    assert_eq!(answers.about(&subject).unwrap(), (1, 0));
    assert_eq!(answers.forget(&key().user(FRIEND)).unwrap(), 0);
    assert_eq!(answers.forget(&subject).unwrap(), 1);
    drop(answers);
    let bytes = String::from_utf8_lossy(&std::fs::read(&store).unwrap()).into_owned();
    assert!(!bytes.contains("They buy") && !bytes.contains(&subject));
}

#[test]
fn nothing_that_identifies_leaves_with_titles() {
    check(ItemNames::Titles);
}

#[test]
fn nothing_that_identifies_leaves_with_pseudonyms_of_items() {
    check(ItemNames::Pseudonyms);
}

#[test]
fn ids_are_told_from_words_and_numbers() {
    let mut b = DatasetBuilder::new(info());
    for user in ["12", "u1", "u12", "Robert", "用户9号", "a.b-1"] {
        b.user(user);
    }
    for item in ["bread", "i-7", "90210"] {
        b.item(item);
    }
    b.place("Main St");
    let ds = b.build();
    let key = key();
    let p = Pseudonyms::new(&ds, key.clone(), ItemNames::Titles);
    let [u12, robert, cjk, dotted] = ["u12", "Robert", "用户9号", "a.b-1"].map(|u| key.user(u));
    for (text, expected) in [
        ("12 eggs and u1", "12 eggs and u1".to_owned()),
        ("U12, u123 xu12 u12", format!("{u12}, u123 xu12 {u12}")),
        (
            "(robert)Robert's bread",
            format!("({robert}){robert}'s bread"),
        ),
        ("问用户9号吧", format!("问{cjk}吧")),
        ("for a.b-1; a.b-12", format!("for {dotted}; a.b-12")),
    ] {
        assert_eq!(p.disguise(text), expected);
    }
    assert!(p.disguise("zip 90210, i-7").starts_with("zip item-"));
    assert!(!p.disguise("zip 90210, i-7").contains("i-7"));
    // A key makes pseudonyms of its own, and a short one none.
    let other = PseudonymKey::new([7; 32]).unwrap();
    assert_ne!(other.user("u12"), u12);
    assert_eq!(u12.len(), "user-".len() + 10);
    let error = PseudonymKey::new([7; 31]).unwrap_err().to_string();
    assert!(
        error.contains("31 bytes") && error.contains("openssl"),
        "{error}"
    );
    assert_eq!(format!("{key:?}"), "PseudonymKey");
}

/// Ids of items and of a user within names: what was read comes back as it is in the log.
#[test]
fn a_name_that_holds_an_id_is_not_doubled() {
    let mut b = DatasetBuilder::new(info());
    for (id, title, category) in [
        ("SKU-1234", "SKU-1234 Widget", "widgets"),
        ("SKU-99", "Refill for SKU-1234", "for ann-42"),
        ("SKU-7", "Gift of ann-42", "gifts"),
    ] {
        let i = b.item(id);
        let item = b.item_mut(i);
        (item.title, item.categories) = (title.into(), vec!["things".into(), category.into()]);
    }
    let user = b.user("ann-42");
    for (n, item) in [0, 1, 2, 0].into_iter().enumerate() {
        let event = Event {
            user,
            item: Some(item),
            kind: b.kind("product", "purchase", "store visit"),
            ts: (4 + n as i64) * DAY,
            value: None,
            place: None,
            text: None,
            row: 0,
        };
        b.push(event);
    }
    let ds = b.build();
    let templates = TemplateSet::load("generic", None).unwrap();
    let claims = ClaimsConfig::default();
    let vocabulary = Vocabulary::new(&ds);
    let config = FactsConfig::default();
    let history = ds.history(0, AsOf::new(30 * DAY));
    for item_names in [ItemNames::Titles, ItemNames::Pseudonyms] {
        let pseudonyms = Pseudonyms::new(&ds, key(), item_names);
        let wording = Wording::with_pseudonyms(&ds, &templates, &pseudonyms);
        let fusion = Fusion {
            wording: &wording,
            facts: &config,
            budget_tokens: 4000,
            knowledge_tokens: 400,
            count: &words,
        };
        // It says of each row its item and its category, as it reads them.
        let mut ask = |request: &ChatRequest| {
            let data = request.messages[0].content.lines().last().unwrap();
            assert!(!data.contains("SKU") && !data.contains("ann-42"), "{data}");
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            let columns = data["columns"].as_array().unwrap();
            let column = |name: &str| columns.iter().position(|c| c == name).unwrap();
            let (item, category) = (column("item"), column("category"));
            let (mut made, mut text) = (Vec::new(), String::new());
            for row in data["events"].as_array().unwrap().iter().take(3) {
                for (kind, value) in [("item", &row[item]), ("category", &row[category])] {
                    made.push(json!({"kind": kind, "value": value, "events": [row[0]]}));
                }
                text += &format!("They buy {}. ", row[item].as_str().unwrap());
            }
            text += &format!("They buy {}s.", data["events"][0][item].as_str().unwrap());
            let answer = ChatAnswer {
                text: json!({"claims": made, "text": text}).to_string(),
                usage: None,
                model: None,
                ..ChatAnswer::default()
            };
            Ok(Some(Answered {
                model: "m".into(),
                answer,
                from_store: false,
            }))
        };
        let examined = fusion.examine(&history, None, &claims, &vocabulary, 0, &mut ask);
        let examined = examined.unwrap().unwrap();
        for (claim, verdict) in &examined.claims {
            let stands = matches!(verdict, Verdict::Supported(_));
            assert!(stands, "{item_names:?} {claim:?}: {verdict:?}");
        }
        assert_eq!(
            examined.record.text,
            "They buy SKU-1234 Widget. They buy Gift of ann-42. They buy Refill for SKU-1234. They buy SKU-1234 Widgets.",
            "{item_names:?}"
        );
    }
}

proptest! {
    /// Whatever stands around an id: it goes, and nothing else does.
    #[test]
    fn an_id_in_any_text_is_disguised(before in "\\PC{0,12}[ \"(]", after in "[ \",.)]\\PC{0,12}") {
        let mut b = DatasetBuilder::new(info());
        b.user("ann-42");
        let ds = b.build();
        let p = Pseudonyms::new(&ds, key(), ItemNames::Titles);
        let text = format!("{before}ann-42{after}");
        let expected = format!("{before}{}{after}", key().user("ann-42"));
        prop_assert_eq!(p.disguise(&text), expected.clone());
        // Doing it again changes nothing, and no user is turned back.
        prop_assert_eq!(p.disguise(&expected), expected.clone());
        prop_assert_eq!(p.restore(&expected), expected);
    }
}
