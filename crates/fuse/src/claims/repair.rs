//! The JSON object in what a model said: code fences and text around it, trailing commas, single quotes
//! and an end that was cut off are mended. Nothing is added: every text and number of the result stands
//! in what was said, and what was cut off in the middle is left out.
//!
//! ```
//! use hkfr_fuse::claims::repair;
//! use serde_json::json;
//!
//! let said = "Here it is:\n```json\n{'claims': [{'kind': 'item', 'events': [1,],}, {'kind': 'it";
//! let repaired = repair(said).unwrap();
//! assert_eq!(repaired.value, json!({"claims": [{"kind": "item", "events": [1]}]}));
//! assert!(repaired.mended && repaired.cut_off);
//! assert_eq!(repair("I cannot do that."), None);
//! ```

use serde_json::{Map, Number, Value};

#[derive(Debug, Clone, PartialEq)]
pub struct Repaired {
    /// An object.
    pub value: Value,
    /// It was not JSON as it stood.
    pub mended: bool,
    /// Its end is missing.
    pub cut_off: bool,
}

/// Deeper than any answer; a text of brackets must not exhaust the stack.
const MAX_DEPTH: usize = 16;
/// Braces that are tried as the beginning of the object.
const MAX_STARTS: usize = 16;

/// The first object in `said` that has the key `claims` or `text`.
pub fn repair(said: &str) -> Option<Repaired> {
    if let Ok(value @ Value::Object(_)) = serde_json::from_str(said) {
        return Some(Repaired {
            value,
            mended: false,
            cut_off: false,
        });
    }
    let starts = said.match_indices('{').map(|(at, _)| at).take(MAX_STARTS);
    for start in starts {
        let mut parser = Parser {
            rest: &said[start..],
            cut_off: false,
        };
        let Ok(value) = parser.value(0) else { continue };
        if value.get("claims").is_some() || value.get("text").is_some() {
            return Some(Repaired {
                value,
                mended: true,
                cut_off: parser.cut_off,
            });
        }
    }
    None
}

enum Stop {
    /// The text ends in the middle of a value.
    End,
    /// It is no JSON, however mended.
    Wrong,
}

type Result<T> = std::result::Result<T, Stop>;

struct Parser<'a> {
    rest: &'a str,
    cut_off: bool,
}

impl<'a> Parser<'a> {
    fn peek(&mut self) -> Result<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next().ok_or(Stop::End)
    }

    fn take(&mut self, n: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(n);
        self.rest = rest;
        taken
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(Stop::Wrong);
        }
        match self.peek()? {
            '{' => self.object(depth),
            '[' => self.array(depth),
            '"' | '\'' => Ok(Value::String(self.string()?)),
            _ => self.scalar(),
        }
    }

    /// The outermost object, and the lists in it, end where the text does: what is whole in them stays. A
    /// claim that was cut off is none, since what is missing may be a number that it hangs on.
    fn ends_early(&mut self, depth: usize) -> bool {
        self.cut_off |= depth <= 1;
        depth <= 1
    }

    fn object(&mut self, depth: usize) -> Result<Value> {
        self.take(1);
        let mut map = Map::new();
        loop {
            match self.member(depth) {
                Ok(Some((key, value))) => drop(map.insert(key, value)),
                Ok(None) => return Ok(Value::Object(map)),
                Err(Stop::End) if self.ends_early(depth) => return Ok(Value::Object(map)),
                Err(stop) => return Err(stop),
            }
            if self.separator('}', depth)? {
                return Ok(Value::Object(map));
            }
        }
    }

    /// `None`: the object ends.
    fn member(&mut self, depth: usize) -> Result<Option<(String, Value)>> {
        let key = match self.peek()? {
            '}' => {
                self.take(1);
                return Ok(None);
            }
            '"' | '\'' => self.string()?,
            _ => return Err(Stop::Wrong),
        };
        if self.peek()? != ':' {
            return Err(Stop::Wrong);
        }
        self.take(1);
        Ok(Some((key, self.value(depth + 1)?)))
    }

    fn array(&mut self, depth: usize) -> Result<Value> {
        self.take(1);
        let mut values = Vec::new();
        loop {
            let element = match self.peek() {
                Ok(']') => {
                    self.take(1);
                    return Ok(Value::Array(values));
                }
                Ok(_) => self.value(depth + 1),
                Err(stop) => Err(stop),
            };
            match element {
                Ok(value) => values.push(value),
                Err(Stop::End) if self.ends_early(depth) => return Ok(Value::Array(values)),
                Err(stop) => return Err(stop),
            }
            if self.separator(']', depth)? {
                return Ok(Value::Array(values));
            }
        }
    }

    /// A comma, or the end of the list or object: then it is true.
    fn separator(&mut self, close: char, depth: usize) -> Result<bool> {
        match self.peek() {
            Ok(',') => drop(self.take(1)),
            Ok(c) if c == close => {
                self.take(1);
                return Ok(true);
            }
            Ok(_) => return Err(Stop::Wrong),
            Err(_) if self.ends_early(depth) => return Ok(true),
            Err(stop) => return Err(stop),
        }
        Ok(false)
    }

    /// Numbers, true, false and null. One at the very end may have been longer.
    fn scalar(&mut self) -> Result<Value> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let n = self.rest.find(|c| !is_part(c)).ok_or(Stop::End)?;
        let word = self.take(n);
        match word {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            "null" => Ok(Value::Null),
            _ => match serde_json::from_str::<Number>(word) {
                Ok(number) => Ok(Value::Number(number)),
                Err(_) => Err(Stop::Wrong),
            },
        }
    }

    fn string(&mut self) -> Result<String> {
        let quote = self.take(1).chars().next().ok_or(Stop::End)?;
        let mut out = String::new();
        loop {
            let c = self.rest.chars().next().ok_or(Stop::End)?;
            self.take(c.len_utf8());
            match c {
                c if c == quote => return Ok(out),
                '\\' => self.escape(&mut out)?,
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<()> {
        let c = self.rest.chars().next().ok_or(Stop::End)?;
        self.take(c.len_utf8());
        out.push(match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => match self.unit()? {
                high @ 0xd800..0xdc00 if self.rest.starts_with("\\u") => {
                    self.take(2);
                    let low = self.unit()?;
                    let pair = char::decode_utf16([high, low]).next();
                    pair.and_then(std::result::Result::ok).ok_or(Stop::Wrong)?
                }
                unit => char::from_u32(u32::from(unit)).ok_or(Stop::Wrong)?,
            },
            // What JSON escapes stands for itself, and so does what it does not.
            c => c,
        });
        Ok(())
    }

    fn unit(&mut self) -> Result<u16> {
        if self.rest.len() < 4 {
            return Err(Stop::End);
        }
        let digits = self.rest.get(..4).ok_or(Stop::Wrong)?;
        let unit = u16::from_str_radix(digits, 16).map_err(|_| Stop::Wrong)?;
        self.take(4);
        Ok(unit)
    }
}
