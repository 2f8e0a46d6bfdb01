//! JSON that a schema allows, as an automaton over bytes.
//!
//! The texts are compact, but for at most one space after each `:` and `,`, as models write them.
//! Numbers have at most 18 digits and no exponent, so that every reader parses them. A state is the
//! innermost unfinished value and, shared between states, those around it. Steps within strings and
//! numbers are in `json_scalar.rs`, the shortest endings in `json_ending.rs`.

use std::sync::Arc;

use crate::constrain::Automaton;
use crate::json_schema::{JsonSchema, Kind, Property};
use crate::strings::Span;

/// A schema with the shortest text of each of its values.
///
/// ```
/// use hkfr_lm::{Automaton, JsonAutomaton, JsonSchema};
/// let schema = r#"{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"const": 1}}, "required": ["b"]}"#;
/// let json = JsonAutomaton::new(JsonSchema::parse(schema).unwrap());
/// let mut state = json.start();
/// assert_eq!(json.shortest(&state), br#"{"b":1}"#);
/// for byte in *br#"{"a": 12"# {
///     state = json.step(&state, byte).unwrap();
/// }
/// assert_eq!(json.shortest(&state), br#","b":1}"#);
/// ```
pub struct JsonAutomaton {
    schema: JsonSchema,
    /// A shortest text by node.
    pub(crate) least: Vec<Vec<u8>>,
    /// Of an object by the next property that may come: the shortest text after a value.
    pub(crate) closing: Vec<Vec<Vec<u8>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JsonState {
    top: Frame,
    below: Option<Arc<Link>>,
}

/// A value around the current one; it waits for what follows that.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Link {
    frame: Frame,
    below: Option<Arc<Link>>,
    /// Bytes of the shortest ending of this and all below.
    distance: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Frame {
    Done,
    Literal { node: u32, span: Span },
    Text { node: u32, len: u32, at: Text },
    Number { node: u32, at: Digits, n: u8 },
    Array { node: u32, count: u32, at: List },
    Object { node: u32, next: u32, at: Keyed },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Text {
    Open,
    Inside,
    Escape,
    /// Hex digits to come; after a D, the next is at most 7: no surrogates.
    Hex {
        left: u8,
        after_d: bool,
    },
    /// Bytes of a character to come, and the range of the next.
    Utf8 {
        left: u8,
        low: u8,
        high: u8,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Digits {
    Start,
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum List {
    Open,
    First,
    Item { space: bool },
    After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Keyed {
    Open,
    First,
    BeforeKey {
        space: bool,
    },
    /// `property` is the first whose key goes on as the bytes so far.
    Key {
        property: u32,
        depth: u32,
    },
    /// Of the property `next − 1`.
    Value {
        space: bool,
    },
    After,
}

pub(crate) enum Move {
    /// The byte is taken.
    To(Frame),
    /// The byte is taken and ends the value.
    Close,
    /// The value was complete; the byte belongs to what is around it.
    Leave,
    /// The byte begins a child; this is what waits for the child's end.
    Enter(Frame, usize),
    Dead,
}

impl JsonAutomaton {
    pub fn new(schema: JsonSchema) -> Self {
        let mut a = Self {
            least: Vec::new(),
            closing: Vec::new(),
            schema,
        };
        // A child precedes its parent, so that its shortest text is known.
        for node in 0..a.schema.kinds.len() {
            let closing = match &a.schema.kinds[node] {
                Kind::Object(properties) => a.closings(properties),
                _ => Vec::new(),
            };
            a.closing.push(closing);
            let mut least = Vec::new();
            a.finish(a.begin(node), &mut |bytes| least.extend_from_slice(bytes));
            a.least.push(least);
        }
        a
    }

    pub(crate) fn kind(&self, node: u32) -> &Kind {
        &self.schema.kinds[node as usize]
    }

    pub(crate) fn properties(&self, node: u32) -> &[Property] {
        match self.kind(node) {
            Kind::Object(properties) => properties,
            _ => unreachable!("only an object has properties"),
        }
    }

    /// What a value begins as.
    fn begin(&self, node: usize) -> Frame {
        let kind = &self.schema.kinds[node];
        let node = node as u32;
        match kind {
            Kind::Literal(set) => Frame::Literal {
                node,
                span: set.start(),
            },
            Kind::Text { .. } => Frame::Text {
                node,
                len: 0,
                at: Text::Open,
            },
            Kind::Number { .. } => Frame::Number {
                node,
                at: Digits::Start,
                n: 0,
            },
            Kind::Array { .. } => Frame::Array {
                node,
                count: 0,
                at: List::Open,
            },
            Kind::Object(_) => Frame::Object {
                node,
                next: 0,
                at: Keyed::Open,
            },
        }
    }

    /// The properties that may come next: up to the first that is required.
    pub(crate) fn window(&self, node: u32, next: u32) -> std::ops::Range<usize> {
        let properties = self.properties(node);
        let next = next as usize;
        let required = properties[next..].iter().position(|p| p.required);
        next..required.map_or(properties.len(), |r| next + r + 1)
    }

    fn make_move(&self, frame: Frame, byte: u8) -> Move {
        match frame {
            Frame::Done => Move::Dead,
            Frame::Literal { node, span } => {
                let Kind::Literal(set) = self.kind(node) else {
                    unreachable!("a literal frame has a literal node")
                };
                match set.step(&span, byte) {
                    Some(span) => Move::To(Frame::Literal { node, span }),
                    None if set.is_end(&span) => Move::Leave,
                    None => Move::Dead,
                }
            }
            Frame::Text { node, len, at } => self.text(node, len, at, byte),
            Frame::Number { node, at, n } => self.number(node, at, n, byte),
            Frame::Array { node, count, at } => self.array(node, count, at, byte),
            Frame::Object { node, next, at } => self.object(node, next, at, byte),
        }
    }

    fn array(&self, node: u32, count: u32, at: List, byte: u8) -> Move {
        let Kind::Array { item, min, max } = *self.kind(node) else {
            unreachable!("an array frame has an array node")
        };
        let to = |at| Move::To(Frame::Array { node, count, at });
        let full = max.is_some_and(|max| count >= max);
        match (at, byte) {
            (List::Open, b'[') => to(List::First),
            (List::First | List::After, b']') if count >= min => Move::Close,
            (List::After, b',') if !full => to(List::Item { space: true }),
            (List::Item { space: true }, b' ') => to(List::Item { space: false }),
            (List::Item { .. }, _) | (List::First, _) if !full => {
                // Beyond all limits nothing is counted.
                let counted = max.unwrap_or(min);
                let waiting = Frame::Array {
                    node,
                    count: (count + 1).min(counted),
                    at: List::After,
                };
                Move::Enter(waiting, item)
            }
            _ => Move::Dead,
        }
    }

    fn object(&self, node: u32, next: u32, at: Keyed, byte: u8) -> Move {
        let to = |next, at| Move::To(Frame::Object { node, next, at });
        let properties = self.properties(node);
        let may_close = || self.closing[node as usize][next as usize] == b"}";
        let key = |from: u32, depth: u32| {
            let depth = depth as usize;
            let said = &properties.get(from as usize).map_or(&[][..], |p| &p.key)[..depth];
            let found = self.window(node, next).find(|&j| {
                let key = &properties[j].key;
                key.starts_with(said) && key.get(depth) == Some(&byte)
            });
            match found {
                None => Move::Dead,
                Some(j) if properties[j].key.len() == depth + 1 => {
                    to(j as u32 + 1, Keyed::Value { space: true })
                }
                Some(j) => to(
                    next,
                    Keyed::Key {
                        property: j as u32,
                        depth: depth as u32 + 1,
                    },
                ),
            }
        };
        match (at, byte) {
            (Keyed::Open, b'{') => to(0, Keyed::First),
            (Keyed::First | Keyed::After, b'}') if may_close() => Move::Close,
            (Keyed::After, b',') if !self.window(node, next).is_empty() => {
                to(next, Keyed::BeforeKey { space: true })
            }
            (Keyed::BeforeKey { space: true }, b' ') => to(next, Keyed::BeforeKey { space: false }),
            (Keyed::First | Keyed::BeforeKey { .. }, _) => key(next, 0),
            (Keyed::Key { property, depth }, _) => key(property, depth),
            (Keyed::Value { space: true }, b' ') => to(next, Keyed::Value { space: false }),
            (Keyed::Value { .. }, _) => Move::Enter(
                Frame::Object {
                    node,
                    next,
                    at: Keyed::After,
                },
                properties[next as usize - 1].value,
            ),
            _ => Move::Dead,
        }
    }
}

impl Automaton for JsonAutomaton {
    type State = JsonState;

    fn start(&self) -> JsonState {
        JsonState {
            top: self.begin(self.schema.root()),
            below: None,
        }
    }

    fn step(&self, state: &JsonState, byte: u8) -> Option<JsonState> {
        let (mut top, mut below) = (state.top, state.below.clone());
        loop {
            match self.make_move(top, byte) {
                Move::To(top) => return Some(JsonState { top, below }),
                Move::Dead => return None,
                Move::Close => {
                    return Some(match below {
                        None => JsonState {
                            top: Frame::Done,
                            below: None,
                        },
                        Some(link) => JsonState {
                            top: link.frame,
                            below: link.below.clone(),
                        },
                    });
                }
                Move::Leave => {
                    let link = below?;
                    top = link.frame;
                    below = link.below.clone();
                }
                Move::Enter(waiting, child) => {
                    let distance =
                        self.length(waiting) + below.as_ref().map_or(0, |link| link.distance);
                    below = Some(Arc::new(Link {
                        frame: waiting,
                        below,
                        distance,
                    }));
                    top = self.begin(child);
                }
            }
        }
    }

    fn is_end(&self, state: &JsonState) -> bool {
        state.below.is_none()
            && match state.top {
                Frame::Done => true,
                Frame::Literal { node, span } => {
                    matches!(self.kind(node), Kind::Literal(set) if set.is_end(&span))
                }
                Frame::Number { at, .. } => {
                    matches!(at, Digits::Zero | Digits::Whole | Digits::Fraction)
                }
                _ => false,
            }
    }

    fn shortest(&self, state: &JsonState) -> Vec<u8> {
        let mut text = Vec::new();
        self.finish(state.top, &mut |bytes| text.extend_from_slice(bytes));
        let mut at = &state.below;
        while let Some(link) = at {
            self.finish(link.frame, &mut |bytes| text.extend_from_slice(bytes));
            at = &link.below;
        }
        text
    }

    /// Any syntax and the rest of any character; else what the schema's literals and keys hold.
    fn in_endings(&self, byte: u8) -> bool {
        matches!(byte, 0x20..=0x7E | 0x80..=0xBF)
            || self.schema.kinds.iter().any(|kind| match kind {
                Kind::Literal(set) => set.in_endings(byte),
                Kind::Object(properties) => properties.iter().any(|p| p.key.contains(&byte)),
                _ => false,
            })
    }

    fn distance(&self, state: &JsonState) -> usize {
        self.length(state.top) + state.below.as_ref().map_or(0, |link| link.distance)
    }
}
