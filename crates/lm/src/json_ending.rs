//! The shortest way to finish JSON from any state of [`JsonAutomaton`](crate::JsonAutomaton): what a
//! small token budget is kept for.
//!
//! Whatever it writes first, the rest of it is the shortest way after that: among equally short
//! ways it takes the first, from every state on it.

use crate::constrain::Automaton;
use crate::json_automaton::{Digits, Frame, JsonAutomaton, Keyed, List, Text};
use crate::json_schema::{Kind, Property};

impl JsonAutomaton {
    /// By the next property that may come: the shortest text after a value.
    pub(crate) fn closings(&self, properties: &[Property]) -> Vec<Vec<u8>> {
        let mut closings = vec![b"}".to_vec()];
        for p in properties.iter().rev() {
            let rest = closings.last().expect("begins with one").clone();
            closings.push(if p.required {
                [b",", &p.key[..], &self.least[p.value], &rest].concat()
            } else {
                rest
            });
        }
        closings.reverse();
        closings
    }

    /// Gives the shortest ending of a frame to `out`, in pieces.
    pub(crate) fn finish(&self, frame: Frame, out: &mut dyn FnMut(&[u8])) {
        match frame {
            Frame::Done => {}
            Frame::Literal { node, span } => {
                if let Kind::Literal(set) = self.kind(node) {
                    out(&set.shortest(&span));
                }
            }
            Frame::Text { at, .. } => {
                match at {
                    Text::Open => out(b"\""),
                    Text::Inside => {}
                    Text::Escape => out(b"n"),
                    Text::Hex { left, .. } => out(&b"0000"[..left as usize]),
                    Text::Utf8 { left, low, .. } => {
                        out(&[low]);
                        out(&[0x80; 2][..left as usize - 1]);
                    }
                }
                out(b"\"");
            }
            Frame::Number { at, .. } => match at {
                Digits::Start | Digits::Point => out(b"0"),
                Digits::Minus => out(b"1"),
                _ => {}
            },
            Frame::Array { node, count, at } => {
                let Kind::Array { item, min, .. } = *self.kind(node) else {
                    unreachable!("an array frame has an array node")
                };
                if at == List::Open {
                    out(b"[");
                }
                let mut comma = at == List::After;
                let n = match at {
                    List::Item { .. } => min.max(count + 1),
                    _ => min,
                };
                for _ in count..n {
                    if comma {
                        out(b",");
                    }
                    out(&self.least[item]);
                    comma = true;
                }
                out(b"]");
            }
            Frame::Object { node, next, at } => self.finish_object(node, next, at, out),
        }
    }

    fn finish_object(&self, node: u32, next: u32, at: Keyed, out: &mut dyn FnMut(&[u8])) {
        let properties = self.properties(node);
        let closing = &self.closing[node as usize];
        let rest = &closing[next as usize];
        let (property, depth) = match at {
            Keyed::After => return out(rest),
            Keyed::Value { .. } => {
                out(&self.least[properties[next as usize - 1].value]);
                return out(rest);
            }
            Keyed::Open | Keyed::First => {
                if at == Keyed::Open {
                    out(b"{");
                }
                return out(rest.strip_prefix(b",").unwrap_or(rest));
            }
            Keyed::BeforeKey { .. } => (next, 0),
            Keyed::Key { property, depth } => (property, depth as usize),
        };
        let said = &properties[property as usize].key[..depth];
        let best = self
            .window(node, next)
            .filter(|&j| properties[j].key.starts_with(said))
            .min_by_key(|&j| {
                properties[j].key.len()
                    + self.least[properties[j].value].len()
                    + closing[j + 1].len()
            })
            .expect("a key is begun only if there is one");
        out(&properties[best].key[depth..]);
        out(&self.least[properties[best].value]);
        out(&closing[best + 1]);
    }

    pub(crate) fn length(&self, frame: Frame) -> usize {
        let mut n = 0;
        self.finish(frame, &mut |bytes| n += bytes.len());
        n
    }
}
