//! What a remote service is told in place of who and what: ids of users, items and places become
//! `user-…`, `item-…` and `place-…`, with ten characters of HMAC-SHA-256 (RFC 2104) under a key of the
//! user's own. The same key gives the same pseudonym; without it none can be turned back.
//!
//! In: the key and the data set. Out: text to send, and text as it came back with titles and places again.
//! A user's pseudonym is never turned back: knowledge needs no name.
//!
//! Whole words of a text are ids only if they can be told from words and numbers: an id with a digit and
//! something else in three characters or more, a number of five digits or more, a user id of five
//! characters or more. `12` in "12 eggs" stays, though user 12 exists.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use hkfr_events::{Dataset, ItemIdx};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::gateway::ChatRequest;
use crate::sanitise::name;

/// Bytes that a key has at least.
pub const MIN_KEY: usize = 32;
/// Bytes that SHA-256 takes at once.
const BLOCK: usize = 64;
/// 32 characters that are not mistaken for each other; 5 bits each.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const LENGTH: usize = 10;

/// How items are called towards a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemNames {
    /// By their titles.
    Titles,
    /// By pseudonym, category and price, as the paper does with merchants.
    Pseudonyms,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    User,
    Item,
    Place,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::User => "user-",
            Self::Item => "item-",
            Self::Place => "place-",
        }
    }
}

/// A secret of [`MIN_KEY`] bytes or more. It is shown nowhere.
#[derive(Clone)]
pub struct PseudonymKey(Vec<u8>);

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("PseudonymKey")
    }
}

impl PseudonymKey {
    /// # Errors
    /// A key that is too short to be a secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes = bytes.into();
        if bytes.len() < MIN_KEY {
            return Err(Error::Config(format!(
                "the pseudonym key has {} bytes; give {MIN_KEY} random ones or more, such as the output of `openssl rand -hex 32`",
                bytes.len()
            )));
        }
        Ok(Self(bytes))
    }

    /// `user-…`: what answers are stored under, and what a text says in place of the id.
    pub fn user(&self, id: &str) -> String {
        self.of(Kind::User, id)
    }

    /// Marks somebody who must not come back, in full length: it is compared, and never read.
    pub fn tombstone(&self, user_id: &str) -> String {
        hex(&self.hmac("forgotten", user_id))
    }

    /// Tells whether two keys are the same.
    pub fn fingerprint(&self) -> String {
        hex(&self.hmac("fingerprint", ""))[..16].to_owned()
    }

    fn of(&self, kind: Kind, id: &str) -> String {
        let mac = self.hmac(kind.prefix(), id);
        let bits = u64::from_be_bytes(mac[..8].try_into().expect("32 bytes"));
        let mut out = kind.prefix().to_owned();
        out.extend((0..LENGTH).map(|i| {
            let five = bits >> (64 - 5 * (i + 1));
            char::from(ALPHABET[(five & 31) as usize])
        }));
        out
    }

    fn hmac(&self, domain: &str, text: &str) -> [u8; 32] {
        // The domain ends where no id can feign it.
        hmac_sha256(&self.0, &[domain.as_bytes(), &[0], text.as_bytes()])
    }
}

/// H(K ⊕ opad ‖ H(K ⊕ ipad ‖ text)).
fn hmac_sha256(key: &[u8], text: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    match key.len() > BLOCK {
        true => block[..32].copy_from_slice(&Sha256::digest(key)),
        false => block[..key.len()].copy_from_slice(key),
    }
    let hash = |pad: u8, parts: &[&[u8]]| -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(block.map(|b| b ^ pad));
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize().into()
    };
    let inner = hash(0x36, text);
    hash(0x5c, &[&inner])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A key over the ids of a data set.
pub struct Pseudonyms<'a> {
    ds: &'a Dataset,
    key: PseudonymKey,
    item_names: ItemNames,
    /// Recognisable ids by their first word in lower case.
    ids: HashMap<String, Vec<KnownId>>,
    /// Items and places by pseudonym; made when the first answer names one.
    names: OnceLock<HashMap<String, (Kind, u32)>>,
}

struct KnownId {
    id: String,
    /// Where its first word begins.
    offset: usize,
    pseudonym: String,
}

