//! A subset of JSON Schema (draft 2020-12), compiled for [`JsonAutomaton`](crate::JsonAutomaton).
//!
//! | keyword | meaning here |
//! |---|---|
//! | `type` | one of `object`, `array`, `string`, `integer`, `number`, `boolean`, `null` |
//! | `properties`, `required` | in the order in which the schema lists them; what is not required may be left out; no others |
//! | `items`, `minItems`, `maxItems` | one schema for all items |
//! | `maxLength` | in characters |
//! | `enum`, `const` | any JSON values |
//!
//! Annotations (`title`, `description`, `default`, `examples`, `$schema`, `$id`, `$comment`) and a
//! Boolean `additionalProperties` change nothing. Any other keyword is an error: an output that
//! ignored it would not validate.
//!
//! The order of properties is that of the schema's text, since a model that gives its reasons first
//! and its verdict after them answers differently; so the schema is read from text.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result};
use crate::strings::StringSet;

/// JSON whose objects keep their order.
#[derive(Debug, Clone, PartialEq)]
enum Json {
    Plain(serde_json::Value),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Any;
        macro_rules! plain {
            ($($name:ident: $kind:ty),*) => {$(
                fn $name<E>(self, value: $kind) -> std::result::Result<Json, E> {
                    Ok(Json::Plain(value.into()))
                }
            )*};
        }
        impl<'de> Visitor<'de> for Any {
            type Value = Json;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("JSON")
            }

            plain!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

            fn visit_unit<E>(self) -> std::result::Result<Json, E> {
                Ok(Json::Plain(serde_json::Value::Null))
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> std::result::Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Json::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Json, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Json::Object(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Json {
    /// Compact, in its own order.
    fn text(&self) -> String {
        match self {
            Self::Plain(value) => value.to_string(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::text).collect();
                format!("[{}]", items.join(","))
            }
            Self::Object(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(k, v)| format!("{}{}", key_text(k), v.text()))
                    .collect();
                format!("{{{}}}", entries.join(","))
            }
        }
    }
}

/// `"key":`
fn key_text(key: &str) -> String {
    format!("{}:", serde_json::Value::from(key))
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Literal(StringSet),
    Text {
        max: Option<u32>,
    },
    Number {
        fraction: bool,
    },
    Array {
        item: usize,
        min: u32,
        max: Option<u32>,
    },
    Object(Vec<Property>),
}

#[derive(Debug, Clone)]
pub(crate) struct Property {
    /// `"name":`; so no key is the beginning of another.
    pub key: Vec<u8>,
    pub value: usize,
    pub required: bool,
}

/// A compiled schema: nodes refer to each other by index; a child precedes its parent.
#[derive(Debug, Clone)]
pub struct JsonSchema {
    pub(crate) kinds: Vec<Kind>,
}

impl JsonSchema {
    /// # Errors
    /// If the text is not JSON, or a keyword is not supported; the error names it and its path.
    ///
    /// ```
    /// let error = hkfr_lm::JsonSchema::parse(r#"{"type": "string", "pattern": "^a"}"#).unwrap_err();
    /// assert!(error.to_string().starts_with("schema at #: \"pattern\" is not supported"));
    /// ```
    pub fn parse(schema: &str) -> Result<Self> {
        let json: Json = serde_json::from_str(schema)
            .map_err(|e| Error::Config(format!("the schema is not JSON: {e}")))?;
        let mut compiled = Self { kinds: Vec::new() };
        compiled.compile(&json, "#")?;
        Ok(compiled)
    }

    pub(crate) fn root(&self) -> usize {
        self.kinds.len() - 1
    }