impl<'a> Pseudonyms<'a> {
    pub fn new(ds: &'a Dataset, key: PseudonymKey, item_names: ItemNames) -> Self {
        let users = ds.users.iter().map(|u| (Kind::User, u.id.as_str()));
        let items = ds.items.iter().map(|i| (Kind::Item, i.id.as_str()));
        let places = ds.places.iter().map(|p| (Kind::Place, p.as_str()));
        let mut ids: HashMap<String, Vec<KnownId>> = HashMap::new();
        for (kind, id) in users.chain(items).chain(places) {
            if !is_recognisable(kind, id) {
                continue;
            }
            let pseudonym = key.of(kind, id);
            // In prompts it stands as it was sanitised.
            let written = name(id);
            let forms = [id.to_owned(), written];
            let distinct = if forms[0] == forms[1] { 1 } else { 2 };
            for form in forms.into_iter().take(distinct) {
                let Some((offset, word)) = next_word(&form, 0, false) else {
                    continue;
                };
                ids.entry(word.to_ascii_lowercase())
                    .or_default()
                    .push(KnownId {
                        offset,
                        pseudonym: pseudonym.clone(),
                        id: form,
                    });
            }
        }
        // Of two ids that begin alike the longer one is meant.
        for known in ids.values_mut() {
            known.sort_by_key(|k| std::cmp::Reverse(k.id.len()));
        }
        Self {
            ds,
            key,
            item_names,
            ids,
            names: OnceLock::new(),
        }
    }

    /// What an item is called: its title if titles are shown and it has one.
    pub(crate) fn item(&self, item: ItemIdx) -> String {
        let about = &self.ds.items[item as usize];
        match self.item_names {
            ItemNames::Titles if !about.title.is_empty() => self.disguise(&name(&about.title)),
            _ => {
                let pseudonym = self.key.of(Kind::Item, &about.id);
                match self.described(item) {
                    Some(described) => self.disguise(&format!("{pseudonym} {described}")),
                    None => pseudonym,
                }
            }
        }
    }

    /// `(soft drinks, 4.00)`
    fn described(&self, item: ItemIdx) -> Option<String> {
        let category = self.ds.category(item).map(name);
        let price = self.ds.items[item as usize].price;
        let parts: Vec<String> = category
            .into_iter()
            .chain(price.map(|p| format!("{p:.2}")))
            .collect();
        (!parts.is_empty()).then(|| format!("({})", parts.join(", ")))
    }

    pub(crate) fn place(&self, place: u32) -> String {
        self.key.of(Kind::Place, &self.ds.places[place as usize])
    }

    /// A request as it may leave: no recognisable id in any message, and a pseudonym to find it by.
    pub(crate) fn guard(&self, request: &mut ChatRequest, user_id: &str) {
        for message in &mut request.messages {
            message.content = self.replaced(&message.content, true);
        }
        request.subject = Some(self.key.user(user_id));
    }

    /// Recognisable ids, as whole words, are replaced.
    pub fn disguise(&self, text: &str) -> String {
        self.replaced(text, false)
    }

    /// `quoted`: parts of the text are JSON, where a backslash and what it escapes are no word.
    fn replaced(&self, text: &str, quoted: bool) -> String {
        let mut out = String::with_capacity(text.len());
        // Before `done` all is in `out`.
        let (mut done, mut at) = (0, 0);
        while let Some((start, word)) = next_word(text, at, quoted) {
            at = start + word.len();
            let Some(known) = self.ids.get(&word.to_ascii_lowercase()) else {
                continue;
            };
            let found = known.iter().find_map(|k| {
                let from = start.checked_sub(k.offset).filter(|&from| from >= done)?;
                let end = from + k.id.len();
                let same = text
                    .get(from..end)
                    .is_some_and(|t| t.eq_ignore_ascii_case(&k.id));
                (same && stands_alone(text, from, end, quoted)).then_some((from, end, k))
            });
            if let Some((from, end, known)) = found {
                out.push_str(&text[done..from]);
                out.push_str(&known.pseudonym);
                (done, at) = (end, end);
            }
        }
        out.push_str(&text[done..]);
        out
    }

    /// An answer with titles and places in place of their pseudonyms.
    pub fn restore(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((at, len)) = next_pseudonym(rest) {
            let end = at + len;
            let found = self.names().get(&rest[at..end].to_ascii_lowercase());
            out.push_str(&rest[..at]);
            let pseudonym = &rest[at..end];
            rest = &rest[end..];
            match found {
                Some(&(Kind::Item, item)) => {
                    out.push_str(&name(&self.ds.title(item)));
                    // With the description that stood behind it.
                    let described = self.described(item).map(|d| format!(" {d}"));
                    if let Some(after) = described.and_then(|d| rest.strip_prefix(d.as_str())) {
                        rest = after;
                    }
                }
                Some(&(Kind::Place, place)) => {
                    out.push_str(&name(&self.ds.places[place as usize]));
                }
                _ => out.push_str(pseudonym),
            }
        }
        out.push_str(rest);
        out
    }

    fn names(&self) -> &HashMap<String, (Kind, u32)> {
        self.names.get_or_init(|| {
            let items = self.ds.items.iter().map(|i| (Kind::Item, i.id.as_str()));
            let places = self.ds.places.iter().map(|p| (Kind::Place, p.as_str()));
            items
                .zip(0..)
                .chain(places.zip(0..))
                .map(|((kind, id), n)| (self.key.of(kind, id), (kind, n)))
                .collect()
        })
    }
}