    fn compile(&mut self, schema: &Json, path: &str) -> Result<usize> {
        let fail = |what: String| Err(Error::Config(format!("schema at {path}: {what}")));
        let Json::Object(entries) = schema else {
            return fail("expected an object such as {\"type\": \"string\"}".into());
        };
        let get = |key: &str| entries.iter().find(|e| e.0 == key).map(|e| &e.1);
        let kind = match get("type") {
            None => None,
            Some(Json::Plain(serde_json::Value::String(t))) => Some(t.as_str()),
            Some(other) => {
                return fail(format!(
                    "\"type\": {} is not supported; give one type by name",
                    other.text()
                ));
            }
        };
        let choice = get("enum").is_some() || get("const").is_some();
        let known: &[&str] = match kind {
            _ if choice => &["enum", "const"],
            Some("object") => &["properties", "required", "additionalProperties"],
            Some("array") => &["items", "minItems", "maxItems"],
            Some("string") => &["maxLength"],
            Some("integer" | "number" | "boolean" | "null") => &[],
            Some(other) => return fail(format!("unknown type {other:?}")),
            None => {
                return fail(
                    "lacks \"type\", \"enum\" or \"const\"; any value at all is not supported"
                        .into(),
                );
            }
        };
        const ANNOTATIONS: [&str; 8] = [
            "type",
            "title",
            "description",
            "default",
            "examples",
            "$schema",
            "$id",
            "$comment",
        ];
        if let Some((key, _)) = entries
            .iter()
            .find(|(k, _)| !known.contains(&k.as_str()) && !ANNOTATIONS.contains(&k.as_str()))
        {
            return fail(format!(
                "{key:?} is not supported{}; take it out, or check it after generation",
                kind.map_or(String::new(), |k| format!(" for {k:?}"))
            ));
        }
        let count = |key: &str| match get(key) {
            None => Ok(None),
            Some(Json::Plain(v)) if v.as_u64().is_some_and(|n| n <= 1 << 20) => {
                Ok(v.as_u64().map(|n| n as u32))
            }
            Some(other) => Err(Error::Config(format!(
                "schema at {path}: {key:?} must be a count of at most {}, not {}",
                1 << 20,
                other.text()
            ))),
        };
        let node = match kind {
            _ if choice => Kind::Literal(literals(get("enum"), get("const"), kind, path)?),
            Some("object") => {
                Kind::Object(self.properties(get("properties"), get("required"), path)?)
            }
            Some("array") => {
                let Some(items) = get("items") else {
                    return fail("an array needs \"items\"".into());
                };
                let (min, max) = (count("minItems")?.unwrap_or(0), count("maxItems")?);
                if max.is_some_and(|max| max < min) {
                    return fail("\"maxItems\" is below \"minItems\"".into());
                }
                let item = self.compile(items, &format!("{path}/items"))?;
                Kind::Array { item, min, max }
            }
            Some("string") => Kind::Text {
                max: count("maxLength")?,
            },
            Some("boolean") => Kind::Literal(StringSet::new(["true", "false"])?),
            Some("null") => Kind::Literal(StringSet::new(["null"])?),
            other => Kind::Number {
                fraction: other == Some("number"),
            },
        };
        self.kinds.push(node);
        Ok(self.root())
    }

    fn properties(
        &mut self,
        properties: Option<&Json>,
        required: Option<&Json>,
        path: &str,
    ) -> Result<Vec<Property>> {
        let fail = |what: String| Error::Config(format!("schema at {path}: {what}"));
        let Some(Json::Object(entries)) = properties else {
            return Err(fail("an object needs \"properties\"".into()));
        };
        let mut names = Vec::new();
        match required {
            None => {}
            Some(Json::List(list)) => names.extend(list.iter().map(Json::text)),
            Some(_) => return Err(fail("\"required\" must be a list of names".into())),
        }
        let mut found = Vec::new();
        for (name, schema) in entries {
            let key = key_text(name).into_bytes();
            if found.iter().any(|p: &Property| p.key == key) {
                return Err(fail(format!("the property {name:?} is there twice")));
            }
            let quoted = serde_json::Value::from(name.as_str()).to_string();
            let n = names.len();
            names.retain(|n| *n != quoted);
            found.push(Property {
                key,
                value: self.compile(schema, &format!("{path}/properties/{name}"))?,
                required: names.len() < n,
            });
        }
        match names.first() {
            Some(name) => Err(fail(format!(
                "{name} is required but not among the properties"
            ))),
            None => Ok(found),
        }
    }
}

/// The values of `enum` and `const` (of both, if both are there) that have the type, if there is one.
fn literals(
    values: Option<&Json>,
    constant: Option<&Json>,
    kind: Option<&str>,
    path: &str,
) -> Result<StringSet> {
    let fail = |what: &str| Error::Config(format!("schema at {path}: {what}"));
    let mut allowed: Vec<&Json> = match values {
        Some(Json::List(list)) => list.iter().collect(),
        Some(_) => return Err(fail("\"enum\" must be a list of values")),
        None => constant.into_iter().collect(),
    };
    allowed.retain(|&v| constant.is_none_or(|c| c == v) && kind.is_none_or(|k| has_type(v, k)));
    if allowed.is_empty() {
        return Err(fail(
            "no value of \"enum\" or \"const\" fits the rest of the schema",
        ));
    }
    StringSet::new(allowed.into_iter().map(Json::text))
}

fn has_type(value: &Json, kind: &str) -> bool {
    match (value, kind) {
        (Json::Object(_), "object") | (Json::List(_), "array") => true,
        (Json::Plain(v), "string") => v.is_string(),
        (Json::Plain(v), "integer") => v.is_i64() || v.is_u64(),
        (Json::Plain(v), "number") => v.is_number(),
        (Json::Plain(v), "boolean") => v.is_boolean(),
        (Json::Plain(v), "null") => v.is_null(),
        _ => false,
    }
}