/// A text as a service wrote it, with the true names. `names`: names as it read them and as they are, longest first;
/// they are put back as a whole, since an id within a title is no name of its own. What is between them is turned back
/// by `restore`.
pub(crate) fn restore_names(
    text: &str,
    names: &[(String, String)],
    restore: impl Fn(&str) -> String,
) -> String {
    let mut out = String::with_capacity(text.len());
    // Before `done` all is in `out`.
    let (mut done, mut at) = (0, 0);
    while let Some(c) = text[at..].chars().next() {
        let found = names.iter().find_map(|(read, is)| {
            let end = at + read.len();
            let same = text
                .get(at..end)
                .is_some_and(|t| t.eq_ignore_ascii_case(read));
            // A plural is the same name.
            let plural = text.as_bytes().get(end) == Some(&b's');
            let stands = stands_alone(text, at, end, false)
                || (plural && stands_alone(text, at, end + 1, false));
            (same && stands).then_some((end, is))
        });
        match found {
            Some((end, is)) => {
                out.push_str(&restore(&text[done..at]));
                out.push_str(is);
                (done, at) = (end, end);
            }
            None => at += c.len_utf8(),
        }
    }
    out.push_str(&restore(&text[done..]));
    out
}

/// Whether an id in a text can be told from a word and a number.
fn is_recognisable(kind: Kind, id: &str) -> bool {
    let n = id.chars().count();
    let digits = id.chars().filter(char::is_ascii_digit).count();
    let mixed = n >= 3 && digits > 0 && digits < n;
    let long_number = digits == n && n >= 5;
    mixed || long_number || (kind == Kind::User && n >= 5) || (n >= 5 && id.contains('_'))
}

/// A run of ASCII letters and digits, or one letter of another script: those may be written without
/// spaces.
fn next_word(text: &str, from: usize, quoted: bool) -> Option<(usize, &str)> {
    let bytes = text.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        let byte = bytes[at];
        if quoted && byte == b'\\' {
            at += match bytes.get(at + 1) {
                Some(b'u') => 6,
                Some(next) if next.is_ascii() => 2,
                _ => 1,
            };
            continue;
        }
        if byte.is_ascii_alphanumeric() {
            let len = bytes[at..]
                .iter()
                .take_while(|b| b.is_ascii_alphanumeric())
                .count();
            return Some((at, &text[at..at + len]));
        }
        // An escape may have ended within a character.
        let Some(c) = text.get(at..).and_then(|t| t.chars().next()) else {
            at += 1;
            continue;
        };
        if !c.is_ascii() && c.is_alphanumeric() {
            return Some((at, &text[at..at + c.len_utf8()]));
        }
        at += c.len_utf8();
    }
    None
}

/// No letter or digit of ASCII goes on where an id ends with one.
fn stands_alone(text: &str, from: usize, end: usize, quoted: bool) -> bool {
    let bytes = text.as_bytes();
    let word = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    let escaped = quoted && from >= 2 && bytes[from - 2] == b'\\';
    let before = from > 0 && word(from - 1) && word(from) && !escaped;
    let after = word(end) && word(end - 1);
    !before && !after
}

/// Start and length of what looks like a pseudonym of an item or a place.
fn next_pseudonym(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find_map(|at| {
        [Kind::Item, Kind::Place].into_iter().find_map(|kind| {
            let prefix = kind.prefix().as_bytes();
            let len = prefix.len() + LENGTH;
            let found = bytes.get(at..at + len)?;
            let (head, tail) = found.split_at(prefix.len());
            let is_one = head.eq_ignore_ascii_case(prefix)
                && tail
                    .iter()
                    .all(|b| ALPHABET.contains(&b.to_ascii_lowercase()));
            (is_one && stands_alone(text, at, at + len, false)).then_some((at, len))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_escapes_is_no_word() {
        let words = |text: &str, quoted| {
            let mut at = 0;
            let mut words = Vec::new();
            while let Some((start, word)) = next_word(text, at, quoted) {
                at = start + word.len();
                words.push(word.to_owned());
            }
            words
        };
        let text = r#"\nu12\u00e9x \"u12\" \\\\u12 é\"#;
        assert_eq!(words(text, true), ["u12", "x", "u12", "u12", "é"]);
        assert_eq!(words(r"\u12", false), ["u12"]);
        let text = r"a\nu12";
        assert!(stands_alone(text, 3, 6, true) && !stands_alone(text, 3, 6, false));
    }

    /// RFC 4231, section 4: cases 1 to 4, 6 and 7.
    #[test]
    fn hmac_is_that_of_the_rfc() {
        let long = [0xaa; 131];
        let counting: Vec<u8> = (1..=25).collect();
        for (key, text, mac) in [
            (
                &[0x0b; 20][..],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                &counting,
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                &long,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &long,
                b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ] {
            let (one, other) = text.split_at(text.len() / 2);
            assert_eq!(hex(&hmac_sha256(key, &[one, other])), mac);
        }
    }
}
